#include "bound.h"

#include "elffile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAPPINGS_MAX = 20000 };

struct mapping {
    uint64_t start;
    uint64_t end;
    char *path;    /* NULL: none, or that of the mapping before */
    unsigned file; /* index of the mapping that has the path */
};

struct process {
    uint64_t pid;
    int memory;
    struct mapping *mappings;
    unsigned count;
};

static void read_line(struct process *p, char *line)
{
    struct mapping *m = &p->mappings[p->count];
    unsigned long long start;
    unsigned long long end;
    unsigned long long offset;
    int at = 0;

    if (sscanf(line, "%llx-%llx %*s %llx %*s %*s %n", &start, &end, &offset, &at) != 3
        || at == 0 || line[at] != '/') {
        return;
    }
    line[strcspn(line, "\n")] = '\0';
    *m = (struct mapping){start, end, NULL, p->count};
    if (p->count > 0 && offset != 0
        && strcmp(p->mappings[m[-1].file].path, line + at) == 0) {
        m->file = m[-1].file;
    } else {
        m->path = strdup(line + at);
        if (m->path == NULL) {
            return;
        }
    }
    p->count++;
}

static int read_mappings(struct process *p)
{
    char path[64];
    char *line = NULL;
    size_t room = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%llu/maps", (unsigned long long)p->pid);
    file = fopen(path, "re");
    p->mappings = calloc(MAPPINGS_MAX, sizeof(*p->mappings));
    if (file == NULL || p->mappings == NULL) {
        if (file != NULL) {
            fclose(file);
        }
        return file == NULL ? -errno : -ENOMEM;
    }
    while (p->count < MAPPINGS_MAX && getline(&line, &room, file) > 0) {
        read_line(p, line);
    }
    free(line);
    fclose(file);
    return 0;
}

/* The file that the address is in; NULL: none. */
static const char *file_at(const struct process *p, uint64_t address)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (address >= p->mappings[i].start && address < p->mappings[i].end) {
            return p->mappings[p->mappings[i].file].path;
        }
    }
    return NULL;
}

static bool is_malloc(const char *name)
{
    static const char *const names[] = {"malloc", "free", "calloc", "realloc",
        "posix_memalign", "aligned_alloc", "memalign"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* The first slot of a module that leads elsewhere; whether it has any slot at all. */
static bool look_at_module(const struct process *p, const struct mapping *m,
    const struct elffile *f, bound_found found, void *data)
{
    uint64_t base = m->start - elffile_first_address(f);
    bool calls = false;

    for (unsigned kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < f->relocations[kind].count; i++) {
            const Elf64_Rela *r = &f->relocations[kind].entries[i];
            const Elf64_Sym *symbol;
            const char *name = elffile_relocation_name(f, r, &symbol);
            const char *owner;
            uint64_t value;

            if (name == NULL || !is_malloc(name)
                || pread(p->memory, &value, sizeof(value), (off_t)(base + r->r_offset))
                       != sizeof(value)) {
                continue;
            }
            calls = true;
            owner = file_at(p, value);
            /* In itself: its own malloc, or not called yet (an entry of its PLT). */
            if (owner != NULL
                && (strcmp(owner, m->path) != 0
                        ? strcmp(owner, p->mappings[0].path) != 0
                        : symbol->st_shndx != SHN_UNDEF
                              && value == base + symbol->st_value)
                && strstr(owner, "/libmpalloc.so") == NULL) {
                found(data, m->path, name, owner);
                return true;
            }
        }
    }
    return calls;
}

int bound_find_others(uint64_t pid, bound_found found, void *data)
{
    struct process p = {.pid = pid};
    char path[PATH_MAX + 64];
    int modules = 0;
    int code;

    snprintf(path, sizeof(path), "/proc/%llu/mem", (unsigned long long)pid);
    p.memory = open(path, O_RDONLY | O_CLOEXEC);
    if (p.memory < 0) {
        return -errno;
    }
    code = read_mappings(&p);
    for (unsigned i = 0; code == 0 && i < p.count; i++) {
        struct elffile f;

        if (p.mappings[i].path == NULL
            || strstr(p.mappings[i].path, "/ld-linux") != NULL) {
            continue; /* the loader has a malloc of its own for its first steps */
        }
        snprintf(path, sizeof(path), "/proc/%llu/root%s", (unsigned long long)pid,
            p.mappings[i].path);
        if (elffile_open(&f, path) == 0) {
            modules += look_at_module(&p, &p.mappings[i], &f, found, data);
            elffile_close(&f);
        }
    }
    for (unsigned i = 0; i < p.count; i++) {
        free(p.mappings[i].path);
    }
    free(p.mappings);
    close(p.memory);
    return code != 0 ? code : modules;
}
