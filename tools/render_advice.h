/*
 * render_advice - findings as text: "What to do"
 */
#ifndef RENDER_ADVICE_H
#define RENDER_ADVICE_H

#include <mpstats.h>
#include <stdio.h>

/* Efficiency, and the findings with the largest gain; all of them with `all`. */
void render_advice(FILE *out, const mp_image_t *image, bool all);

#endif
