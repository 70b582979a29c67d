/*
 * sheet_text - a sheet as text for terminals: what a report shares with its other forms
 *
 * Titles of the whole, bars and charts are left out: text has its own (render.h).
 */
#include "sheet_model.h"

#include "format.h"
#include "must.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_COLUMNS = 118, MARGIN = 2, GAP = 2, TEXT_BYTES = 4096 };

/* Arrows of those who cannot show any. ret is as long as text at most. */
static char *fit(const char *text)
{
    char *ret = must(strdup(text));
    char *to = ret;

    for (const char *at = text; *at != '\0' && !format_has_blocks();) {
        bool is_left = strncmp(at, "\u2190", 3) == 0;
        bool is_right = strncmp(at, "\u2192", 3) == 0;

        if (is_left || is_right) {
            memcpy(to, is_left ? "<-" : "->", 2);
            to += 2;
            at += 3;
        } else {
            *to++ = *at++;
        }
        *to = '\0';
    }
    return ret;
}

static void put_cell(FILE *out, const char *text, unsigned width, bool is_right,
    bool is_last, unsigned room)
{
    char cut[TEXT_BYTES];
    char *fitted = fit(text);
    const char *shown = format_cut(cut, sizeof(cut), fitted, is_last ? room : width);
    unsigned used = format_columns(shown);
    unsigned blanks = used < width ? width - used : 0;

    if (is_right) {
        fprintf(out, "%*s%s", (int)blanks, "", shown);
    } else {
        fprintf(out, "%s%*s", shown, is_last ? 0 : (int)blanks, "");
    }
    free(fitted);
}

static void put_table(FILE *out, const struct sheet_block *b)
{
    size_t columns = b->column_count;
    unsigned *width = must(calloc(columns + 1, sizeof(*width)));

    for (size_t i = 0; i < b->count; i++) {
        char *fitted = fit(b->items[i].text);
        unsigned used = format_columns(fitted);

        width[i % columns] = used > width[i % columns] ? used : width[i % columns];
        free(fitted);
    }
    for (size_t i = 0; i < b->count; i++) {
        size_t k = i % columns;
        unsigned left = MARGIN;

        for (size_t n = 0; n < k; n++) {
            left += width[n] + GAP;
        }
        fprintf(out, "%*s", k == 0 ? MARGIN : GAP, "");
        put_cell(out, b->items[i].text, width[k], b->items[k].align == SHEET_RIGHT,
            k + 1 == columns, left + 8 < LINE_COLUMNS ? LINE_COLUMNS - left : 8);
        if (k + 1 == columns) {
            fputc('\n', out);
        }
    }
    free(width);
}

void sheet_put_text(const struct sheet *s, FILE *out)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct sheet_block *b = &s->blocks[i];
        char *text = fit(b->text != NULL ? b->text : "");

        if (b->kind == SHEET_HEADING) {
            fprintf(out, "\n%s%s%s\n", format_begin(STYLE_BOLD), text, format_end());
        } else if (b->kind == SHEET_LINE || b->kind == SHEET_POINT) {
            fprintf(out, "  %s\n", text);
        } else if (b->kind == SHEET_TABLE) {
            put_table(out, b);
        }
        free(text);
    }
}
