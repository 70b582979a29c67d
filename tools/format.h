/*
 * format - numbers and small pictures for people: units, times, colours, bars
 *
 * Owns: whether colours and block characters may be used (only on a terminal, never with
 * NO_COLOR). Results are values, so that several fit into one printf.
 */
#ifndef FORMAT_H
#define FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct format {
    char text[40];
};

struct format format_bytes(double bytes);     /* "41.2 MiB", "-3.0 KiB", "unknown" */
struct format format_block(uint64_t bytes);   /* "1,280 B", "256 KiB" */
struct format format_count(double count);     /* "10,318", "14.0 M" */
struct format format_seconds(double seconds); /* "20.1 s", "3 min 20 s", "4 d 2 h" */
struct format format_ratio(double value);     /* "0.71", "?" of what is no number */
struct format format_percent(double part, double whole); /* "71.0 %", "" of nothing */
struct format format_time(uint64_t ns);    /* local time "2026-01-31 12:41:07" */
struct format format_rfc3339(uint64_t ns); /* UTC */

/* Bytes that may be unknown (UINT64_MAX). */
struct format format_known(uint64_t bytes);

/*
 * An estimate in two parts, "12.4 MiB" and "±7 %": how far off it may be, to either side, with
 * 95 % probability; "" when it is exact. What may be more than twice the value is "< 1.5 MiB".
 */
struct format format_estimate(double value, double low, double high);
struct format format_spread(double value, double low, double high);

/* "auto", "always", "never"; false for anything else. */
bool format_set_color(const char *when);

enum style { STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_YELLOW, STYLE_GREEN, STYLE_CYAN };

/* Where what follows is printed; it decides about colours. Standard output at first. */
void format_set_output(FILE *out);

/* The sequence that begins a style, "" without colours. */
const char *format_begin(enum style style);
const char *format_end(void);

/* Whether block characters can be shown: the locale is UTF-8. */
bool format_has_blocks(void);

/* A character of text or of an attribute, as XML and HTML want it. */
void format_put_xml(FILE *out, char c);

/* count values as one line of eight heights, from 0 to the highest. ret: 4 * count + 1. */
void format_sparkline(char *ret, const double *value, size_t count);

/*
 * A chart of `rows` lines, each value `wide` columns, with `left` (the highest value) and 0
 * at its left.
 */
void format_chart(FILE *out, const double *value, size_t count, unsigned rows,
    unsigned wide, const char *left);

/* At most so many characters of a text that is fit to print; cut ones end in an ellipsis. */
const char *format_cut(char *ret, size_t size, const char *text, unsigned columns);

/* How many characters. */
unsigned format_columns(const char *text);

/* Escape text from a program into a buffer of the caller; cut to `columns` characters. */
const char *format_name(char *ret, size_t size, const char *text, unsigned columns);

#endif
