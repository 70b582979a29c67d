/*
 * stress_core - threads, components, remote frees and exits against the core
 *
 * Links the core without the C library's names, so that sanitizers keep their own malloc.
 * Every block carries its address and size; a block that is handed out twice, or whose
 * bytes change, is found. At the end, with all threads gone, the counters must say that
 * nothing lives.
 */
#include "counters.h"
#include "harden.h"
#include "large.h"
#include "leak_check.h"
#include "limit.h"
#include "malloc.h"
#include "mp_arena.h"
#include "mp_pool.h"
#include "options.h"
#include "os.h"
#include "publish.h"
#include "region.h"
#include "sample.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 6, SLOTS = 256, SHARED = 512, COMPONENTS = 5, POOLS = 3, POOLED = 64 };

struct item {
    uint64_t size;
    uint64_t mark; /* address of the block, scrambled */
};

static _Atomic(void *) shared[SHARED];
static struct mp_component *components[COMPONENTS];
static mp_pool_t *pool[POOLS];
static _Atomic(void *) pooled[POOLS][POOLED]; /* objects in use, of whichever thread */
static atomic_bool stop;
static atomic_ullong operations;
static bool checks_leaks;
static bool has_limits;
static atomic_ullong refused, crossings;
static uint64_t checks, partial;

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t mark_of(const void *p)
{
    return (uintptr_t)p * 0x9e3779b97f4a7c15u;
}

static void die(const char *what)
{
    fprintf(stderr, "stress_core: %s\n", what);
    abort();
}

static void check_item(const void *p)
{
    const struct item *i = p;
    uint64_t last;

    if (i->mark != mark_of(p)) {
        die("a block lost its mark");
    }
    if (i->size >= sizeof(*i) + sizeof(last)) {
        memcpy(&last, (const char *)p + i->size - sizeof(last), sizeof(last));
        if (last != ~i->mark) {
            die("the end of a block was overwritten");
        }
    }
    if (malloc_usable(p) < i->size) {
        die("a block is smaller than what was asked for");
    }
}

static void *fill_item(void *p, size_t size)
{
    struct item *i = p;
    uint64_t last = ~mark_of(p);

    if (p == NULL && has_limits) {
        atomic_fetch_add(&refused, 1);
        return NULL;
    }
    if (p == NULL) {
        die("no memory");
    }
    i->size = size;
    i->mark = mark_of(p);
    if (size >= sizeof(*i) + sizeof(last)) {
        memcpy((char *)p + size - sizeof(last), &last, sizeof(last));
    }
    return p;
}

static size_t pick_size(uint64_t r)
{
    switch (r % 64) {
    case 0:
        return 40000 + (r >> 8) % 400000;
    case 1:
    case 2:
        return 4096 + (r >> 8) % 28000;
    case 3:
    case 4:
    case 5:
        return 1024 + (r >> 8) % 3000;
    default:
        return sizeof(struct item) + (r >> 8) % 480;
    }
}

static void *make(uint64_t r)
{
    size_t size = pick_size(r);
    struct mp_component *c = r >> 60 == 0 ? components[(r >> 40) % COMPONENTS] : NULL;
    size_t alignment = (size_t)16 << ((r >> 52) % 9);
    void *p;

    switch ((r >> 56) & 15) {
    case 0:
        p = malloc_zeroed(c, 1, size);
        for (size_t i = 0; p != NULL && i < size; i += 97) {
            if (((char *)p)[i] != 0) {
                die("calloc gave a block that is not zero");
            }
        }
        return fill_item(p, size);
    case 1:
        p = malloc_aligned(c, alignment, size);
        if (((uintptr_t)p & (alignment - 1)) != 0) {
            die("not aligned");
        }
        return fill_item(p, size);
    default:
        return fill_item(c != NULL ? malloc_alloc(c, size) : malloc_fast(size), size);
    }
}

static void drop(void *p)
{
    if (p != NULL) {
        check_item(p);
        ((struct item *)p)->mark = 0;
        free_fast(p);
    }
}

static void *resize(void *p, uint64_t r)
{
    size_t size = pick_size(r);
    void *q;

    if (p == NULL) {
        return NULL;
    }
    check_item(p);
    q = malloc_resize(NULL, p, size);
    return fill_item(q, size) != NULL ? q : p;
}

