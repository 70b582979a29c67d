/*
 * verb_doctor - mpalloc doctor: what would hinder mpalloc here, in a program, or does
 * hinder it in a process
 */
#include "bound.h"
#include "cli.h"
#include "doctor.h"
#include "document.h"
#include "elffile.h"
#include "format.h"
#include "preload.h"
#include "push/push_http.h"
#include "view.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

const char help_doctor[] =
    "Checks the library, the directory of the regions, limits "
    "and the environment; with a\n"
    "PROGRAM whether it can be preloaded; with a PID whether "
    "mpalloc is its allocator, and\n"
    "why not. Exit code 1 when something is wrong, 4 when there "
    "is no such process or program\n"
    "or it is not on mpalloc. Without a word also whether mpalloc serve is "
    "here,\n"
    "answers, and sees "
    "what runs.\n"
    "\n"
    "  --serve URL       it has to be there, and only that is "
    "looked at\n"
    "  --token-file FILE what it asks for: the first line of "
    "FILE\n"
    "  --config FILE     as of mpalloc serve\n"
    "  --json            schema tools/schemas/doctor.json\n"
    "\n"
    "Examples:\n"
    "  mpalloc doctor\n"
    "  mpalloc doctor /usr/bin/redis-server\n"
    "  mpalloc doctor 4711\n"
    "  mpalloc doctor --serve http://127.0.0.1:9202\n";

void doctor_say(struct findings *f, enum doctor_verdict verdict, const char *name,
    const char *format, ...)
{
    static const char *const words[] = {"ok", "warn", "fail"};
    static const enum style styles[] = {STYLE_GREEN, STYLE_YELLOW, STYLE_RED};
    char raw[1024];
    char text[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(raw, sizeof(raw), format, args);
    va_end(args);
    mp_text_escape(text, sizeof(text), raw, sizeof(raw));
    f->bad += verdict == DOCTOR_BAD;
    if (f->checks != NULL) {
        json_t *o = json_object();

        document_set_text(o, "name", name);
        document_set_text(o, "status", words[verdict]);
        document_set_text(o, "text", raw);
        json_array_append_new(f->checks, o);
        return;
    }
    printf("%s%-4s%s  %-11s %s\n", format_begin(styles[verdict]), words[verdict],
        format_end(), name, text);
}

/* ---- here ---- */

static void check_library(struct findings *f)
{
    char path[PATH_MAX];

    if (preload_find_library(path, sizeof(path)) != 0) {
        doctor_say(f, DOCTOR_BAD, "library",
            "%s does not exist: install mpalloc, or set MPALLOC_LIBRARY", path);
        return;
    }
    doctor_say(f, DOCTOR_GOOD, "library", "%s", path);
}

/* Where regions go: what the library would refuse is said here. */
static void check_directory(struct findings *f, uint64_t uid, const char *given)
{
    char path[PATH_MAX];
    struct stat st;
    struct statvfs space;

    if (given != NULL) {
        snprintf(path, sizeof(path), "%s", given);
    } else if (mp_find_directory(uid, path, sizeof(path)) != 0) {
        doctor_say(f, DOCTOR_BAD, "directory", "MPALLOC_DIR is too long");
        return;
    }
    if (path[0] != '/') {
        doctor_say(f, DOCTOR_BAD, "directory",
            "%s is not an absolute path: no region is made", path);
        return;
    }
    if (lstat(path, &st) != 0) {
        /* As the library would: asking for permissions says too little (root, /proc). */
        if (mkdir(path, 0700) != 0) {
            doctor_say(f, DOCTOR_BAD, "directory",
                "%s cannot be made (%s): programs run, but leave no region; set "
                "MPALLOC_DIR",
                path, strerror(errno));
        } else {
            rmdir(path);
            doctor_say(
                f, DOCTOR_GOOD, "directory", "%s is made when a program starts", path);
        }
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        doctor_say(f, DOCTOR_BAD, "directory",
            "%s is no directory: programs leave no region", path);
    } else if (st.st_uid != uid) {
        doctor_say(f, DOCTOR_BAD, "directory",
            "%s belongs to user %u, not %llu: it is not used, programs leave no region",
            path, st.st_uid, (unsigned long long)uid);
    } else if ((st.st_mode & 077) != 0) {
        doctor_say(f, DOCTOR_BAD, "directory",
            "%s has mode %04o, open to others: it is not used; %s %s", path,
            st.st_mode & 07777,
            (st.st_mode & S_ISVTX) != 0 ? "choose a folder of your own, such as"
                                        : "chmod 700",
            (st.st_mode & S_ISVTX) != 0 ? "/dev/shm/mpalloc-UID" : path);
    } else if (geteuid() == uid && access(path, W_OK | X_OK) != 0) {
        doctor_say(f, DOCTOR_BAD, "directory", "%s cannot be written: %m", path);
    } else if (statvfs(path, &space) == 0
               && (uint64_t)space.f_bavail * space.f_frsize < (1u << 20)) {
        doctor_say(f, DOCTOR_BAD, "directory",
            "%s is on a file system with %s free: a region needs 100 KiB and more",
            path, format_bytes((double)space.f_bavail * (double)space.f_frsize).text);
    } else {
        doctor_say(f, DOCTOR_GOOD, "directory", "%s", path);
    }
}

static uint64_t read_number(const char *path)
{
    unsigned long long value = MP_UNKNOWN;
    FILE *file = fopen(path, "re");

    if (file != NULL) {
        if (fscanf(file, "%llu", &value) != 1) {
            value = MP_UNKNOWN;
        }
        fclose(file);
    }
    return value;
}

static void check_limits(struct findings *f)
{
    struct rlimit limit;
    uint64_t overcommit = read_number("/proc/sys/vm/overcommit_memory");
    uint64_t maps = read_number("/proc/sys/vm/max_map_count");

    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        doctor_say(f, DOCTOR_WARN, "limits",
            "RLIMIT_AS is %s: blocks above 32 KiB use whole 64 KiB spans of it",
            format_bytes((double)limit.rlim_cur).text);
    }
    if (overcommit == 2) {
        doctor_say(f, DOCTOR_WARN, "limits",
            "vm.overcommit_memory is 2: memory given back still counts as promised");
    }
    if (maps != MP_UNKNOWN && maps < 65530) {
        doctor_say(f, DOCTOR_WARN, "limits",
            "vm.max_map_count is %llu, lower than usual", (unsigned long long)maps);
    }
    doctor_say(f, DOCTOR_GOOD, "limits", "page size %ld", sysconf(_SC_PAGESIZE));
}

