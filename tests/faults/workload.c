/*
 * workload - everything the library does, beside a shadow that knows what must be there
 *
 *     workload blocks | threads | child | region | limits [lossy]
 *
 * Runs on the library with fault injection (alloc/fault.h), under the plan in
 * MPALLOC_FAULT. While the plan holds, every call may fail with NULL and ENOMEM and in no
 * other way; nothing that was there is lost; free keeps errno. Then memory is back: every
 * call succeeds, everything can be freed, and the address space is what the library says it
 * is. The last lines tell how often each kernel entry was called under the plan, so that
 * sweep.py knows how far to go. lossy: threads whose end the library does not hear of leave
 * some memory behind.
 */
#include "../api/test.h"

#include "hooks.h"
#include "workload.h"

#include <mpalloc.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>

static struct shadow shadow;
static mp_component_t *component[4];
static size_t failures_before;

/* ---- content ---- */

/* Every word at the ends, between them one in each 64 bytes, or few of a large block. */
static size_t next_of(size_t at, size_t bytes)
{
    size_t tail = bytes > 1024 ? (bytes - 512) & ~(size_t)7 : 0;
    size_t next = at + (bytes <= 8 * KIB ? 64 : bytes <= 256 * KIB ? 16 * KIB : MIB);

    if (at < 512 || at >= tail) {
        return at + 8;
    }
    return next < tail ? next : tail;
}

static void write_content(const struct slot *s)
{
    for (size_t at = 0; at + 8 <= s->bytes; at = next_of(at, s->bytes)) {
        uint64_t word = s->key * 0x9e3779b97f4a7c15u + at;

        memcpy(s->p + at, &word, 8);
    }
    for (size_t at = s->bytes & ~(size_t)7; at < s->bytes; at++) {
        s->p[at] = (unsigned char)s->key;
    }
}

/* The words before `limit` that an owner of `bytes` wrote. */
static void check_content(const struct slot *s, size_t limit)
{
    for (size_t at = 0; at + 8 <= s->bytes && at + 8 <= limit;
         at = next_of(at, s->bytes)) {
        uint64_t word;

        memcpy(&word, s->p + at, 8);
        CHECK_EQ(word, s->key * 0x9e3779b97f4a7c15u + at);
    }
    for (size_t at = s->bytes & ~(size_t)7; at < s->bytes && at < limit; at++) {
        CHECK_EQ(s->p[at], (unsigned char)s->key);
    }
}

static void check_zero(const unsigned char *p, size_t bytes)
{
    for (size_t at = 0; at < bytes; at = bytes <= 512 ? at + 1 : next_of(at, bytes)) {
        CHECK_EQ(p[at], 0);
    }
}

void workload_check(const struct shadow *w)
{
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *a = &w->slot[i];

        if (a->p == NULL) {
            continue;
        }
        check_content(a, a->bytes);
        for (int k = 0; k < i; k++) {
            const struct slot *b = &w->slot[k];

            CHECK(b->p == NULL || a->p + a->bytes <= b->p || b->p + b->bytes <= a->p);
        }
    }
}

/* ---- one block ---- */

/* What a failed call must look like. */
static void *checked(struct shadow *w, void *p)
{
    if (p == NULL) {
        CHECK(!w->must_succeed);
        CHECK_EQ(errno, ENOMEM);
        w->failed++;
    } else {
        CHECK_EQ((uintptr_t)p % 16, 0);
    }
    return p;
}

static size_t random_size(struct shadow *w)
{
    uint64_t r = test_random(&w->random);

    switch (r % 16) {
    case 0:
        return (r >> 8) % 64;
    case 1:
    case 2:
        return 32 * KIB + (r >> 8) % (200 * KIB); /* large */
    case 3:
        return (r >> 8) % 4 != 0 ? 300 : MIB + (r >> 10) % (2 * MIB);
    case 4:
        return (r >> 8) % 4 == 0 ? 32 * MIB + (r >> 10) % (8 * MIB) : 40; /* huge */
    case 5:
    case 6:
    case 7:
        return 1 * KIB + (r >> 8) % (31 * KIB); /* medium */
    default:
        return 1 + (r >> 8) % (1 * KIB);
    }
}

static void release(struct slot *s)
{
    if (s->p == NULL) {
        return;
    }
    check_content(s, s->bytes);
    CHECK(malloc_usable_size(s->p) >= s->bytes);
    errno = 77;
    switch (s->key % 4) {
    case 0:
        free_sized(s->p, s->bytes);
        break;
    default:
        free(s->p);
        break;
    }
    CHECK_EQ(errno, 77);
    s->p = NULL;
}

