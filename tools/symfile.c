#include "symfile.h"

#include "servers.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLACES = 4, PLACE_BYTES = PATH_MAX + 64, NO_FILE = 1 };

/* Where the file may be, the likeliest first. */
struct places {
    char path[PLACES][PLACE_BYTES];
    unsigned count;
    unsigned own; /* the number of the path that the region says */
};

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = servers_find_debuginfo,
    .section_address = dwfl_offline_section_address,
};

static void find_places(
    struct places *p, const struct mp_region_module *m, uint64_t pid, bool is_program)
{
    unsigned long long number = pid;
    char *at;

    p->count = 0;
    if (pid != 0 && is_program) { /* also when it was deleted or replaced */
        snprintf(p->path[p->count++], PLACE_BYTES, "/proc/%llu/exe", number);
    }
    if (pid != 0) { /* as the process sees it: in its container */
        snprintf(p->path[p->count++], PLACE_BYTES, "/proc/%llu/%s%s", number,
            m->path[0] == '/' ? "root" : "cwd/", m->path);
    }
    p->own = p->count;
    snprintf(p->path[p->count++], PLACE_BYTES, "%s", m->path);
    if (m->build_id_bytes > 1) { /* without the program, its debug information */
        at = p->path[p->count++];
        at += sprintf(at, "/usr/lib/debug/.build-id/%02x/", m->build_id[0]);
        for (uint64_t i = 1; i < m->build_id_bytes; i++) {
            at += sprintf(at, "%02x", m->build_id[i]);
        }
        strcpy(at, ".debug");
    }
}

/*
 * A descriptor of a program or library, or -errno. Nothing else is opened: a region can name
 * any path, and devices and pipes may wait or act when they are opened.
 */
static int open_elf(const char *path)
{
    struct stat st;
    GElf_Half type = ET_NONE;
    char magic[EI_NIDENT + sizeof(type)];
    int fd;

    if (stat(path, &st) != 0) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode)) {
        return -ENOEXEC;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    if (pread(fd, magic, sizeof(magic), 0) == sizeof(magic)
        && memcmp(magic, ELFMAG, SELFMAG) == 0) {
        memcpy(&type, magic + EI_NIDENT, sizeof(type));
    }
    if (type != ET_EXEC && type != ET_DYN) {
        close(fd);
        return -ENOEXEC;
    }
    return fd;
}

/* Fills in addresses; the distance from the lowest to the highest one, 0: no segments. */
static uint64_t read_segments(struct symfile *f, Elf *elf, GElf_Addr bias)
{
    uint64_t high = 0;
    size_t count = 0;

    f->low = f->code_low = UINT64_MAX;
    f->code_high = 0;
    elf_getphdrnum(elf, &count);
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr p;
        uint64_t end;

        if (gelf_getphdr(elf, (int)i, &p) == NULL || p.p_type != PT_LOAD) {
            continue;
        }
        end = p.p_vaddr + p.p_memsz;
        f->low = p.p_vaddr < f->low ? p.p_vaddr : f->low;
        high = end > high ? end : high;
        if ((p.p_flags & PF_X) != 0) {
            f->code_low = p.p_vaddr < f->code_low ? p.p_vaddr : f->code_low;
            f->code_high = end > f->code_high ? end : f->code_high;
        }
    }
    if (high <= f->low) {
        return 0;
    }
    high -= f->low;
    f->low += bias;
    f->code_low += bias;
    f->code_high += bias;
    return high;
}

/*
 * By build id. Where the process found none, the file must have none, and segments that take
 * as much room: little proof, but such files are rare, and what is found is not kept.
 */
static bool is_same(const struct mp_region_module *m, Elf *elf, uint64_t bytes)
{
    const void *id = NULL;
    ssize_t n = dwelf_elf_gnu_build_id(elf, &id);

    if (m->build_id_bytes == 0) {
        return n <= 0 && bytes == m->bytes;
    }
    n = n > MP_REGION_BUILD_ID_BYTES ? MP_REGION_BUILD_ID_BYTES : n;
    return n > 0 && (uint64_t)n == m->build_id_bytes
           && memcmp(id, m->build_id, (size_t)n) == 0;
}

/* 0, or -errno; -ESTALE: it is another file. */
static int open_place(
    struct symfile *f, const struct mp_region_module *m, const char *place)
{
    int fd = open_elf(place);
    GElf_Addr bias = 0;
    uint64_t bytes = 0;
    Elf *elf = NULL;