static bool is_option(const char *name, size_t length)
{
    static const char *const names[] = {
#define OPTION(name, NAME, type, standard, range, help) NAME,
#include <mpalloc/options.def>
#undef OPTION
        "LIBRARY"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0) {
            return true;
        }
    }
    return false;
}

static const char *other_allocator(const char *text)
{
    static const char *const names[] = {"libjemalloc", "libtcmalloc", "libmimalloc",
        "libsnmalloc", "librpmalloc", "libhoard", "libtbbmalloc", "libasan", "libtsan",
        "libmsan", "libefence", "libdmalloc", "libc_malloc_debug"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strstr(text, names[i]) != NULL) {
            return names[i];
        }
    }
    return NULL;
}

static bool keeps_deepbind(void)
{
    const char *value = getenv("MPALLOC_DEEPBIND");

    return value != NULL && strcmp(value, "keep") == 0;
}

static void check_environment(struct findings *f)
{
    const char *preload = getenv("LD_PRELOAD");
    unsigned set = 0;

    for (char **e = environ; *e != NULL; e++) {
        if (strncmp(*e, "MPALLOC_", 8) == 0 && strncmp(*e, "MPALLOC_TEST_", 13) != 0) {
            size_t n = strcspn(*e + 8, "=");

            set++;
            if (!is_option(*e + 8, n)) {
                doctor_say(f, DOCTOR_WARN, "environment",
                    "%.*s is no option (mpalloc options)", (int)(n + 8), *e);
            }
        }
    }
    if (preload != NULL && other_allocator(preload) != NULL) {
        doctor_say(f, DOCTOR_WARN, "environment",
            "LD_PRELOAD names %s: the first malloc in it wins",
            other_allocator(preload));
    }
    if (keeps_deepbind()) {
        doctor_say(f, DOCTOR_WARN, "environment",
            "MPALLOC_DEEPBIND=keep: a library that is opened with RTLD_DEEPBIND frees "
            "our "
            "blocks with the C library's free and crashes, as php does");
    }
    if (preload != NULL && strstr(preload, "libmpalloc") != NULL) {
        doctor_say(f, DOCTOR_GOOD, "environment", "LD_PRELOAD names libmpalloc");
    }
    doctor_say(f, DOCTOR_GOOD, "environment", "%u MPALLOC_ variable%s set", set,
        set == 1 ? " is" : "s are");
}

/* ---- a program ---- */

