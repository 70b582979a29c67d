/*
 * profile_difference - two profiles as one, that has what each stack held before and holds after
 *
 * Owns: which frames and samples of the two are the same. Of one run those of the same code are. Of
 * two runs, whose builds may differ, those of the same functions in the same modules, and lines
 * within functions are left out. What has one stack, component, operation and thread is one sample,
 * whatever its size class.
 */
#ifndef PROFILE_DIFFERENCE_H
#define PROFILE_DIFFERENCE_H

#include "profile.h"

/*
 * Samples have value and before. It needs the images of both, not the profiles. Ends the process
 * without memory.
 */
struct profile *profile_difference_create(
    const struct profile *before, const struct profile *after);

/* Whether nothing became of the sample. */
bool profile_is_same(const struct profile_sample *s);

#endif
