/*
 * shares - sites that several threads wrote, each its own part, as one
 *
 * Owns: the sum of sites that differ in `share` alone. Before they are checked: their figures may
 * be anything, and one part may have freed what another allocated.
 */
#ifndef SHARES_H
#define SHARES_H

#include <mpalloc/region.h>

#include <stdbool.h>
#include <stddef.h>

struct mp_error;

/*
 * The first of those that are one becomes their sum, and the others go: *count is what is left.
 * ret_numbers[i] is the new number of site i. Site 0 stays. False: out of memory.
 */
bool shares_add_up(struct mp_region_site *sites, size_t *count, uint32_t *ret_numbers);

#endif
