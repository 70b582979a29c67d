/*
 * render_leaks - verdicts as text
 */
#ifndef RENDER_LEAKS_H
#define RENDER_LEAKS_H

#include "leaks.h"

#include <stdio.h>

struct render_leaks_options {
    bool all;          /* also what is cache-like or fine */
    bool by_component; /* one line for each of them */
    size_t rows;
};

void render_leaks(
    FILE *out, const struct leaks *l, const struct render_leaks_options *o);

#endif
