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

static void put_chart(FILE *out, const struct sheet_block *b)
{
    double columns[SPARK_COLUMNS] = {0};
    char line[4 * SPARK_COLUMNS + 1];
    double last = b->count > 0 ? b->items[b->count - 1].x : 0;
    size_t count = b->count < SPARK_COLUMNS ? b->count : SPARK_COLUMNS;

    for (size_t i = 0; i < b->count && last > 0; i++) {
        size_t at = (size_t)(b->items[i].x / last * ((double)count - 1) + 0.5);

        at = at < count ? at : count - 1; /* a clock may have been set back */
        if (b->items[i].y > columns[at]) {
            columns[at] = b->items[i].y;
        }
    }
    format_sparkline(line, columns, count);
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
