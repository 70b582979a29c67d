/*
 * symbols - from the place of an instruction in a module to functions and lines
 *
 * Owns: lines found so far, in memory, and what there is to tell about modules that could
 * not be read. Does not own: the files of modules (symfile.h), what is in them (debuginfo.h,
 * symtab.h), results of earlier runs (symcache.h).
 *
 * No name is better than a wrong one: a file is read only when it has the build id that the
 * process had in memory.
 */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include <mpstats.h>

struct symbols;

/* All texts are fit to print and live as long as the struct symbols that gave them. */
struct symbol_line {
    const char *function; /* demangled, without parameters; "libfoo.so.1+0x1234" */
    const char *file;     /* NULL: not known */
    uint32_t line;        /* 0: not known */
};

enum {
    SYMBOLS_LINES_MAX = 64,
    SYMBOLS_TEXT_BYTES = 1024, /* longer ones are cut */
};

/* Of all modules of an image, which outlives it. Ends the process when there is no memory. */
struct symbols *symbols_create(const mp_image_t *image);

/* Without an image, and without modules. */
struct symbols *symbols_create_empty(void);

/*
 * One more module, which outlives it; the first one is number 0. pid: a running process that
 * has it loaded, 0: none. Then its files are looked for where the process sees them.
 */
void symbols_add_module(
    struct symbols *s, const struct mp_region_module *module, uint64_t pid);

void symbols_destroy(struct symbols *s);

/*
 * What this thread creates from now on looks into files for so long in all; after that places
 * that nothing is known of have no names, as if there were no file. 0: as long as it takes.
 */
void symbols_bound(unsigned ms);

/*
 * The lines of the instruction at `offset` from the lowest address of the module: functions
 * that were inlined, the innermost first, and at last the one that they were inlined into.
 * Returns how many, from 1 to SYMBOLS_LINES_MAX. A module that there is not, such as
 * UINT32_MAX, has "(unknown code)".
 */
size_t symbols_find(struct symbols *s, uint32_t module, uint64_t offset,
    const struct symbol_line **ret);

/* Why modules have no names, a line each, fit to print; of modules that were asked for. */
size_t symbols_problem_count(const struct symbols *s);
const char *symbols_problem(const struct symbols *s, size_t number);

/* A line on places without names in modules that are stripped; NULL: none, or few. */
const char *symbols_rest(struct symbols *s);

/* How often each way was gone; for tests, and for the curious. */
struct symbols_stats {
    uint64_t memory; /* asked for before */
    uint64_t disk;   /* in an earlier run */
    uint64_t debug;  /* in debug information */
    uint64_t table;  /* in a table of symbols */
    uint64_t none;   /* no name */
};

void symbols_stats(const struct symbols *s, struct symbols_stats *ret);

#endif
