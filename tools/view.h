/*
 * view - figures that several verbs derive from an image in the same way
 */
#ifndef VIEW_H
#define VIEW_H

#include "format.h"

#include <mpstats.h>

uint64_t view_now_ns(void); /* CLOCK_REALTIME */

/* allocated - freed; 0 where a torn pair would give less. */
static inline uint64_t view_live(uint64_t allocated, uint64_t freed)
{
    return allocated > freed ? allocated - freed : 0;
}

/* How old the figures are: until now, or until the process ended when that is known. */
double view_age_seconds(const mp_image_t *image);

/* From the start to now, to the end, or to the last publication of one that died. */
double view_ran_seconds(const mp_image_t *image);

/*
 * Whether stacks know of 1 % of live bytes, or more, that the counters do not; in a process that
 * allocates that is so, and passes.
 */
bool view_is_stale(const mp_image_t *image);

/* What a reader should know about the figures; "" when `number` does not apply, NULL at the end. */
const char *view_warning(const mp_image_t *image, unsigned number);

/* The limit nearest to the process, MP_UNKNOWN without one; its name to *ret_source. */
uint64_t view_limit(const mp_image_t *image, const char **ret_source);

/*
 * Whether the program ran to its end: by then it has freed most of what it had, so peaks and
 * what was allocated say more than what is live.
 */
bool view_is_ended(const mp_image_t *image);

/* Row numbers of components as a tree, at each level the largest first (by peak
 * when the program ended); returns the count. */
size_t view_components(const mp_image_t *image, uint16_t *ret_rows, size_t most);

/* Free blocks between live ones in the slabs of a component, over all classes. */
uint64_t view_free_bytes(const mp_image_t *image, size_t row);

/*
 * The mark behind the name of a component with limits: ", over 512.0 MiB" where more is live than
 * a limit says, the lower one that it passed; else "".
 */
struct format view_limit_mark(const mp_image_t *image, size_t row);

/* Class numbers by live bytes (allocated ones when ended), those never used left out. */
size_t view_classes(const mp_image_t *image, uint8_t *ret_classes, size_t most);

/* The finest tier of the timeline that reaches back to the start, or the one furthest back. */
unsigned view_pick_tier(const mp_image_t *image);

/* The most that was live up to a point, since the one before. */
static inline uint64_t view_high(const struct mp_region_moment *m)
{
    return m->live_high_bytes > m->live_bytes ? m->live_high_bytes : m->live_bytes;
}

/* It is too young for a verdict: that nothing was found to leak means nothing. */
bool view_is_young(const mp_image_t *image);

/* What the parts of a ledger add up to, in words; "; it moved by ..." where it did while it was read. */
const char *view_ledger_total(const struct mp_ledger *ledger, char *ret, size_t size);

#endif
