#include "sample_note.h"

#include "epochs.h"
#include "modules.h"
#include "names.h"
#include "options.h"
#include "own_memory.h"
#include "poisson.h"
#include "pool.h"
#include "probe.h"
#include "share.h"
#include "site_peak.h"
#include "usdt.h"

#include <errno.h>

enum {
    NAME_MS = 20,      /* a thread's name is asked for again after so long */
    GOVERN_MS = 10,    /* between looks at the cost */
    TRIM_MS = 250,     /* between looks at spans that are not needed */
    PERIOD_MS = 100,   /* of such a time it is judged whether it is cheap */
    SHARE = 800,       /* 1 / share of the time may be spent at the usual interval; */
    SHARE_LEAST = 200, /* a quarter is cheap */
    FIRST_TURNS = 256, /* ends that are excused: they come once */
    BURST_NS = 250000, /* so much may be spent in advance, */
    BURST_MOST_NS = 2000000,
    USUAL_BYTES = 512 * 1024, /* the interval: who asks for more may spend more */
    STEPS_MOST = 6,           /* doublings at a time, */
    STEPS_BACK = 2,           /* and halvings */
    COST_MOST_NS = 20000,     /* of one sample: what is more, another thread had */
    TURN_EXACT = 31, /* one in so many is timed; odd: malloc and free alternate */
    TURN_SAMPLED = 7,
};

#if USDT
/* Counted up and down by whoever traces us, in our memory. */
uint16_t usdt_alloc_listeners __attribute__((section(".probes")));
uint16_t usdt_free_listeners __attribute__((section(".probes")));
#endif

uint32_t sample_epoch = 1;

/* profile_lock; interval is read without, too. */
static uint64_t interval = MP_SAMPLING_OFF; /* atomic: R in force */
static uint64_t wanted = MP_SAMPLING_OFF;
static uint64_t doublings;
static uint64_t changes;
static bool is_started;
static uint32_t trimmed_ms;
static bool has_noticed_fork; /* and publish.c did not yet */
static bool is_set;           /* by the program or a tool: the option counts no more */
static uint64_t cost_ns;      /* relaxed atomic */
static uint64_t excused_ns;   /* relaxed atomic: of it, what the governor passes over */

static struct {
    uint32_t looked_ms;
    uint64_t cpu_ns; /* at the last look */
    uint64_t cost_ns;
    int64_t debt_ns;   /* what was spent beyond the share; below 0: saved */
    uint32_t since_ms; /* of the time over which it may turn out to be cheap */
    uint64_t since_cpu_ns;
    uint64_t since_cost_ns;
} governor;

static uint64_t told; /* what news_locked was when the region was written last */

/*
 * A child by clone that ran no handlers may have the lock from a thread that is not there. Its
 * first tick makes a child of it (publish.c); until then this has to do.
 */
void sample_enter(void)
{
    if (UNLIKELY(region_is_of_parent()) && !has_noticed_fork) {
        sample_after_fork_in_child();
        has_noticed_fork = true;
    }
    lock_lock(&profile_lock);
}

/* ---- what readers see ---- */

static uint64_t news_locked(void)
{
    return stacks_count_locked() + names_count_locked() + sites_news_locked()
           + live_news_locked();
}

static void describe_locked(void)
{
    struct mp_region_sampling *out = region_sampling();
    struct mp_region_sampling s = {
        .interval_bytes = interval,
        .wanted_bytes = wanted,
        .doublings_total = doublings,
        .changes_total = changes,
        .cost_ns_total = load_relaxed(&cost_ns),
        .memory_bytes = own_bytes_locked(),
        .memory_max_bytes = own_most_locked(),
        .frame_count = stacks_count_locked(),
        .name_count = names_count_locked(),
        .frames_refused_total = stacks_refused_locked(),
        .names_refused_total = names_refused_locked(),
        .stacks_truncated_total = load_relaxed(&unwind_counts.truncated),
        .stacks_lost_total = load_relaxed(&unwind_counts.lost),
    };

    if (out == NULL) {
        return;
    }
    sites_describe_locked(&s);
    live_describe_locked(&s);
    share_describe_locked(&s);
    told = news_locked();
    /* Where address space is limited there are fewer rows than there may be. */
    s.frame_count = bits_min(s.frame_count, region_room(MP_SECTION_FRAMES));
    s.site_count = bits_min(s.site_count, region_room(MP_SECTION_SITES));
    s.sample_count = bits_min(s.sample_count, region_room(MP_SECTION_SAMPLES));
    s.seq = load_relaxed(&out->seq) & ~(uint64_t)1;
    region_publish(&out->seq, &s.seq, sizeof(s));
}

