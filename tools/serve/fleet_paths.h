/*
 * fleet_paths - where the regions are that mpalloc serve watches
 *
 * Owns: the list of paths: what is in the directories, and, less often, what running processes
 * have elsewhere, in a directory of their own or in a memfd. Does not own: what is in a region.
 *
 * One thread at a time.
 */
#ifndef FLEET_PATHS_H
#define FLEET_PATHS_H

#include "fleet.h"

enum { FLEET_PATHS = 4096 }; /* more are not watched */

struct fleet_paths;

/* Ends the process without memory. */
struct fleet_paths *fleet_paths_create(const struct fleet_options *options);
void fleet_paths_destroy(struct fleet_paths *p);

/*
 * Looks again: *ret has paths, sorted, each once, at most FLEET_PATHS. They live until the next
 * call. A directory that cannot be listed is said once, on standard error.
 */
void fleet_paths_find(struct fleet_paths *p, char *const **ret, size_t *ret_count);

#endif
