#include "publish.h"

#include "arena.h"
#include "counters.h"
#include "guard.h"
#include "harden.h"
#include "heap.h"
#include "hole.h"
#include "huge.h"
#include "large.h"
#include "leak_check.h"
#include "limit.h"
#include "locks.h"
#include "malloc.h"
#include "modules.h"
#include "mp_counter.h"
#include "mp_pool.h"
#include "options.h"
#include "os.h"
#include "pressure.h"
#include "probe.h"
#include "region.h"
#include "report.h"
#include "sample_note.h"
#include "track.h"

#include <errno.h>
#include <string.h>

enum {
    SWEEP_SPANS = 16 * 1024,  /* entries looked at in one tick: about 50 us */
    PUBLISH_MS = 400,         /* with ticks every 10 ms, figures are at most 1 s old */
    CHILD_MS = 100,           /* a forked child gets a region when it lives longer, */
    CHILD_SPANS = 64,         /* or grows by more than 4 MiB */
    PURGE_AT_ONCE = 64 << 20, /* bytes given back in one tick */
    PURGE_NEWS = 1 << 20,     /* so much is worth figures of its own */
    FLUSH_MIN_MS = 500,
    MOMENT_MS = 1000,
    COST_SHARE = 200,       /* looks for a peak take a 200th of the time at most, */
    COST_NEAR = 10,         /* a 10th when the limit is near: they may be the last */
    COST_FREE_NS = 1000000, /* and what the first ones cost */
    PEAK_SHARE = 100,       /* so much more may be a peak, */
    PEAK_NEAR = 1000,       /* when the limit is near, too */
};

static const uint32_t tier_every[MP_REGION_TIMELINE_TIERS] = {1, 60, 600};

uint32_t probe_last_ms;
uint64_t probe_handed_bytes;
uint64_t probe_large_bytes;
bool probe_is_waiting;
size_t probe_growth_at = SIZE_MAX; /* until there is somebody to count */
struct probe_passes probe_passes;

/* counters_lock */
static struct {
    uint32_t *fork_mark; /* reads 0 in a child, however it came about */
    uint32_t published_ms;
    uint32_t moment_ms;
    uint32_t forked_ms;
    size_t forked_spans;
    uint64_t started_ns;
    bool is_started;
    bool is_child; /* forked and without a region yet */
    bool was_forked;
    uint64_t published;
    uint64_t cost_ns;
    uint64_t table_bytes; /* the parts of the last snapshot's metadata */
    uint64_t heap_bytes;
    uint64_t region_bytes;
    uint64_t resident_peak;
    uint64_t live_high[MP_REGION_TIMELINE_TIERS]; /* since the last point of the tier */
    uint64_t handed_bytes; /* probe_handed_bytes at the last count */
    uint64_t cached_bytes; /* large_cache_bytes then: they come back uncounted */
    size_t peak_spans;     /* in use when the live peak was last looked for */
    uint64_t moments;      /* seconds of the timeline */
    uint64_t timeline_total[MP_REGION_TIMELINE_TIERS];
    uint64_t mailbox_seen;
    uint64_t mailbox_result;
    uint64_t rows_missing;
    bool is_near; /* to the limit of the process or its control group */
} publish;

/* Huge blocks in spans, too. */
static size_t spans_in_use(void)
{
    return span_used() + (huge_live_bytes() >> SPAN_SHIFT);
}

/* ---- figures ---- */