/* How many samples there are, and what they cost: the first line of the record. */
static void describe_totals_locked(void)
{
    struct mp_region_sampling *out = region_sampling();
    uint64_t seq;

    if (out != NULL) {
        seq = load_relaxed(&out->seq) & ~(uint64_t)1;
        region_write_begin(&out->seq, seq);
        store_relaxed(&out->allocated_total, live_total.allocated);
        store_relaxed(&out->freed_total, live_total.freed);
        store_relaxed(&out->cost_ns_total, load_relaxed(&cost_ns));
        region_write_end(&out->seq, seq);
    }
}

/* What is not news can wait for the next tick. False: there is none. */
static bool tell_news_locked(void)
{
    if (news_locked() == told) {
        return false;
    }
    describe_locked();
    return true;
}

/* Where all is sampled, sums that are not news are left to ticks. */
void sample_tell_locked(void)
{
    if (!tell_news_locked() && interval != MP_SAMPLING_EXACT) {
        describe_totals_locked();
    }
}

/* ---- who and where ---- */

void sample_ask_for_name(struct sample_capture *c, struct thread *t)
{
    uint32_t now_ms = (uint32_t)(c->start_ns / 1000000);

    c->has_name = false;
    if (os_is_sandboxed() || (t->name != 0 && now_ms - t->named_ms < NAME_MS)) {
        return;
    }
    t->named_ms = now_ms;
    c->has_name = os_thread_name(c->name, sizeof(c->name));
}

/* For the next one, not for the first: many threads have but one. */
static void keep_stacks_locked(struct thread *t)
{
    bool is_second =
        t->has_sampled && t->pointer == thread_pointer(); /* else it ended */

    if (is_second && interval == MP_SAMPLING_EXACT) {
        share_obtain_locked(t);
    }
    if (UNLIKELY(is_second && t->kept == NULL)) {
        t->kept = own_alloc_locked(sizeof(*t->kept));
        if (t->kept != NULL) {
            unwind_kept_init(t->kept);
        }
    }
    t->has_sampled = true;
}

void sample_name_locked(struct thread *t, const struct sample_capture *capture)
{
    if (capture->has_name) {
        t->name = names_intern_locked(capture->name);
    }
}

struct site_key sample_key_locked(
    const struct sample_capture *capture, const struct mp_component *c, unsigned cls)
{
    struct thread *t = thread_local_state.thread;

    sample_name_locked(t, capture);
    keep_stacks_locked(t);
    return (struct site_key){
        .frame = stacks_intern_locked(&capture->stack),
        .component = c->row,
        .class_number = (uint16_t)cls,
        .operation = t->operation,
        .thread = t->name,
        .flags = capture->stack.info.end == UNWIND_TRUNCATED ? MP_SITE_TRUNCATED
                 : capture->stack.info.end == UNWIND_LOST    ? MP_SITE_LOST
                                                             : 0,
    };
}

/*
 * Readers are told of new frames, names and sites before anything speaks of them.
 */
uint32_t sample_find_site_locked(const struct site_key *key)
{
    uint32_t site = sites_find_locked(key);

    tell_news_locked();
    return site;
}

struct sampled sample_of(
    const struct sample_capture *c, size_t bytes, size_t size, uint64_t r)
{
    return (struct sampled){
        .bytes = bytes,
        .requested = bits_min(size, bytes),
        .interval = r,
        .born_ns = c->start_ns,
        .thread_id = c->thread_id,
    };
}

void sample_tell_tracer(const void *p, size_t bytes, uint64_t r)
{
    usdt_alloc(p, bytes, 1 / poisson_chance((double)bytes, (double)r));
}

static bool is_governed(void)
{
    uint64_t r = load_relaxed(&interval);

    return r != MP_SAMPLING_OFF && r != MP_SAMPLING_EXACT && options.sample_governor
           && !os_is_sandboxed();
}

static uint64_t governed_cost(void)
{
    return load_relaxed(&cost_ns) - load_relaxed(&excused_ns);
}

/* How many times what is usual was asked for. */
static uint64_t find_wish(void)
{
    return bits_max(USUAL_BYTES / bits_max(load_relaxed(&wanted), 1), 1);
}

static uint64_t cost_share(void)
{
    return bits_max(SHARE / find_wish(), SHARE_LEAST);
}

static int64_t burst_ns(void)
{
    return (int64_t)bits_min(BURST_NS * find_wish(), BURST_MOST_NS);
}

/* Much was spent since the governor looked. */
static bool is_dear(void)
{
    return (int64_t)(governed_cost() - load_relaxed(&governor.cost_ns)) > burst_ns() / 2
           && is_governed();
}

/*
 * What is far above the mean is the time of another thread or process, or of a stack that was
 * new. Where they all take longer the mean follows soon.
 */
