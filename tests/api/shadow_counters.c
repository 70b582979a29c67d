/*
 * shadow_counters - counting without counting equals counting
 *
 *     shadow_counters THREADS SEED
 *
 * Threads run random programs over shared slots, so blocks are resized and freed by
 * threads that did not allocate them. A shadow counts every block beside its call. When
 * the threads stand still, and again when they are gone, each cell of each component, the
 * components' sums and the snapshot must equal the shadow, to the block and to the byte.
 *
 * Blocks that glibc allocates for threads come before the baseline; it frees or keeps
 * them as it likes when they end, so that the untagged row is compared before that.
 */
#include "test.h"

#include <errno.h>
#include <malloc.h>
#include <mpalloc.h>
#include <pthread.h>
#include <sys/mman.h>

enum {
    THREADS_MAX = 8,
    SLOTS = 400,
    COMPONENTS = 6, /* number 0 is untagged */
    CLASSES_MAX = 128,
    STEPS = 40000,
    GENERATIONS = 3,
    HUGE_MIN = 32 << 20,
    SMALL_MAX = 32 << 10, /* size classes of their own up to here */
};

struct count {
    uint64_t blocks[2]; /* allocated, freed */
    uint64_t bytes[2];
};
enum { ALLOCATED, FREED };

struct slot {
    pthread_mutex_t lock;
    unsigned char *p;
    size_t usable;
    int component;
    unsigned char pattern;
};

static const char *const names[COMPONENTS] = {NULL, "a", "a/b", "a/b/c", "d/e", "f"};
static mp_component_t *component[COMPONENTS];
static size_t row[COMPONENTS];
static uint64_t class_bytes[CLASSES_MAX];
static unsigned classes;

static struct count shadow[COMPONENTS][CLASSES_MAX];
static struct count baseline[COMPONENTS][CLASSES_MAX];
static struct count now[COMPONENTS][CLASSES_MAX];
static struct slot slots[SLOTS];
static pthread_barrier_t barrier;
static uint64_t seed;

/*
 * The class of a block by its size. Class 0 (malloc(0)) and class 1 have the same size:
 * both count as 1 here.
 */
static unsigned class_of(size_t usable)
{
    unsigned cls = 1;

    while (cls + 1 < classes && class_bytes[cls] < usable) {
        cls++;
    }
    return cls;
}

static void shadow_add(int c, size_t usable, int what)
{
    unsigned cls = class_of(usable);
    struct count *n = &shadow[c][cls];

    if (class_bytes[cls]
        <= SMALL_MAX) { /* guarded blocks are usable as far as asked for */
        usable = class_bytes[cls];
    }
    __atomic_add_fetch(&n->blocks[what], 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&n->bytes[what], usable, __ATOMIC_RELAXED);
}

/* ---- random programs ---- */

static size_t random_size(uint64_t *state)
{
    uint64_t r = test_random(state);
    uint64_t n = r >> 10;

    switch (r % 64) {
    case 0:
        return n % 20 == 0 ? HUGE_MIN + n % (8 << 20) : 33000 + n % 900000;
    case 1:
        return n % 200000;
    case 2:
    case 3:
    case 4:
        return n % 33000;
    case 5:
        return 0;
    default:
        return n % 1500;
    }
}

/* Both ends and the middle; all of it where that is cheap. */
static void mark(struct slot *s)
{
    memset(s->p, s->pattern, s->usable < 65536 ? s->usable : 1);
    s->p[s->usable / 2] = s->pattern;
    s->p[s->usable - 1] = s->pattern;
}

static void check_mark(const struct slot *s)
{
    CHECK(s->p[0] == s->pattern && s->p[s->usable / 2] == s->pattern
          && s->p[s->usable - 1] == s->pattern);
}

static void slot_free(struct slot *s)
{
    if (s->p != NULL) {
        check_mark(s);
        shadow_add(s->component, s->usable, FREED);
        free(s->p);
        s->p = NULL;
    }
}

static void slot_allocate(struct slot *s, int current, uint64_t *state)
{
    uint64_t r = test_random(state);
    size_t n = random_size(state);

    s->component = current;
    s->pattern = (unsigned char)(r >> 8);
    switch (r % 8) {
    case 0:
        s->p = calloc(1, n);
        for (size_t i = 0; i < n; i += 61) {
            CHECK(s->p[i] == 0);
        }
        break;
    case 1:
        s->component = (int)((r >> 16) % COMPONENTS);
        s->p = mp_malloc(component[s->component], n);
        break;
    case 2:
        if (n < HUGE_MIN) {
            s->p = memalign((size_t)16 << (r >> 16) % 10, n);
            break;
        } /* fall through */
    default:
        s->p = malloc(n);
        break;
    case 3:
        s->component = (int)((r >> 16) % COMPONENTS);
        s->p = mp_calloc(component[s->component], 2, n / 2);
        break;
    case 4:
        s->component = (int)((r >> 16) % COMPONENTS);
        s->p = mp_aligned_alloc(component[s->component], 64, n < HUGE_MIN ? n : 64);
        break;
    }
    CHECK(s->p != NULL);
    s->usable = malloc_usable_size(s->p);
    shadow_add(s->component, s->usable, ALLOCATED);
    mark(s);
}

