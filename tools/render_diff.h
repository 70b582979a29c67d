/*
 * render_diff - what changed, as text
 */
#ifndef RENDER_DIFF_H
#define RENDER_DIFF_H

#include "comparison.h"

#include <stdio.h>

struct render_diff_options {
    bool by[MP_DIFF_BYS]; /* which tables */
    bool all;             /* also what did not change, and what is noise */
    size_t rows;          /* of each table */
};

void render_diff(
    FILE *out, const struct comparison *c, const struct render_diff_options *o);

#endif
