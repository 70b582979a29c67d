/* Damaged files: -EBADMSG, with one line that names the file and what is wrong in it. */
#include "make_region.h"
#include "records.h"

#include <mpstats.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_line(const struct mp_error *error, const char *word)
{
    cr_assert_not_null(
        strstr(error->text, word), "\"%s\" is not in: %s", word, error->text);
    cr_assert_null(strchr(error->text, '\n'));
}

static void expect_bad_fd(int fd, const char *word)
{
    struct mp_error error = {{0}};
    mp_image_t *image = (mp_image_t *)&error;
    int code = mp_image_read(fd, "made.mp", &image, &error);

    cr_assert_eq(code, -EBADMSG, "%d, not -EBADMSG, for: %s", code, word);
    cr_assert_null(image);
    expect_line(&error, "made.mp: ");
    expect_line(&error, word);
    cr_assert_eq(mp_image_read(fd, "made.mp", &image, NULL), -EBADMSG);
}

static void expect_bad(struct made *m, const char *word)
{
    int fd = made_memfd(m);

    expect_bad_fd(fd, word);
    close(fd);
    make_region_free(m);
}

static struct made small(void)
{
    struct made m;

    make_region(&m, &make_small);
    return m;
}

/* ---- the header ---- */

Test(stats_damage, an_empty_file)
{
    int fd = memfd_create("made", MFD_CLOEXEC);

    expect_bad_fd(fd, "truncated");
    close(fd);
}

Test(stats_damage, a_file_cut_anywhere)
{
    struct made m = small();
    int fd = made_memfd(&m);

    for (size_t bytes = m.bytes - 1; bytes > 0; bytes -= bytes > 1024 ? 509 : 1) {
        cr_assert_eq(ftruncate(fd, (off_t)bytes), 0);
        expect_bad_fd(fd, "");
    }
    close(fd);
    fd = made_memfd(&m);
    cr_assert_eq(ftruncate(fd, 4096), 0);
    expect_bad_fd(fd, "truncated: it should have 155648 bytes and has 4096");
    cr_assert_eq(ftruncate(fd, 20), 0);
    expect_bad_fd(fd, "truncated: 20 bytes are no region");
    close(fd);
    make_region_free(&m);
}

Test(stats_damage, another_magic)
{
    struct made m = small();

    made_header(&m)->magic ^= 1ull << 40;
    expect_bad(&m, "is no region, dump or core file");
}

Test(stats_damage, no_magic_yet)
{
    struct made m = small();

    made_header(&m)->magic = 0;
    expect_bad(&m, "unfinished");
}

Test(stats_damage, another_version)
{
    struct made m = small();

    made_header(&m)->version = 2;
    expect_bad(&m, "has format version 2, this mpalloc reads version 1");
    m = small();
    made_header(&m)->version = 0;
    expect_bad(&m, "version 0");
}

Test(stats_damage, too_many_sections)
{
    struct made m = small();

    made_header(&m)->section_count = MP_REGION_SECTIONS_MAX + 1;
    expect_bad(&m, "33 sections, at most 32");
    m = small();
    made_header(&m)->section_count = UINT32_MAX;
    expect_bad(&m, "4294967295 sections");
}

Test(stats_damage, a_header_too_short_or_too_long)
{
    struct made m = small();

    made_header(&m)->header_bytes = 32 + 16 * 32 - 1;
    expect_bad(&m, "a header of 543 bytes");
    m = small();
    made_header(&m)->header_bytes = UINT32_MAX;
    expect_bad(&m, "a header of 4294967295 bytes");
}

Test(stats_damage, a_region_larger_than_its_file)
{
    struct made m = small();

    made_header(&m)->region_bytes++;
    expect_bad(&m, "truncated: it should have 155649 bytes and has 155648");
    m = small();
    made_header(&m)->region_bytes = UINT64_MAX;
    expect_bad(&m, "truncated");
    m = small();
    made_header(&m)->region_bytes = 0;
    expect_bad(&m, "ends behind the region");
}

/* ---- the sections, each of them ---- */

