/*
 * mpstats/export.h - reports, profiles in the formats of other tools, and names of functions
 *
 * Of a library of its own, libmpexport (pkg-config mpexport): it reads debug information and writes
 * compressed files, for which it needs elfutils, zlib, jansson and protobuf-c; libmpstats needs only
 * the C library. What mpalloc export and mpalloc report write is written by the same code.
 *
 * Errors: as in mpstats.h, 0 or a negative errno, and a line in struct mp_error (may be NULL).
 * Nothing is printed, and the process is not ended: without memory it is -ENOMEM, and what was
 * allocated by then is not given back.
 *
 * Threads: functions may be called by several threads at once, also for one image. A mp_names_t and
 * a stream are for one thread at a time.
 *
 * Names of functions are looked for in the files of the process's modules, if they have the build id
 * that it had loaded, and in debug information beside them. Found ones are kept in
 * $XDG_CACHE_HOME/mpalloc or ~/.cache/mpalloc, so that they are found at once another time. Servers
 * are asked when DEBUGINFOD_URLS is set, as libdw does; DEBUGINFOD_MAXTIME bounds how long.
 */
#ifndef MPSTATS_EXPORT_H
#define MPSTATS_EXPORT_H

#include <mpstats.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mp_export_flag {
    MP_EXPORT_BY_COMPONENT = 1, /* the component's name, in parts, below each stack */
    MP_EXPORT_NO_NAMES = 2, /* no file is looked into: functions are "libx.so+0x1234" */
    MP_EXPORT_NO_CACHE = 4, /* names found are not kept, and kept ones not used */
};

/* Set size, and leave 0 what is to be as usual. NULL in place of it: all of it is. */
struct mp_export_options {
    size_t size;    /* sizeof(struct mp_export_options): later ones are larger */
    unsigned flags; /* enum mp_export_flag */
    unsigned
        names_ms; /* so long names may take to find, the rest has none; 0: any time */
    /*
     * What collapsed and svg have, and others show first: mp_export_value. NULL: live-bytes; of a
     * program that ended, peak-bytes for pictures.
     */
    const char *value;
    unsigned rows; /* of tables of a report; 0: 12; UINT_MAX: all */
    /* Called with what else there is to say, such as files that are gone; a line without its end. */
    void (*note)(const char *line, void *arg);
    void *arg;
};

/*
 * By number, "pprof", "collapsed", …; NULL past the end. Of a format: the usual ending of files,
 * without a dot, and in a few words what reads it; NULL: there is no such format.
 */
MPS_EXPORT const char *mp_export_format(size_t number);
MPS_EXPORT const char *mp_export_ending(const char *format);
MPS_EXPORT const char *mp_export_text(const char *format);

/* By number, what options.value takes: "live-bytes", …; NULL past the end. */
MPS_EXPORT const char *mp_export_value(size_t number);

/*
 * Who holds memory, as one document: to a stream, which is flushed; to a descriptor; or to a file,
 * which is there whole or not at all. -EINVAL: no such format or value, or an option that this
 * library does not know; else why it could not be written.
 */
MPS_EXPORT int mp_export(const mp_image_t *image, const char *format, FILE *out,
    const struct mp_export_options *options, struct mp_error *error);
MPS_EXPORT int mp_export_fd(const mp_image_t *image, const char *format, int fd,
    const struct mp_export_options *options, struct mp_error *error);
MPS_EXPORT int mp_export_file(const mp_image_t *image, const char *format,
    const char *path, const struct mp_export_options *options, struct mp_error *error);

/*
 * The report: totals, where resident memory goes, components, classes, call stacks, leaks, advice,
 * alerts that fire by the built-in rules. format: "text" (with colours on a terminal), "md", "html"
 * (one page that needs no other file), or "json" (schemas/report.json).
 */
MPS_EXPORT int mp_report(const mp_image_t *image, const char *format, FILE *out,
    const struct mp_export_options *options, struct mp_error *error);

/*
 * For programs that watch themselves (mps_on_alert, mps_on_leak): stops the watch, and writes the
 * report of the calling process. May be called without a watch, too.
 */
MPS_EXPORT int mps_stop_and_report(const char *format, FILE *out,
    const struct mp_export_options *options, struct mp_error *error);

/* ---- names ---- */

/* A line of code. Texts are fit to print. A later library may add members at its end. */
struct mp_line {
    const char
        *function;      /* demangled, without parameters; "libx.so+0x1234": not known */
    const char *file;   /* of its source; NULL: not known */
    const char *module; /* name of the file that it is in; "": none */
    uint32_t line;      /* 0: not known */
};

typedef struct mp_names mp_names_t;

/* Of an image, which outlives it; of the options flags, names_ms (in all), note. -ENOMEM, -EINVAL. */
MPS_EXPORT int mp_names_create(
    const mp_image_t *image, const struct mp_export_options *options, mp_names_t **ret);
MPS_EXPORT void mp_names_free(mp_names_t *names);

/*
 * The lines of a call stack, the innermost first, by the frame of a site, a top, a verdict or a
 * finding: functions that were inlined are lines of their own, those of libmpalloc.so are left out.
 * At most `most` pointers are written, to lines that live as long as the names. Returns how many
 * there are, which may be more; 0: none, or no memory.
 */
MPS_EXPORT size_t mp_names_stack(
    mp_names_t *names, uint32_t frame, const struct mp_line **ret, size_t most);

#ifdef __cplusplus
}
#endif

#endif