static void make_snapshot(struct mp_snapshot *s)
{
    const struct counters_totals *t = counters_totals_locked();
    struct span_totals spans = span_totals();
    uint64_t heap_bytes = arena_bytes();
    uint64_t table_bytes = bits_min(pagemap_table_bytes(),
        bits_round_up(pagemap_mapped_bytes() >> (SPAN_SHIFT - SPAN_ENTRY_SHIFT),
            os_page_bytes()));
    uint64_t used_bytes = region_used_bytes();
    size_t huge = huge_live_bytes();
    size_t cached = large_cache_bytes();
    struct huge_totals kept = huge_totals();

    publish.table_bytes = table_bytes;
    publish.heap_bytes = heap_bytes;
    publish.region_bytes = used_bytes;
    *s = (struct mp_snapshot){
        .size = sizeof(*s),
        .time_ns = os_realtime_ns(),
        .allocated_blocks_total = t->allocated_blocks,
        .freed_blocks_total = t->freed_blocks,
        .allocated_bytes_total = t->allocated_bytes,
        .freed_bytes_total = t->freed_bytes,
        .live_blocks = t->allocated_blocks - t->freed_blocks,
        .live_bytes = t->allocated_bytes - t->freed_bytes,
        .live_peak_bytes = t->live_peak_bytes,
        .active_bytes = t->slab_bytes + t->large_live_bytes,
        .cached_bytes =
            t->slab_touched_bytes - bits_min(t->slab_live_bytes, t->slab_touched_bytes),
        .dirty_bytes = spans.dirty_bytes + kept.kept_bytes + cached,
        .retained_bytes = spans.retained_bytes,
        .metadata_bytes = table_bytes + heap_bytes + used_bytes,
        .mapped_bytes = pagemap_mapped_bytes() + pagemap_table_bytes() + huge
                        + kept.kept_bytes + heap_bytes + region_bytes(),
        .resident_bytes = t->slab_touched_bytes + t->large_live_bytes
                          + spans.dirty_bytes + kept.kept_bytes + cached + table_bytes
                          + heap_bytes + used_bytes,
        .refills_total = t->refills,
        .remote_folds_total = load_relaxed(&probe_passes.remote_folds),
        .purges_total = spans.purges + kept.purges,
        .trims_total = load_relaxed(&probe_passes.trims),
        .purged_bytes_total = spans.purged_bytes + kept.purged_bytes,
        .allocation_failures_total = load_relaxed(&probe_passes.allocation_failures),
        .invalid_frees_total = load_relaxed(&probe_passes.invalid_frees),
        .components_refused_total = component_refused(),
        .threads = thread_count(),
        .components = component_count(),
    };
    s->reserved_bytes = s->mapped_bytes;
}

static void write_row(size_t i)
{
    const struct counters_row *row = counters_row_locked(i);
    const struct mp_component *c = component_by_row(i);
    struct mp_region_component *out = region_component(i);
    struct mp_region_cell *cells;

    if (out == NULL) {
        publish.rows_missing++;
        return;
    }
    if (out->name[0] == '\0') {
        memcpy(out->name, c->name, sizeof(out->name));
        out->parent = c->parent != NULL ? c->parent->row : 0;
    }
    if (row == NULL || !row->is_unwritten) {
        return;
    }
    memcpy(&out->allocated_blocks_total, &row->sum.allocated_blocks_total,
        sizeof(*out) - offsetof(struct mp_region_component, allocated_blocks_total));
    cells = region_cells(i);
    if (cells == NULL) {
        publish.rows_missing++;
        return;
    }
    memcpy(cells, row->cell, sizeof(row->cell));
    counters_mark_written_locked(i);
}