static const struct {
    enum mp_region_section_id id;
    const char *name;
} sections[] = {{MP_SECTION_PROCESS, "\"process\""}, {MP_SECTION_TOTALS, "\"totals\""},
    {MP_SECTION_CLASSES, "\"classes\""}, {MP_SECTION_COMPONENTS, "\"components\""},
    {MP_SECTION_COUNTERS, "\"counters\""}, {MP_SECTION_TIMELINE_1S, "\"timeline 1s\""},
    {MP_SECTION_TIMELINE_1M, "\"timeline 1m\""},
    {MP_SECTION_TIMELINE_10M, "\"timeline 10m\""}, {MP_SECTION_MODULES, "\"modules\""},
    {MP_SECTION_MAILBOX, "\"mailbox\""}, {MP_SECTION_OPTIONS, "\"options\""},
    {MP_SECTION_SAMPLING, "\"sampling\""}, {MP_SECTION_FRAMES, "\"frames\""},
    {MP_SECTION_SITES, "\"sites\""}, {MP_SECTION_SAMPLES, "\"samples\""},
    {MP_SECTION_NAMES, "\"names\""}, {MP_SECTION_EPOCHS, "\"epochs\""},
    {MP_SECTION_SITE_EPOCHS, "\"site epochs\""}, {MP_SECTION_MARKS, "\"marks\""},
    {MP_SECTION_LEAKS, "\"leaks\""}, {MP_SECTION_LEAK_CELLS, "\"leak cells\""},
    {MP_SECTION_LEAK_SITES, "\"leak sites\""}, {MP_SECTION_POOLS, "\"pools\""},
    {MP_SECTION_USER, "\"user counters\""}, {MP_SECTION_LIMITS, "\"limits\""}};
enum { SECTIONS = sizeof(sections) / sizeof(sections[0]) };

/* For each section: set a member of its entry, and expect both words in the line. */
#define EXPECT_BAD_SECTIONS(member, value, what)                                       \
    for (size_t i = 0; i < SECTIONS; i++) {                                            \
        struct made m = small();                                                       \
        struct mp_region_section *c = made_section(&m, sections[i].id);                \
        int fd;                                                                        \
                                                                                       \
        c->member = (value);                                                           \
        fd = made_memfd(&m);                                                           \
        expect_bad_fd(fd, (what));                                                     \
        expect_bad_fd(fd, sections[i].name);                                           \
        close(fd);                                                                     \
        make_region_free(&m);                                                          \
    }

Test(stats_damage, sections_of_another_version){
    EXPECT_BAD_SECTIONS(version, 2, "has the unknown version 2")}

Test(stats_damage, sections_that_start_where_none_can){
    EXPECT_BAD_SECTIONS(offset, 0, "starts at the impossible offset 0")
        EXPECT_BAD_SECTIONS(offset, c->offset + 8, "starts at the impossible offset")}

Test(stats_damage, sections_outside_the_file){
    EXPECT_BAD_SECTIONS(offset, m.bytes, "ends behind the region") EXPECT_BAD_SECTIONS(
        offset, 1ull << 40, "ends behind the region") EXPECT_BAD_SECTIONS(offset,
        UINT64_MAX - 4095, "ends behind the region, it starts at 18446744073709547520")
        EXPECT_BAD_SECTIONS(count, 1 << 20, "ends behind the region")}

Test(stats_damage, sections_with_an_impossible_stride){
    EXPECT_BAD_SECTIONS(stride, 0, "has the impossible stride 0") EXPECT_BAD_SECTIONS(
        stride, c->stride - 8, "has the impossible stride") EXPECT_BAD_SECTIONS(stride,
        c->stride + 1, "has the impossible stride")
        EXPECT_BAD_SECTIONS(stride, 65544, "has the impossible stride 65544")
            EXPECT_BAD_SECTIONS(stride, UINT64_MAX - 7, "has the impossible stride")}

Test(stats_damage, sections_with_an_impossible_count){
    EXPECT_BAD_SECTIONS(count, (1 << 24) + 1, "has the impossible count 16777217")
        EXPECT_BAD_SECTIONS(count, UINT64_MAX, "has the impossible count")}

Test(stats_damage, sections_that_overlap)
{
    for (size_t i = 1; i < SECTIONS; i++) { /* each on top of the one before it */
        struct made m = small();
        struct mp_region_section *c = made_section(&m, sections[i].id);
        char line[128];

        c->offset = c[-1].offset;
        snprintf(line, sizeof(line), "section %s overlaps another, at offset %llu",
            sections[i].name, (unsigned long long)c->offset);
        expect_bad(&m, line);
    }
}

Test(stats_damage, sections_that_are_there_twice)
{
    for (size_t i = 0; i < SECTIONS; i++) {
        struct made m = small();
        struct mp_region_header *h = made_header(&m);

        h->sections[h->section_count++] = *made_section(&m, sections[i].id);
        expect_bad(&m, "is there twice");
    }
}

