#include "leak_check.h"

#include "atomic.h"
#include "component.h"
#include "counters.h"
#include "leak_park.h"
#include "locks.h"
#include "options.h"
#include "os.h"
#include "sample_note.h"

#include <errno.h>
#include <string.h>

enum {
    PARK_MS = 1000,  /* threads that have no processor so long go on */
    GRACE_MS = 2000, /* beyond its time the child is killed */
    WAIT_MS = 1000,  /* between rounds, if nobody says otherwise */
    WAIT_MOST_MS = 3600000,
    POLL_MS = 1,
    AGAIN_MOST = 2, /* rounds that are made once more, for slabs were being changed */
    MS_NS = 1000000,
};

bool leak_check_is_stepping;

/* Whoever took `is_busy` owns the rest, and hands it on from step to step. */
static struct {
    uint32_t is_busy;     /* atomic */
    uint32_t is_stepping; /* atomic: one thread does a step */
    enum { STEP_CHILD, STEP_WAIT } step;
    int pid; /* of the child; 0: there is none */
    unsigned round;
    unsigned rounds;
    unsigned again;
    uint64_t wait_ms;
    uint64_t forked_ns; /* CLOCK_MONOTONIC: when the child began */
    struct leak_area *area;
    struct leak_lost *lost;
    struct mp_region_leaks result; /* of the rounds so far */
} check;

/* Of all checks; by the owner. */
static uint64_t started_total, ended_total, failed_total;

/* ---- one round ---- */

static size_t site_count(void)
{
    struct mp_region_sampling s;

    lock_lock(&profile_lock);
    sites_describe_locked(&s);
    lock_unlock(&profile_lock);
    return s.site_count;
}