static void write_totals(const struct mp_snapshot *s, const struct counters_totals *t)
{
    struct mp_region_totals *out = region_totals();
    uint64_t seq = load_relaxed(&out->seq);

    store_relaxed(&out->seq, seq + 1);
    fence_release(); /* readers that see any of the rest see that it is being written */
    out->published_ns = s->time_ns;
    out->published_mono_ns = os_monotonic_ns();
    out->published_total = publish.published;
    out->allocated_blocks_total = s->allocated_blocks_total;
    out->freed_blocks_total = s->freed_blocks_total;
    out->allocated_bytes_total = s->allocated_bytes_total;
    out->freed_bytes_total = s->freed_bytes_total;
    out->live_blocks = s->live_blocks;
    out->live_bytes = s->live_bytes;
    out->live_peak_bytes = s->live_peak_bytes;
    out->live_peak_ns = t->live_peak_ns;
    out->active_bytes = s->active_bytes;
    out->cached_bytes = s->cached_bytes;
    out->dirty_bytes = s->dirty_bytes;
    out->retained_bytes = s->retained_bytes;
    out->metadata_heap_bytes = publish.heap_bytes;
    out->metadata_region_bytes = publish.region_bytes;
    out->metadata_span_bytes = publish.table_bytes;
    out->mapped_bytes = s->mapped_bytes;
    out->reserved_bytes = s->reserved_bytes;
    out->resident_bytes = s->resident_bytes;
    out->resident_peak_bytes = publish.resident_peak;
    out->huge_bytes = bits_min(t->huge_live_bytes, t->large_live_bytes);
    out->large_bytes = t->large_live_bytes - out->huge_bytes;
    out->refills_total = s->refills_total;
    out->remote_folds_total = s->remote_folds_total;
    out->slab_starts_total = load_relaxed(&probe_passes.slab_starts);
    out->slab_releases_total = load_relaxed(&probe_passes.slab_releases);
    out->purges_total = s->purges_total;
    out->purged_bytes_total = s->purged_bytes_total;
    out->trims_total = s->trims_total;
    out->trimmed_bytes_total = load_relaxed(&probe_passes.trimmed_bytes);
    out->allocation_failures_total = s->allocation_failures_total;
    out->invalid_frees_total = s->invalid_frees_total;
    out->publish_ns_total = publish.cost_ns;
    out->threads = s->threads;
    out->threads_peak = thread_peak();
    out->threads_total = thread_total();
    out->heaps = heap_count();
    out->component_count = s->components;
    out->module_count = modules_count();
    out->modules_missing = modules_missing();
    out->components_refused_total = s->components_refused_total;
    out->counter_rows_missing = publish.rows_missing;
    out->mailbox_seen = publish.mailbox_seen;
    out->mailbox_result = publish.mailbox_result;
    memcpy(out->timeline_total, publish.timeline_total, sizeof(out->timeline_total));
    store_release(&out->seq, seq + 2);
}

static void write_moment(unsigned tier, const struct mp_snapshot *s)
{
    struct mp_region_moment *m = region_moment(tier, publish.timeline_total[tier]);
    uint64_t seq;

    if (m == NULL) {
        return;
    }
    seq = load_relaxed(&m->seq);
    store_relaxed(&m->seq, seq + 1);
    fence_release();
    m->time_ns = s->time_ns;
    m->live_bytes = s->live_bytes;
    m->live_blocks = s->live_blocks;
    m->live_high_bytes = publish.live_high[tier];
    publish.live_high[tier] = s->live_bytes;
    m->active_bytes = s->active_bytes;
    m->dirty_bytes = s->dirty_bytes;
    m->retained_bytes = s->retained_bytes;
    m->resident_bytes = s->resident_bytes;
    m->allocated_bytes_total = s->allocated_bytes_total;
    m->allocated_blocks_total = s->allocated_blocks_total;
    m->threads = s->threads;
    m->cached_bytes = s->cached_bytes;
    m->metadata_bytes = publish.table_bytes + publish.heap_bytes;
    m->profiler_bytes = publish.region_bytes;
    store_release(&m->seq, seq + 2);
    publish.timeline_total[tier]++;
}

static void extend_timeline(const struct mp_snapshot *s, uint32_t now_ms)
{
    if (publish.moments != 0 && now_ms - publish.moment_ms < MOMENT_MS) {
        return;
    }
    publish.moment_ms = now_ms;
    for (unsigned tier = 0; tier < MP_REGION_TIMELINE_TIERS; tier++) {
        if (publish.moments % tier_every[tier] == 0) {
            write_moment(tier, s);
        }
    }
    publish.moments++;
}

/* The figures are new: to the region with them. */
static void write_region(uint32_t now_ms)
{
    struct mp_snapshot s;

    make_snapshot(&s);
    publish.published++;
    publish.resident_peak = bits_max(publish.resident_peak, s.resident_bytes);
    for (unsigned tier = 0; tier < MP_REGION_TIMELINE_TIERS; tier++) {
        publish.live_high[tier] = bits_max(publish.live_high[tier], s.live_bytes);
    }
    publish.published_ms = now_ms;
    if (!region_is_open()) {
        return;
    }
    extend_timeline(&s, now_ms);
    publish.rows_missing = 0;
    for (size_t i = 0; i < s.components; i++) {
        write_row(i);
    }
    mp_pool_publish_locked();
    mp_counter_publish_locked();
    limit_publish_locked();
    write_totals(&s, counters_totals_locked());
    sample_publish(publish.published, s.live_bytes, s.live_peak_bytes, s.time_ns);
}

