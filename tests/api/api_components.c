/*
 * api_components - the functions of mpalloc.h: components, scopes, figures, dumps
 *
 * Ends with code 77 (skipped) where the library was built without profiling.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <mpalloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>

enum { NAME_MAX_BYTES = 95 };

static void *volatile sink;

/* The figures of the component of that name, counted anew; zeros when there is none. */
static struct mp_component_stats figures(const char *name)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    struct mp_component_stats c = {.size = sizeof(c)};

    CHECK_EQ(mp_snapshot(&s), 0);
    for (size_t i = 0; mp_component_stats(i, &c) == 0; i++) {
        CHECK(i < s.components);
        if (strcmp(c.name, name) == 0) {
            return c;
        }
    }
    return (struct mp_component_stats){.name = NULL};
}

static mp_component_t *current(void)
{
    mp_component_t *c = mp_enter(NULL);

    mp_leave(c);
    return c;
}

/* ---- names ---- */

static void components_are_interned(void)
{
    char name[] = "interned";
    mp_component_t *c = mp_component(name);

    CHECK(c != NULL && mp_component("interned") == c);
    name[0] = 'X'; /* the name was copied */
    CHECK(strcmp(mp_component_name(c), "interned") == 0);
    CHECK(mp_component(name) != c);
}

static void no_name_is_untagged(void)
{
    CHECK(mp_component(NULL) == NULL && mp_component("") == NULL);
    CHECK(strcmp(mp_component_name(NULL), "(untagged)") == 0);
}

static void long_names_are_cut(void)
{
    char name[300];
    mp_component_t *c;

    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    c = mp_component(name);
    CHECK(c != NULL);
    CHECK_EQ(strlen(mp_component_name(c)), NAME_MAX_BYTES);
    name[NAME_MAX_BYTES + 5] = '\0'; /* differs behind the cut */
    CHECK(mp_component(name) == c);
    name[NAME_MAX_BYTES] = '\0';
    CHECK(mp_component(name) == c);
    name[NAME_MAX_BYTES - 1] = '\0';
    CHECK(mp_component(name) != c);
}

/* ---- current component ---- */

static void enter_and_leave_nest(void)
{
    mp_component_t *a = mp_component("nest/a");
    mp_component_t *b = mp_component("nest/b");
    mp_component_t *before, *between;

    CHECK(current() == NULL);
    before = mp_enter(a);
    CHECK(before == NULL && current() == a);
    between = mp_enter(b);
    CHECK(between == a && current() == b);
    CHECK(mp_enter(NULL) == b && current() == NULL);
    mp_leave(between);
    CHECK(current() == a);
    mp_leave(before);
    CHECK(current() == NULL);
}

static int scope_returns(int how)
{
    MP_SCOPE("scope/return");
    CHECK(strcmp(mp_component_name(current()), "scope/return") == 0);
    if (how == 0) {
        return 1;
    }
    for (int i = 0; i < 3; i++) {
        MP_SCOPE("scope/loop");
        CHECK(strcmp(mp_component_name(current()), "scope/loop") == 0);
        if (how == 1) {
            break;
        }
        if (how == 2) {
            continue;
        }
        if (how == 3) {
            goto out;
        }
        return 2;
    }
out:
    CHECK(strcmp(mp_component_name(current()), "scope/return") == 0);
    return 3;
}

static void scope_is_left_on_every_way_out(void)
{
    for (int how = 0; how < 5; how++) {
        scope_returns(how);
        CHECK(current() == NULL);
    }
    {
        MP_SCOPE("scope/one");
        MP_SCOPE("scope/two");
        CHECK(strcmp(mp_component_name(current()), "scope/two") == 0);
    }
    CHECK(current() == NULL);
    CHECK(mp_component("scope/loop") != NULL);
}

static void *see_current(void *arg)
{
    *(mp_component_t **)arg = current();
    mp_enter(mp_component("thread/own")); /* not left: ends with the thread */
    sink = malloc(100);
    free(sink);
    return NULL;
}