static int obtain_memory(void)
{
    check.area = leak_area_map(component_count(), site_count());
    if (check.area == NULL) {
        return -ENOMEM;
    }
    if (check.round == 0 && check.rounds > 1 && check.lost == NULL) {
        check.lost = leak_lost_map();
        if (check.lost == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* Not known any more before it is gone: another thread may fork in between. */
static void release_area(void)
{
    struct leak_area *area = check.area;

    store_relaxed(&check.area, NULL);
    leak_area_unmap(area);
}

static void release_lost(void)
{
    struct leak_lost *lost = check.lost;

    store_relaxed(&check.lost, NULL);
    leak_lost_unmap(lost);
}

static void release_memory(void)
{
    release_area();
    release_lost();
}

/*
 * The locks first: whoever has one may have to run before he gives it back. In the child they
 * stay taken, and nobody asks for one.
 */
static int stop_and_fork(const struct unwind_context *here, const struct leak_round *r)
{
    uint64_t start_ns;
    uint64_t fork_ns;
    uint64_t mask;
    int code;
    int pid = 0;

    locks_take_all();
    start_ns = os_monotonic_ns();
    code = leak_park_begin(here, PARK_MS);
    if (code == 0) {
        mask = os_block_signals(); /* no handler of the program runs in the child */
        fork_ns = os_monotonic_ns();
        pid = os_fork_silent();
        if (pid == 0) {
            leak_child_run(r);
        }
        fork_ns = os_monotonic_ns() - fork_ns;
        os_restore_signals(mask);
        leak_park_end();
        check.result.fork_ns = bits_max(check.result.fork_ns, fork_ns);
        check.result.threads = leak_park_count() - leak_park_missed();
        check.result.threads_missed = leak_park_missed();
    }
    start_ns = os_monotonic_ns() - start_ns;
    locks_release_all();
    check.result.pause_ns = bits_max(check.result.pause_ns, start_ns);
    if (code == 0 && pid > 0) {
        check.pid = pid;
        check.forked_ns = os_monotonic_ns();
    }
    return code != 0 ? code : pid < 0 ? pid : 0;
}

static int begin_round(const struct unwind_context *here)
{
    struct leak_round r = {
        .pointers = {.low = options.leak_pointers.low,
            .high = options.leak_pointers.high,
            .interior = options.leak_pointers.interior,
            .offset = options.leak_pointers.offset},
        .most_ms = options.leak_timeout_ms,
    };
    int cancel = os_cancel_disable();
    int code = obtain_memory();

    if (code == 0) {
        r.area = check.area;
        r.write = check.round + 1 < check.rounds ? check.lost : NULL;
        r.before = check.round > 0 ? check.lost : NULL;
        check.result.time_ns = os_realtime_ns();
        check.result.time_mono_ns = os_monotonic_ns();
        check.step = STEP_CHILD;
        code = stop_and_fork(here, &r);
    }
    os_cancel_restore(cancel);
    return code;
}

static bool is_overdue(void)
{
    return os_monotonic_ns() - check.forked_ns
           > ((uint64_t)options.leak_timeout_ms + GRACE_MS) * MS_NS;
}

/* 0: the child is not done; 1: it is, and left its figures; a negative errno. */
static int poll_round(void)
{
    int exit_code = 0;
    int got = os_reap(check.pid, false, &exit_code);

    if (got == 0 && is_overdue()) {
        os_kill(check.pid);
        got = os_reap(check.pid, true, &exit_code);
        check.pid = 0;
        return -ETIMEDOUT;
    }
    if (got == 0) {
        return 0;
    }
    check.pid = 0;
    if (got < 0) { /* the program waits for children of any kind, and took ours */
        return -ECHILD;
    }
    if (exit_code != LEAK_CHILD_DONE) {
        return exit_code == -14 ? -ETIMEDOUT : -EFAULT; /* SIGALRM */
    }
    return check.area->error != 0 ? check.area->error : 1;
}

static void add_partial(void)
{
    check.result.partial =
        check.area->partial
        | (check.result.threads_missed != 0 ? MP_LEAK_PARTIAL_THREADS : 0);
}

/* What the child of this round left. True: there is to be another round. */
static bool take_round(void)
{
    struct mp_region_leaks *r = &check.result;
    const struct leak_area *a = check.area;

    add_partial();
    r->mark_ns = a->mark_ns;
    r->mark_cpu_ns = a->mark_cpu_ns;
    r->heap_bytes = a->heap_bytes;
    r->root_bytes = a->root_bytes;
    r->child_bytes = bits_max(r->child_bytes, a->own_bytes);
    memcpy(r->blocks, a->blocks, sizeof(r->blocks));
    memcpy(r->bytes, a->sizes, sizeof(r->bytes));
    if ((r->partial & MP_LEAK_PARTIAL_BUSY) != 0 && check.again < AGAIN_MOST) {
        check.again++;
        if (check.round == 0 && check.lost != NULL) {
            release_lost();
        }
    } else {
        check.round++;
        check.again = 0;
    }
    r->rounds = check.round;
    if (check.round == check.rounds) {
        return false;
    }
    release_area();
    return true;
}

/* ---- to the region ---- */

static void write_cells(void)
{
    for (size_t row = 0; row < check.area->row_count; row++) {
        struct mp_region_leak_cell *out = region_leak_cells(row);

        if (out == NULL) {
            check.result.partial |= MP_LEAK_PARTIAL_ROWS;
            return;
        }
        memcpy(out, leak_area_cells(check.area) + row * CLASS_COUNT,
            CLASS_COUNT * sizeof(*out));
        check.result.row_count = row + 1;
    }
}

static void write_sites(void)
{
    for (size_t i = 0; i < check.area->site_count; i++) {
        struct mp_region_leak_site *out = region_leak_site(i);

        if (out == NULL) {
            check.result.partial |= MP_LEAK_PARTIAL_ROWS;
            return;
        }
        *out = leak_area_sites(check.area)[i];
        check.result.site_count = i + 1;
    }
}

static void write_locked(bool has_figures)
{
    struct mp_region_leaks *out = region_leaks();
    struct mp_region_leaks *r = &check.result;

    if (out == NULL) {
        return;
    }
    r->seq = load_relaxed(&out->seq) & ~(uint64_t)1;
    region_write_begin(&out->seq, r->seq);
    r->row_count = r->site_count = 0;
    if (has_figures) {
        write_cells();
        write_sites();
    }
    region_write_words(&out->seq, &r->seq, 1, sizeof(*r) / sizeof(r->seq));
    region_write_end(&out->seq, r->seq);
}

/* Of a check that only began, readers hear that. */
static void tell_start(void)
{
    struct mp_region_leaks *out;

    lock_lock(&counters_lock);
    out = region_leaks();
    if (out != NULL) {
        store_relaxed(&out->started, started_total);
    }
    lock_unlock(&counters_lock);
}

/* code: 0, or why there are no figures. */
static void end_check(int code)
{
    struct mp_region_leaks *r = &check.result;

    ended_total = started_total;
    failed_total += code != 0;
    r->number = ended_total;
    r->started = started_total;
    r->error = (uint64_t)-code;
    r->checks_failed_total = failed_total;
    r->is_exact = sample_interval() == MP_SAMPLING_EXACT
                  && options.sample_bytes == MP_SAMPLING_EXACT;
    lock_lock(&counters_lock);
    write_locked(code == 0);
    lock_unlock(&counters_lock);
}

/* ---- the check ---- */

static int acquire(unsigned rounds, uint64_t wait_ms)
{
    uint32_t is_free = 0;

    if (!CONFIG_PROFILE) {
        return -ENOSYS;
    }
    if (os_is_sandboxed()) {
        return -EPERM;
    }
    if (!cas_acquire(&check.is_busy, &is_free, 1)) {
        return -EBUSY;
    }
    check.round = 0;
    check.again = 0;
    check.rounds = rounds;
    check.wait_ms = bits_min(wait_ms, WAIT_MOST_MS);
    check.pid = 0;
    check.result = (struct mp_region_leaks){.wait_ns = check.wait_ms * MS_NS};
    started_total++;
    tell_start();
    return 0;
}

static void release(void)
{
    release_memory();
    store_release(&check.is_busy, 0); /* pairs with acquire */
}

/* Waits for the child. */
static int run_round(const struct unwind_context *here)
{
    int code = begin_round(here);

    while (code == 0) {
        code = poll_round();
        if (code == 0) {
            os_sleep_ms(POLL_MS);
        }
    }
    return code < 0 ? code : 0;
}

static int run_rounds(const struct unwind_context *here)
{
    for (;;) {
        int code = run_round(here);

        if (code != 0 || !take_round()) {
            return code;
        }
        if (check.again == 0) {
            os_sleep_ms((uint32_t)check.wait_ms);
        }
    }
}

static void fill_summary(struct mp_leak_summary *s)
{
    const struct mp_region_leaks *r = &check.result;
    struct mp_leak_summary full = {.size = s->size,
        .rounds = (uint32_t)r->rounds,
        .wait_ms = (uint32_t)(r->wait_ns / MS_NS),
        .number = r->number,
        .time_ns = r->time_ns,
        .partial = r->partial,
        .pause_ns = r->pause_ns,
        .fork_ns = r->fork_ns,
        .mark_ns = r->mark_ns,
        .mark_cpu_ns = r->mark_cpu_ns,
        .heap_bytes = r->heap_bytes,
        .root_bytes = r->root_bytes,
        .child_bytes = r->child_bytes,
        .threads = r->threads,
        .threads_missed = r->threads_missed};
    struct mp_leak_count *kinds[MP_LEAK_KINDS] = {
        &full.definite, &full.indirect, &full.possible, &full.reachable, &full.lost};

    for (unsigned i = 0; i < MP_LEAK_KINDS; i++) {
        *kinds[i] = (struct mp_leak_count){r->blocks[i], r->bytes[i]};
    }
    memcpy(s, &full, bits_min(s->size, sizeof(full)));
}

int leak_check(const struct unwind_context *here, struct mp_leak_summary *s)
{
    int code;

    if (s == NULL || s->size < offsetof(struct mp_leak_summary, number)
        || s->rounds > 2) {
        return -EINVAL;
    }
    code = acquire(s->rounds == 1 ? 1 : 2, s->wait_ms != 0 ? s->wait_ms : WAIT_MS);
    if (code != 0) {
        return code;
    }
    code = run_rounds(here);
    end_check(code);
    if (code == 0) {
        fill_summary(s);
    }
    release();
    return code;
}

struct leak_area *leak_check_once(const struct unwind_context *here, int *ret_error)
{
    *ret_error = acquire(1, 0);
    if (*ret_error != 0) {
        return NULL;
    }
    *ret_error = run_rounds(here);
    end_check(*ret_error);
    if (*ret_error != 0) {
        release();
        return NULL;
    }
    check.area->partial = (uint32_t)check.result.partial;
    return check.area;
}

void leak_check_done(void)
{
    release();
}

/* ---- in steps ---- */

int64_t leak_check_begin(uint64_t wait_ms)
{
    struct unwind_context here;
    int code;

    unwind_capture(&here);
    code = acquire(wait_ms != 0 ? 2 : 1, wait_ms);
    if (code != 0) {
        return code;
    }
    code = begin_round(&here);
    if (code != 0) {
        end_check(code);
        release();
        return code;
    }
    store_release(&leak_check_is_stepping, true);
    return (int64_t)started_total;
}

static void end_steps(int code)
{
    store_relaxed(&leak_check_is_stepping, false);
    end_check(code);
    release();
}

static void step(const struct unwind_context *here)
{
    int code;

    if (check.step == STEP_WAIT) {
        if (os_monotonic_ns() - check.result.time_mono_ns < check.wait_ms * MS_NS) {
            return;
        }
        code = begin_round(here);
        if (code != 0) {
            end_steps(code);
        }
        return;
    }
    code = poll_round();
    if (code < 0) {
        end_steps(code);
    } else if (code > 0) {
        if (!take_round()) {
            end_steps(0);
        } else {
            check.step = STEP_WAIT;
        }
    }
}

void leak_check_step_slow(void)
{
    struct unwind_context here;
    uint32_t is_free = 0;

    unwind_capture(&here);
    if (!cas_acquire(&check.is_stepping, &is_free, 1)) {
        return;
    }
    if (load_acquire(&leak_check_is_stepping)) {
        step(&here);
    }
    store_release(&check.is_stepping, 0);
}

/* ---- the end, and fork ---- */

void leak_check_end(void)
{
    int code;

    if (load_relaxed(&leak_check_is_stepping) && check.pid != 0) {
        os_kill(check.pid);
        os_reap(check.pid, true, &code);
    }
}

void leak_check_after_fork_in_child(void)
{
    if (load_relaxed(&check.is_busy) != 0) {
        release_memory();
    }
    check.pid = 0;
    store_relaxed(&check.is_busy, 0);
    store_relaxed(&check.is_stepping, 0);
    store_relaxed(&leak_check_is_stepping, false);
    started_total = ended_total = failed_total = 0;
}