/* ---- ticks ---- */

void publish_find_fork_locked(void)
{
    if (publish.fork_mark != NULL && load_relaxed(publish.fork_mark) == 0) {
        publish_after_fork_in_child(); /* by a clone that ran no handlers */
    }
}

static void open_region_locked(bool is_child)
{
    lock_lock(&profile_lock);
    if (region_open_locked(is_child)) {
        sample_start_locked();
    }
    lock_unlock(&profile_lock);
}

static void find_fork(uint32_t now_ms)
{
    publish_find_fork_locked();
    if (publish.is_child && options.children
        && ((int32_t)(now_ms - publish.forked_ms) >= CHILD_MS
            || spans_in_use() > publish.forked_spans + CHILD_SPANS)) {
        int cancel = os_cancel_disable();

        publish.is_child = false;
        open_region_locked(true);
        os_cancel_restore(cancel);
        counters_mark_unwritten_locked();
        publish.published_ms = now_ms - PUBLISH_MS; /* at once: it may end soon */
    }
}

static uint64_t handed_bytes(void)
{
    return load_relaxed(&probe_handed_bytes) + load_relaxed(&probe_large_bytes);
}

static unsigned peak_share(void)
{
    return publish.is_near ? PEAK_NEAR : PEAK_SHARE;
}

/*
 * Live bytes may have passed their peak since they were last counted: more was handed out
 * than there was room below it, by 1 % or 1 MiB, a tenth of that near the limit.
 */
static bool may_be_peak(void)
{
    const struct counters_totals *t = counters_totals_locked();
    uint64_t room = t->live_peak_bytes - (t->allocated_bytes - t->freed_bytes);

    return handed_bytes() - publish.handed_bytes + publish.cached_bytes
           > room
                 + bits_max(t->live_peak_bytes / peak_share(),
                     (uint64_t)MIB * PEAK_SHARE / peak_share());
}

/* One more look at the figures, before their time. */
static bool can_afford(void)
{
    uint64_t ran_ns = os_monotonic_ns() - publish.started_ns;

    return publish.cost_ns
           < COST_FREE_NS + ran_ns / (publish.is_near ? COST_NEAR : COST_SHARE);
}

static void publish_step(uint32_t now_ms)
{
    uint64_t used_bytes = (uint64_t)spans_in_use() << SPAN_SHIFT;
    uint64_t start_ns;

    find_fork(now_ms);
    pressure_look_locked(now_ms, used_bytes);
    publish.is_near = pressure_is_near_locked(used_bytes);
    if (now_ms - publish.published_ms < PUBLISH_MS
        && (!can_afford() || (!may_be_peak() && spans_in_use() <= probe_growth_at))) {
        return;
    }
    publish.handed_bytes = handed_bytes();
    publish.cached_bytes = large_cache_bytes();
    start_ns = os_monotonic_ns();
    /* Near the limit all at once: what is counted in ten steps may never be published. */
    if (counters_sweep_locked(publish.is_near ? SIZE_MAX : SWEEP_SPANS)) {
        size_t used = spans_in_use();

        publish.peak_spans = bits_max(publish.peak_spans, used);
        store_relaxed(&probe_growth_at, publish.peak_spans
                                            + publish.peak_spans / peak_share()
                                            + (publish.is_near ? 1 : 16));
        write_region(now_ms);
    }
    start_ns = os_monotonic_ns() - start_ns;
    publish.cost_ns += start_ns;
}

struct request {
    uint64_t number;
    uint64_t argument;
};

/* A request that is to be served when no lock is held; number 0: none. */
static struct request look_into_mailbox(void)
{
    struct request r = {0, 0};