/*
 * A block that stays where it is keeps its component; one that is copied gets the current
 * one. Huge blocks move without a copy: they are resized for their own component.
 */
static void slot_resize(struct slot *s, int current, uint64_t *state)
{
    size_t n = random_size(state) + 1;
    int to = s->usable >= HUGE_MIN ? s->component : current;
    unsigned char *p;
    size_t usable;

    check_mark(s);
    p = to == current ? realloc(s->p, n) : mp_realloc(component[to], s->p, n);
    CHECK(p != NULL && p[0] == s->pattern);
    usable = malloc_usable_size(p);
    if (p != s->p || usable != s->usable) {
        shadow_add(s->component, s->usable, FREED);
        s->component = p != s->p ? to : s->component;
        shadow_add(s->component, usable, ALLOCATED);
    }
    s->p = p;
    s->usable = usable;
    mark(s);
}

static void program(uint64_t state)
{
    int current = 0;

    for (int i = 0; i < STEPS; i++) {
        uint64_t r = test_random(&state);
        struct slot *s = &slots[(r >> 8) % SLOTS];
        unsigned what = (r >> 40) % 12;

        if (what == 0) {
            current = (int)((r >> 50) % COMPONENTS);
            mp_enter(component[current]);
            continue;
        }
        pthread_mutex_lock(&s->lock);
        if (what <= 2 && s->p != NULL) {
            slot_resize(s, current, &state);
        } else {
            slot_free(s);
            if (what != 3) {
                slot_allocate(s, current, &state);
            }
        }
        pthread_mutex_unlock(&s->lock);
    }
    mp_enter(NULL);
}

static void *run(void *arg)
{
    pthread_barrier_wait(&barrier); /* all threads are there */
    pthread_barrier_wait(&barrier); /* the baseline is taken */
    program(seed * 1000003 + (uint64_t)(uintptr_t)arg * 7919 + 1);
    pthread_barrier_wait(&barrier); /* quiet */
    pthread_barrier_wait(&barrier); /* compared */
    return NULL;
}

/* ---- comparing ---- */

static void read_class(int c, unsigned cls, struct count *ret)
{
    struct mp_class_stats s = {.size = sizeof(s)};

    CHECK_EQ(mp_class_stats(row[c], cls, &s), 0);
    CHECK_EQ(s.live_blocks, s.allocated_blocks_total - s.freed_blocks_total);
    CHECK_EQ(s.live_bytes, s.allocated_bytes_total - s.freed_bytes_total);
    ret->blocks[ALLOCATED] += s.allocated_blocks_total;
    ret->blocks[FREED] += s.freed_blocks_total;
    ret->bytes[ALLOCATED] += s.allocated_bytes_total;
    ret->bytes[FREED] += s.freed_bytes_total;
}

static struct count sum_of(const struct count cells[CLASSES_MAX])
{
    struct count sum = {{0, 0}, {0, 0}};

    for (unsigned cls = 0; cls < classes; cls++) {
        for (int i = 0; i < 2; i++) {
            sum.blocks[i] += cells[cls].blocks[i];
            sum.bytes[i] += cells[cls].bytes[i];
        }
    }
    return sum;
}

static int is_below(const char *name, const char *tree)
{
    size_t n = strlen(tree);

    return strncmp(name, tree, n) == 0 && (name[n] == '\0' || name[n] == '/');
}

/* The sums that the library gives are those of the cells that it gives. */
static void check_sums(const struct mp_snapshot *snap)
{
    struct count all = {{0, 0}, {0, 0}};

    for (int c = 0; c < COMPONENTS; c++) {
        struct mp_component_stats s = {.size = sizeof(s)};
        struct count sum = sum_of(now[c]);
        uint64_t tree = 0;

        CHECK_EQ(mp_component_stats(row[c], &s), 0);
        CHECK_EQ(s.allocated_blocks_total, sum.blocks[ALLOCATED]);
        CHECK_EQ(s.freed_blocks_total, sum.blocks[FREED]);
        CHECK_EQ(s.allocated_bytes_total, sum.bytes[ALLOCATED]);
        CHECK_EQ(s.freed_bytes_total, sum.bytes[FREED]);
        CHECK_EQ(s.live_blocks, sum.blocks[ALLOCATED] - sum.blocks[FREED]);
        CHECK_EQ(s.live_bytes, sum.bytes[ALLOCATED] - sum.bytes[FREED]);
        CHECK(s.live_peak_bytes >= s.live_bytes);
        CHECK(s.tree_live_peak_bytes >= s.tree_live_bytes);
        for (int k = 1; c > 0 && k < COMPONENTS; k++) {
            if (is_below(names[k], names[c])) {
                struct count child = sum_of(now[k]);

                tree += child.bytes[ALLOCATED] - child.bytes[FREED];
            }
        }
        CHECK(c == 0 || s.tree_live_bytes == tree);
        for (int i = 0; i < 2; i++) {
            all.blocks[i] += sum.blocks[i];
            all.bytes[i] += sum.bytes[i];
        }
    }
    /* Other components (the parent "d", overflow, …) hold nothing. */
    CHECK_EQ(snap->allocated_blocks_total, all.blocks[ALLOCATED]);
    CHECK_EQ(snap->freed_blocks_total, all.blocks[FREED]);
    CHECK_EQ(snap->allocated_bytes_total, all.bytes[ALLOCATED]);
    CHECK_EQ(snap->freed_bytes_total, all.bytes[FREED]);
    CHECK_EQ(snap->live_blocks, all.blocks[ALLOCATED] - all.blocks[FREED]);
    CHECK_EQ(snap->live_bytes, all.bytes[ALLOCATED] - all.bytes[FREED]);
    CHECK(snap->live_peak_bytes >= snap->live_bytes);
}