/* What one thread got another puts. */
static void use_pool(uint64_t r)
{
    size_t i = r % POOLS;
    void *p = mp_pool_get(pool[i]);

    if (p == NULL && has_limits) {
        return;
    }
    if (p == NULL) {
        die("no memory for an object");
    }
    fill_item(p, 64 << i);
    p = atomic_exchange(&pooled[i][(r >> 8) % POOLED], p);
    if (p != NULL) {
        check_item(p);
        mp_pool_put(pool[i], p);
    }
    if ((r >> 16) % 4096 == 0) {
        mp_pool_trim(pool[i]);
    }
}

/* An arena of this thread's: its objects have marks like all blocks, but no usable size. */
static void use_arena(mp_arena_t *a, uint64_t *random)
{
    struct item *used[64];
    size_t count = 0;

    for (uint64_t r; count < 64; count++) {
        r = next(random);
        used[count] = mp_arena_alloc(a, sizeof(struct item) + r % 4000);
        if (used[count] == NULL && has_limits) {
            break;
        }
        if (used[count] == NULL) {
            die("no memory for an arena");
        }
        used[count]->mark = mark_of(used[count]);
    }
    while (count-- > 0) {
        if (used[count]->mark != mark_of(used[count])) {
            die("an object of an arena lost its mark");
        }
    }
    mp_arena_reset(a);
}

static void *work(void *arg)
{
    uint64_t state = (uintptr_t)arg * 7919 + 88172645463325252u;
    void *slots[SLOTS] = {NULL};
    mp_arena_t *arena = mp_arena_create(components[(uintptr_t)arg % COMPONENTS]);
    uint64_t done = 0;
    /* Threads of one generation end at different times. */
    uint64_t most = 20000 + next(&state) % 60000;

    for (; done < most && !atomic_load_explicit(&stop, memory_order_relaxed); done++) {
        uint64_t r = next(&state);
        size_t slot = (r >> 24) % SLOTS;

        switch ((r >> 20) & 15) {
        case 0:
        case 1:
            /* release/acquire: the block's content goes with it */
            slots[slot] = atomic_exchange(&shared[(r >> 32) % SHARED], slots[slot]);
            break;
        case 2:
            slots[slot] = resize(slots[slot], next(&state));
            break;
        case 3:
            thread_enter(components[(r >> 32) % COMPONENTS]);
            if ((r >> 40) % 1024 == 0) {
                malloc_trim_all(); /* pages inside slabs, too */
            }
            break;
        case 4:
        case 5:
            use_pool(next(&state));
            if ((r >> 40) % 256 == 0 && arena != NULL) {
                use_arena(arena, &state);
            }
            break;
        default:
            drop(slots[slot]);
            slots[slot] = make(next(&state));
            break;
        }
    }
    for (size_t i = 0; i < SLOTS; i++) {
        drop(slots[i]);
    }
    mp_arena_destroy(arena);
    atomic_fetch_add(&operations, done);
    return NULL;
}

/* Limits that some threads run into, on parts and on the whole; others each time. */
static void set_limits(uint64_t serial)
{
    for (unsigned i = 1; i < COMPONENTS; i++) {
        size_t hard = ((serial + i) % 4) << 18; /* or none */

        if (limit_set(components[i], hard / 2, hard) != 0) {
            die("a limit was refused");
        }
    }
    if (limit_set(components[1]->parent, 1 << 20, (serial % 3) << 20) != 0) {
        die("the limit of the whole was refused");
    }
}

static void on_limit(struct mp_component *c, size_t live, void *arg)
{
    void *p = malloc_alloc(c, 100 + live % 1000);

    malloc_free(p);
    atomic_fetch_add((atomic_ullong *)arg, 1);
}

static void watch(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    if (CONFIG_PROFILE && publish_snapshot(&s) == 0
        && s.freed_bytes_total > s.allocated_bytes_total) {
        die("more was freed than allocated");
    }
}