    r.number = region_mailbox(&r.argument);
    return r;
}

static void serve(struct request r)
{
    uint64_t result;

    switch (r.number & 0xff) {
    case MP_OPERATION_TRIM:
        result = malloc_trim_all();
        break;
    case MP_OPERATION_SAMPLE:
        sample_set_interval(r.argument);
        result = sample_interval();
        break;
    case MP_OPERATION_LEAK_SCAN:
        result = (uint64_t)leak_check_begin(r.argument);
        break;
    default:
        return;
    }
    lock_lock(&counters_lock);
    publish.mailbox_seen = r.number;
    publish.mailbox_result = result;
    publish_now_locked();
    lock_unlock(&counters_lock);
}

/*
 * What has been free for so long goes back to the kernel. The process may sleep then: what went
 * is not to be told as there until it wakes.
 */
static void purge(uint32_t now_ms, uint32_t age_ms)
{
    size_t bytes = span_purge(now_ms, age_ms, PURGE_AT_ONCE)
                   + huge_purge(now_ms, age_ms, PURGE_AT_ONCE);

    if (CONFIG_PROFILE && bytes >= PURGE_NEWS && lock_try(&counters_lock)) {
        if (publish.is_started) {
            publish.published_ms = now_ms - PUBLISH_MS;
            publish_step(now_ms);
        }
        lock_unlock(&counters_lock);
    }
}

COLD NOINLINE void probe_tick_slow(uint32_t now_ms)
{
    uint32_t idle_ms = (uint32_t)bits_max(options.purge_delay_ms, FLUSH_MIN_MS);
    uint32_t age_ms = (uint32_t)bits_max(options.purge_delay_ms, 1);
    struct request request = {0, 0};

    if (!lock_try(&counters_lock)) {
        return; /* another thread is at it */
    }
    store_relaxed(&probe_last_ms, now_ms);
    if (thread_take_trim_request()) {
        thread_flush_locked(now_ms, 0);
    } else if (options.purge_delay_ms != PURGE_NEVER
               && thread_is_flush_due(now_ms, idle_ms)) {
        thread_flush_locked(now_ms, idle_ms);
    } else if (options.purge_delay_ms != PURGE_NEVER) {
        thread_dig_locked();
    }
    if (CONFIG_PROFILE && publish.is_started) {
        publish_step(now_ms);
        sample_tick(now_ms);
        request = look_into_mailbox();
    }
    if (options.purge_delay_ms != PURGE_NEVER) {
        large_cache_purge_locked(now_ms, age_ms);
    }
    lock_unlock(&counters_lock);
    if (options.purge_delay_ms != PURGE_NEVER) {
        purge(now_ms, age_ms);
    }
    if (request.number != 0) {
        serve(request);
    }
    leak_check_step();
}

COLD NOINLINE void probe_run_slow(void)
{
    store_relaxed(&probe_is_waiting, false);
    probe_tick(os_coarse_ms());
    probe_tell();
}

void probe_tell(void)
{
    limit_run();
    pressure_run();
}

double publish_pressure(void)
{
    double value = __builtin_nan("");

    if (CONFIG_PROFILE && !lock_is_mine(&counters_lock)) {
        lock_lock(&counters_lock);
        pressure_want_stalls_locked();
        pressure_look_locked(os_coarse_ms(), (uint64_t)spans_in_use() << SPAN_SHIFT);
        value = pressure_value_locked();
        lock_unlock(&counters_lock);
    }
    return value;
}

/* ---- begin, end, fork ---- */

static void mark_process(void)
{
    if (publish.fork_mark != NULL) {
        store_relaxed(publish.fork_mark, 1);
    }
}

void publish_start(void)
{
    if (!CONFIG_PROFILE) {
        return;
    }
    lock_lock(&counters_lock);
    publish.fork_mark = os_map_wiped_on_fork(os_page_bytes());
    region_watch_fork(publish.fork_mark);
    mark_process();
    publish.is_started = true;
    publish.started_ns = os_monotonic_ns();
    report_prepare(options.report);
    if (!os_is_secure()) {
        pressure_start_locked("/proc/self/cgroup", "/sys/fs/cgroup");
    }
    lock_unlock(&counters_lock);
    if (options.region != REGION_OFF) {
        modules_see(); /* first of all the program: stacks begin when there is a region */
    }
    lock_lock(&counters_lock);
    open_region_locked(false);
    publish_now_locked();
    store_relaxed(&probe_growth_at, 16);
    lock_unlock(&counters_lock);
}