static void threads_begin_untagged_and_apart(void)
{
    mp_component_t *seen = mp_component("thread/none");
    mp_component_t *mine = mp_component("thread/mine");
    mp_component_t *before = mp_enter(mine);
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, see_current, &seen) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(seen == NULL && current() == mine);
    mp_leave(before);
}

/* ---- accounting ---- */

static void blocks_count_where_they_are_born(void)
{
    enum { COUNT = 1000, SIZE = 100, BLOCK = 112 };
    static void *p[COUNT];
    mp_component_t *a = mp_component("born");
    mp_component_t *before = mp_enter(a);
    struct mp_component_stats c;

    for (int i = 0; i < COUNT; i++) {
        p[i] = malloc(SIZE);
    }
    mp_leave(before);
    c = figures("born");
    CHECK_EQ(c.live_blocks, COUNT);
    CHECK_EQ(c.live_bytes, COUNT * BLOCK);
    CHECK_EQ(c.allocated_blocks_total, COUNT);
    CHECK_EQ(c.freed_blocks_total, 0);
    before = mp_enter(mp_component("other"));
    for (int i = 0; i < COUNT; i++) {
        free(p[i]);
    }
    mp_leave(before);
    c = figures("born");
    CHECK_EQ(c.live_blocks, 0);
    CHECK_EQ(c.live_bytes, 0);
    CHECK_EQ(c.freed_blocks_total, COUNT);
    CHECK_EQ(c.freed_bytes_total, COUNT * BLOCK);
    CHECK(c.live_peak_bytes >= COUNT * BLOCK);
    CHECK_EQ(figures("other").freed_blocks_total, 0);
}

static void *free_in_thread(void *arg)
{
    void **p = arg;

    mp_enter(mp_component("remote/freeing"));
    for (; *p != NULL; p++) {
        free(*p);
    }
    return NULL;
}

