/*
 * symtab - functions by the table of symbols of an ELF file
 *
 * libdwfl finds the table: .symtab of the file or of its debug information, the one in
 * .gnu_debugdata, or .dynsym. Its own search is a walk over all symbols, hence this one.
 */
#ifndef SYMTAB_H
#define SYMTAB_H

#include "intervals.h"
#include "symfile.h"

struct symtab {
    struct symbol *symbols;
    size_t count;
    size_t room;
    struct intervals sized;
    struct intervals unsized; /* labels, up to what comes next */
};

/* `f` outlives it. */
void symtab_init(struct symtab *t, const struct symfile *f);
void symtab_fini(struct symtab *t);

/* The name as it stands in the file; NULL: the address is in no function. */
const char *symtab_find(const struct symtab *t, uint64_t address);

#endif
