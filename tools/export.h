/*
 * export - profiles in the formats of other tools
 *
 * Each writer writes one whole document to `out`, and returns 0 or a negative errno; errors of
 * the stream itself show in ferror.
 */
#ifndef EXPORT_H
#define EXPORT_H

#include "profile.h"

#include <stdio.h>

struct export_format {
    const char *name;
    int (*write)(FILE *out, const struct profile *p, enum profile_value value);
};

/* The last has no name. export.c */
extern const struct export_format export_formats[];

/* What a value is called in pprof, and its unit: "inuse_space", "bytes". */
extern const struct export_value {
    const char *name;
    const char *unit;
} export_values[PROFILE_VALUES];

/* What a value is called by users: "live-bytes". */
extern const char *const export_value_options[PROFILE_VALUES];

/* The value of --value. On a wrong one the process ends with a line of that verb. */
enum profile_value export_value_option(const char *verb, const char *text);

int export_collapsed(FILE *out, const struct profile *p, enum profile_value value);
int export_speedscope(FILE *out, const struct profile *p, enum profile_value value);
int export_svg(FILE *out, const struct profile *p, enum profile_value value);
int export_html(FILE *out, const struct profile *p, enum profile_value value);
int export_massif(FILE *out, const struct profile *p, enum profile_value value);
int export_openmetrics(FILE *out, const struct profile *p, enum profile_value value);
int export_pprof(FILE *out, const struct profile *p, enum profile_value value);

#endif
