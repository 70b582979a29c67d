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

/* Which one that is; false: none, and export_value_list says what there is. */
bool export_find_value(const char *option, enum profile_value *ret);
extern const char export_value_list[];

int export_collapsed(FILE *out, const struct profile *p, enum profile_value value);
int export_speedscope(FILE *out, const struct profile *p, enum profile_value value);
int export_svg(FILE *out, const struct profile *p, enum profile_value value);
int export_html(FILE *out, const struct profile *p, enum profile_value value);
int export_massif(FILE *out, const struct profile *p, enum profile_value value);
int export_openmetrics(FILE *out, const struct profile *p, enum profile_value value);
int export_pprof(FILE *out, const struct profile *p, enum profile_value value);

#endif
