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
    const char *ending; /* of files, as its readers like it */
    bool is_exact;      /* its readers take it that every allocation is in it */
    const char *readers;
    int (*write)(FILE *out, const struct profile *p, enum profile_value value);
};

/* The last has no name. export.c */
extern const struct export_format export_formats[];

/* NULL: there is none of that name. export_list_formats: "pprof, collapsed, …" */
const struct export_format *export_find_format(const char *name);
const char *export_list_formats(char ret[256]);

/*
 * Which differences it has: of pprof values that may be below zero, of collapsed two numbers for
 * each stack, of json both, made of all values (profile_difference.h). Of pictures what is surely
 * more and less, made of a comparison (comparison_profile.h).
 */
enum export_difference {
    EXPORT_NO_DIFFERENCE,
    EXPORT_OF_PROFILES,
    EXPORT_OF_COMPARISON
};

enum export_difference export_difference(const struct export_format *f);

/* Whether a comparison has that, for a picture of it; the page shows what is live, alone. */
bool export_differs_by(const struct export_format *f, enum profile_value value);

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

/* A document as somebody wishes it. */
struct export_wish {
    const struct export_format *format;
    bool by_component;
    bool has_value; /* else export_pick_value */
    enum profile_value value;
};

/*
 * What a document shows first, unless something else is wished for: what is live; of a program that
 * ended, in pictures, what was live at the peak.
 */
enum profile_value export_pick_value(
    const struct export_wish *w, const struct profile *p);

/* The whole way from an image to a document: 0 or a negative errno; ferror is not looked at. */
int export_write(FILE *out, const mp_image_t *image, const struct export_wish *w);

/* The same from a profile, which is destroyed. */
int export_write_profile(FILE *out, struct profile *p, const struct export_wish *w);

/*
 * What every writer counts on: each sample has a frame. Where the stack is not known it is
 * "(not sampled)". With by_component the parts of the component's name come first, if they
 * do not already. 0, or -ENOMEM.
 */
int export_prepare(struct profile *p, bool by_component);

/*
 * A frame as Valgrind's tools have it: "0x1139: main (prog.c:12)", "0x1139: main (in /bin/x)",
 * the offset being in the module. Cut to size.
 */
const char *export_frame(
    const struct profile *p, uint32_t frame, char *ret, size_t size);

enum { EXPORT_FRAME_BYTES = 8192 };

/* Whether the function of a frame of code was found; if not, it is "module+0x1139". */
bool export_is_named(const struct profile_frame *f);

int export_collapsed(FILE *out, const struct profile *p, enum profile_value value);
int export_speedscope(FILE *out, const struct profile *p, enum profile_value value);
int export_svg(FILE *out, const struct profile *p, enum profile_value value);
int export_html(FILE *out, const struct profile *p, enum profile_value value);
int export_massif(FILE *out, const struct profile *p, enum profile_value value);
int export_openmetrics(FILE *out, const struct profile *p, enum profile_value value);
int export_pprof(FILE *out, const struct profile *p, enum profile_value value);
int export_dhat(FILE *out, const struct profile *p, enum profile_value value);
int export_heaptrack(FILE *out, const struct profile *p, enum profile_value value);
int export_heap(FILE *out, const struct profile *p, enum profile_value value);
int export_jeprof(FILE *out, const struct profile *p, enum profile_value value);
int export_json(FILE *out, const struct profile *p, enum profile_value value);

#endif