static void *aligned(struct shadow *w, size_t bytes)
{
    uint64_t r = test_random(&w->random);
    size_t alignment = (size_t)8 << r % 18;
    void *p = NULL;
    int error;

    errno = 0;
    switch ((r >> 8) % 5) {
    case 0:
        p = checked(w, aligned_alloc(alignment, bytes));
        break;
    case 1:
        p = checked(w, memalign(alignment, bytes));
        break;
    case 2:
        errno = 55;
        error = posix_memalign(&p, alignment, bytes);
        CHECK_EQ(errno, 55);
        CHECK(error == 0 ? p != NULL : error == ENOMEM && p == NULL);
        errno = error;
        checked(w, p);
        break;
    case 3:
        p = checked(w, mp_aligned_alloc(component[r >> 16 & 3], alignment, bytes));
        break;
    default:
        p = checked(w, (r >> 16 & 1) != 0 ? valloc(bytes) : pvalloc(bytes));
        alignment = 4096;
        break;
    }
    CHECK_EQ((uintptr_t)p % alignment, 0);
    return p;
}

static void obtain(struct shadow *w, struct slot *s)
{
    uint64_t r = test_random(&w->random);
    size_t bytes = random_size(w);

    errno = 0;
    switch (r % 8) {
    case 0:
        s->p = checked(w, calloc((bytes + 7) / 8, 8));
        if (s->p != NULL) {
            check_zero(s->p, bytes);
        }
        break;
    case 1:
        s->p = aligned(w, bytes);
        break;
    case 2:
        s->p = checked(w, mp_malloc(component[r >> 8 & 3], bytes));
        break;
    case 3:
        s->p = checked(w, mp_calloc(component[r >> 8 & 3], 1, bytes));
        if (s->p != NULL) {
            check_zero(s->p, bytes);
        }
        break;
    case 4:
        s->p = checked(w, realloc(NULL, bytes));
        break;
    default:
        s->p = checked(w, malloc(bytes));
        break;
    }
    s->bytes = bytes;
    s->key = r;
    if (s->p != NULL) {
        write_content(s);
    }
}

static void resize(struct shadow *w, struct slot *s)
{
    uint64_t r = test_random(&w->random);
    size_t bytes = (r & 1) != 0 ? random_size(w) : s->bytes + s->bytes / 2;
    struct slot old = *s;
    void *p;

    if (bytes == 0 || bytes > 48 * MIB) {
        bytes = 1000;
    }
    errno = 0;
    p = (r & 2) != 0   ? realloc(s->p, bytes)
        : (r & 4) != 0 ? reallocarray(s->p, bytes, 1)
                       : mp_realloc(component[r >> 8 & 3], s->p, bytes);
    checked(w, p);
    if (p == NULL) {
        check_content(s, s->bytes); /* it is as it was */
        return;
    }
    s->p = p;
    check_content(s, bytes < old.bytes ? bytes : old.bytes);
    s->bytes = bytes;
    s->key = r;
    write_content(s);
}

static void change(struct shadow *w)
{
    struct slot *s = &w->slot[test_random(&w->random) % SLOTS];

    if (s->p == NULL) {
        obtain(w, s);
    } else if (test_random(&w->random) % 3 == 0) {
        resize(w, s);
    } else {
        release(s);
    }
}

void workload_step(struct shadow *w)
{
    w->is_changing = true;
    change(w);
    w->is_changing = false;
}

static void release_all(struct shadow *w)
{
    w->is_changing = true;
    for (int i = 0; i < SLOTS; i++) {
        release(&w->slot[i]);
    }
    w->is_changing = false;
}

/* ---- the parts ---- */

void workload_look(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    int error = mp_snapshot(&s);

    CHECK(error == 0);
    CHECK(s.allocated_blocks_total >= s.freed_blocks_total);
    CHECK(s.allocation_failures_total >= failures_before);
    failures_before = s.allocation_failures_total;
}

/* A huge block that grows, shrinks, becomes large and huge again. */
static void use_huge(struct shadow *w, bool leave)
{
    static const size_t sizes[] = {33, 40, 48, 36, 3, 34};
    struct slot s = {NULL, 0, 4242};

    for (size_t i = 0; i < (leave ? 6 : 4); i++) {
        unsigned char *p;

        errno = 0;
        p = checked(w, realloc(s.p, sizes[i] * MIB));
        if (p != NULL) {
            s.p = p;
            check_content(&s, sizes[i] * MIB);
            s.bytes = sizes[i] * MIB;
            write_content(&s);
        } else if (s.p != NULL) {
            check_content(&s, s.bytes);
        }
    }
    release(&s);
}