/* A program that opens libraries may do so with RTLD_DEEPBIND; its file does not tell. */
static void check_dlopen(struct findings *f, const char *path)
{
    struct elffile elf;

    if (elffile_open(&elf, path) != 0) {
        return;
    }
    if (elffile_mentions(&elf, "dlopen")) {
        doctor_say(f, keeps_deepbind() ? DOCTOR_WARN : DOCTOR_GOOD, "dlopen",
            keeps_deepbind()
                ? "it opens libraries: those that it opens with RTLD_DEEPBIND, as php "
                  "does, "
                  "miss our malloc and crash; leave MPALLOC_DEEPBIND at strip"
                : "it opens libraries: RTLD_DEEPBIND, as php has it, is taken away "
                  "(MPALLOC_DEEPBIND=strip)");
    }
    elffile_close(&elf);
}

static void check_program(struct findings *f, const char *name)
{
    char path[PATH_MAX * 2];
    enum preload_obstacle obstacle;

    if (preload_find_program(name, path, sizeof(path)) != 0) {
        doctor_say(
            f, DOCTOR_BAD, "program", "%s: no such program, or not executable", name);
        f->code = EXIT_NO_PROCESS;
        return;
    }
    obstacle = preload_check(path);
    if (preload_advice(obstacle)[0] != '\0') {
        bool may_do = obstacle == PRELOAD_UNKNOWN || obstacle == PRELOAD_OWN_MALLOC;

        doctor_say(f, may_do ? DOCTOR_WARN : DOCTOR_BAD, "program", "%s: %s", path,
            preload_advice(obstacle));
    } else {
        doctor_say(f, DOCTOR_GOOD, "program", "%s can be preloaded%s", path,
            obstacle == PRELOAD_SCRIPT ? ": its interpreter gets the library" : "");
        check_dlopen(f, path);
    }
}

/* ---- a process ---- */