static uint64_t usual_ns(uint64_t ns)
{
    static uint64_t mean_ns = COST_MOST_NS; /* relaxed atomic; some may be lost */
    uint64_t mean = load_relaxed(&mean_ns);

    ns = bits_min(ns, bits_min(4 * mean, COST_MOST_NS));
    store_relaxed(&mean_ns, mean - mean / 16 + ns / 16 + 1);
    return ns;
}

/*
 * At the end, without locks: where all is sampled no other slow path may be passed. The clock is
 * a good part of the cost: one of a turn is timed, and stands for all.
 */
void sample_spent(uint64_t start_ns)
{
    static uint64_t count; /* relaxed atomic; some may be lost */
    uint64_t n = load_relaxed(&count) + 1;
    uint32_t turn =
        load_relaxed(&interval) == MP_SAMPLING_EXACT ? TURN_EXACT : TURN_SAMPLED;

    store_relaxed(&count, n);
    if (n % turn == 0) {
        uint64_t ns = turn * usual_ns(os_monotonic_ns() - start_ns);

        add_relaxed(&cost_ns, ns);
        if (n <= FIRST_TURNS) {
            add_relaxed(&excused_ns, ns);
        }
    }
}

void sample_end_exact(uint64_t start_ns, uint32_t *turn)
{
    if (UNLIKELY(++*turn % TURN_EXACT == 0)) {
        add_relaxed(
            &cost_ns, TURN_EXACT * bits_min(clock_ns() - start_ns, COST_MOST_NS));
    }
    if (UNLIKELY((uint32_t)(start_ns / 1000000) - load_relaxed(&probe_last_ms)
                 >= PROBE_TICK_MS)) {
        probe_tick(os_coarse_ms()); /* which may be older */
    }
}

void sample_end(uint64_t start_ns)
{
    sample_spent(start_ns);
    probe_tick(os_coarse_ms());
    if (UNLIKELY(is_dear())) {
        sample_tick(os_coarse_ms()); /* not in 10 ms: that would be 10 ms of sampling */
    }
}

void sample_resize_locked(uint32_t record, size_t size)
{
    if (record != 0 && live_sampled_locked(record)->requested != size) {
        live_resize_locked(record, size);
    }
}

/* ---- the interval ---- */

static void begin_period(uint32_t now_ms, uint64_t cpu_ns, uint64_t cost)
{
    governor.since_ms = now_ms;
    governor.since_cpu_ns = cpu_ns;
    governor.since_cost_ns = cost;
}

static void set_interval_locked(uint64_t r)
{
    if (r != interval) {
        store_relaxed(&interval, r);
        changes++;
        store_release(&sample_epoch, sample_epoch + 1);
    }
}

/*
 * In exact mode everything is recorded: then the cap is what one would give a profiler, not
 * what one would leave in production.
 */
static void set_cap_locked(void)
{
    own_set_most_locked(options.sample_memory_bytes != 0 ? options.sample_memory_bytes
                        : wanted == MP_SAMPLING_EXACT    ? 4 * GIB
                                                         : 32 * MIB);
}

static void follow_wanted_locked(void)
{
    set_cap_locked();
    set_interval_locked(is_started ? wanted : MP_SAMPLING_OFF);
    governor.debt_ns = 0;
    begin_period(os_coarse_ms(), governor.cpu_ns, governor.cost_ns);
    describe_locked();
}

void sample_start_locked(void)
{
    bool is_first = !is_started;

    is_started = true;
    if (!is_set) {
        wanted = options.sample_bytes;
    }
    if (track_all || !CONFIG_UNWIND) { /* hardened: every block has its place already */
        wanted = MP_SAMPLING_OFF;
    }
    sites_set_clock_locked(os_realtime_ns(), os_monotonic_ns());
    follow_wanted_locked();
    if (interval == MP_SAMPLING_EXACT) {
        clock_start();
    }
    changes -= is_first && changes > 0; /* what it begins with is no change */
    modules_write_all_locked();
    names_write_all_locked();
    stacks_write_all_locked();
    sites_write_all_locked();
    live_write_all_locked();
    describe_locked();
    share_start_locked();
}

int sample_set_interval(uint64_t interval_bytes)
{
    uint64_t r = interval_bytes == 1 ? MP_SAMPLING_EXACT : interval_bytes;

    if (interval_bytes == 0 || (r != MP_SAMPLING_OFF && r > SAMPLE_MOST)) {
        return -EINVAL;
    }
    if (!CONFIG_PROFILE || !CONFIG_UNWIND || track_all) {
        return -ENOSYS;
    }
    sample_enter();
    wanted = r;
    is_set = true;
    follow_wanted_locked();
    lock_unlock(&profile_lock);
    return 0;
}

bool sample_is_on_locked(void)
{
    return interval != MP_SAMPLING_OFF && is_started;
}

uint64_t sample_interval(void)
{
    return load_relaxed(&interval);
}