static void blocks_freed_elsewhere_count_where_born(void)
{
    static const size_t sizes[] = {40, 3000, 100000, 40 << 20};
    void *p[5] = {NULL};
    mp_component_t *c = mp_component("remote/born");
    struct mp_component_stats s;
    pthread_t thread;
    uint64_t bytes = 0;

    for (int i = 0; i < 4; i++) {
        p[i] = mp_malloc(c, sizes[i]);
        bytes += malloc_usable_size(p[i]);
    }
    s = figures("remote/born");
    CHECK_EQ(s.live_blocks, 4);
    CHECK_EQ(s.live_bytes, bytes);
    CHECK(pthread_create(&thread, NULL, free_in_thread, p) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    s = figures("remote/born");
    CHECK_EQ(s.live_blocks, 0);
    CHECK_EQ(s.freed_bytes_total, bytes);
    CHECK_EQ(figures("remote/freeing").freed_blocks_total, 0);
}

static void trees_roll_up(void)
{
    mp_component_t *deep = mp_component("tree/branch/leaf"); /* makes no parents? */
    mp_component_t *root = mp_component("tree");
    mp_component_t *branch = mp_component("tree/branch");
    mp_component_t *stranger = mp_component("treehouse");
    void *p[] = {mp_malloc(root, 1000), mp_malloc(branch, 2000), mp_malloc(deep, 50000),
        mp_malloc(stranger, 500)};
    uint64_t usable[4];

    for (int i = 0; i < 4; i++) {
        usable[i] = malloc_usable_size(p[i]);
    }
    CHECK_EQ(figures("tree").live_bytes, usable[0]);
    CHECK_EQ(figures("tree").tree_live_bytes, usable[0] + usable[1] + usable[2]);
    CHECK_EQ(figures("tree/branch").tree_live_bytes, usable[1] + usable[2]);
    CHECK_EQ(figures("tree/branch/leaf").tree_live_bytes, usable[2]);
    CHECK_EQ(figures("treehouse").tree_live_bytes, usable[3]);
    CHECK(figures("tree").tree_live_peak_bytes >= usable[0] + usable[1] + usable[2]);
    for (int i = 0; i < 4; i++) {
        free(p[i]);
    }
    CHECK_EQ(figures("tree").tree_live_bytes, 0);
    CHECK(figures("tree").tree_live_peak_bytes >= usable[0] + usable[1] + usable[2]);
}

/* ---- mp_malloc and kin ---- */

static void named_calls_allocate_for_their_component(void)
{
    mp_component_t *c = mp_component("named");
    mp_component_t *d = mp_component("named/moved");
    unsigned char *p[4] = {mp_malloc(c, 100), mp_calloc(c, 10, 300),
        mp_realloc(c, NULL, 5000), mp_aligned_alloc(c, 4096, 4096)};

    CHECK(current() == NULL);
    CHECK_EQ(figures("named").live_blocks, 4);
    CHECK(test_is_filled(p[1], 0, 3000) && (uintptr_t)p[3] % 4096 == 0);
    test_fill(p[0], 3, 100);
    p[0] = mp_realloc(d, p[0], 9000); /* moved: belongs to d */
    CHECK(p[0] != NULL && test_is_filled(p[0], 3, 100));
    CHECK_EQ(figures("named").live_blocks, 3);
    CHECK_EQ(figures("named/moved").live_blocks, 1);
    for (int i = 0; i < 4; i++) {
        free(p[i]);
    }
    CHECK_EQ(figures("named").tree_live_bytes, 0);
}

static void named_calls_of_null_are_untagged(void)
{
    mp_component_t *before = mp_enter(mp_component("elsewhere"));
    void *p = mp_malloc(NULL, 100);
    void *q = mp_calloc(NULL, 1, 100000);

    mp_leave(before);
    CHECK(p != NULL && q != NULL);
    CHECK_EQ(figures("elsewhere").allocated_blocks_total, 0);
    free(p);
    free(q);
}

static void named_calls_have_the_errors_of_malloc(void)
{
    mp_component_t *c = mp_component("errors");
    size_t too_much = test_opaque((size_t)PTRDIFF_MAX + 1);
    uint64_t before, after;
    struct mp_snapshot s = {.size = sizeof(s)};
    void *p;

    CHECK_EQ(mp_snapshot(&s), 0);
    before = s.allocation_failures_total;
    errno = 0;
    sink = mp_malloc(c, too_much);
    CHECK(sink == NULL && errno == ENOMEM);
    errno = 0;
    sink = mp_calloc(c, test_opaque(SIZE_MAX / 2), 3);
    CHECK(sink == NULL && errno == ENOMEM);
    errno = 0;
    sink = mp_aligned_alloc(c, 48, 96);
    CHECK(sink == NULL && errno == EINVAL);
    p = mp_malloc(c, 10);
    errno = 0;
    sink = mp_realloc(c, p, too_much);
    CHECK(sink == NULL && errno == ENOMEM);
    sink = mp_realloc(c, p, 0);
    CHECK(sink == NULL); /* freed */
    CHECK_EQ(mp_snapshot(&s), 0);
    after = s.allocation_failures_total;
    CHECK_EQ(after - before, 3);
    CHECK_EQ(figures("errors").live_blocks, 0);
}

/* ---- figures ---- */

static void components_and_classes_add_up(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    struct mp_component_stats c = {.size = sizeof(c)};
    struct mp_class_stats k = {.size = sizeof(k)};
    uint64_t sum[4] = {0}, all[4] = {0};
    size_t i, cls;

    CHECK_EQ(mp_snapshot(&s), 0);
    for (i = 0; mp_component_stats(i, &c) == 0; i++) {
        struct mp_class_stats one = {.size = sizeof(one)};
        uint64_t live = 0;

        for (cls = 0; mp_class_stats(i, cls, &one) == 0; cls++) {
            live += one.live_bytes;
        }
        CHECK_EQ(live, c.live_bytes);
        sum[0] += c.allocated_blocks_total;
        sum[1] += c.freed_blocks_total;
        sum[2] += c.live_blocks;
        sum[3] += c.live_bytes;
    }
    CHECK_EQ(i, s.components);
    for (cls = 0; mp_class_stats(MP_ALL_COMPONENTS, cls, &k) == 0; cls++) {
        CHECK_EQ(k.live_peak_bytes, 0);
        CHECK(cls == 0 || k.block_bytes >= 16);
        all[0] += k.allocated_blocks_total;
        all[1] += k.freed_blocks_total;
        all[2] += k.live_blocks;
        all[3] += k.live_bytes;
    }
    CHECK(memcmp(sum, all, sizeof(sum)) == 0);
    CHECK_EQ(sum[0], s.allocated_blocks_total);
    CHECK_EQ(sum[1], s.freed_blocks_total);
    CHECK_EQ(sum[2], s.live_blocks);
    CHECK_EQ(sum[3], s.live_bytes);
}

static void snapshot_figures_fit_together(void)
{
    struct mp_snapshot s = {.size = sizeof(s)}, t = {.size = sizeof(t)};
    void *p = malloc(1 << 20);

    CHECK_EQ(mp_snapshot(&s), 0);
    CHECK(s.time_ns > 1500000000ull * 1000000000ull);
    CHECK_EQ(s.live_blocks, s.allocated_blocks_total - s.freed_blocks_total);
    CHECK_EQ(s.live_bytes, s.allocated_bytes_total - s.freed_bytes_total);
    CHECK(s.live_bytes >= 1 << 20 && s.live_peak_bytes >= s.live_bytes);
    CHECK(s.active_bytes + s.metadata_bytes >= s.live_bytes);
    CHECK(s.mapped_bytes <= s.reserved_bytes && s.metadata_bytes > 0);
    CHECK(s.resident_bytes <= s.mapped_bytes && s.threads >= 1);
    free(p);
    CHECK_EQ(mp_snapshot(&t), 0);
    CHECK_EQ(s.live_blocks - 1, t.live_blocks);
    CHECK_EQ(s.allocated_blocks_total, t.allocated_blocks_total);
    CHECK(t.time_ns >= s.time_ns && t.live_peak_bytes >= s.live_bytes);
}

/* Old and new programs: only what both know is written. */
static void structures_may_be_smaller_or_larger(void)
{
    struct {
        union {
            struct mp_snapshot snapshot;
            struct mp_component_stats component;
            struct mp_class_stats cls;
        } s;
        unsigned char behind[64];
    } all;
    unsigned char *bytes = (unsigned char *)&all;
    const size_t full[] = {sizeof(struct mp_snapshot),
        sizeof(struct mp_component_stats), sizeof(struct mp_class_stats)};

    for (int which = 0; which < 3; which++) {
        for (size_t size = 0; size <= full[which] + 64; size += size == 16 ? 8 : 1) {
            int result;

            memset(&all, 0xee, sizeof(all));
            all.s.snapshot.size = size; /* the first member of each */
            result = which == 0   ? mp_snapshot(&all.s.snapshot)
                     : which == 1 ? mp_component_stats(0, &all.s.component)
                                  : mp_class_stats(0, 1, &all.s.cls);
            CHECK(result == (size < 16 ? -EINVAL : 0));
            /* size stays, or says how much was filled */
            CHECK(all.s.snapshot.size == size || all.s.snapshot.size == full[which]);
            for (size_t i = sizeof(size); i < sizeof(all); i++) {
                bool untouched = i >= size || i >= full[which];

                CHECK(!untouched || result != 0 || bytes[i] == 0xee);
                CHECK(result == 0 || bytes[i] == 0xee);
            }
            CHECK(result != 0 || size < 16 || bytes[15] != 0xee); /* something is */
        }
    }
}

static void arguments_are_checked(void)
{
    struct mp_component_stats c = {.size = sizeof(c)};
    struct mp_class_stats k = {.size = sizeof(k)};

    CHECK(mp_snapshot(NULL) == -EINVAL);
    CHECK(mp_component_stats(0, NULL) == -EINVAL);
    CHECK(mp_class_stats(0, 0, NULL) == -EINVAL);
    CHECK(mp_component_stats(100000, &c) == -ENOENT);
    CHECK(mp_component_stats(SIZE_MAX, &c) == -ENOENT);
    CHECK(mp_class_stats(100000, 0, &k) == -ENOENT);
    CHECK(mp_class_stats(0, 128, &k) == -ENOENT);
    CHECK(mp_class_stats(MP_ALL_COMPONENTS, SIZE_MAX, &k) == -ENOENT);
}

/* ---- trim and dump ---- */

static void trim_returns_the_bytes_given_back(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    char *p = malloc(20 << 20);

    CHECK(p != NULL);
    test_fill(p, 1, 20 << 20);
    free(p);
    CHECK(mp_trim() >= 19 << 20);
    CHECK(mp_trim() < 1 << 20);
    CHECK_EQ(mp_snapshot(&s), 0);
    CHECK(s.trims_total >= 2 && s.purged_bytes_total >= 19 << 20);
    CHECK(s.dirty_bytes < 1 << 20);
}

static void dump_writes_a_new_file_only(void)
{
    char folder[] = "/tmp/mpalloc-dump-XXXXXX";
    char path[64], missing[64];
    struct stat st;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/dump", folder);
    snprintf(missing, sizeof(missing), "%s/no/dump", folder);
    CHECK(mp_dump(path) == 0);
    CHECK(stat(path, &st) == 0 && st.st_size > 4096);
    CHECK((st.st_mode & 077) == 0); /* names of components are nobody else's */
    CHECK(mp_dump(path) == -EEXIST);
    CHECK(mp_dump(missing) == -ENOENT);
    CHECK(unlink(path) == 0);
    CHECK(symlink(missing, path) == 0); /* a dangling link is in the way, too */
    CHECK(mp_dump(path) == -EEXIST);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

/* ---- the end of the table: last, as it cannot be undone ---- */

static void too_many_components_share_the_overflow(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    mp_component_t *known = mp_component("interned");
    mp_component_t *c = NULL;
    char name[32];
    void *p;

    CHECK_EQ(mp_snapshot(&s), 0);
    CHECK_EQ(s.components_refused_total, 0);
    for (int i = 0; i < 4200; i++) {
        snprintf(name, sizeof(name), "many/%d", i);
        c = mp_component(name);
        CHECK(c != NULL);
    }
    CHECK(strcmp(mp_component_name(c), "(overflow)") == 0);
    CHECK(mp_component("one more") == c && mp_component("interned") == known);
    CHECK_EQ(mp_snapshot(&s), 0);
    CHECK(s.components_refused_total >= 100);
    CHECK(s.components <= 4096 + 2); /* and untagged, and the overflow's own */
    p = mp_malloc(c, 100);
    CHECK(p != NULL);
    CHECK_EQ(figures("(overflow)").live_blocks, 1);
    free(p);
    components_and_classes_add_up();
}

int main(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    if (mp_snapshot(&s) == -ENOSYS) {
        return TEST_SKIPPED;
    }
    RUN(components_are_interned);
    RUN(no_name_is_untagged);
    RUN(long_names_are_cut);
    RUN(enter_and_leave_nest);
    RUN(scope_is_left_on_every_way_out);
    RUN(threads_begin_untagged_and_apart);
    RUN(blocks_count_where_they_are_born);
    RUN(blocks_freed_elsewhere_count_where_born);
    RUN(trees_roll_up);
    RUN(named_calls_allocate_for_their_component);
    RUN(named_calls_of_null_are_untagged);
    RUN(named_calls_have_the_errors_of_malloc);
    RUN(components_and_classes_add_up);
    RUN(snapshot_figures_fit_together);
    RUN(structures_may_be_smaller_or_larger);
    RUN(arguments_are_checked);
    RUN(trim_returns_the_bytes_given_back);
    RUN(dump_writes_a_new_file_only);
    RUN(too_many_components_share_the_overflow);
    return 0;
}
