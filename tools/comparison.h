/*
 * comparison - two images, what changed between them, and what there is to say of it
 *
 * Owns: how stacks of two builds are matched, names of rows, notes, and --fail-on drift. Does not
 * own: the difference (mpstats.h), how it looks (render_diff.h, document_diff.h).
 */
#ifndef COMPARISON_H
#define COMPARISON_H

#include "site_names.h"

#include <limits.h>

struct comparison_side {
    mp_image_t *image;
    bool is_lent; /* the image; else it is owned, as names are */
    struct site_names *names;
    char label[PATH_MAX]; /* "baseline nightly", "4711": fit to print */
    uint64_t time_ns;     /* of its figures; 0: not known */
};

enum { COMPARISON_NOTES = 12 };

struct comparison {
    struct comparison_side side[2];
    mp_diff_t *diff;
    enum mp_diff_figure judged;
    int64_t
        asked_s; /* of a moment (comparison_moment.h): that time, and when it is of */
    int64_t found_s;
    bool began_baseline; /* the build had none, and begins one with this */
    size_t note_count;
    struct {
        const char *key;
        char text[256];
    } note[COMPARISON_NOTES];
    size_t significant; /* stacks */
    double drift;
    enum mp_diff_by drift_by;
    const struct mp_difference *drift_row; /* NULL: the whole */
    double fail_drift;                     /* NAN: not asked for */
};

/* Takes over the image; names NULL: they are looked for when they are needed. */
void comparison_set_side(struct comparison *c, unsigned side, const char *label,
    mp_image_t *image, struct site_names *names);

/* The same of an image that stays the caller's, and outlives it. */
void comparison_lend_side(
    struct comparison *c, unsigned side, const char *label, const mp_image_t *image);

/* judged: MP_DIFF_FIGURES for what suits: live, or the peak of two that ran to their ends. */
void comparison_make(struct comparison *c, enum mp_diff_figure judged);
void comparison_fini(struct comparison *c);

/* "20%", "0.2": a part of what there was. False: it is none. */
bool comparison_parse_drift(const char *text, double *ret);

/* Whether --fail-on is met. */
bool comparison_fails(const struct comparison *c);

/* "live", "allocated", "peak". */
const char *comparison_judged(const struct comparison *c);

/* Fit to print; "(not in stacks)" of the row that no row explains. */
const char *comparison_name(const struct comparison *c, enum mp_diff_by by,
    const struct mp_difference *r, char *ret, size_t size);

/* The stack of a row by site, the innermost first. */
size_t comparison_stack(const struct comparison *c, const struct mp_difference *r,
    struct mp_line ret[SITE_LINES_MAX]);

#endif
