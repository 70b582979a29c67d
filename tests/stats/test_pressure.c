/* Memory pressure: of control groups made of files, limits and timelines that are given. */
#include "groups.h"
#include "make_region.h"
#include "pressure.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB 1048576.0

static struct made made;
static char root[] = "/tmp/pressure-XXXXXX";
static struct pressure_read seen;

static void make(void)
{
    static const struct make_shape shape = {.components = MAKE_COMPONENTS,
        .classes = 128,
        .cell_rows = MAKE_COMPONENTS,
        .moments = {600, 1, 1},
        .modules = MAKE_MODULES,
        .options = MAKE_OPTIONS,
        .frames = MAKE_FRAMES,
        .sites = MAKE_SITES,
        .samples = MAKE_SAMPLES,
        .names = MAKE_NAMES,
        .rows = MAKE_ROWS,
        .marks = MAKE_MARKS,
        .leak_rows = MAKE_LEAK_ROWS,
        .written = {300, 0, 0}};

    make_region(&made, &shape);
    cr_assert_not_null(mkdtemp(root));
}

static void unmake(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", root);
    cr_assert_eq(system(command), 0);
    make_region_free(&made);
}

TestSuite(stats_pressure, .init = make, .fini = unmake);

static void put(const char *path, const char *text)
{
    char full[256];
    FILE *f;

    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    f = fopen(full, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

static char machine[64];

static void begin(struct mp_pressure_groups *groups)
{
    snprintf(machine, sizeof(machine), "%s/machine", root);
    groups_init(groups, root, machine);
}

static void look(const char *text)
{
    struct mp_pressure_groups groups;

    begin(&groups);
    groups_read(&groups, text, &seen);
    groups_fini(&groups);
}

static uint64_t physical_bytes;             /* of the machine */
static uint64_t virtual_bytes = MP_UNKNOWN; /* VmSize */

/* An image of the calling process, whose live bytes were `live` and grew by so much each second. */
static struct mp_pressure combine(double live, double growth, uint64_t as_bytes)
{
    struct mp_region_process *p = made_record(&made, MP_SECTION_PROCESS, 0);
    struct mp_region_totals *t = made_record(&made, MP_SECTION_TOTALS, 0);
    struct mp_proc kernel;
    struct mp_pressure ret;
    mp_image_t *image = NULL;
    void *mapped;
    int fd;

    made_adopt(&made);
    p->limit_cgroup_bytes = p->limit_data_bytes = 0;
    p->limit_as_bytes = as_bytes;
    p->physical_bytes = physical_bytes;
    for (size_t i = 0; i < 300; i++) {
        struct mp_region_moment *m = made_record(&made, MP_SECTION_TIMELINE_1S, i);

        m->time_ns = t->published_ns - (300 - i) * 1000000000u;
        m->live_bytes = (uint64_t)(live - growth * (double)(300 - i));
    }
    t->live_bytes = (uint64_t)live;
    fd = made_memfd(&made);
    mapped = mmap(NULL, made.bytes, PROT_READ, MAP_SHARED, fd, 0);
    cr_assert_neq(mapped, MAP_FAILED);
    cr_assert_eq(mp_image_read(fd, "made", &image, NULL), 0);
    cr_assert_eq(mp_image_life(image), MP_LIFE_RUNNING);
    memset(&kernel, 0xff, sizeof(kernel));
    kernel.resident_bytes = (uint64_t)live;
    kernel.virtual_bytes = virtual_bytes;
    pressure_combine(image, MP_LIFE_RUNNING, &kernel, &seen, &ret);
    mp_image_free(image);
    munmap(mapped, made.bytes);
    close(fd);
    return ret;
}

Test(stats_pressure, the_group_that_is_nearest_its_limit)
{
    put("/a/b/memory.max", "max\n");
    put("/a/b/memory.high", "1000\n");
    put("/a/b/memory.current", "700\n");
    put("/a/b/memory.stat", "anon 1\ninactive_file 100\n");
    put("/a/memory.max", "2000\n");
    put("/a/memory.current", "1800\n");
    look("5:cpu:/x\n0::/a/b\n");
    cr_assert_eq(seen.limit_bytes, 2000);
    cr_assert_eq(seen.used_bytes, 1800);
    put("/a/memory.current", "1100\n");
    look("0::/a/b\n");
    cr_assert_eq(seen.limit_bytes, 1000);
    cr_assert_eq(seen.used_bytes, 600, "file pages that can go do not count");
}

Test(stats_pressure, version_1)
{
    put("/memory/g/memory.limit_in_bytes", "4096\n");
    put("/memory/g/memory.usage_in_bytes", "2048\n");
    put("/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/memory/memory.usage_in_bytes", "99999\n");
    look("4:memory:/g\n0::/\n");
    cr_assert_eq(seen.limit_bytes, 4096);
    cr_assert_eq(seen.used_bytes, 2048);
}

Test(stats_pressure, stalls_of_the_group_else_of_the_machine)
{
    put("/machine", "some avg10=50.00 avg60=1.00 avg300=0.00 total=9\n"
                    "full avg10=10.00 avg60=0.00 avg300=0.00 total=1\n");
    put("/g/memory.pressure", "some avg10=2.50 avg60=4.00 avg300=0.00 total=9\n"
                              "full avg10=1.00 avg60=0.00 avg300=0.00 total=1\n");
    look("0::/g\n");
    cr_assert_not(seen.is_machine);
    cr_assert_float_eq(seen.some_10, 0.025, 1e-9);
    cr_assert_float_eq(seen.some_60, 0.04, 1e-9);
    cr_assert_float_eq(seen.full_10, 0.01, 1e-9);
    cr_assert_float_eq(combine(MIB, 0, 0).part[MP_PRESSURE_STALL].value, 0.05, 1e-9);
    look("0::/other\n");
    cr_assert(seen.is_machine);
    cr_assert_float_eq(combine(MIB, 0, 0).value, 0.6, 1e-9);
}

Test(stats_pressure, what_is_not_known_says_so)
{
    struct mp_pressure p;

    look("");
    p = combine(100 * MIB, 0, 0);
    cr_assert(isnan(p.value));
    for (unsigned i = 0; i < MP_PRESSURE_PARTS; i++) {
        cr_assert(isnan(p.part[i].value));
        cr_assert(p.part[i].text[0] != '\0');
    }
    cr_assert_not_null(strstr(p.part[MP_PRESSURE_LIMIT].text, "no limit"));
    cr_assert_not_null(strstr(p.part[MP_PRESSURE_STALL].text, "does not tell"));
}

Test(stats_pressure, the_worst_limit_and_the_time_to_it)
{
    struct mp_pressure p;

    look("");
    p = combine(256 * MIB, 0, (uint64_t)(1024 * MIB));
    cr_assert_float_eq(p.part[MP_PRESSURE_LIMIT].value, 0.25, 1e-9);
    cr_assert_eq(p.part[MP_PRESSURE_TIME].value, 0, "it does not grow");
    cr_assert_float_eq(p.value, 0.25, 1e-9);

    p = combine(256 * MIB, 0.768 * MIB, (uint64_t)(1024 * MIB)); /* 1,000 s are left */
    cr_assert_float_eq(p.limit_s, 1000, 10);
    cr_assert_float_eq(p.part[MP_PRESSURE_TIME].value, 3600 / 4600.0, 0.01);
    cr_assert_eq(p.value, p.part[MP_PRESSURE_TIME].value);

    put("/g/memory.max", "1000\n");
    put("/g/memory.current", "990\n");
    look("0::/g\n");
    p = combine(256 * MIB, 0, (uint64_t)(1024 * MIB));
    cr_assert_float_eq(p.value, 0.99, 1e-9);
    cr_assert_eq(p.limit_bytes, 1000);
    cr_assert_not_null(strstr(p.part[MP_PRESSURE_LIMIT].text,
        "used, by its control group, 256 MiB of it by this process"));
}

Test(stats_pressure, addresses_count_for_rlimit_as)
{
    struct mp_pressure p;

    look("");
    virtual_bytes = (uint64_t)(1000 * MIB);
    p = combine(256 * MIB, 0, (uint64_t)(1024 * MIB));
    cr_assert_float_eq(p.value, 1000 / 1024.0, 1e-9);
    cr_assert_eq(p.used_bytes, 1000 * MIB);
    cr_assert_not_null(
        strstr(p.part[MP_PRESSURE_LIMIT].text, "addresses of RLIMIT_AS"));
}

Test(stats_pressure, without_a_limit_the_machine_is_it)
{
    struct mp_pressure p;

    look("");
    physical_bytes = (uint64_t)(1024 * MIB);
    p = combine(256 * MIB, 0, 0);
    cr_assert_float_eq(p.part[MP_PRESSURE_LIMIT].value, 0.25, 1e-9);
    cr_assert_not_null(strstr(p.part[MP_PRESSURE_LIMIT].text, "the machine's memory"));
    p = combine(256 * MIB, 0, (uint64_t)(2048 * MIB));
    cr_assert_float_eq(
        p.part[MP_PRESSURE_LIMIT].value, 0.125, 1e-9, "its own one counts");
}

Test(stats_pressure, nonsense_is_not_known)
{
    put("/g/memory.max", "-7\n");
    put("/g/memory.current", "many\n");
    put("/g/memory.pressure", "some avg10=nan avg60=-3 total\nfull avg10=900\n");
    look("0::/g\n:::\n0:\n\n");
    cr_assert(isnan(seen.limit_bytes));
    cr_assert(isnan(seen.some_60));
    cr_assert(isnan(seen.full_10));
    cr_assert(isnan(combine(MIB, 0, 0).part[MP_PRESSURE_LIMIT].value));
}

/* ---- many processes ---- */

static uint64_t reads_of(struct mp_pressure_groups *g, const char *text)
{
    uint64_t before = g->reads;

    cr_assert_neq(groups_read(g, text, &seen), 0);
    return g->reads - before;
}

Test(stats_pressure, a_group_is_read_once_a_round)
{
    struct mp_pressure_groups g;

    put("/pods/a/memory.max", "1000\n");
    put("/pods/a/memory.current", "300\n");
    put("/pods/a/memory.pressure", "some avg10=1.00 avg60=0.00\nfull avg10=0.00\n");
    put("/pods/memory.max", "2000\n");
    put("/pods/memory.current", "1800\n");
    begin(&g);
    cr_assert_gt(reads_of(&g, "0::/pods/a\n"), 4);
    cr_assert_eq(seen.used_bytes, 1800);
    cr_assert_eq(
        reads_of(&g, "0::/pods/a\n"), 0, "a second process in it costs nothing");
    cr_assert_eq(seen.used_bytes, 1800);
    cr_assert_float_eq(seen.some_10, 0.01, 1e-9);
    put("/pods/memory.current", "100\n");
    put("/pods/a/memory.pressure", "some avg10=2.00 avg60=0.00\nfull avg10=0.00\n");
    mp_pressure_groups_next(&g);
    /* Stalls, what is used of the two with a limit, and what of that can go. */
    cr_assert_eq(reads_of(&g, "0::/pods/a\n"), 5, "limits are not read each time");
    cr_assert_eq(seen.limit_bytes, 1000);
    cr_assert_eq(seen.used_bytes, 300);
    cr_assert_float_eq(seen.some_10, 0.02, 1e-9);
    groups_fini(&g);
}

Test(stats_pressure, groups_above_are_shared)
{
    struct mp_pressure_groups g;
    uint64_t first;
    uint64_t second;

    put("/pods/memory.max", "2000\n");
    put("/pods/memory.current", "500\n");
    put("/pods/a/memory.max", "max\n");
    put("/pods/b/memory.max", "1000\n");
    put("/pods/b/memory.current", "900\n");
    begin(&g);
    first = reads_of(&g, "0::/pods/a\n");
    cr_assert_eq(seen.limit_bytes, 2000);
    second = reads_of(&g, "0::/pods/b\n");
    cr_assert_eq(seen.limit_bytes, 1000);
    cr_assert_lt(second, first, "%llu after %llu", (unsigned long long)second,
        (unsigned long long)first);
    reads_of(&g, "0::/pods/a\n");
    cr_assert_eq(seen.limit_bytes, 2000, "each has its own figures");
    groups_fini(&g);
}

Test(stats_pressure, a_limit_that_is_set_later_is_seen)
{
    struct mp_pressure_groups g;

    put("/g/memory.max", "max\n");
    put("/g/memory.current", "100\n");
    begin(&g);
    reads_of(&g, "0::/g\n");
    cr_assert(isnan(seen.limit_bytes));
    cr_assert(isnan(seen.some_10));
    put("/g/memory.max", "400\n");
    put("/g/memory.pressure", "some avg10=3.00 avg60=0.00\nfull avg10=0.00\n");
    g.past_ms = 10000; /* as if so much time went by */
    mp_pressure_groups_next(&g);
    reads_of(&g, "0::/g\n");
    cr_assert_eq(seen.limit_bytes, 400);
    cr_assert_eq(seen.used_bytes, 100);
    cr_assert_float_eq(seen.some_10, 0.03, 1e-9);
    groups_fini(&g);
}

Test(stats_pressure, groups_that_are_gone_are_forgotten)
{
    struct mp_pressure_groups g;

    begin(&g);
    for (unsigned i = 0; i < 1000; i++) {
        char text[64];

        snprintf(text, sizeof(text), "0::/pods/p%u\n", i);
        reads_of(&g, text);
    }
    cr_assert_gt(g.count, 1000);
    mp_pressure_groups_next(&g);
    cr_assert_gt(g.count, 1000);
    g.past_ms = 61000; /* as if so much time went by */
    mp_pressure_groups_next(&g);
    cr_assert_eq(g.count, 0);
    groups_fini(&g);
}

Test(stats_pressure, a_process_is_asked_once_where_it_is)
{
    struct mp_pressure_groups g;
    struct pressure_read again;
    uint64_t group = 0;
    uint64_t reads;

    begin(&g);
    groups_read_process(&g, (uint64_t)getpid(), &group, &seen);
    cr_assert_neq(group, 0);
    reads = g.reads;
    groups_read_process(&g, (uint64_t)getpid(), &group, &again);
    cr_assert_eq(g.reads, reads);
    cr_assert_eq(memcmp(&again.some_10, &seen.some_10, sizeof(seen.some_10)), 0);
    cr_assert_eq(again.is_machine, seen.is_machine);
    group = 12345;
    groups_read_process(&g, (uint64_t)getpid(), &group, &again);
    cr_assert_eq(g.reads, reads + 1, "a number that is not known any more");
    groups_fini(&g);
}
