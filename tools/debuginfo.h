/*
 * debuginfo - functions, inlined ones, and lines by the debug information of an ELF file
 *
 * Reads what is asked for: ranges of all compilation units, then the functions of a unit when
 * an address in it comes up. libdwfl finds the information, in the file or apart from it.
 *
 * The information may be damaged or made to do harm. libdw checks offsets; here, walks are
 * bounded.
 */
#ifndef DEBUGINFO_H
#define DEBUGINFO_H

#include "intervals.h"
#include "symbols.h"
#include "symfile.h"
#include "texts.h"

#include <elfutils/libdw.h>

struct debuginfo {
    Dwarf *dwarf; /* NULL: there is none */
    Dwarf_Addr bias;
    const struct symfile *file;
    struct texts *texts;
    struct unit *units;
    size_t count;
    size_t room;
    struct intervals ranges; /* numbers of units */
    void *names;             /* tsearch: what entries are called */
    uint64_t visits;         /* of entries, all together */
};

/* What is given outlives it. */
void debuginfo_init(struct debuginfo *d, const struct symfile *f, struct texts *texts);
void debuginfo_fini(struct debuginfo *d);

bool debuginfo_is_empty(const struct debuginfo *d);

/*
 * Lines of an address, at most SYMBOLS_LINES_MAX, as symbols_find gives them; 0: nothing is
 * known of it. The function of the last one is NULL when only its line is known.
 */
size_t debuginfo_find(
    struct debuginfo *d, uint64_t address, struct symbol_line ret[SYMBOLS_LINES_MAX]);

#endif
