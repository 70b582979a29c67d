#include "thread.h"

#include "arch.h"
#include "arena.h"
#include "counters.h"
#include "os.h"
#include "probe.h"
#include "unwind_kept.h"

#include <limits.h>
#include <pthread.h>

#include "fault_calls.h" /* last: keys may be refused */

enum {
    BUCKETS = 256,
    DIG_MOST = 64, /* slabs looked at for free pages in one tick: some 0.5 ms */
    /* TSan takes its own structure of a thread down in the last round. */
    LAST_ROUND = UNDER_TSAN ? 2 : PTHREAD_DESTRUCTOR_ITERATIONS,
};

/* Stands for "had a structure, handed it back". */
static struct thread dead_thread;

/* What every thread starts with, so that no pool needs a check. */
static char no_trays[TRAYS_BYTES] ALIGNED(CACHE_LINE);

__thread struct thread_local_state thread_local_state INITIAL_EXEC = {
    .heap = &heap_empty};
__thread char *thread_trays INITIAL_EXEC = no_trays;
extern EXPORT __thread char *mp_trays_ __attribute__((alias("thread_trays")));

struct lock threads_lock = LOCK_INIT(RANK_THREADS);
static struct thread *buckets[BUCKETS];
static struct thread *unused;
static pthread_key_t exit_key;
static bool has_exit_key;
static size_t count, peak, total;
static uint32_t trim_requests; /* atomic */

/* Both: the first thread, while there is no other. */
static bool is_early;
static struct thread *early; /* was started before its storage was initialised */

static struct thread **bucket_of(uintptr_t pointer)
{
    return &buckets[(pointer >> 6) * 0x9e3779b97f4a7c15u >> 56];
}

/* ---- the end of a thread ---- */

static void thread_unlink_locked(struct thread *t)
{
    if (t->previous != NULL) {
        t->previous->next = t->next;
    } else {
        *bucket_of(t->pointer) = t->next;
    }
    if (t->next != NULL) {
        t->next->previous = t->previous;
    }
}

static void hand_over_heaps(struct thread *t)
{
    large_cache_flush(&t->large_cache);
    lock_lock(&counters_lock);
    for (size_t i = 0; i < sizeof(t->directory) / sizeof(t->directory[0]); i++) {
        for (size_t j = 0; t->directory[i] != NULL && j < DIRECTORY_PAGE; j++) {
            if (t->directory[i][j] != NULL) {
                heap_detach_locked(t->directory[i][j]);
                t->directory[i][j] = NULL; /* the page itself serves the next thread */
            }
        }
    }
    lock_unlock(&counters_lock);
}

/*
 * Hands over in every round: a thread whose first malloc was in a destructor sees fewer of
 * them. Destructors of others that come later just begin anew.
 */
static void thread_exit(void *arg)
{
    struct thread *t = arg;

    thread_local_state.heap = &heap_empty;
    hand_over_heaps(t);
    if (++t->rounds < LAST_ROUND) {
        pthread_setspecific(exit_key, t); /* once more, after the others */
        return;
    }
    probe_thread_ends();
    thread_trays = no_trays;
    if (t->trays != NULL) {
        probe_trays_end(t->trays);
    }
    thread_local_state.thread = &dead_thread;
    lock_lock(&threads_lock);
    thread_unlink_locked(t);
    t->next = unused;
    unused = t;
    store_relaxed(&count, count - 1);
    lock_unlock(&threads_lock);
}

/* ---- the start of a thread ---- */

/*
 * A thread with our thread pointer is still registered: it did not survive fork, or ended
 * without its destructors. Its slabs must not be taken for ours.
 */
static void forget_owner(uintptr_t pointer)
{
    for (struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        if (load_relaxed(&h->owner) == pointer) {
            store_relaxed(&h->owner, 0); /* that of tracked slabs */
        }
    }
    for (size_t i = 0; i < pagemap_range_count(); i++) {
        const struct range *r = &pagemap_ranges[i];
        struct span *s = (struct span *)r->table;

        for (size_t n = load_acquire(&r->frontier); n > 0; n--, s++) {
            if (load_relaxed(&s->owner) == pointer) {
                store_relaxed(&s->owner, 0);
            }
        }
    }
}

