#include "sheet_model.h"

#include "must.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static char *copy(const char *text)
{
    return must(strdup(text != NULL ? text : ""));
}

static struct sheet_block *add(struct sheet *s, enum sheet_kind kind, char *text)
{
    s->blocks = must_grow(s->blocks, s->count, &s->room, sizeof(*s->blocks));
    s->blocks[s->count] = (struct sheet_block){.kind = kind, .text = text};
    return &s->blocks[s->count++];
}

static struct sheet_item *add_item(struct sheet *s)
{
    struct sheet_block *b = &s->blocks[s->count - 1];

    b->items = must_grow(b->items, b->count, &b->room, sizeof(*b->items));
    b->items[b->count] = (struct sheet_item){.x = 0};
    return &b->items[b->count++];
}

static char *print(const char *format, va_list list)
{
    char *text;

    if (vasprintf(&text, format, list) < 0) {
        must(NULL);
    }
    return text;
}

struct sheet *sheet_create(const char *title)
{
    struct sheet *s = must(calloc(1, sizeof(*s)));

    s->title = copy(title);
    return s;
}

void sheet_destroy(struct sheet *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct sheet_block *b = &s->blocks[i];

        for (size_t k = 0; k < b->count; k++) {
            free(b->items[k].text);
            free(b->items[k].more);
        }
        free(b->items);
        free(b->text);
        free(b->most);
        free(b->first);
        free(b->last);
    }
    free(s->blocks);
    free(s->title);
    free(s);
}

void sheet_heading(struct sheet *s, const char *text)
{
    add(s, SHEET_HEADING, copy(text));
}

void sheet_title(struct sheet *s, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    add(s, SHEET_TITLE, print(format, list));
    va_end(list);
}

void sheet_line(struct sheet *s, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    add(s, SHEET_LINE, print(format, list));
    va_end(list);
}

void sheet_point(struct sheet *s, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    add(s, SHEET_POINT, print(format, list));
    va_end(list);
}

void sheet_code(struct sheet *s, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    add(s, SHEET_CODE, print(format, list));
    va_end(list);
}

void sheet_fold(struct sheet *s, const char *text)
{
    add(s, SHEET_FOLD, copy(text));
}

void sheet_unfold(struct sheet *s)
{
    add(s, SHEET_UNFOLD, NULL);
}

void sheet_table(struct sheet *s)
{
    add(s, SHEET_TABLE, NULL);
}

void sheet_column(struct sheet *s, const char *name, enum sheet_align align)
{
    struct sheet_item *i = add_item(s);

    i->text = copy(name);
    i->align = align;
    s->blocks[s->count - 1].column_count++;
}

void sheet_cell(struct sheet *s, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    add_item(s)->text = print(format, list);
    va_end(list);
}

void sheet_bar(struct sheet *s)
{
    add(s, SHEET_BAR, NULL);
}

void sheet_part(struct sheet *s, const char *name, double value, const char *text)
{
    struct sheet_item *i;

    if (value > 0) {
        i = add_item(s);
        i->text = copy(name);
        i->more = copy(text);
        i->x = value;
    }
}

void sheet_chart(struct sheet *s, const char *name, const char *most_text,
    const char *first_text, const char *last_text)
{
    struct sheet_block *b = add(s, SHEET_CHART, copy(name));

    b->most = copy(most_text);
    b->first = copy(first_text);
    b->last = copy(last_text);
}

void sheet_chart_point(struct sheet *s, double x, double y)
{
    struct sheet_item *i = add_item(s);

    i->x = x;
    i->y = y;
}

void sheet_chart_layer(struct sheet *s, const char *name, const char *last_text)
{
    struct sheet_item *i = add_item(s);

    i->text = copy(name);
    i->more = copy(last_text);
}