void publish_now_locked(void)
{
    uint64_t start_ns = os_monotonic_ns();

    publish_find_fork_locked();
    counters_sweep_all_locked();
    write_region(os_coarse_ms());
    publish.cost_ns += os_monotonic_ns() - start_ns;
}

static bool locks_are_free(void)
{
    bool are_free = true;

    for (size_t i = 0; i < LOCKS; i++) {
        are_free &= lock_is_free(locks[i]);
    }
    return are_free;
}

/* Whether a signal handler runs that interrupted this thread with one of our locks. */
static bool has_interrupted_us(void)
{
    bool is_ours = false;

    for (size_t i = 0; i < LOCKS; i++) {
        is_ours |= lock_is_mine(locks[i]);
    }
    for (const struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        is_ours |= lock_is_mine(&h->lock);
    }
    return is_ours;
}

/* MPALLOC_KEEP: 1, or the number of this process. */
static bool is_kept(void)
{
    return options.keep == 1 || options.keep == os_pid();
}

void publish_exit(void)
{
    if (!CONFIG_PROFILE || !publish.is_started || publish.is_child
        || !region_is_of_this_process()
        || (publish.fork_mark != NULL && load_relaxed(publish.fork_mark) == 0)) {
        return;
    }
    /* May come from a signal handler: with a lock held, or threads about, figures stay. */
    if (os_is_single_threaded() && locks_are_free()) {
        publish_now_locked();
    }
    region_close_locked(is_kept());
}

bool publish_is_own(void)
{
    return CONFIG_PROFILE && publish.is_started && !publish.was_forked
           && (publish.fork_mark == NULL || load_relaxed(publish.fork_mark) != 0)
           && !has_interrupted_us();
}

void publish_end(void)
{
    struct mp_snapshot s;
    int cancel;

    if (!CONFIG_PROFILE) {
        return;
    }
    if (has_interrupted_us()) { /* exit in a handler, as servers do: as by _exit */
        publish_exit();
        return;
    }
    cancel = os_cancel_disable();
    leak_check_end();
    lock_lock(&counters_lock);
    publish_find_fork_locked(); /* a raw clone's child must not end its parent's region */
    lock_unlock(&counters_lock);
    modules_see();
    lock_lock(&counters_lock);
    publish_now_locked();
    make_snapshot(&s);
    region_close_locked(is_kept());
    lock_unlock(&counters_lock);
    if (options.report[0] != '\0' && !publish.is_child) {
        report_write(options.report, &s, publish.was_forked);
    }
    os_cancel_restore(cancel);
}

void publish_after_fork_in_child(void)
{
    if (!CONFIG_PROFILE) {
        return;
    }
    sample_after_fork_in_child();
    leak_check_after_fork_in_child();
    region_forget();
    mark_process();
    publish.is_child = true;
    publish.was_forked = true;
    publish.forked_ms = os_coarse_ms();
    publish.forked_spans = spans_in_use();
    publish.moments = 0;
    memset(publish.timeline_total, 0, sizeof(publish.timeline_total));
    publish.mailbox_seen = publish.mailbox_result = 0;
}

int publish_snapshot(struct mp_snapshot *s)
{
    struct mp_snapshot full;
    size_t size;

    if (s == NULL || s->size < 16) {
        return -EINVAL;
    }
    if (!CONFIG_PROFILE) {
        return -ENOSYS;
    }
    size = bits_min(s->size, sizeof(full));
    lock_lock(&counters_lock);
    publish_now_locked();
    make_snapshot(&full);
    lock_unlock(&counters_lock);
    full.size = s->size; /* as the caller set it */
    memcpy(s, &full, size);
    return 0;
}
