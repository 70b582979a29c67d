/* Which regions there are, by process and by name. */
#include "make_region.h"

#include <mpstats.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];
static struct mp_error error;

/* Above the largest number that a process may have: nobody is that. */
enum { NOBODY = 4194305 };

static void make_directory(void)
{
    strcpy(directory, "/tmp/mpstats-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    setenv("MPALLOC_DIR", directory, 1);
}

static void remove_directory(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(stats_find, .init = make_directory, .fini = remove_directory);

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void save(const char *name, uint64_t pid, const char *service)
{
    struct mp_region_process *p;
    struct made m;

    make_region(&m, &make_small);
    p = made_record(&m, MP_SECTION_PROCESS, 0);
    p->pid = pid;
    memset(p->service, 0, sizeof(p->service));
    memcpy(p->service, service, strlen(service));
    made_save(&m, path_of(name));
    make_region_free(&m);
}

/* The region of this process, mapped by it. */
static void save_own(const char *name, const char *service)
{
    struct mp_region_process *p;
    struct made m;
    int fd;

    make_region(&m, &make_small);
    made_adopt(&m);
    p = made_record(&m, MP_SECTION_PROCESS, 0);
    strcpy(p->service, service);
    made_save(&m, path_of(name));
    fd = open(path_of(name), O_RDWR | O_CLOEXEC);
    cr_assert_neq(mmap(NULL, m.bytes, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
    close(fd);
    make_region_free(&m);
}

static void touch(const char *name)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    cr_assert_geq(fd, 0);
    close(fd);
}

/* ---- directories ---- */

Test(stats_find, the_directory_is_that_of_the_environment)
{
    char path[128];

    cr_assert_eq(mp_find_directory(7, path, sizeof(path)), 0);
    cr_assert_str_eq(path, directory);
    cr_assert_eq(mp_find_directory(7, path, strlen(directory)), -ENAMETOOLONG);
    unsetenv("MPALLOC_DIR");
    cr_assert_eq(mp_find_directory(7, path, sizeof(path)), 0);
    cr_assert_str_eq(path, "/dev/shm/mpalloc-7");
    setenv("MPALLOC_DIR", "", 1);
    cr_assert_eq(mp_find_directory(7, path, sizeof(path)), 0);
    cr_assert_str_eq(path, "/dev/shm/mpalloc-7");
}

Test(stats_find, only_names_of_regions_are_listed_and_sorted_by_number)
{
    static const char *const others[] = {"x.mp", "1.mp", "1-.mp", "-1.mp", "1-2.mp~",
        "1-2.mpx", "1-2", ".mp", "12-3 .mp", "+1-2.mp", " 1-2.mp", "1--2.mp"};
    struct mp_paths paths;
    char expected[256];

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        touch(others[i]);
    }
    touch("100-5.mp");
    touch("9-77.mp");
    touch("9-8.mp");
    cr_assert_eq(mp_find_all(NULL, false, &paths, &error), 0, "%s", error.text);
    cr_assert_eq(paths.count, 3);
    snprintf(expected, sizeof(expected), "%s/9-8.mp", directory);
    cr_assert_str_eq(paths.path[0], expected);
    snprintf(expected, sizeof(expected), "%s/9-77.mp", directory);
    cr_assert_str_eq(paths.path[1], expected);
    snprintf(expected, sizeof(expected), "%s/100-5.mp", directory);
    cr_assert_str_eq(paths.path[2], expected);
    mp_paths_free(&paths);
    cr_assert_eq(paths.count, 0);
    cr_assert_null((void *)paths.path);
}

Test(stats_find, many_regions_are_all_listed)
{
    struct mp_paths paths;

    for (unsigned i = 1; i <= 300; i++) {
        char name[32];

        snprintf(name, sizeof(name), "%u-1.mp", i);
        touch(name);
    }
    cr_assert_eq(mp_find_all(directory, false, &paths, &error), 0);
    cr_assert_eq(paths.count, 300);
    mp_paths_free(&paths);
}

Test(stats_find, a_directory_that_is_not_there_is_empty)
{
    struct mp_paths paths;

    cr_assert_eq(mp_find_all("/tmp/mpstats-none", false, &paths, &error), 0);
    cr_assert_eq(paths.count, 0);
    mp_paths_free(&paths);
}

Test(stats_find, a_directory_that_is_none_is_an_error)
{
    struct mp_paths paths;

    touch("file");
    cr_assert_eq(mp_find_all(path_of("file"), false, &paths, &error), -ENOTDIR);
    cr_assert_not_null(strstr(error.text, "cannot be listed"));
    mp_paths_free(&paths);
}

/* ---- by process ---- */

Test(stats_find, of_a_dead_process_the_youngest)
{
    char path[256];

    save("4194305-99.mp", NOBODY, "a");
    save("4194305-100.mp", NOBODY, "b");
    save("41943050-500.mp", 41943050, "c");
    cr_assert_eq(mp_find_pid(NOBODY, path, sizeof(path), &error), 0, "%s", error.text);
    cr_assert_str_eq(path, path_of("4194305-100.mp"));
    cr_assert_eq(mp_find_pid(NOBODY, path, 10, &error), -ENAMETOOLONG);
}

Test(stats_find, of_a_process_that_never_was_nothing)
{
    char path[256];

    cr_assert_eq(mp_find_pid(NOBODY, path, sizeof(path), &error), -ESRCH);
    cr_assert_not_null(strstr(error.text, "process 4194305: does not exist"));
    cr_assert_eq(mp_find_pid(UINT64_MAX, path, sizeof(path), &error), -ESRCH);
}

Test(stats_find, of_a_process_without_mpalloc_says_so)
{
    char path[256];

    cr_assert_eq(mp_find_pid((uint64_t)getpid(), path, sizeof(path), &error), -ENOENT);
    cr_assert_not_null(strstr(error.text, "runs, but without mpalloc"));
}

Test(stats_find, of_a_live_process_wherever_it_is)
{
    char name[64];
    char path[256];

    snprintf(name, sizeof(name), "%d-3.mp", (int)getpid());
    save_own(name, "me");
    setenv("MPALLOC_DIR", "/tmp/mpstats-none", 1);
    cr_assert_eq(mp_find_pid((uint64_t)getpid(), path, sizeof(path), &error), 0, "%s",
        error.text);
    cr_assert_str_eq(path, path_of(name));
}

Test(stats_find, of_a_process_with_a_memfd)
{
    char path[256];
    struct mp_paths paths;
    bool listed = false;
    mp_image_t *image = NULL;
    struct made m;
    int from;
    int fd;

    make_region(&m, &make_small);
    made_adopt(&m);
    from = made_memfd(&m);
    fd = memfd_create("mpalloc", MFD_CLOEXEC);
    cr_assert_eq(write(fd, m.data, m.bytes), (ssize_t)m.bytes);
    close(from);
    make_region_free(&m);
    cr_assert_eq(mp_find_pid((uint64_t)getpid(), path, sizeof(path), &error), 0, "%s",
        error.text);
    cr_assert_eq(strncmp(path, "/proc/", 6), 0);
    cr_assert_eq(mp_image_open(path, &image, &error), 0, "%s", error.text);
    cr_assert_eq(mp_image_process(image)->pid, (uint64_t)getpid());
    mp_image_free(image);
    cr_assert_eq(mp_find_all(NULL, true, &paths, &error), 0);
    for (size_t i = 0; i < paths.count; i++) {
        listed |= strcmp(paths.path[i], path) == 0;
    }
    cr_assert(listed);
    mp_paths_free(&paths);
    close(fd);
}

/* ---- by name ---- */

Test(stats_find, by_name_the_only_one)
{
    char path[256];

    save("4194305-1.mp", NOBODY, "one");
    save("4194306-1.mp", NOBODY + 1, "two");
    touch("4194307-1.mp"); /* a damaged one is no matter */
    cr_assert_eq(mp_find_name("two", path, sizeof(path), &error), 0, "%s", error.text);
    cr_assert_str_eq(path, path_of("4194306-1.mp"));
    cr_assert_eq(mp_find_name("two", path, 10, &error), -ENAMETOOLONG);
}

Test(stats_find, by_name_the_only_one_that_runs)
{
    char path[256];
    char name[64];

    snprintf(name, sizeof(name), "%d-3.mp", (int)getpid());
    save("1-1.mp", NOBODY, "web");
    save_own(name, "web");
    save("4194399-1.mp", NOBODY + 1, "web");
    cr_assert_eq(mp_find_name("web", path, sizeof(path), &error), 0, "%s", error.text);
    cr_assert_str_eq(path, path_of(name));
}

Test(stats_find, by_name_not_one_of_several)
{
    char path[256];

    save("4194305-1.mp", NOBODY, "web");
    save("4194306-1.mp", NOBODY + 1, "web");
    cr_assert_eq(mp_find_name("web", path, sizeof(path), &error), -ENOTUNIQ);
    cr_assert_not_null(
        strstr(error.text, "\"web\" names 2 processes, 0 of them running"));
}

Test(stats_find, by_name_nobody)
{
    char path[256];

    cr_assert_eq(mp_find_name("no\nbody", path, sizeof(path), &error), -ENOENT);
    cr_assert_not_null(strstr(error.text, "no process is named \"no\\x0abody\""));
}

/* ---- the mailbox ---- */

Test(stats_find, a_trim_is_not_asked_of_the_dead)
{
    uint64_t bytes = 1;

    save("4194305-1.mp", NOBODY, "web");
    cr_assert_eq(mp_trim_request(path_of("4194305-1.mp"), 10, &bytes, &error), -ESRCH);
    cr_assert_eq(bytes, 0);
    cr_assert_not_null(strstr(error.text, "runs no more (died)"));
}

Test(stats_find, a_trim_is_signed_and_waited_for)
{
    struct mp_region_mailbox box;
    mp_image_t *image = NULL;
    uint64_t bytes = 1;
    uint64_t key;
    uint64_t first;
    struct made m;
    char name[64];
    off_t at;
    int fd;

    make_region(&m, &make_small);
    at = (off_t)made_section(&m, MP_SECTION_MAILBOX)->offset;
    make_region_free(&m);
    snprintf(name, sizeof(name), "%d-3.mp", (int)getpid());
    save_own(name, "me");
    cr_assert_eq(mp_trim_request(path_of(name), 30, &bytes, &error), -ETIMEDOUT);
    cr_assert_eq(bytes, 0);
    cr_assert_eq(mp_image_open(path_of(name), &image, &error), 0);
    memcpy(&key, mp_image_process(image)->run_id, sizeof(key));
    mp_image_free(image);
    fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
    cr_assert_eq(pread(fd, &box, sizeof(box), at), sizeof(box));
    cr_assert_eq(box.request & 0xff, MP_OPERATION_TRIM);
    cr_assert_eq(box.check, (box.request * 0x9e3779b97f4a7c15u) ^ box.argument ^ key);
    first = box.request;
    cr_assert_eq(mp_trim_request(path_of(name), 1, &bytes, &error), -ETIMEDOUT);
    cr_assert_eq(pread(fd, &box, sizeof(box), at), sizeof(box));
    cr_assert_gt(box.request >> 8, first >> 8, "serial numbers grow");
    close(fd);
}

Test(stats_find, a_target_is_a_number_a_file_or_a_name)
{
    mp_image_t *image = NULL;
    char path[256];
    char here[256];

    save("4194305-1.mp", NOBODY, "web");
    cr_assert_eq(mp_find_target("4194305", path, sizeof(path), &error), 0);
    cr_assert_str_eq(path, path_of("4194305-1.mp"));
    cr_assert_eq(mp_find_target("web", path, sizeof(path), &error), 0);
    cr_assert_str_eq(path, path_of("4194305-1.mp"));
    cr_assert_eq(mp_find_target(path_of("none.mp"), path, sizeof(path), &error), 0);
    cr_assert_str_eq(path, path_of("none.mp"), "nobody looked");
    cr_assert_eq(mp_find_target("/a", path, 2, &error), -ENAMETOOLONG);
    cr_assert_eq(mp_find_target("", path, sizeof(path), &error), -EINVAL);
    cr_assert_eq(mp_find_target("nobody", path, sizeof(path), &error), -ENOENT);
    cr_assert_not_null(strstr(error.text, "\"nobody\""));

    /* In the folder of the program: its file is not meant, one that nobody is named after is. */
    cr_assert_not_null(getcwd(here, sizeof(here)));
    cr_assert_eq(chdir(directory), 0);
    for (unsigned i = 0; i < 2; i++) {
        int fd = open(i == 0 ? "web" : "other", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        cr_assert_eq(write(fd, "\177ELF, or so", 12), 12);
        close(fd);
    }
    cr_assert_eq(mp_find_target("web", path, sizeof(path), &error), 0);
    cr_assert_str_eq(path, path_of("4194305-1.mp"));
    cr_assert_eq(mp_find_target("other", path, sizeof(path), &error), 0);
    cr_assert_str_eq(path, "other");
    cr_assert_eq(rename("4194305-1.mp", "region"), 0);
    cr_assert_eq(mp_find_target("region", path, sizeof(path), &error), 0);
    cr_assert_str_eq(path, "region");
    cr_assert_eq(rename("region", "4194305-1.mp"), 0);
    cr_assert(unlink("web") == 0 && unlink("other") == 0);
    cr_assert_eq(chdir(here), 0);

    cr_assert_eq(mp_attach("web", &image, &error), 0);
    cr_assert_eq(mp_image_process(image)->pid, NOBODY);
    mp_image_free(image);
    cr_assert_eq(mp_attach(path_of("none.mp"), &image, &error), -ENOENT);
    cr_assert_null(image);
    cr_assert_eq(mp_attach("4194306", &image, NULL), -ESRCH);
    cr_assert_null(image);
}
