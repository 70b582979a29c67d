/*
 * comparison_profile - a comparison as a profile, for pictures: what each stack held and holds
 *
 * Does not own: the comparison, whose intervals these are (comparison.h), formats (export.h), the
 * difference of two profiles, which has all values and no intervals (profile_difference.h).
 */
#ifndef COMPARISON_PROFILE_H
#define COMPARISON_PROFILE_H

#include "comparison.h"
#include "profile.h"

/*
 * Samples have value and before, of what is live, was allocated and was live at the peak; low and
 * high are how far the change may be from there. It needs the comparison. Ends the process without
 * memory.
 */
struct profile *comparison_profile_create(const struct comparison *c);

#endif
