#include "elffile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_inside(const struct elffile *f, uint64_t at, uint64_t bytes)
{
    return at <= f->size && bytes <= f->size - at;
}

/* Where an address of the loaded image lies in the file; NULL: not in it. */
static const void *at_address(const struct elffile *f, uint64_t address, uint64_t bytes)
{
    for (size_t i = 0; i < f->segment_count; i++) {
        const Elf64_Phdr *s = &f->segments[i];

        if (s->p_type == PT_LOAD && address >= s->p_vaddr
            && address - s->p_vaddr <= s->p_filesz
            && bytes <= s->p_filesz - (address - s->p_vaddr)
            && is_inside(f, s->p_offset, s->p_filesz) && address % 8 == 0) {
            return f->data + s->p_offset + (address - s->p_vaddr);
        }
    }
    return NULL;
}

/* String tables need not be aligned. */
static const char *strings_at(const struct elffile *f, uint64_t address, uint64_t bytes)
{
    uint64_t lead = address % 8;
    const char *p = at_address(f, address - lead, bytes + lead);

    return p != NULL && bytes > 0 && p[lead + bytes - 1] == '\0' ? p + lead : NULL;
}

static void set_relocations(
    struct elffile *f, unsigned i, uint64_t address, uint64_t bytes)
{
    f->relocations[i].entries = at_address(f, address, bytes);
    f->relocations[i].count =
        f->relocations[i].entries != NULL ? bytes / sizeof(Elf64_Rela) : 0;
}

static int read_dynamic(struct elffile *f)
{
    uint64_t value[DT_NUM + 32] = {0};
    const Elf64_Dyn *entry = NULL;
    size_t count = 0;

    for (size_t i = 0; i < f->segment_count; i++) {
        const Elf64_Phdr *s = &f->segments[i];

        if (s->p_type == PT_DYNAMIC && is_inside(f, s->p_offset, s->p_filesz)
            && s->p_offset % 8 == 0) {
            entry = (const void *)(f->data + s->p_offset);
            count = s->p_filesz / sizeof(*entry);
        }
    }
    for (size_t i = 0; i < count && entry[i].d_tag != DT_NULL; i++) {
        if (entry[i].d_tag > 0 && entry[i].d_tag < DT_NUM) {
            value[entry[i].d_tag] = entry[i].d_un.d_val;
        }
    }
    f->strings_size = value[DT_STRSZ];
    f->strings = strings_at(f, value[DT_STRTAB], value[DT_STRSZ]);
    f->symbols = at_address(f, value[DT_SYMTAB], sizeof(Elf64_Sym));
    if (f->strings == NULL || f->symbols == NULL) {
        return -ENOEXEC;
    }
    set_relocations(f, 0, value[DT_RELA], value[DT_RELASZ]);
    set_relocations(f, 1, value[DT_JMPREL], value[DT_PLTRELSZ]);
    return 0;
}

static int read_headers(struct elffile *f)
{
    const Elf64_Ehdr *header = (const void *)f->data;

    if (f->size < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0
        || header->e_ident[EI_CLASS] != ELFCLASS64
        || header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff % 8 != 0
        || !is_inside(f, header->e_phoff, header->e_phnum * sizeof(Elf64_Phdr))) {
        return -ENOEXEC;
    }
    f->segments = (const void *)(f->data + header->e_phoff);
    f->segment_count = header->e_phnum;
    return read_dynamic(f);
}

int elffile_open(struct elffile *f, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    void *data = MAP_FAILED;
    int code;

    *f = (struct elffile){0};
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    close(fd);
    if (data == MAP_FAILED) {
        return -ENOEXEC;
    }
    f->data = data;
    f->size = (size_t)st.st_size;
    code = read_headers(f);
    if (code != 0) {
        elffile_close(f);
    }
    return code;
}

void elffile_close(struct elffile *f)
{
    if (f->data != NULL) {
        munmap((void *)(uintptr_t)f->data, f->size);
    }
    f->data = NULL;
}

uint64_t elffile_first_address(const struct elffile *f)
{
    for (size_t i = 0; i < f->segment_count; i++) {
        if (f->segments[i].p_type == PT_LOAD) {
            return f->segments[i].p_vaddr & ~(uint64_t)(sysconf(_SC_PAGESIZE) - 1);
        }
    }
    return 0;
}

static const Elf64_Sym *symbol_at(const struct elffile *f, size_t index)
{
    uint64_t at = (uint64_t)((const unsigned char *)f->symbols - f->data);

    return index < f->size / sizeof(Elf64_Sym)
                   && is_inside(f, at + index * sizeof(Elf64_Sym), sizeof(Elf64_Sym))
               ? &f->symbols[index]
               : NULL;
}

static const char *name_of(const struct elffile *f, const Elf64_Sym *symbol)
{
    return symbol->st_name < f->strings_size ? f->strings + symbol->st_name : NULL;
}

const char *elffile_relocation_name(
    const struct elffile *f, const Elf64_Rela *r, const Elf64_Sym **ret_symbol)
{
    size_t index = ELF64_R_SYM(r->r_info);

    *ret_symbol = index != 0 ? symbol_at(f, index) : NULL;
    return *ret_symbol != NULL ? name_of(f, *ret_symbol) : NULL;
}

/* The format does not say how many symbols there are; linkers put the strings behind. */
static size_t symbol_count(const struct elffile *f)
{
    const char *first = (const char *)f->symbols;

    return f->strings > first ? (size_t)(f->strings - first) / sizeof(Elf64_Sym) : 0;
}

bool elffile_defines(const struct elffile *f, const char *name)
{
    for (size_t i = 1; i < symbol_count(f); i++) {
        const Elf64_Sym *symbol = symbol_at(f, i);
        const char *found = symbol != NULL ? name_of(f, symbol) : NULL;

        if (found != NULL && symbol->st_shndx != SHN_UNDEF
            && strcmp(found, name) == 0) {
            return true;
        }
    }
    return false;
}

bool elffile_mentions(const struct elffile *f, const char *beginning)
{
    for (size_t i = 1; i < symbol_count(f); i++) {
        const Elf64_Sym *symbol = symbol_at(f, i);
        const char *found = symbol != NULL ? name_of(f, symbol) : NULL;

        if (found != NULL && strncmp(found, beginning, strlen(beginning)) == 0) {
            return true;
        }
    }
    return false;
}