/*
 * Objects of arenas and pools, with their number in them: what fails leaves the others alone. The
 * library's own memory for them may be refused, too: then they do without.
 */
static void use_objects(struct shadow *w)
{
    uint64_t *object[60] = {NULL};
    mp_arena_t *arena;
    mp_pool_t *pool;

    errno = 0;
    arena = checked(w, mp_arena_create(component[1]));
    errno = 0;
    pool = checked(w, mp_pool_create(component[2], 512, 40));
    for (uint64_t i = 0; i < 120 && arena != NULL; i++) {
        size_t bytes = i % 60 == 30 ? 100000 : i % 60 * 200 + 16;
        uint64_t *p = (errno = 0, mp_arena_alloc(arena, bytes));

        checked(w, p);
        if (i == 60) {
            mp_arena_reset(arena);
            memset(object, 0, sizeof(object));
        }
        if (i != 60 && p != NULL) {
            p[0] = p[1] = i;
            object[i % 60] = p;
        }
        for (int k = 0; k < 60; k++) {
            CHECK(
                object[k] == NULL
                || (object[k][0] % 60 == (uint64_t)k && object[k][0] == object[k][1]));
        }
    }
    mp_arena_destroy(arena);
    memset(object, 0, sizeof(object));
    for (uint64_t i = 0; i < 240 && pool != NULL; i++) {
        uint64_t **slot = &object[i % 60];

        if (*slot != NULL) {
            CHECK((*slot)[0] == i - 60 && (*slot)[63] == i - 60);
            mp_pool_put(pool, *slot);
        }
        errno = 0;
        *slot = checked(w, mp_pool_get(pool));
        if (*slot != NULL) {
            (*slot)[0] = (*slot)[63] = i;
        }
    }
    for (int k = 0; k < 60 && pool != NULL; k++) {
        mp_pool_put(pool, object[k]);
    }
    if (pool != NULL) {
        struct mp_pool_stats s = {.size = sizeof(s)};

        CHECK(mp_pool_stats(pool, &s) == 0 && s.live == 0);
        CHECK(s.gets_total == s.hits_total + s.misses_total);
    }
    mp_pool_destroy(pool);
}

