/*
 * text - strings that come from programs and files, made fit to print
 *
 * Owns: escaping (mp_text_escape), and the one line of an error.
 * Does not own: numbers, units, colours; those belong to who prints.
 */
#ifndef TEXT_H
#define TEXT_H

#include <mpstats.h>

/* Leave a formatted, escaped line in error (may be NULL); returns code. */
__attribute__((format(printf, 3, 4))) int text_fail(
    struct mp_error *error, int code, const char *format, ...);

#endif
