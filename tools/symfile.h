/*
 * symfile - the ELF file of a module, which is proven to be what the process had in memory
 *
 * Owns: the choice of the file, its check, and the libdwfl session that reads it. Files of
 * debug information that go with it are found by libdwfl: by build id, by .gnu_debuglink, and
 * from servers when DEBUGINFOD_URLS says so (servers.h).
 */
#ifndef SYMFILE_H
#define SYMFILE_H

#include <elfutils/libdwfl.h>
#include <mpstats.h>

struct symfile {
    Dwfl *session;
    Dwfl_Module *module;
    uint64_t low;      /* address of what has offset 0 */
    uint64_t code_low; /* from the first to the last address of executable segments */
    uint64_t code_high;
};

enum { SYMFILE_PROBLEM_BYTES = 2048 };

/*
 * pid: a running process that has it loaded, 0: none; is_program: the module is what it
 * executes. On failure returns false, and writes a line for people to ret_problem.
 */
bool symfile_open(struct symfile *f, const struct mp_region_module *m, uint64_t pid,
    bool is_program, char *ret_problem);
/* Whether it has the table of all symbols, not only of those that others call. */
bool symfile_has_symbols(const struct symfile *f);

void symfile_close(struct symfile *f);

#endif
