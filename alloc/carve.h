/*
 * carve - when blocks are cut from the part of a slab that was never used, and how many
 *
 * The next page of a slab costs a page fault, as much as some dozens of refills, and memory for
 * as long as the slab lives. So a class makes do with the few blocks that it has free until so
 * many lists were too short, in one tick of the clock, that the page would have paid. Many
 * threads with some blocks in each of many classes never need it.
 *
 * made_do is how often a class did so, kept by its heap. Owner only.
 */
#ifndef CARVE_H
#define CARVE_H

#include "slab.h"

/* made_do of a class that will not wait any more. */
enum { CARVE_MADE_DO = 128 };

/*
 * Whether more blocks would be welcome although some are free. A class in constant use wants
 * lists long enough to pay for the refill; one that is used now and then touches no more memory
 * than it needs.
 */
bool carve_wants(const struct span *s, bool is_busy);

/* Whether the few blocks that are free will do for this list; this is remembered. */
bool carve_makes_do(const struct span *s, uint8_t *made_do);

/* Cut some. s is not all carved. */
void carve_more(struct span *s, uint8_t *made_do);

#endif
