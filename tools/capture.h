/*
 * capture - a profile of an image, written in the format that was asked for
 *
 * Owns: what --format, --value, --by-component and --output of several verbs mean, and what
 * is said of wrong ones. Does not own: the formats (export.h), files (outfile.h).
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include "export.h"

#include <mpstats.h>

struct capture {
    const char *verb; /* for messages */
    const struct export_format *format;
    bool has_value; /* it was asked for; else what suits is taken */
    enum profile_value value;
    bool by_component;
    const char *path; /* NULL: standard output */
};

/* The format of that name. The process ends with a line when there is none, or name is NULL. */
const struct export_format *capture_find_format(const char *verb, const char *name);

/* "html" of mpalloc flame, which is not asked for by name. */
const struct export_format *capture_html(void);

/*
 * What was asked for, else what is live; but of a program that ended, and freed what it had,
 * pictures show what was live at its peak.
 */
enum profile_value capture_value(const struct capture *c, const struct profile *p);

/* --value. The process ends with a line when it is none. */
void capture_set_value(struct capture *c, const char *text);

/* Binary ones and pages do not belong on a terminal. EXIT_FINE, or EXIT_USAGE after a line. */
int capture_check_terminal(const struct capture *c);

/*
 * Writes it, the whole or nothing. EXIT_FINE, or EXIT_FAILED after a line. ret_bytes: its
 * length when it is in a file, NULL: not wanted.
 */
int capture_write(
    const struct capture *c, const mp_image_t *image, uint64_t *ret_bytes);

/* The same of a profile, which it takes over. */
int capture_write_profile(
    const struct capture *c, struct profile *profile, uint64_t *ret_bytes);

#endif