Test(stats_damage, required_sections_missing_or_empty)
{
    struct made m = small();

    made_remove(&m, MP_SECTION_PROCESS);
    expect_bad(&m, "section \"process\" is missing");
    m = small();
    made_remove(&m, MP_SECTION_TOTALS);
    expect_bad(&m, "section \"totals\" is missing");
    m = small();
    made_section(&m, MP_SECTION_TOTALS)->count = 0;
    expect_bad(&m, "section \"totals\" is empty");
    m = small();
    made_header(&m)->section_count = 0;
    expect_bad(&m, "is missing");
}

/* ---- counts against room ---- */

Test(stats_damage, more_records_than_there_is_room_for)
{
    struct made m = small();
    struct mp_region_totals *t = made_record(&m, MP_SECTION_TOTALS, 0);

    t->component_count = 9;
    expect_bad(&m, "9 components where there is room for 8");
    m = small();
    t = made_record(&m, MP_SECTION_TOTALS, 0);
    t->module_count = UINT64_MAX;
    expect_bad(&m, "18446744073709551615 modules where there is room for 3");
    m = small();
    t = made_record(&m, MP_SECTION_TOTALS, 0);
    t->option_count = 5;
    expect_bad(&m, "5 options where there is room for 4");
    m = small();
    made_remove(&m, MP_SECTION_COMPONENTS);
    expect_bad(&m, "6 components where there is room for 0");
}

Test(stats_damage, a_process_number_that_nobody_can_have)
{
    struct made m = small();
    struct mp_region_process *p = made_record(&m, MP_SECTION_PROCESS, 0);

    p->pid = 0;
    expect_bad(&m, "process number 0");
    m = small();
    p = made_record(&m, MP_SECTION_PROCESS, 0);
    p->pid = 1ull << 31;
    expect_bad(&m, "process number 2147483648");
}

static uint64_t heap_high_kilobytes(void)
{
    char line[256];
    uint64_t value = 0;
    FILE *f = fopen("/proc/self/status", "re");

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            value = strtoull(line + 6, NULL, 10);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return value;
}

/* A file of a few pages may claim sections of gigabytes: all of it holes. */
Test(stats_damage, huge_sparse_sections_take_at_most_104_MiB_in_all)
{
    struct made m = small();
    struct mp_region_header *h = made_header(&m);
    struct mp_region_totals *t = made_record(&m, MP_SECTION_TOTALS, 0);
    uint64_t at = 1 << 20;
    uint64_t before;
    mp_image_t *image = NULL;
    int code;
    int fd;

    for (size_t i = 2; i < SECTIONS; i++) {
        struct mp_region_section *c = made_section(&m, sections[i].id);

        c->stride = 65536;
        c->count = 1000;
        c->offset = at;
        at += c->stride * c->count;
    }
    h->region_bytes = at;
    t->component_count = t->module_count = t->option_count = 1000;
    for (unsigned tier = 0; tier < MP_REGION_TIMELINE_TIERS; tier++) {
        t->timeline_total[tier] = 1000;
    }
    fd = made_memfd(&m);
    cr_assert_eq(ftruncate(fd, (off_t)at), 0);
    before = heap_high_kilobytes();
    code = mp_image_read(fd, "made.mp", &image, NULL);
    cr_assert(code == 0 || code == -EBADMSG);
    cr_assert_lt(heap_high_kilobytes() - before, 112 << 10, "104 MiB and something");
    mp_image_free(image);
    close(fd);
    make_region_free(&m);
}

/* ---- files that are none, or not ours ---- */

static char directory[] = "/tmp/mpstats-XXXXXX";
static char path[256];

static void make_directory(void)
{
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/1-1.mp", directory);
}

static void remove_directory(void)
{
    unlink(path);
    rmdir(path);
    rmdir(directory);
}

static void expect_refused(const char *from, int expected, const char *word)
{
    struct mp_error error = {{0}};
    mp_image_t *image = (mp_image_t *)&error;
    int code = mp_image_open(from, &image, &error);

    cr_assert_eq(code, expected, "%d: %s", code, error.text);
    cr_assert_null(image);
    expect_line(&error, directory);
    expect_line(&error, word);
}

TestSuite(stats_file, .init = make_directory, .fini = remove_directory);

Test(stats_file, that_is_not_there)
{
    expect_refused(path, -ENOENT, "No such file");
}

