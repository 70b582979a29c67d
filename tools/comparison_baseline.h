/*
 * comparison_baseline - a baseline as one side of a comparison: which one, and its image
 *
 * Does not own: the table of baselines (baselines.h), comparing (comparison.h).
 */
#ifndef COMPARISON_BASELINE_H
#define COMPARISON_BASELINE_H

#include "baselines.h"
#include "comparison.h"

/* Makes it a side. EXIT_FINE, or an exit code after a line, as in what follows. */
int comparison_open_baseline(const char *verb, struct comparison *c, unsigned side,
    sqlite3 *db, const struct baseline *b);

/* "NAME", or "NAME:BUILD", the build as it begins; label: NULL for any. The youngest such. */
int comparison_find_baseline(const char *verb, sqlite3 *db, const char *word,
    const char *label, struct baseline *ret);

/*
 * That of the image's build, else the last one before it: *ret_is_new. label: "" for none.
 */
int comparison_its_baseline(const char *verb, sqlite3 *db, const char *name,
    const char *label, const mp_image_t *image, struct baseline *ret, bool *ret_is_new);

#endif