/* A leak check beside the threads: for data races and for what its child reads. */
static void check_for_leaks(void)
{
    struct mp_leak_summary s = {.size = sizeof(s), .rounds = 2, .wait_ms = 1};
    struct unwind_context here;
    int code;

    unwind_capture(&here);
    code = leak_check(&here, &s);
    if (code != 0) {
        fprintf(stderr, "stress_core: leak check: %s\n", strerror(-code));
        abort();
    }
    checks++;
    partial |= s.partial;
    if (s.partial == 0 && s.lost.blocks != 0) {
        die("a leak check lost a block that is held");
    }
}

static void expect_nothing_lives(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    if (!CONFIG_PROFILE) {
        return;
    }
    publish_snapshot(&s);
    if (s.live_blocks != 0 || s.live_bytes != 0) {
        fprintf(stderr, "stress_core: %lu blocks (%lu bytes) live at the end\n",
            (unsigned long)s.live_blocks, (unsigned long)s.live_bytes);
        exit(1);
    }
}

static void end_pools(void)
{
    for (unsigned i = 0; i < POOLS; i++) {
        struct mp_pool_stats f = {.size = sizeof(f)};

        for (unsigned at = 0; at < POOLED; at++) {
            mp_pool_put(pool[i], atomic_exchange(&pooled[i][at], NULL));
        }
        mp_pool_check(pool[i]);
        mp_pool_stats(pool[i], &f);
        if (f.live != 0 || f.gets_total != f.hits_total + f.misses_total) {
            die("figures of a pool do not add up");
        }
        mp_pool_destroy(pool[i]);
    }
}

/* As when a region was made; readers of it are for other tests. */
static void begin_sampling(uint64_t interval)
{
    options.sample_bytes = interval;
    lock_lock(&profile_lock);
    sample_start_locked();
    lock_unlock(&profile_lock);
}

int main(int argc, char **argv)
{
    uint64_t seconds = argc >= 3 ? strtoull(argv[2], NULL, 10) : 2;
    uint64_t end_ns = os_monotonic_ns() + seconds * 1000000000u;
    uintptr_t serial = 0;

    if (argc == 4 && strcmp(argv[3], "--hardened") == 0) {
        harden_start();
    } else if (argc == 4 && strcmp(argv[3], "--sampled") == 0) {
        begin_sampling(8192);
    } else if (argc == 4 && strcmp(argv[3], "--exact") == 0) {
        begin_sampling(MP_SAMPLING_EXACT);
    }
    has_limits = argc == 4 && strcmp(argv[3], "--limited") == 0;
    if (has_limits) {
        limit_tell(on_limit, &crossings);
    }
    checks_leaks = CONFIG_PROFILE && argc == 4 && strcmp(argv[3], "--leaks") == 0;
    for (unsigned i = 1; i < COMPONENTS; i++) {
        char name[16];

        snprintf(name, sizeof(name), "part/%u", i);
        components[i] = component_intern(name); /* components[0]: untagged */
    }
    for (unsigned i = 0; i < POOLS; i++) {
        pool[i] = mp_pool_create(components[i], 64 << i, i == 0 ? 20 : 100);
    }
    while (os_monotonic_ns() < end_ns) {
        pthread_t threads[THREADS];

        for (unsigned i = 0; i < THREADS; i++) {
            pthread_create(&threads[i], NULL, work, (void *)++serial);
        }
        watch();
        if (has_limits) {
            set_limits(serial);
        }
        if (checks_leaks) {
            check_for_leaks();
        }
        for (unsigned i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
    }
    for (unsigned i = 0; i < SHARED; i++) {
        drop(atomic_exchange(&shared[i], NULL));
    }
    end_pools();
    expect_nothing_lives();
    printf("%llu operations by %lu threads\n",
        (unsigned long long)atomic_load(&operations), (unsigned long)serial);
    if (has_limits) {
        printf("%llu refused, %llu crossings told\n",
            (unsigned long long)atomic_load(&refused),
            (unsigned long long)atomic_load(&crossings));
        if (atomic_load(&refused) == 0 || atomic_load(&crossings) == 0) {
            die("no limit was in the way");
        }
    }
    if (checks_leaks) {
        printf("%lu leak checks, partial %lx\n", (unsigned long)checks,
            (unsigned long)partial);
    }
    return 0;
}
