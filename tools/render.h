/*
 * render - the text report of one image
 */
#ifndef RENDER_H
#define RENDER_H

#include <mpstats.h>
#include <stdio.h>

struct render_options {
    unsigned rows; /* at most so many of each table: components, size classes, stacks */
    bool all;      /* every row */
};

/* The whole report to `out`. */
void render_report(
    FILE *out, const mp_image_t *image, const struct render_options *options);

/* Only the head: who, how much is live, where resident memory is. */
void render_summary(FILE *out, const mp_image_t *image);

#endif
