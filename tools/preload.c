#include "preload.h"

#include "elffile.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SONAME "libmpalloc.so.0"

int preload_find_beside(
    const char *const *places, size_t count, char *ret_path, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    self[n > 0 ? n : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash == NULL) {
        snprintf(ret_path, size, "/proc/self/exe");
        return -ENOENT;
    }
    *slash = '\0';
    for (size_t i = 0; i < count; i++) {
        char path[PATH_MAX * 2];
        char real[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", self, places[i]);
        snprintf(ret_path, size, "%s", path);
        if (realpath(path, real) != NULL && strlen(real) < size) {
            strcpy(ret_path, real);
            return 0;
        }
    }
    return -ENOENT;
}

int preload_find_library(char *ret_path, size_t size)
{
    const char *given = getenv("MPALLOC_LIBRARY");
    /* As it was installed, then as a build folder has it. */
    static const char *const places[] = {
        MPALLOC_LIBRARY_FROM_BIN "/" SONAME, "../alloc/" SONAME};

    if (given != NULL && given[0] != '\0') {
        snprintf(ret_path, size, "%s", given);
        return access(ret_path, R_OK) == 0 ? 0 : -ENOENT;
    }
    return preload_find_beside(
        places, sizeof(places) / sizeof(places[0]), ret_path, size);
}

int preload_find_program(const char *name, char *ret_path, size_t size)
{
    const char *path = getenv("PATH");
    int code = -ENOENT;

    if (strchr(name, '/') != NULL) {
        snprintf(ret_path, size, "%s", name);
        return access(name, X_OK) == 0 ? 0 : -errno;
    }
    path = path != NULL ? path : "/usr/local/bin:/usr/bin:/bin";
    while (*path != '\0') {
        size_t n = strcspn(path, ":");
        struct stat st;

        snprintf(ret_path, size, "%.*s%s%s", (int)n, path, n > 0 ? "/" : "", name);
        if (stat(ret_path, &st) == 0 && S_ISREG(st.st_mode)) {
            if (access(ret_path, X_OK) == 0) {
                return 0;
            }
            code = -EACCES;
        }
        path += n + (path[n] == ':');
    }
    return code;
}

/* Whether an ELF file asks for the loader: only that looks at LD_PRELOAD. */
static enum preload_obstacle check_elf(int fd, const Elf64_Ehdr *header)
{
    Elf64_Phdr segment;

    if (header->e_ident[EI_CLASS] != ELFCLASS64
        || header->e_machine !=
#ifdef __aarch64__
               EM_AARCH64
#else
               EM_X86_64
#endif
    ) {
        return PRELOAD_FOREIGN;
    }
    for (unsigned i = 0; i < header->e_phnum; i++) {
        off_t at = (off_t)(header->e_phoff + (uint64_t)i * header->e_phentsize);

        if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment)) {
            return PRELOAD_UNKNOWN;
        }
        if (segment.p_type == PT_INTERP) {
            return PRELOAD_FINE;
        }
    }
    return PRELOAD_STATIC;
}

/* A malloc that comes before ours, of which the program's symbols tell. */
static enum preload_obstacle check_symbols(const char *path)
{
    static const char *const sanitizers[] = {
        "__asan_", "__hwasan_", "__tsan_", "__msan_", "__lsan_"};
    enum preload_obstacle found = PRELOAD_FINE;
    struct elffile f;

    if (elffile_open(&f, path) != 0) {
        return PRELOAD_FINE;
    }
    if (elffile_defines(&f, "malloc") && !elffile_defines(&f, "mp_malloc")) {
        found = PRELOAD_OWN_MALLOC;
    }
    for (size_t i = 0; i < sizeof(sanitizers) / sizeof(sanitizers[0]); i++) {
        if (elffile_mentions(&f, sanitizers[i])) {
            found = PRELOAD_SANITIZER;
        }
    }
    elffile_close(&f);
    return found;
}

enum preload_obstacle preload_check(const char *path)
{
    enum preload_obstacle found = PRELOAD_UNKNOWN;
    const char *slash = strrchr(path, '/');
    Elf64_Ehdr header = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0) {
        return PRELOAD_UNKNOWN;
    }
    n = pread(fd, &header, sizeof(header), 0);
    if ((fstat(fd, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID)) != 0
            && st.st_uid != geteuid())
        || (geteuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)) {
        found = PRELOAD_SETUID;
    } else if (n >= 2 && memcmp(&header, "#!", 2) == 0) {
        found = PRELOAD_SCRIPT;
    } else if (n == sizeof(header) && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0) {
        found = check_elf(fd, &header);
    }
    close(fd);
    if (strncmp(slash != NULL ? slash + 1 : path, "valgrind", 8) == 0) {
        return PRELOAD_VALGRIND;
    }
    if (found == PRELOAD_FINE) {
        found = check_symbols(path);
    }
    return found;
}

const char *preload_advice(enum preload_obstacle obstacle)
{
    switch (obstacle) {
    case PRELOAD_STATIC:
        return "it is linked statically, nothing can be preloaded: link it with "
               "-lmpalloc instead";
    case PRELOAD_SETUID:
        return "it is setuid, setgid or has capabilities, the loader ignores "
               "LD_PRELOAD: link it with "
               "-lmpalloc, or run it as its owner";
    case PRELOAD_FOREIGN:
        return "it is for another machine than this libmpalloc";
    case PRELOAD_OWN_MALLOC:
        return "it has a malloc of its own (the archive of mpalloc, perhaps), which "
               "everybody "
               "finds before a preloaded one";
    case PRELOAD_SANITIZER:
        return "it is built with a sanitizer, which has a malloc of its own: run it "
               "without "
               "mpalloc, or build it without the sanitizer";
    case PRELOAD_VALGRIND:
        return "valgrind replaces malloc: mpalloc stands aside and sees nothing; "
               "--soname-synonyms=somalloc=NONE leaves malloc to it";
    case PRELOAD_UNKNOWN:
        return "it cannot be read, so whether it takes the library is not known";
    default:
        return "";
    }
}