    if (fd < 0) {
        return fd;
    }
    f->session = dwfl_begin(&callbacks);
    if (f->session != NULL) {
        dwfl_report_begin(f->session);
        /* Debug information lies beside the path of the file, not beside /proc/PID/exe. */
        f->module = dwfl_report_elf(f->session, "", m->path, fd, 0, true);
    }
    if (f->module == NULL) {
        close(fd);
    } else {
        dwfl_report_end(f->session, NULL, NULL);
        elf = dwfl_module_getelf(f->module, &bias);
        bytes = elf != NULL ? read_segments(f, elf, bias) : 0;
    }
    if (bytes == 0 || !is_same(m, elf, bytes)) {
        symfile_close(f);
        return bytes == 0 ? -ENOEXEC : -ESTALE;
    }
    return 0;
}

/* What a process still has mapped, though it lost its name: root may open that. */
static bool open_deleted(
    struct symfile *f, const struct mp_region_module *m, uint64_t pid)
{
    static const char mark[] = " (deleted)\n";
    char place[128];
    char *line = NULL;
    size_t room = 0;
    size_t bytes = strlen(m->path);
    bool is_open = false;
    FILE *maps;

    snprintf(place, sizeof(place), "/proc/%llu/maps", (unsigned long long)pid);
    maps = pid != 0 ? fopen(place, "re") : NULL;
    while (maps != NULL && !is_open && getline(&line, &room, maps) > 0) {
        char *path = strchr(line, '/');
        int range = (int)strcspn(line, " ");

        if (path != NULL && strncmp(path, m->path, bytes) == 0
            && strcmp(path + bytes, mark) == 0 && range < 64) {
            snprintf(place, sizeof(place), "/proc/%llu/map_files/%.*s",
                (unsigned long long)pid, range, line);
            if (open_place(f, m, place) != 0) {
                break; /* others of it would be the same */
            }
            is_open = true;
        }
    }
    free(line);
    if (maps != NULL) {
        fclose(maps);
    }
    return is_open;
}

/* What a server has of it: on another machine, and when the file was replaced. */
static bool open_fetched(struct symfile *f, const struct mp_region_module *m)
{
    char *path = servers_fetch(m->build_id, m->build_id_bytes);
    bool is_open = path != NULL && open_place(f, m, path) == 0;

    free(path);
    return is_open;
}

static void explain(const struct mp_region_module *m, int code, char *ret)
{
    char path[SYMFILE_PROBLEM_BYTES - 192];
    const char *why;
    bool can_fetch;

    mp_text_escape(path, sizeof(path), m->path, sizeof(m->path));
    switch (code) {
    case -ESTALE:
        why = m->build_id_bytes != 0
                  ? "its build id is not that of the process (replaced since?)"
                  : "it is not what the process had loaded (replaced since?)";
        break;
    case -ENOENT:
    case -ENOTDIR:
        why = "is gone";
        break;
    case -ENOEXEC:
        why = "is no program or library";
        break;
    case NO_FILE:
        why = "is of the kernel, not of a file";
        break;
    default:
        why = strerror(-code);
    }
    can_fetch = m->build_id_bytes > 0 && (code == -ESTALE || code == -ENOENT)
                && getenv("DEBUGINFOD_URLS") == NULL;
    snprintf(ret, SYMFILE_PROBLEM_BYTES, "%s: %s: its functions have no names%s", path,
        why, can_fetch ? " (servers of DEBUGINFOD_URLS may have them)" : "");
}

bool symfile_open(struct symfile *f, const struct mp_region_module *m, uint64_t pid,
    bool is_program, char *ret_problem)
{
    struct places places;
    int why = 0;

    *f = (struct symfile){0};
    ret_problem[0] = '\0';
    if (strchr(m->path, '/') == NULL) {
        explain(m, NO_FILE, ret_problem); /* the vdso */
        return false;
    }
    elf_version(EV_CURRENT);
    find_places(&places, m, pid, is_program);
    for (unsigned i = 0; i < places.count; i++) {
        int code = open_place(f, m, places.path[i]);

        if (code == 0) {
            return true;
        }
        /* That a file is another one says more than why there is none elsewhere. */
        if (code == -ESTALE || (i == places.own && why != -ESTALE)) {
            why = code;
        }
    }
    if (open_deleted(f, m, pid) || open_fetched(f, m)) {
        return true;
    }
    explain(m, why, ret_problem);
    return false;
}

bool symfile_has_symbols(const struct symfile *f)
{
    GElf_Addr bias;
    Elf *elf = dwfl_module_getelf(f->module, &bias);
    Elf_Scn *section = NULL;
    GElf_Shdr header;

    while (elf != NULL && (section = elf_nextscn(elf, section)) != NULL) {
        if (gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_SYMTAB) {
            return true;
        }
    }
    return false;
}

void symfile_close(struct symfile *f)
{
    if (f->session != NULL) {
        dwfl_end(f->session);
    }
    *f = (struct symfile){0};
}
