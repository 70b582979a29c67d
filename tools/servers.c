#include "servers.h"

#include "guest.h"

#include <dlfcn.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define URLS "DEBUGINFOD_URLS"
#define ALL  "DEBUGINFOD_MAXTIME"

enum { ALL_S = 30 };

/* Of the process, not of a session: all questions share the time. */
static double left_s = -1; /* less than 0: nothing was asked yet; 0: no bound */
static char problem[320];
static bool has_problem;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- one question ---- */

/*
 * Whether to ask at all, within our bounds. libdebuginfod goes by the environment, which is not ours
 * in a library: there it keeps to its own.
 */
static bool begin(double *ret_began)
{
    const char *urls = getenv(URLS);
    const char *all = getenv(ALL);
    char text[32];

    if (urls == NULL || urls[0] == '\0' || guest_get() != NULL) {
        return false;
    }
    if (left_s < 0) {
        left_s = all != NULL ? strtod(all, NULL) : ALL_S;
        setenv("DEBUGINFOD_TIMEOUT", "10", 0);
        setenv("DEBUGINFOD_RETRY_LIMIT", "0", 0);
        if (isatty(STDERR_FILENO)) {
            setenv("DEBUGINFOD_PROGRESS", "1", 0);
        }
    }
    if (left_s > 0) {
        snprintf(text, sizeof(text), "%.0f", left_s < 1 ? 1 : left_s);
        setenv(ALL, text, 1);
    }
    *ret_began = now();
    return true;
}

/* Answers are descriptors, or errors: -1 when files were looked for, else -errno. */
static void end(double began, int answer)
{
    double took = now() - began;
    bool is_slow = answer == -ETIME;
    bool is_failure =
        answer < 0 && answer != -1 && answer != -ENOENT && answer != -ENOSYS;

    if (left_s > 0) {
        left_s -= took;
        is_slow = is_slow || left_s <= 0;
        is_failure = is_failure || is_slow;
    }
    if (is_failure && is_slow) {
        snprintf(problem, sizeof(problem),
            URLS ": too slow, given up after %.0f s: names from there are missing "
                 "(DEBUGINFOD_TIMEOUT and " ALL " set how long to wait)",
            took);
    } else if (is_failure) {
        snprintf(problem, sizeof(problem), URLS ": %s: names from there are missing",
            strerror(-answer));
    }
    if (is_failure) {
        has_problem = true;
        unsetenv(URLS);
    }
}

void servers_forbid(void)
{
    unsetenv(URLS);
}

const char *servers_problem(void)
{
    if (guest_get() != NULL || !has_problem) {
        return NULL;
    }
    has_problem = false;
    return problem;
}

/* ---- for a file that is here ---- */

/* Whether DWARF has to be looked for elsewhere. */
static bool is_stripped(Elf *elf)
{
    size_t names;
    Elf_Scn *s = NULL;
    GElf_Shdr header;

    if (elf_getshdrstrndx(elf, &names) != 0) {
        return true;
    }
    while ((s = elf_nextscn(elf, s)) != NULL) {
        const char *name = gelf_getshdr(s, &header) != NULL
                               ? elf_strptr(elf, names, header.sh_name)
                               : NULL;

        if (name != NULL
            && (strcmp(name, ".debug_info") == 0
                || strcmp(name, ".zdebug_info") == 0)) {
            return false;
        }
    }
    return true;
}

/* Whether the file has the build id of the module, or none of the two has any. */
static bool is_of(Dwfl_Module *module, int fd)
{
    const unsigned char *wanted = NULL;
    const void *found = NULL;
    GElf_Addr at;
    int bytes = dwfl_module_build_id(module, &wanted, &at);
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    bool is_same =
        bytes <= 0
        || (elf != NULL && dwelf_elf_gnu_build_id(elf, &found) == (ssize_t)bytes
            && memcmp(found, wanted, (size_t)bytes) == 0);

    elf_end(elf);
    return is_same;
}

/*
 * libdwfl checks files that it finds, but not what servers send: that has no name. It asks
 * for the debug information first, and then for what several files share, which has another
 * build id; that alone when the file itself has DWARF. *userdata: the first is there.
 */
int servers_find_debuginfo(Dwfl_Module *module, void **userdata, const char *name,
    Dwarf_Addr base, const char *file, const char *link, GElf_Word crc, char **ret)
{
    double began;
    bool is_asked = begin(&began);
    int fd = dwfl_standard_find_debuginfo(
        module, userdata, name, base, file, link, crc, ret);
    GElf_Addr bias;
    Elf *elf;

    if (is_asked) {
        end(began, fd);
    }
    if (fd < 0 || *ret != NULL || *userdata != NULL) {
        return fd;
    }
    elf = dwfl_module_getelf(module, &bias);
    if (elf != NULL && !is_stripped(elf)) {
        return fd;
    }
    if (!is_of(module, fd)) {
        close(fd);
        return -1;
    }
    *userdata = module;
    return fd;
}

/* ---- for a file that is not ---- */

struct library {
    void *handle;
    void *(*begin)(void);
    void (*end)(void *client);
    int (*find_debuginfo)(
        void *client, const unsigned char *id, int bytes, char **ret_path);
    int (*find_executable)(
        void *client, const unsigned char *id, int bytes, char **ret_path);
};

static bool open_library(struct library *l)
{
    l->handle = dlopen("libdebuginfod.so.1", RTLD_LAZY);
    if (l->handle == NULL) {
        return false;
    }
    *(void **)&l->begin = dlsym(l->handle, "debuginfod_begin");
    *(void **)&l->end = dlsym(l->handle, "debuginfod_end");
    *(void **)&l->find_debuginfo = dlsym(l->handle, "debuginfod_find_debuginfo");
    *(void **)&l->find_executable = dlsym(l->handle, "debuginfod_find_executable");
    return l->begin != NULL && l->end != NULL && l->find_debuginfo != NULL
           && l->find_executable != NULL;
}

char *servers_fetch(const uint8_t *build_id, uint64_t bytes)
{
    static struct library library; /* stays loaded, as libdwfl's does */
    static bool is_tried;
    char *path = NULL;
    void *client;

    if (guest_get() != NULL || getenv(URLS) == NULL || bytes == 0) {
        return NULL;
    }
    if (!is_tried) {
        is_tried = true;
        if (!open_library(&library)) {
            library.begin = NULL;
        }
    }
    client = library.begin != NULL ? library.begin() : NULL;
    for (unsigned way = 0; client != NULL && way < 2; way++) {
        double began;
        int fd;

        if (!begin(&began)) {
            break;
        }
        fd = (way == 0 ? library.find_debuginfo : library.find_executable)(
            client, build_id, (int)bytes, &path);
        end(began, fd);
        if (fd >= 0) {
            close(fd);
            break;
        }
        path = NULL;
    }
    if (client != NULL) {
        library.end(client);
    }
    return path;
}