static void read_all(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    CHECK_EQ(mp_snapshot(&s), 0);
    memset(now, 0, sizeof(now));
    for (int c = 0; c < COMPONENTS; c++) {
        for (unsigned cls = 0; cls < classes; cls++) {
            read_class(c, cls, &now[c][cls != 0 ? cls : 1]);
        }
    }
    check_sums(&s);
}

static void compare(const char *when, int first_component)
{
    int bad = 0;

    read_all();
    for (int c = first_component; c < COMPONENTS; c++) {
        for (unsigned cls = 0; cls < classes; cls++) {
            for (int i = 0; i < 2; i++) {
                uint64_t blocks = now[c][cls].blocks[i] - baseline[c][cls].blocks[i];
                uint64_t bytes = now[c][cls].bytes[i] - baseline[c][cls].bytes[i];

                if (blocks != shadow[c][cls].blocks[i]
                    || bytes != shadow[c][cls].bytes[i]) {
                    printf("%s, %s, class %u (%lu bytes), %s: %lu blocks of %lu, "
                           "%lu bytes of %lu\n",
                        when, mp_component_name(component[c]), cls, class_bytes[cls],
                        i == FREED ? "freed" : "allocated", blocks,
                        shadow[c][cls].blocks[i], bytes, shadow[c][cls].bytes[i]);
                    bad++;
                }
            }
        }
    }
    fflush(stdout);
    CHECK_EQ(bad, 0);
}

static void free_all_slots(unsigned step)
{
    for (unsigned i = 0; i < SLOTS; i += step) {
        slot_free(&slots[i]);
    }
}

static void generation(uintptr_t threads, unsigned number)
{
    pthread_t thread[THREADS_MAX];

    CHECK(pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1) == 0);
    for (uintptr_t i = 0; i < threads; i++) {
        CHECK(pthread_create(&thread[i], NULL, run, (void *)(i + number * 100)) == 0);
    }
    pthread_barrier_wait(&barrier);
    memset(shadow, 0, sizeof(shadow));
    read_all();
    memcpy(baseline, now, sizeof(now));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    compare("threads quiet", 0);
    free_all_slots(3); /* remote frees that no owner folds */
    compare("freed by main", 0);
    pthread_barrier_wait(&barrier);
    for (uintptr_t i = 0; i < threads; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    compare("threads ended", 1);
    free_all_slots(2); /* of orphans; the rest lives on into the next generation */
    compare("freed what ended threads left", 1);
    mp_trim();
    compare("trimmed", 1);
}

static void find_rows(void)
{
    struct mp_class_stats k = {.size = sizeof(k)};
    struct mp_component_stats s = {.size = sizeof(s)};
    int found = 0;

    while (classes < CLASSES_MAX && mp_class_stats(0, classes, &k) == 0) {
        class_bytes[classes++] = k.block_bytes;
    }
    CHECK(classes > 64);
    for (int c = 0; c < COMPONENTS; c++) {
        component[c] = mp_component(names[c]);
        for (size_t i = 0; mp_component_stats(i, &s) == 0; i++) {
            if (strcmp(s.name, mp_component_name(component[c])) == 0) {
                row[c] = i;
                found++;
            }
        }
    }
    CHECK_EQ(found, COMPONENTS);
}

int main(int argc, char **argv)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    uintptr_t threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 4;

    seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    CHECK(threads >= 1 && threads <= THREADS_MAX);
    if (mp_snapshot(&s) == -ENOSYS) {
        return TEST_SKIPPED;
    }
    setvbuf(stdout, malloc(4096), _IOFBF, 4096); /* before the baseline */
    for (int i = 0; i < SLOTS; i++) {
        pthread_mutex_init(&slots[i].lock, NULL);
    }
    find_rows();
    for (unsigned i = 0; i < GENERATIONS; i++) {
        generation(threads, i);
    }
    free_all_slots(1);
    compare("all freed", 1);
    test_claim("counters_equal_the_shadow");
    return 0;
}