/* The value of a variable in /proc/PID/environ, as the program was started with. */
static bool find_variable(uint64_t pid, const char *name, char *ret, size_t size)
{
    char path[64];
    char *entry = NULL;
    size_t room = 0;
    size_t n = strlen(name);
    bool found = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%llu/environ", (unsigned long long)pid);
    file = fopen(path, "re");
    while (file != NULL && !found && getdelim(&entry, &room, '\0', file) > 0) {
        if (strncmp(entry, name, n) == 0 && entry[n] == '=') {
            snprintf(ret, size, "%s", entry + n + 1);
            found = true;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    free(entry);
    return found;
}

/* Which allocators a process has mapped; false: not permitted to look. */
static bool look_into_maps(uint64_t pid, bool *ret_ours, char *ret_other, size_t size)
{
    char path[64];
    char *line = NULL;
    size_t room = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%llu/maps", (unsigned long long)pid);
    file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    while (getline(&line, &room, file) > 0) {
        const char *other = other_allocator(line);

        *ret_ours |= strstr(line, "/libmpalloc.so") != NULL;
        if (other != NULL) {
            snprintf(ret_other, size, "%s", other);
        }
    }
    free(line);
    fclose(file);
    return true;
}

/* ---- modules of a process that use another malloc ---- */

struct others {
    unsigned count;
    bool has_libc; /* the C library, too: then it is everybody's malloc */
    char first[PATH_MAX * 2 + 64];
    char owner[PATH_MAX];
};

static void note_other(
    void *data, const char *module, const char *function, const char *owner)
{
    struct others *o = data;

    if (o->count++ == 0) {
        snprintf(
            o->first, sizeof(o->first), "%s calls %s of %s", module, function, owner);
        snprintf(o->owner, sizeof(o->owner), "%s", owner);
    }
    o->has_libc |= strstr(module, "/libc.so") != NULL;
}

/* Whether all modules are bound to libmpalloc, which is mapped. */
static bool check_modules(struct findings *f, uint64_t pid)
{
    struct others o = {0};
    char exe[64];
    char value[64];
    char program[PATH_MAX];
    ssize_t n;
    int modules;

    snprintf(exe, sizeof(exe), "/proc/%llu/exe", (unsigned long long)pid);
    n = readlink(exe, program, sizeof(program) - 1);
    program[n > 0 ? n : 0] = '\0';
    modules = bound_find_others(pid, note_other, &o);
    if (strstr(program, "/valgrind/") != NULL) {
        doctor_say(f, DOCTOR_BAD, "modules", "it runs under valgrind: %s",
            preload_advice(PRELOAD_VALGRIND));
        return false;
    }
    if (modules < 0) {
        doctor_say(f, DOCTOR_WARN, "modules",
            "whose malloc they call cannot be read: %s", strerror(-modules));
    } else if (o.count == 0) {
        doctor_say(f, DOCTOR_GOOD, "modules",
            "%d call malloc or free, all of them ours", modules);
    } else if (o.has_libc || (int)o.count == modules) {
        doctor_say(f, DOCTOR_BAD, "modules",
            "the program does not use our malloc: %s. %s", o.first,
            strstr(o.owner, "/libc.so") != NULL
                ? "libmpalloc was loaded too late: preload it, or link the program "
                  "itself "
                  "with -lmpalloc"
                : "That one is found before ours");
        return false;
    } else {
        bool kept = find_variable(pid, "MPALLOC_DEEPBIND", value, sizeof(value))
                    && strcmp(value, "keep") == 0;

        doctor_say(f, DOCTOR_BAD, "modules",
            "%u of %d use another malloc: %s. Opened with RTLD_DEEPBIND%s, they crash "
            "when "
            "they free a block of another module; %s",
            o.count, modules, o.first, kept ? " (MPALLOC_DEEPBIND=keep)" : "",
            kept ? "leave MPALLOC_DEEPBIND at strip"
                 : "or by a way that does not pass our dlopen");
    }
    return true;
}

static void explain_missing(struct findings *f, uint64_t pid, uint64_t uid)
{
    char value[PATH_MAX];
    char exe[64];
    char target[PATH_MAX];
    ssize_t n;

    if (find_variable(pid, "LD_PRELOAD", value, sizeof(value))
        && strstr(value, "libmpalloc") != NULL) {
        snprintf(exe, sizeof(exe), "/proc/%llu/exe", (unsigned long long)pid);
        n = readlink(exe, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        doctor_say(f, DOCTOR_BAD, "process",
            "LD_PRELOAD=%s was set, but the library is not there: %s", value,
            n > 0 && preload_advice(preload_check(target))[0] != '\0'
                ? preload_advice(preload_check(target))
                : "is the path right, and readable for its user?");
    } else {
        doctor_say(f, DOCTOR_BAD, "process",
            "it was not started with mpalloc: mpalloc run -- PROGRAM, or "
            "LD_PRELOAD=libmpalloc.so in its environment");
    }
    (void)uid;
}

static void explain_no_region(struct findings *f, uint64_t pid, uint64_t uid)
{
    char value[PATH_MAX];

    if (find_variable(pid, "MPALLOC_REGION", value, sizeof(value))
        && strcmp(value, "file") != 0) {
        doctor_say(
            f, DOCTOR_BAD, "region", "it was started with MPALLOC_REGION=%s", value);
        return;
    }
    doctor_say(f, DOCTOR_BAD, "region",
        "it left none: a -Dprofile=false build, a process that is not dumpable, or the "
        "directory of its user (next line)");
    check_directory(
        f, uid, find_variable(pid, "MPALLOC_DIR", value, sizeof(value)) ? value : NULL);
}

static void check_region(struct findings *f, uint64_t pid, uint64_t uid)
{
    char value[PATH_MAX];
    struct mp_error error = {""};
    struct mp_proc k;
    char path[PATH_MAX];
    mp_image_t *image;
    const char *text;
    uint64_t maps = read_number("/proc/sys/vm/max_map_count");
    int code = mp_find_pid(pid, path, sizeof(path), &error);

    if (code == 0) {
        code = mp_image_open(path, &image, &error);
    }
    if (code != 0) {
        doctor_say(f, DOCTOR_BAD, "region", "%s", error.text);
        f->code = cli_code(code);
        return;
    }
    if (strncmp(path, "/proc/", 6) == 0
        && !find_variable(pid, "MPALLOC_REGION", value, sizeof(value))) {
        doctor_say(f, DOCTOR_WARN, "region",
            "it is a memfd: gone when the process is; no file, because:");
        check_directory(f, uid,
            find_variable(pid, "MPALLOC_DIR", value, sizeof(value)) ? value : NULL);
    }
    doctor_say(f, mp_image_life(image) == MP_LIFE_REPLACED ? DOCTOR_BAD : DOCTOR_GOOD,
        "region", "%s, %s, figures %s old", path, mp_life_name(mp_image_life(image)),
        format_seconds(view_age_seconds(image)).text);
    for (unsigned i = 0; (text = view_warning(image, i)) != NULL; i++) {
        if (text[0] != '\0') {
            doctor_say(f, DOCTOR_WARN, "region", "%s", text);
        }
    }
    if (mp_proc_read(pid, &k) == 0 && k.mappings != MP_UNKNOWN && maps != MP_UNKNOWN) {
        doctor_say(f, k.mappings > maps / 10 * 8 ? DOCTOR_WARN : DOCTOR_GOOD,
            "mappings", "%llu of at most %llu (vm.max_map_count)",
            (unsigned long long)k.mappings, (unsigned long long)maps);
    }
    mp_image_free(image);
}

static void check_process(struct findings *f, uint64_t pid)
{
    char path[64];
    char region[PATH_MAX];
    char other[64] = "";
    bool ours = false;
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%llu", (unsigned long long)pid);
    if (stat(path, &st) != 0) {
        struct mp_error error = {""};

        if (mp_find_pid(pid, region, sizeof(region), &error) == 0) {
            doctor_say(f, DOCTOR_GOOD, "process", "%llu runs no more, it left a region",
                (unsigned long long)pid);
            check_region(f, pid, geteuid());
            return;
        }
        doctor_say(
            f, DOCTOR_BAD, "process", "%llu does not exist", (unsigned long long)pid);
        f->code = EXIT_NO_PROCESS;
        return;
    }
    if (!look_into_maps(pid, &ours, other, sizeof(other))) {
        doctor_say(f, DOCTOR_BAD, "process",
            "%llu belongs to user %u: not permitted to look", (unsigned long long)pid,
            st.st_uid);
        f->code = EXIT_NOT_PERMITTED;
        return;
    }
    if (other[0] != '\0') {
        doctor_say(
            f, DOCTOR_WARN, "process", "it has %s mapped, another allocator", other);
    }
    if (!ours && mp_find_pid(pid, region, sizeof(region), NULL) != 0) {
        explain_missing(f, pid, st.st_uid);
        f->code = EXIT_NO_PROCESS;
    } else if (mp_find_pid(pid, region, sizeof(region), NULL) != 0) {
        doctor_say(f, DOCTOR_GOOD, "process", "libmpalloc is mapped");
        if (check_modules(f, pid)) {
            explain_no_region(f, pid, st.st_uid);
        }
        f->code = EXIT_NO_PROCESS;
    } else {
        doctor_say(f, DOCTOR_GOOD, "process", "%s",
            ours ? "libmpalloc is mapped" : "linked with mpalloc");
        if (ours) {
            check_modules(f, pid);
        }
        check_region(f, pid, st.st_uid);
    }
}

static const char *check_url(const char *text)
{
    const char *why;

    if (!push_http_check_url(text, &why)) {
        exit(cli_fail("doctor", EXIT_USAGE,
            "--serve takes the address of mpalloc serve, not \"%s\": %s", text, why));
    }
    return text;
}

int verb_doctor(int argc, char **argv)
{
    enum { SERVE = 1, TOKEN, CONFIG };
    static const struct option options[] = {COMMON_OPTIONS,
        {"serve", required_argument, NULL, SERVE},
        {"token-file", required_argument, NULL, TOKEN},
        {"config", required_argument, NULL, CONFIG}, {0}};
    struct doctor_serve serve = {NULL, NULL, NULL};
    struct common common = {0};
    int c;
    struct findings f = {NULL, 0, 0};
    json_t *document = NULL;
    const char *word;
    int code;

    while ((c = cli_next_option("doctor", argc, argv, options, false, &common)) != -1) {
        if (c == SERVE) {
            serve.url = check_url(optarg);
        } else if (c == TOKEN) {
            serve.token_file = optarg;
        } else if (c == CONFIG) {
            serve.config = optarg;
        }
    }
    cli_expect_words("doctor", argc, serve.url != NULL ? 0 : 1);
    if (common.json) {
        document = document_new("doctor");
        f.checks = json_array();
    }
    word = argv[optind];
    if (serve.url != NULL) {
        doctor_check_serve(&f, &serve);
    } else if (word != NULL && strspn(word, "0123456789") == strlen(word)) {
        check_process(&f, strtoull(word, NULL, 10));
    } else {
        check_library(&f);
        check_directory(&f, geteuid(), NULL);
        check_limits(&f);
        check_environment(&f);
        if (word != NULL) {
            check_program(&f, word);
        } else {
            doctor_check_serve(&f, &serve);
        }
    }
    code = f.code != 0 ? f.code : f.bad != 0 ? EXIT_FAILED : EXIT_FINE;
    if (common.json) {
        document_set(document, "checks", f.checks);
        document_set(document, "healthy", json_boolean(f.bad == 0));
        return document_print(document, false) != EXIT_FINE ? EXIT_FAILED : code;
    }
    return code;
}
