/*
 * servers - debug information from the servers that DEBUGINFOD_URLS names (debuginfod)
 *
 * Nothing is asked for unless that variable is set. libdwfl asks, through libdebuginfod, for
 * what goes with a file that is here; servers_fetch for what goes with one that is not. This
 * bounds how long all of it takes, refuses what has another build id, and remembers what to
 * tell. After the first failure that is not "there is none", no server is asked again.
 *
 * The bounds are those of debuginfod-find(1), which the environment can set, else 10 s for
 * each 100 KiB (DEBUGINFOD_TIMEOUT), 30 s in all (DEBUGINFOD_MAXTIME), and no second try
 * (DEBUGINFOD_RETRY_LIMIT). In a library (guest.h) only libdwfl asks, as the environment says.
 */
#ifndef SERVERS_H
#define SERVERS_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>

/* For the callbacks of a session: as dwfl_standard_find_debuginfo. */
int servers_find_debuginfo(Dwfl_Module *module, void **userdata, const char *name,
    Dwarf_Addr base, const char *file, const char *link, GElf_Word crc, char **ret);

/*
 * The path of what servers have of a build id: its debug information, or else the file
 * itself. The caller frees it, and checks what is there; NULL: there is none.
 */
char *servers_fetch(const uint8_t *build_id, uint64_t bytes);

/* No server is asked from now on; before other threads are there. */
void servers_forbid(void);

/* Why they are not asked any more, fit to print; once, then NULL. */
const char *servers_problem(void);

#endif
