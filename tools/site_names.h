/*
 * site_names - the functions of an image's call stacks, from the files of its modules or from what
 * was kept of an earlier day
 *
 * Owns: names by number of frame, keys by which stacks of two builds are known to be the same, and
 * the form in which names are kept. Does not own: how names are found (symbols.h).
 */
#ifndef SITE_NAMES_H
#define SITE_NAMES_H

#include <mpstats.h>
#include <mpstats/export.h>

struct site_names;

/* Of an image, which outlives it. Ends the process without memory. */
struct site_names *site_names_create(const mp_image_t *image);

/* The same of names that were kept: `text` of site_names_keep. */
struct site_names *site_names_load(const mp_image_t *image, const char *text);
void site_names_destroy(struct site_names *n);

enum { SITE_LINES_MAX = 128 };

/* The lines of one frame, the innermost first; returns how many, at least 1. */
size_t site_names_lines(
    struct site_names *n, uint32_t frame, const struct mp_line **ret);

/* The stack that ends in a frame, the innermost first, without mpalloc's own. Returns how many. */
size_t site_names_stack(
    struct site_names *n, uint32_t frame, struct mp_line ret[SITE_LINES_MAX]);

/*
 * One number for each site of the image: equal where the stacks have the same functions in the same
 * modules, wherever in them they are, and whatever the version of a library is. For free().
 */
uint64_t *site_names_keys(struct site_names *n);

/* Names of all stacks that were sampled, as a text, for free(). */
char *site_names_keep(struct site_names *n);

#endif
