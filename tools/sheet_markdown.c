/*
 * sheet_markdown - a sheet as GitHub's Markdown: for issues and comments
 */
#include "sheet_model.h"

#include "format.h"

#include <string.h>

enum { SPARK_COLUMNS = 60 };

/* Names of functions have most of what Markdown takes for marks. */
static void put_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("\\`*_[]<>|~", *text) != NULL) {
            fputc('\\', out);
        }
        fputc(*text == '\n' ? ' ' : *text, out);
    }
}

static void put_code(FILE *out, const char *text)
{
    fputc('`', out);
    for (; *text != '\0'; text++) {
        fputc(*text == '`' ? '\'' : *text, out);
    }
    fputc('`', out);
}

static void put_table(FILE *out, const struct sheet_block *b)
{
    size_t columns = b->column_count;

    fputc('\n', out);
    for (size_t i = 0; i < b->count; i++) {
        fputs("| ", out);
        put_text(out, b->items[i].text);
        fputs((i + 1) % columns == 0 ? " |\n" : " ", out);
        if (i + 1 == columns) {
            for (size_t k = 0; k < columns; k++) {
                fputs(b->items[k].align == SHEET_RIGHT ? "|-:" : "|-", out);
            }
            fputs("|\n", out);
        }
    }
}

static void put_bar(FILE *out, const struct sheet_block *b)
{
    double whole = 0;

    for (size_t i = 0; i < b->count; i++) {
        whole += b->items[i].x;
    }
    fputs("\n| bytes | share | |\n|-:|-:|-|\n", out);
    for (size_t i = 0; i < b->count; i++) {
        fprintf(out, "| %s | %s | ", b->items[i].more,
            format_percent(b->items[i].x, whole).text);
        put_text(out, b->items[i].text);
        fputs(" |\n", out);
    }
}

static void make_line(
    const struct sheet_item *items, size_t n, char ret[4 * SPARK_COLUMNS + 1])
{
    double columns[SPARK_COLUMNS] = {0};
    double last = n > 0 ? items[n - 1].x : 0;
    size_t count = n < SPARK_COLUMNS ? n : SPARK_COLUMNS;

    for (size_t i = 0; i < n && last > 0; i++) {
        size_t at = (size_t)(items[i].x / last * ((double)count - 1) + 0.5);

        at = at < count ? at : count - 1; /* a clock may have been set back */
        if (items[i].y > columns[at]) {
            columns[at] = items[i].y;
        }
    }
    format_sparkline(ret, columns, count);
}

/* A line for each layer, each as high as its own most. */
static void put_layers(FILE *out, const struct sheet_block *b)
{
    fputs("\n```\n", out);
    for (size_t i = 0; i < b->count;) {
        size_t n = 1;
        char line[4 * SPARK_COLUMNS + 1];

        while (i + n < b->count && b->items[i + n].text == NULL) {
            n++;
        }
        make_line(&b->items[i + 1], n - 1, line);
        fprintf(out, "%s  %s, now %s\n", line, b->items[i].text, b->items[i].more);
        i += n;
    }
    fprintf(out, "%s to %s\n```\n", b->first, b->last);
}

static void put_chart(FILE *out, const struct sheet_block *b)
{
    char line[4 * SPARK_COLUMNS + 1];

    if (b->count > 0 && b->items[0].text != NULL) {
        put_layers(out, b);
        return;
    }
    make_line(b->items, b->count, line);
    fprintf(
        out, "\n```\n%s  up to %s\n%s to %s\n```\n", line, b->most, b->first, b->last);
}

static void put_block(FILE *out, const struct sheet_block *b, enum sheet_kind before)
{
    switch (b->kind) {
    case SHEET_HEADING:
        fputs("\n## ", out);
        put_text(out, b->text);
        fputc('\n', out);
        break;
    case SHEET_TITLE:
        fputs("\n### ", out);
        put_text(out, b->text);
        fputc('\n', out);
        break;
    case SHEET_LINE:
        fputc('\n', out);
        put_text(out, b->text);
        fputc('\n', out);
        break;
    case SHEET_POINT:
        fputs(before == SHEET_POINT || before == SHEET_CODE ? "- " : "\n- ", out);
        put_text(out, b->text);
        fputc('\n', out);
        break;
    case SHEET_CODE:
        fputs(before == SHEET_POINT || before == SHEET_CODE ? "  - " : "\n- ", out);
        put_code(out, b->text);
        fputc('\n', out);
        break;
    case SHEET_FOLD:
        fputs("\n<details><summary>", out);
        for (const char *p = b->text; *p != '\0'; p++) {
            format_put_xml(out, *p);
        }
        fputs("</summary>\n", out);
        break;
    case SHEET_UNFOLD:
        fputs("\n</details>\n", out);
        break;
    case SHEET_TABLE:
        put_table(out, b);
        break;
    case SHEET_BAR:
        put_bar(out, b);
        break;
    case SHEET_CHART:
        put_chart(out, b);
        break;
    }
}

void sheet_put_markdown(const struct sheet *s, FILE *out)
{
    fputs("# ", out);
    put_text(out, s->title);
    fputc('\n', out);
    for (size_t i = 0; i < s->count; i++) {
        put_block(out, &s->blocks[i], i > 0 ? s->blocks[i - 1].kind : SHEET_HEADING);
    }
}
