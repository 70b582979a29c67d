/*
 * symcache - lines found in earlier runs, on disk: one file for each build id
 *
 * Owns: the files ${XDG_CACHE_HOME:-~/.cache}/mpalloc/symbols/BUILD-ID, which are written
 * beside and renamed, are at most 8 MiB each and 64 MiB together: the longest unused ones go.
 * MPALLOC_SYMBOL_CACHE=off: nothing is read or written; the same where the folder is not ours.
 *
 * A server keeps what it found in memory, too: its folder may be read-only, or none.
 *
 * A file is read as if anybody had written it. What is damaged counts as not there, and is
 * written anew.
 */
#ifndef SYMCACHE_H
#define SYMCACHE_H

#include "symbols.h"
#include "texts.h"

/* The lines of one place in a module. */
struct symcache_entry {
    struct symcache_entry *next;
    uint64_t offset;
    uint32_t count; /* of lines, at least 1 */
    bool has_debug; /* there was debug information */
    bool is_named;  /* else there is nothing to remember */
    bool is_used;   /* asked for in this run */
    struct symbol_line lines[];
};

/* From now on, at most so many bytes of them. Once, before other threads are there. */
void symcache_keep(size_t bytes);

/* Without lines; ends the tool when there is no memory. */
struct symcache_entry *symcache_new(uint64_t offset, uint32_t count);

/* A list, the caller's, with texts in `texts`; NULL: nothing is known. */
struct symcache_entry *symcache_read(
    const struct mp_region_module *m, struct texts *texts);

/* Those that are named. Failing is no matter: they are found again. */
void symcache_write(
    const struct mp_region_module *m, const struct symcache_entry *list);

#endif