/* What has handed over all it had, but was not heard of again. */
static bool has_heap(const struct thread *t)
{
    for (size_t i = 0; i < sizeof(t->directory) / sizeof(t->directory[0]); i++) {
        for (size_t j = 0; t->directory[i] != NULL && j < DIRECTORY_PAGE; j++) {
            if (t->directory[i][j] != NULL) {
                return true;
            }
        }
    }
    return false;
}

static void register_locked(struct thread *t)
{
    struct thread **bucket = bucket_of(t->pointer);

    for (struct thread *other = *bucket; other != NULL; other = other->next) {
        if (other->pointer == t->pointer) {
            if (!other->is_gone) {
                store_relaxed(&count, count - 1);
            }
            thread_unlink_locked(other);
            if (has_heap(other)) { /* they are lost, and its structure with them */
                forget_owner(t->pointer);
            } else {
                other->next = unused;
                unused = other;
            }
            break;
        }
    }
    t->previous = NULL;
    t->next = *bucket;
    if (t->next != NULL) {
        t->next->previous = t;
    }
    *bucket = t;
    store_relaxed(&count, count + 1);
    store_relaxed(&total, total + 1);
    if (count > peak) {
        store_relaxed(&peak, count);
    }
}

void thread_prepare_early(void)
{
    thread_local_state.heap = &heap_empty;
    thread_trays = no_trays;
    is_early = true;
}

static struct thread *thread_start(void)
{
    struct thread *t = early;

    if (UNLIKELY(t != NULL) && t->pointer == thread_pointer()) {
        early = NULL;
        return t;
    }
    lock_lock(&threads_lock);
    if (!has_exit_key) {
        has_exit_key = pthread_key_create(&exit_key, thread_exit) == 0;
    }
    t = unused;
    if (t != NULL) {
        unused = t->next;
    }
    lock_unlock(&threads_lock);
    if (t == NULL) {
        t = arena_alloc(sizeof(*t));
    }
    if (t == NULL) {
        return NULL;
    }
    t->pointer = thread_pointer();
    t->rounds = 0;
    t->is_telling = false;
    t->is_armed = false;
    t->is_digging = false;
    t->trims_seen = load_relaxed(&trim_requests);
    t->flushed_ms = os_coarse_ms();
    t->thread_id = 0;
    t->name = t->operation = 0;
    t->has_sampled = false;
    if (t->kept != NULL) {
        unwind_kept_init(t->kept); /* it was another's */
    }
    large_cache_enlist(&t->large_cache);
    lock_lock(&threads_lock);
    register_locked(t);
    lock_unlock(&threads_lock);
    if (UNLIKELY(is_early)) {
        is_early = false;
        early = t;
    }
    return t;
}

/* ---- heaps of a thread ---- */

struct mp_component *thread_component(void)
{
    struct mp_component *c = thread_local_state.component;

    return c != NULL ? c : component_by_row(COMPONENT_UNTAGGED);
}

static struct heap **directory_slot(struct thread *t, unsigned row)
{
    struct heap ***page = &t->directory[row >> DIRECTORY_SHIFT];

    if (*page == NULL) {
        *page = arena_alloc(DIRECTORY_PAGE * sizeof(**page));
    }
    return *page != NULL ? &(*page)[row & (DIRECTORY_PAGE - 1)] : NULL;
}

static struct heap *find_heap(const struct thread *t, unsigned row)
{
    struct heap *const *page = t->directory[row >> DIRECTORY_SHIFT];

    return page != NULL ? page[row & (DIRECTORY_PAGE - 1)] : NULL;
}

struct heap *thread_heap(struct mp_component *c)
{
    struct thread *t = thread_local_state.thread;
    struct heap **slot;

    if (t == &dead_thread) {
        return NULL;
    }
    if (t == NULL) {
        t = thread_start();
        if (t == NULL) {
            return NULL;
        }
        thread_local_state.thread = t;
    }
    slot = directory_slot(t, c->row);
    if (slot != NULL && *slot == NULL) {
        *slot = heap_attach(c);
    }
    if (!t->is_armed && has_exit_key) {
        /* Last, for it may allocate: from the heap that is there now. */
        t->is_armed = true;
        pthread_setspecific(exit_key, t);
    }
    return slot != NULL ? *slot : NULL; /* without a heap, too, it is to be heard of */
}

