/*
 * elffile - the dynamic symbols and relocations of an ELF file, read with suspicion
 *
 * The file is mapped private and may be anything: every offset is checked against its size.
 */
#ifndef ELFFILE_H
#define ELFFILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elffile {
    const unsigned char *data;
    size_t size;
    const Elf64_Phdr *segments;
    size_t segment_count;
    const Elf64_Sym *symbols; /* no count: the format has none; checked one by one */
    const char *strings;
    size_t strings_size;
    struct {
        const Elf64_Rela *entries;
        size_t count;
    } relocations[2]; /* of data, of the PLT */
};

/* 0, or -errno; -ENOEXEC: no ELF file of 64 bits with dynamic symbols. */
int elffile_open(struct elffile *f, const char *path);
void elffile_close(struct elffile *f);

/* Address of its first segment, rounded down to a page: what is mapped at its start. */
uint64_t elffile_first_address(const struct elffile *f);

/* The name and the symbol of a relocation; NULL when it has none or is damaged. */
const char *elffile_relocation_name(
    const struct elffile *f, const Elf64_Rela *r, const Elf64_Sym **ret_symbol);

/* Whether a dynamic symbol of that name is defined here. */
bool elffile_defines(const struct elffile *f, const char *name);

/* Whether the name of any dynamic symbol, defined or wanted, begins so. */
bool elffile_mentions(const struct elffile *f, const char *beginning);

#endif