Test(stats_file, that_is_a_link)
{
    char target[300];
    char around[300];
    struct made m = small();

    snprintf(target, sizeof(target), "%s/2-1.mp", directory);
    made_save(&m, target);
    cr_assert_eq(symlink(target, path), 0);
    expect_refused(path, -EACCES, "is a symbolic link");
    /* only /proc/PID/fd/N itself is a link that may be followed */
    snprintf(around, sizeof(around), "%s/fd", directory);
    cr_assert_eq(mkdir(around, 0700), 0);
    snprintf(around, sizeof(around), "%s/fd/1", directory);
    cr_assert_eq(symlink(target, around), 0);
    snprintf(around, sizeof(around), "/proc/self/root%s/fd/1", directory);
    expect_refused(around, -EACCES, "is a symbolic link");
    snprintf(around, sizeof(around), "%s/fd/1", directory);
    unlink(around);
    snprintf(around, sizeof(around), "%s/fd", directory);
    rmdir(around);
    unlink(target);
    make_region_free(&m);
}

Test(stats_file, that_is_a_fifo)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_refused(path, -EBADMSG, "is not a regular file"); /* and does not wait */
}

Test(stats_file, that_is_a_directory)
{
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_refused(path, -EBADMSG, "is not a regular file");
}

Test(stats_file, that_is_a_device)
{
    mp_image_t *image;

    cr_assert_eq(mp_image_open("/dev/null", &image, NULL), -EBADMSG);
    cr_assert_eq(mp_image_open("/dev/zero", &image, NULL), -EBADMSG);
}

Test(stats_file, that_belongs_to_somebody_else)
{
    struct made m = small();
    int status = 0;
    pid_t child;

    if (geteuid() != 0) {
        remove_directory(); /* no .fini after a skip */
        cr_skip_test("only root can make one");
    }
    made_save(&m, path);
    make_region_free(&m);
    cr_assert_eq(chmod(path, 0644), 0);
    cr_assert_eq(chmod(directory, 0755), 0);
    cr_assert_eq(chown(path, 12345, 12345), 0);
    child = fork();
    if (child == 0) {
        struct mp_error error = {{0}};
        mp_image_t *image = NULL;
        int code;

        if (setresuid(54321, 54321, 54321) != 0) {
            _exit(2);
        }
        code = mp_image_open(path, &image, &error);
        _exit(code == -EPERM && image == NULL && strstr(error.text, "12345") != NULL
                  ? 0
                  : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
}

Test(stats_file, that_belongs_to_somebody_else_is_read_by_root)
{
    struct made m = small();
    mp_image_t *image = NULL;

    if (geteuid() != 0) {
        remove_directory(); /* no .fini after a skip */
        cr_skip_test("only root may");
    }
    made_save(&m, path);
    make_region_free(&m);
    cr_assert_eq(chown(path, 12345, 12345), 0);
    cr_assert_eq(mp_image_open(path, &image, NULL), 0);
    mp_image_free(image);
}

Test(stats_file, with_a_name_that_is_not_fit_to_print)
{
    struct mp_error error = {{0}};
    mp_image_t *image;

    cr_assert_eq(mp_image_open("/tmp/\33[31mno\nsuch", &image, &error), -ENOENT);
    expect_line(&error, "/tmp/\\x1b[31mno\\x0asuch: ");
}

/* ---- sections that are mostly empty ---- */

/* Of `used` records in use, so many copied. */
static void copy_used(size_t used, size_t most, size_t expected)
{
    enum { RECORDS = 1000 };
    uint64_t records[RECORDS][2] = {{0}};
    struct mp_region_section section = {.stride = sizeof(records[0]), .count = RECORDS};
    struct mp_image *image = calloc(1, sizeof(*image));
    int fd = memfd_create("records", MFD_CLOEXEC);
    size_t count = most;
    struct source s;
    uint64_t(*all)[2];
    int code = 1;

    for (size_t i = 0; i < used; i++) {
        records[i][1] = i + 1;
    }
    cr_assert_eq(write(fd, records, sizeof(records)), (ssize_t)sizeof(records));
    cr_assert_eq(source_init(&s, fd, "records", NULL), 0);
    all = records_copy_used(
        image, &s, &section, &count, sizeof(records[0]), sizeof(uint64_t), &code, NULL);
    cr_assert_eq(code, 0);
    cr_assert_eq(count, expected, "%zu of %zu: %zu", used, most, count);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(all[i][1], i < used ? i + 1 : 0);
    }
    cr_assert_eq(image->copied_bytes, count * sizeof(records[0]), "no more is counted");
    free(all);
    free(image);
    close(fd);
}

Test(stats_damage, a_section_is_copied_as_far_as_it_is_in_use)
{
    copy_used(0, 1000, 16);
    copy_used(15, 1000, 16);
    copy_used(16, 1000, 128);
    copy_used(200, 1000, 1000);
    copy_used(1000, 1000, 1000);
    copy_used(1000, 130, 130);
    copy_used(3, 10, 10);
    copy_used(0, 0, 0);
}