struct heap *thread_install_heap(void)
{
    bool is_first = thread_local_state.thread == NULL;
    struct heap *h = thread_heap(thread_component());

    if (h != NULL) {
        thread_local_state.heap = h;
        if (is_first) { /* with the heap in place: it may allocate */
            probe_thread_started();
        }
    }
    return h;
}

bool thread_has_trays(struct mp_component *c)
{
    struct thread_local_state *tls = &thread_local_state;

    if (LIKELY(thread_trays != no_trays)) {
        return true;
    }
    if (thread_heap(c) == NULL || !tls->thread->is_armed) {
        return false; /* its end would not be heard of */
    }
    if (tls->thread->trays == NULL) {
        tls->thread->trays = arena_alloc(TRAYS_BYTES);
    }
    if (tls->thread->trays == NULL) {
        return false;
    }
    thread_trays = tls->thread->trays;
    return true;
}

struct mp_component *thread_enter(struct mp_component *c)
{
    struct thread_local_state *tls = &thread_local_state;
    struct mp_component *previous = tls->component;
    struct heap *h = NULL;

    if (c == previous) {
        return previous;
    }
    if (tls->thread != NULL) {
        h = find_heap(tls->thread, c != NULL ? c->row : COMPONENT_UNTAGGED);
    }
    tls->component = c;
    tls->heap = h != NULL ? h : &heap_empty; /* made when something is allocated */
    return previous;
}

void thread_flush_locked(uint32_t now_ms, uint32_t idle_ms)
{
    struct thread *t = thread_local_state.thread;

    if (t == NULL || t == &dead_thread) {
        return;
    }
    t->flushed_ms = now_ms;
    for (size_t i = 0; i < sizeof(t->directory) / sizeof(t->directory[0]); i++) {
        for (size_t j = 0; t->directory[i] != NULL && j < DIRECTORY_PAGE; j++) {
            if (t->directory[i][j] != NULL) {
                heap_flush_locked(t->directory[i][j], now_ms, idle_ms);
                if (idle_ms == 0) { /* at once, and all of it */
                    heap_dig_locked(t->directory[i][j], true, UINT_MAX);
                    heap_dig_locked(t->directory[i][j], true, UINT_MAX);
                } else {
                    t->is_digging |=
                        !heap_dig_locked(t->directory[i][j], true, DIG_MOST);
                }
            }
        }
    }
}

void thread_dig_locked(void)
{
    struct thread *t = thread_local_state.thread;

    if (t == NULL || !t->is_digging) {
        return;
    }
    t->is_digging = false;
    for (size_t i = 0; i < sizeof(t->directory) / sizeof(t->directory[0]); i++) {
        for (size_t j = 0; t->directory[i] != NULL && j < DIRECTORY_PAGE; j++) {
            if (t->directory[i][j] != NULL && !t->is_digging) {
                t->is_digging = !heap_dig_locked(t->directory[i][j], false, DIG_MOST);
            }
        }
    }
}

void thread_request_trim(void)
{
    add_relaxed(&trim_requests, 1);
}

bool thread_take_trim_request(void)
{
    struct thread *t = thread_local_state.thread;
    uint32_t requests = load_relaxed(&trim_requests);

    if (t == NULL || t->trims_seen == requests) {
        return false;
    }
    t->trims_seen = requests;
    return true;
}

bool thread_is_flush_due(uint32_t now_ms, uint32_t idle_ms)
{
    const struct thread *t = thread_local_state.thread;

    return t != NULL && idle_ms != UINT32_MAX && now_ms - t->flushed_ms >= idle_ms;
}

size_t thread_count(void)
{
    return load_relaxed(&count);
}

size_t thread_peak(void)
{
    return load_relaxed(&peak);
}

size_t thread_total(void)
{
    return load_relaxed(&total);
}

void thread_after_fork_in_child(void)
{
    const struct thread *self = thread_local_state.thread;

    count = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct thread *t = buckets[i]; t != NULL; t = t->next) {
            t->is_gone |= t != self;
            count += !t->is_gone;
        }
    }
}