void sample_set_operation(const char *name)
{
    if (thread_local_state.thread == NULL && thread_install_heap() == NULL) {
        return;
    }
    sample_enter();
    thread_local_state.thread->operation = names_intern_locked(name);
    lock_unlock(&profile_lock);
}

void sample_mark(const char *name)
{
    sample_enter();
    sites_mark_locked(name, os_monotonic_ns());
    lock_unlock(&profile_lock);
}

void sample_trim(void)
{
    struct thread *t = thread_local_state.thread;

    sample_enter();
    if (t != NULL && t->share != NULL) {
        share_flush_locked(t->share);
    }
    pool_trim_locked(true);
    lock_unlock(&profile_lock);
}

/* ---- the governor ---- */

/* How often R has to be doubled so that it would have cost its share. */
static unsigned find_steps(uint64_t spent, uint64_t ran)
{
    unsigned steps = 1;

    while (steps < STEPS_MOST && (spent >> steps) * cost_share() > ran) {
        steps++;
    }
    return steps;
}

/* How often it may be halved so that it would have cost no more than half of that. */
static unsigned find_steps_back(uint64_t spent, uint64_t ran)
{
    unsigned steps = 0;

    while (steps < STEPS_BACK && (spent << (steps + 2)) * cost_share() < ran) {
        steps++;
    }
    return steps;
}

/*
 * Sampling costs what it costs: too much of the time of this process, and R is what would have
 * cost its share lately; so little that it could well be half, and it goes back towards what was
 * wanted. Each sample keeps its R, and which R holds does not depend on the block, so that sums
 * stay unbiased.
 */
static void govern_locked(uint32_t now_ms)
{
    uint64_t cpu_ns = os_cpu_ns();
    uint64_t cost = governed_cost();
    uint64_t spent = cost - governor.cost_ns;
    uint64_t ran = cpu_ns - governor.cpu_ns;
    int64_t burst = burst_ns();

    governor.debt_ns += (int64_t)spent - (int64_t)(ran / cost_share());
    if (governor.debt_ns < -burst) {
        governor.debt_ns = -burst;
    }
    governor.cpu_ns = cpu_ns;
    store_relaxed(&governor.cost_ns, cost);
    if (governor.debt_ns > burst) {
        unsigned steps =
            find_steps(cost - governor.since_cost_ns, cpu_ns - governor.since_cpu_ns);

        doublings += steps;
        set_interval_locked(bits_min(interval << steps, SAMPLE_MOST));
        governor.debt_ns = 0;
        begin_period(now_ms, cpu_ns, cost);
    } else if ((int32_t)(now_ms - governor.since_ms) >= PERIOD_MS) {
        unsigned steps = find_steps_back(
            cost - governor.since_cost_ns, cpu_ns - governor.since_cpu_ns);

        if (interval > wanted) {
            set_interval_locked(bits_max(interval >> steps, wanted));
        }
        begin_period(now_ms, cpu_ns, cost);
    }
}

void sample_tick(uint32_t now_ms)
{
    if (!is_started
        || ((int32_t)(now_ms - load_relaxed(&governor.looked_ms)) < GOVERN_MS
            && !is_dear())) {
        return;
    }
    sample_enter();
    if ((int32_t)(now_ms - trimmed_ms) >= TRIM_MS) {
        trimmed_ms = now_ms;
        pool_trim_locked(false);
    }
    store_relaxed(&governor.looked_ms, now_ms);
    sites_set_clock_locked(os_realtime_ns(), os_monotonic_ns());
    if (interval == MP_SAMPLING_EXACT) {
        clock_compare();
    }
    if (is_governed() && (governed_cost() != governor.cost_ns || interval != wanted)) {
        govern_locked(now_ms);
    }
    epochs_describe_locked();
    describe_locked();
    lock_unlock(&profile_lock);
}

void sample_publish(
    uint64_t number, uint64_t live_bytes, uint64_t highest_bytes, uint64_t now_ns)
{
    sample_enter();
    sites_counted_locked(number);
    if (sample_interval() != MP_SAMPLING_EXACT) { /* nothing is missing then */
        site_peak_count_locked(live_bytes, highest_bytes, now_ns);
    }
    epochs_describe_locked();
    describe_locked();
    lock_unlock(&profile_lock);
}

void sample_after_fork_in_child(void)
{
    struct thread *t = thread_local_state.thread;

    if (!has_noticed_fork) {
        lock_reset(&profile_lock); /* a thread that is lost may have had it */
    }
    has_noticed_fork = false;
    share_stop();
    governor.cpu_ns = 0; /* this process began anew */
    store_relaxed(&governor.cost_ns, governed_cost());
    governor.debt_ns = 0;
    if (t != NULL) {
        t->thread_id = 0;
    }
    store_release(
        &sample_epoch, sample_epoch + 1); /* other numbers than the parent's */
}
