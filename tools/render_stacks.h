/*
 * render_stacks - what a text report says about call stacks
 */
#ifndef RENDER_STACKS_H
#define RENDER_STACKS_H

#include "profile.h"

#include <stdio.h>

/*
 * The stacks that hold most, the first of them whole, the peak, what report_analysis.h says of
 * them, and what sampling costs; at most `rows` of each table. Nothing where nothing was ever sampled.
 */
void render_stacks(FILE *out, const struct profile *profile, size_t rows);

#endif
