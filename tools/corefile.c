#include "corefile.h"

#include "must.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK = 64 * 1024,
    NAMES_MAX = 16 * 1024 * 1024, /* bytes of the list of mapped files that are read */
};

struct core {
    const char *path;
    int fd;
    uint64_t bytes;
    Elf *elf;
    size_t segments;
    uint64_t pid;      /* 0: it does not say */
    char *region_path; /* of what was mapped; NULL: none, or it does not say */
};

/* Where the region lies in memory. */
struct found {
    uint64_t base;
    uint64_t bytes;
    uint64_t process_at; /* its facts, in it */
    uint64_t pid;
};

__attribute__((format(printf, 3, 4))) static int fail(
    struct mp_error *error, int code, const char *format, ...)
{
    char text[sizeof(error->text)];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    mp_text_escape(error->text, sizeof(error->text), text, strlen(text));
    return code;
}

/* ---- segments ---- */

static bool get_segment(const struct core *c, size_t number, GElf_Phdr *ret)
{
    return gelf_getphdr(c->elf, (int)number, ret) != NULL && ret->p_type == PT_LOAD;
}

static bool read_at(const struct core *c, void *to, size_t bytes, uint64_t offset)
{
    return offset <= INT64_MAX - bytes
           && pread(c->fd, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* Bytes of memory that lie in one segment, and in the file. */
static bool read_memory(const struct core *c, void *to, size_t bytes, uint64_t address)
{
    for (size_t i = 0; i < c->segments; i++) {
        GElf_Phdr p;

        if (get_segment(c, i, &p) && address >= p.p_vaddr
            && address - p.p_vaddr < p.p_filesz
            && bytes <= p.p_filesz - (address - p.p_vaddr)) {
            return read_at(c, to, bytes, p.p_offset + (address - p.p_vaddr));
        }
    }
    return false;
}

/* ---- what was mapped ---- */

/* "PID-TICKS.mp" at the end; a memfd has been told by its contents already. */
static bool is_region_name(const char *path)
{
    const char *name = strrchr(path, '/');
    size_t digits;

    if (path[0] != '/' || name == NULL) {
        return false;
    }
    name++;
    digits = strspn(name, "0123456789");
    if (digits == 0 || name[digits] != '-') {
        return false;
    }
    name += digits + 1;
    digits = strspn(name, "0123456789");
    return digits > 0 && strcmp(name + digits, ".mp") == 0;
}

/* NT_FILE: how many, the size of a page, three numbers for each, then their names. */
static void read_files(struct core *c, const char *data, size_t bytes)
{
    uint64_t count;
    const char *name;
    const char *end = data + bytes;

    if (bytes < 16 || bytes > NAMES_MAX) {
        return;
    }
    memcpy(&count, data, sizeof(count));
    if (count > (bytes - 16) / 24) {
        return;
    }
    name = data + 16 + 24 * count;
    for (uint64_t i = 0; i < count && name < end; i++) {
        size_t length = strnlen(name, (size_t)(end - name));

        if (length == (size_t)(end - name)) {
            return;
        }
        if (length < PATH_MAX && is_region_name(name)) {
            free(c->region_path);
            c->region_path = must(strdup(name));
        }
        name += length + 1;
    }
}

static void read_notes(struct core *c, const GElf_Phdr *p)
{
    Elf_Data *d =
        elf_getdata_rawchunk(c->elf, (int64_t)p->p_offset, p->p_filesz, ELF_T_NHDR);
    GElf_Nhdr note;
    size_t name_at;
    size_t data_at;

    for (size_t at = 0;
         d != NULL && (at = gelf_getnote(d, at, &note, &name_at, &data_at)) > 0;) {
        const char *data = (const char *)d->d_buf + data_at;
        struct elf_prpsinfo facts;

        if (note.n_namesz != sizeof("CORE")
            || memcmp((const char *)d->d_buf + name_at, "CORE", sizeof("CORE")) != 0) {
            continue;
        }
        if (note.n_type == NT_PRPSINFO && note.n_descsz >= sizeof(facts)) {
            memcpy(&facts, data, sizeof(facts));
            c->pid = facts.pr_pid > 0 ? (uint64_t)facts.pr_pid : 0;
        } else if (note.n_type == NT_FILE) {
            read_files(c, data, note.n_descsz);
        }
    }
}

/* ---- the region in it ---- */

static bool look_at(const struct core *c, const GElf_Phdr *p, struct found *ret)
{
    uint64_t base = p->p_vaddr;
    struct mp_region_header h;

    *ret = (struct found){.base = base};
    if (p->p_filesz < sizeof(h) || !read_at(c, &h, sizeof(h), p->p_offset)
        || h.magic != MP_REGION_MAGIC) {
        return false;
    }
    ret->bytes = h.region_bytes;
    for (unsigned i = 0; i < h.section_count && i < MP_REGION_SECTIONS_MAX; i++) {
        uint64_t offset = h.sections[i].offset;

        if (h.sections[i].id == MP_SECTION_PROCESS && offset < h.region_bytes
            && read_memory(c, &ret->pid, sizeof(ret->pid), base + offset)) {
            ret->process_at = offset;
        }
    }
    return true;
}

/* After a fork the child may have that of its parent, too. */
static bool find_region(const struct core *c, struct found *ret)
{
    bool is_found = false;

    for (size_t i = 0; i < c->segments; i++) {
        GElf_Phdr p;
        struct found one;

        if (get_segment(c, i, &p) && look_at(c, &p, &one)
            && (!is_found || (one.pid == c->pid && ret->pid != c->pid))) {
            *ret = one;
            is_found = true;
        }
    }
    return is_found;
}

static bool is_zero(const char *bytes, size_t count)
{
    return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

/* Pages without anything stay holes. */
static int copy_segment(const struct core *c, const GElf_Phdr *p,
    const struct found *found, int to, struct mp_error *error)
{
    static char chunk[CHUNK];
    uint64_t skip = p->p_vaddr < found->base ? found->base - p->p_vaddr : 0;
    uint64_t at = p->p_vaddr + skip - found->base;

    while (skip < p->p_filesz && at < found->bytes) {
        uint64_t left = p->p_filesz - skip < found->bytes - at ? p->p_filesz - skip
                                                               : found->bytes - at;
        size_t n = left < CHUNK ? (size_t)left : CHUNK;

        if (!read_at(c, chunk, n, p->p_offset + skip)) {
            return fail(error, -EBADMSG,
                "%s: truncated: it ends within the region of process %llu (ulimit -c)",
                c->path, (unsigned long long)found->pid);
        }
        if (!is_zero(chunk, n) && pwrite(to, chunk, n, (off_t)at) != (ssize_t)n) {
            return fail(
                error, -errno, "%s: cannot be copied: %s", c->path, strerror(errno));
        }
        skip += n;
        at += n;
    }
    return 0;
}

/* It may be in parts, if memory of it was treated in different ways. */
static int copy_region(
    const struct core *c, const struct found *found, int to, struct mp_error *error)
{
    static const uint64_t no_ticks;
    int code = 0;

    if (found->bytes > c->bytes || found->base + found->bytes < found->base) {
        return fail(error, -EBADMSG,
            "%s: damaged: a region of %llu bytes in %llu bytes", c->path,
            (unsigned long long)found->bytes, (unsigned long long)c->bytes);
    }
    if (ftruncate(to, (off_t)found->bytes) != 0) {
        return fail(
            error, -errno, "%s: cannot be copied: %s", c->path, strerror(errno));
    }
    for (size_t i = 0; i < c->segments && code == 0; i++) {
        GElf_Phdr p;

        if (get_segment(c, i, &p) && p.p_vaddr < found->base + found->bytes
            && p.p_vaddr + p.p_filesz > found->base) {
            code = copy_segment(c, &p, found, to, error);
        }
    }
    if (code == 0 && found->process_at != 0) { /* no process of now is it */
        pwrite(to, &no_ticks, sizeof(no_ticks),
            (off_t)(found->process_at
                    + offsetof(struct mp_region_process, start_ticks)));
    }
    return code;
}

static int read_region(const struct core *c, const struct found *found,
    mp_image_t **ret, struct mp_error *error)
{
    int fd = memfd_create("mpalloc core", MFD_CLOEXEC);
    int code;

    if (fd < 0) {
        return fail(
            error, -errno, "%s: cannot be copied: %s", c->path, strerror(errno));
    }
    code = copy_region(c, found, fd, error);
    if (code == 0) {
        code = mp_image_read(fd, c->path, ret, error);
    }
    close(fd);
    return code;
}

/* ---- the region that it names ---- */

static int read_left(const struct core *c, mp_image_t **ret, struct mp_error *error)
{
    if (c->region_path == NULL) {
        return fail(error, -ENOENT,
            "%s: holds no region: process %llu was not on mpalloc, or what it shared "
            "is "
            "not in it (mpalloc leaks --help)",
            c->path, (unsigned long long)c->pid);
    }
    if (mp_image_open(c->region_path, ret, NULL) == 0) {
        return 0;
    }
    return fail(error, -ENOENT,
        "%s: holds no region, for that was a file, and %s is not here: copy it from "
        "where the process ran, or set MPALLOC_REGION=memfd for the next core file",
        c->path, c->region_path);
}

/* ---- the file ---- */

static bool open_core(const char *path, struct core *ret)
{
    GElf_Ehdr h;
    struct stat st;

    elf_version(EV_CURRENT);
    *ret = (struct core){
        .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (ret->fd < 0) {
        return false;
    }
    if (fstat(ret->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        ret->bytes = (uint64_t)st.st_size;
        ret->elf = elf_begin(ret->fd, ELF_C_READ, NULL);
    }
    if (ret->elf != NULL && elf_kind(ret->elf) == ELF_K_ELF
        && gelf_getehdr(ret->elf, &h) != NULL && h.e_type == ET_CORE) {
        return elf_getphdrnum(ret->elf, &ret->segments) == 0;
    }
    elf_end(ret->elf);
    close(ret->fd);
    return false;
}

static void close_core(struct core *c)
{
    elf_end(c->elf);
    close(c->fd);
    free(c->region_path);
}

bool corefile_is_one(const char *path)
{
    struct core c;

    if (!open_core(path, &c)) {
        return false;
    }
    close_core(&c);
    return true;
}

static bool is_of_this_machine(const struct core *c)
{
    static const union {
        uint16_t number;
        char first;
    } one = {1};
    GElf_Ehdr h;

    return gelf_getehdr(c->elf, &h) != NULL && h.e_ident[EI_CLASS] == ELFCLASS64
           && (h.e_ident[EI_DATA] == ELFDATA2LSB) == (one.first == 1);
}

int corefile_open(
    const char *path, mp_image_t **ret, char **ret_left, struct mp_error *error)
{
    struct found found = {0};
    struct core c;
    int code;

    *ret = NULL;
    *ret_left = NULL;
    if (!open_core(path, &c)) {
        return fail(error, -EBADMSG, "%s: is no core file", path);
    }
    for (size_t i = 0; i < c.segments && is_of_this_machine(&c); i++) {
        GElf_Phdr p;

        if (gelf_getphdr(c.elf, (int)i, &p) != NULL && p.p_type == PT_NOTE) {
            read_notes(&c, &p);
        }
    }
    if (!is_of_this_machine(&c)) {
        code = fail(error, -EBADMSG,
            "%s: is of another kind of machine: nothing of it can be read", path);
    } else if (find_region(&c, &found)) {
        code = read_region(&c, &found, ret, error);
    } else {
        code = read_left(&c, ret, error);
        if (code == 0) {
            *ret_left = must(strdup(c.region_path));
        }
    }
    close_core(&c);
    return code;
}
