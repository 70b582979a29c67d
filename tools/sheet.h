/*
 * sheet - a document of headings, lines, tables, bars and charts, and how it looks in a format
 *
 * Owns: the model, and text, Markdown and HTML. Does not own: what a document says (report_sheet.h).
 *
 * Texts are copied, and need not be fit for a format: they are escaped when written. Functions
 * end the process without memory.
 */
#ifndef SHEET_H
#define SHEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum sheet_align { SHEET_LEFT, SHEET_RIGHT };

struct sheet;

struct sheet *sheet_create(const char *title);
void sheet_destroy(struct sheet *s);

void sheet_heading(struct sheet *s, const char *text);

/* Of one thing in a section. */
__attribute__((format(printf, 2, 3))) void sheet_title(
    struct sheet *s, const char *format, ...);

/* A paragraph; a part of a list; the same in the type of code. */
__attribute__((format(printf, 2, 3))) void sheet_line(
    struct sheet *s, const char *format, ...);
__attribute__((format(printf, 2, 3))) void sheet_point(
    struct sheet *s, const char *format, ...);
__attribute__((format(printf, 2, 3))) void sheet_code(
    struct sheet *s, const char *format, ...);

/* What follows is folded away under a line, where the format can do so. */
void sheet_fold(struct sheet *s, const char *text);
void sheet_unfold(struct sheet *s);

/* A table: columns first, then cells, row by row. Rows may not be cut short. */
void sheet_table(struct sheet *s);
void sheet_column(struct sheet *s, const char *name, enum sheet_align align);
__attribute__((format(printf, 2, 3))) void sheet_cell(
    struct sheet *s, const char *format, ...);

/* One bar cut in parts; texts of values are shown beside their names. Parts of 0 are not. */
void sheet_bar(struct sheet *s);
void sheet_part(struct sheet *s, const char *name, double value, const char *text);

/* Values at times, both from 0 on; the texts are at the ends of the axes. */
void sheet_chart(struct sheet *s, const char *name, const char *most_text,
    const char *first_text, const char *last_text);
void sheet_chart_point(struct sheet *s, double x, double y);

/* What follows is a layer of the chart, on top of those before: points at the same times. */
void sheet_chart_layer(struct sheet *s, const char *name, const char *last_text);

/* For terminals: headings, lines, points and tables only; no line is longer than 118 columns. */
void sheet_put_text(const struct sheet *s, FILE *out);
void sheet_put_markdown(const struct sheet *s, FILE *out);
void sheet_put_html(const struct sheet *s, FILE *out);

#endif