static void use_blocks(struct shadow *w)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++) {
            workload_step(w);
        }
        use_huge(w, round == 0);
        use_objects(w);
        workload_check(w);
        mp_trim();
        workload_look();
    }
    /* Impossible requests fail for their own reasons. */
    errno = 0;
    CHECK(malloc(test_opaque(SIZE_MAX - 100)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(test_opaque(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
}

static struct shadow mine[THREADS];
static struct slot crossing[THREADS][20]; /* made by one thread, freed by the next */

static void *use_thread(void *arg)
{
    uintptr_t self = (uintptr_t)arg;
    struct shadow *w = &mine[self];
    mp_component_t *before = mp_enter(component[self]);

    for (int i = 0; i < 150; i++) {
        workload_step(w);
    }
    for (int i = 0; i < 20; i++) {
        release(&crossing[(self + 1) % THREADS][i]);
    }
    workload_check(w);
    mp_leave(before);
    return NULL;
}

static void use_threads(struct shadow *w)
{
    for (int round = 0; round < 2; round++) {
        pthread_t thread[THREADS];
        bool runs[THREADS];
        pthread_attr_t attr;

        for (int t = 0; t < THREADS; t++) {
            mine[t].random = (uint64_t)(t + 1) * 77 + (uint64_t)round;
            mine[t].must_succeed = w->must_succeed;
            for (int i = 0; i < 20; i++) {
                if (crossing[t][i].p == NULL) {
                    obtain(w, &crossing[t][i]);
                }
            }
        }
        CHECK(pthread_attr_init(&attr) == 0);
        CHECK(pthread_attr_setstacksize(&attr, STACK) == 0);
        for (uintptr_t t = 0; t < THREADS; t++) { /* no thread may be had, either */
            int error = pthread_create(&thread[t], &attr, use_thread, (void *)t);

            CHECK(error == 0 || error == EAGAIN || error == ENOMEM);
            CHECK(error == 0 || !w->must_succeed);
            runs[t] = error == 0;
        }
        for (int t = 0; t < THREADS; t++) {
            CHECK(!runs[t] || pthread_join(thread[t], NULL) == 0);
        }
        pthread_attr_destroy(&attr);
    }
}

static void release_threads(void)
{
    for (int t = 0; t < THREADS; t++) {
        release_all(&mine[t]);
        for (int i = 0; i < 20; i++) {
            release(&crossing[t][i]);
        }
    }
}

static void tell_counts(void)
{
    const char *name;

    for (unsigned i = 0; (name = mpalloc_fault_name(i)) != NULL; i++) {
        char line[80];
        int n = snprintf(
            line, sizeof(line), "calls %s %lu\n", name, mpalloc_fault_count(name));

        test_write(line, (size_t)n);
    }
}

/* A child that grows gets a region of its own at the next tick. */
static void use_child(struct shadow *w)
{
    pid_t child;
    int status;

    for (int i = 0; i < 200; i++) {
        workload_step(w);
    }
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct timespec pause = {0, 12 * 1000 * 1000};

        workload_check(w);
        for (int i = 0; i < 100; i++) {
            workload_step(w);
        }
        for (int i = 0; i < 8; i++) {
            free(malloc(5 * MIB + (size_t)i * MIB));
        }
        nanosleep(&pause, NULL);
        w->slot[0].p == NULL ? obtain(w, &w->slot[0]) : release(&w->slot[0]);
        for (int i = 0; i < 100; i++) {
            workload_step(w);
        }
        workload_check(w);
        workload_look();
        tell_counts();
        w->must_succeed = mpalloc_fault_set("");
        release_all(w);
        use_blocks(w);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Components beyond what is backed at first, and copies of the region. */
static void use_region(struct shadow *w)
{
    char path[64];
    int error;

    for (int i = 0; i < 70; i++) {
        char name[32];
        struct slot *s = &w->slot[i];

        snprintf(name, sizeof(name), "part/%d", i);
        release(s);
        errno = 0;
        s->p = checked(w, mp_malloc(mp_component(name), 100));
        s->bytes = s->p != NULL ? 100 : 0;
        s->key = (uint64_t)i;
        if (s->p != NULL) {
            write_content(s);
        }
        if (i % 20 == 0) {
            workload_look();
        }
    }
    snprintf(path, sizeof(path), "/tmp/mpalloc-faults-%ld", (long)getpid());
    error = mp_dump(path);
    CHECK(error <= 0);
    CHECK(error == 0 || !w->must_succeed || error == -ENODATA);
    unlink(path);
    workload_check(w);
}

/* The mapping of the region, which comes late where it could not be had at the start. */
static size_t region_space(void)
{
    static char line[512];
    FILE *f = fopen("/proc/self/maps", "r");
    size_t bytes = 0;

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        unsigned long start, end;

        if ((strstr(line, "/mpalloc-") != NULL
                || strstr(line, "/memfd:mpalloc") != NULL)
            && sscanf(line, "%lx-%lx", &start, &end) == 2) {
            bytes += end - start;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return bytes;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "blocks";
    void (*use)(struct shadow *) = strcmp(what, "threads") == 0  ? use_threads
                                   : strcmp(what, "child") == 0  ? use_child
                                   : strcmp(what, "region") == 0 ? use_region
                                   : strcmp(what, "limits") == 0 ? workload_limits
                                                                 : use_blocks;
    struct shadow *w = &shadow;
    struct mp_snapshot before = {.size = sizeof(before)};
    struct mp_snapshot after = {.size = sizeof(after)};
    size_t space, resident, region;

    space = test_statm(0);
    resident = test_statm(1);
    region = region_space();
    CHECK(mp_snapshot(&before) == 0);
    w->random = 4711;
    component[1] = mp_component("one");
    component[2] = mp_component("two/inner");
    component[3] = mp_component("three");
    use(w);
    tell_counts();
    /* Memory is back. */
    CHECK(mpalloc_fault_set(""));
    w->must_succeed = true;
    workload_check(w);
    use(w);
    use_blocks(w);
    release_all(w);
    release_threads();
    mp_trim();
    free(malloc(33 * MIB)); /* what could not be unmapped goes now */
    CHECK(mp_snapshot(&after) == 0);
    space = test_statm(0) - space - (region_space() - region);
    resident = test_statm(1) - resident;
    {
        char line[160];
        int n = snprintf(line, sizeof(line),
            "failed %zu, space grew by %zu KiB of which known %zu KiB, resident by %zu "
            "KiB\n",
            w->failed, space >> 10,
            (size_t)(after.mapped_bytes - before.mapped_bytes) >> 10, resident >> 10);

        test_write(line, (size_t)n);
    }
    CHECK(space <= after.mapped_bytes - before.mapped_bytes + 4 * MIB);
    /* With the tables of the sampler, which stay. */
    CHECK(resident <= (argc > 2 ? 32 : 4) * (size_t)MIB + MIB / 2
          || (ptrdiff_t)resident < 0);
    return 0;
}
