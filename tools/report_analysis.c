#include "report_analysis.h"

#include "analysis.h"
#include "tops.h"
#include "view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 4, FUNCTION_COLUMNS = 40, TEXT_BYTES = 2048 };

/* Rows that are less of the whole than this say nothing. */
#define LEAST_SHARE 0.01

/* In classes up to this every size fits where a block is: alignment makes none twice as long. */
#define ALIGNED_BYTES 64

struct making {
    struct sheet *sheet;
    const struct profile *profile;
    const struct stacks *stacks;
    size_t rows;
    double ran_s;
};

/* ---- cells ---- */

static void put_estimate(struct sheet *s, double value, double low, double high)
{
    struct format spread = format_spread(value, low, high);

    sheet_cell(s, "%s%s%s", format_estimate(value, low, high).text,
        spread.text[0] != '\0' ? " " : "", spread.text);
}

static void put_value(struct sheet *s, const struct stack *k, enum profile_value i)
{
    put_estimate(s, (double)k->value[i], (double)k->low[i], (double)k->high[i]);
}

static void put_rate(struct sheet *s, double blocks, double ran_s)
{
    sheet_cell(s, "%s", ran_s > 0 ? format_count(blocks / ran_s).text : "");
}

/* Means are of what was sampled: below a millisecond there is no telling them apart. */
static void put_lived(struct sheet *s, double seconds)
{
    sheet_cell(s, "%s",
        seconds <= 0      ? ""
        : seconds < 0.001 ? "< 1 ms"
                          : format_seconds(seconds).text);
}

static void put_young(struct sheet *s, const uint64_t *value)
{
    sheet_cell(s, "%s",
        format_percent((double)value[PROFILE_SHORT_BLOCKS],
            (double)value[PROFILE_ALLOCATED_BLOCKS])
            .text);
}

void report_analysis_stack_cell(
    struct sheet *s, const struct profile *p, const struct stack *k)
{
    char text[TEXT_BYTES] = "";
    size_t at = 0;

    for (size_t i = 0; i < k->depth && i < FRAMES; i++) {
        char name[TEXT_BYTES / FRAMES - 8];

        format_cut(name, sizeof(name), p->frames[k->frames[k->depth - 1 - i]].function,
            FUNCTION_COLUMNS);
        at += (size_t)snprintf(
            text + at, sizeof(text) - at, "%s%s", i > 0 ? " \u2190 " : "", name);
    }
    sheet_cell(s, "%s", k->samples > 0 ? text : "(not sampled)");
}

static void stack_columns(struct sheet *s)
{
    sheet_column(s, "component", SHEET_LEFT);
    sheet_column(s, "stack", SHEET_LEFT);
}

static void put_stack(const struct making *m, const struct stack *k)
{
    sheet_cell(m->sheet, "%s", k->component);
    report_analysis_stack_cell(m->sheet, m->profile, k);
}

/* The stacks of one table; free the list. */
static const struct stack **largest(
    const struct making *m, stack_value_fn *value, size_t *ret_count)
{
    return stacks_largest(m->stacks, value, m->rows, ret_count);
}

static double sum_of(const struct making *m, enum profile_value i)
{
    double sum = 0;

    for (size_t n = 0; n < m->stacks->count; n++) {
        sum += (double)m->stacks->stack[n].value[i];
    }
    return sum;
}

/* ---- size classes ---- */

static void put_class(
    struct sheet *s, const struct profile *p, uint8_t number, const double *asked)
{
    const struct mp_region_class *c = mp_image_class(p->image, number);
    double all = (double)mp_image_totals(p->image)->live_bytes;
    struct mp_region_cell sum;
    double live;

    mp_image_class_sum(p->image, number, &sum);
    live = (double)view_live(sum.allocated_bytes_total, sum.freed_bytes_total);
    sheet_cell(s, "%s%s", c->kind == MP_CLASS_LARGE ? "up to " : "",
        format_block(c->block_bytes).text);
    sheet_cell(s, "%s", format_bytes(live).text);
    sheet_cell(s, "%s", format_percent(live, all).text);
    sheet_cell(s, "%s",
        format_count(
            (double)view_live(sum.allocated_blocks_total, sum.freed_blocks_total))
            .text);
    sheet_cell(s, "%s",
        asked[number] < 0 ? "?" : format_bytes(live * (1 - asked[number])).text);
    sheet_cell(s, "%s", format_bytes((double)mp_cell_free_bytes(&sum)).text);
    sheet_cell(s, "%s", format_bytes((double)sum.allocated_bytes_total).text);
    sheet_cell(s, "%s", format_count((double)sum.allocated_blocks_total).text);
    put_rate(s, (double)sum.allocated_blocks_total, view_ran_seconds(p->image));
}

void report_analysis_classes(struct sheet *s, const struct profile *p, size_t rows)
{
    uint8_t numbers[MP_REGION_CLASSES];
    size_t count = view_classes(p->image, numbers, MP_REGION_CLASSES);
    double asked[MP_REGION_CLASSES];

    analysis_asked(p, asked);
    sheet_heading(s, view_is_ended(p->image) ? "Size classes, by bytes allocated"
                                             : "Size classes, by bytes live");
    sheet_table(s);
    sheet_column(s, "block size", SHEET_RIGHT);
    sheet_column(s, "live", SHEET_RIGHT);
    sheet_column(s, "share", SHEET_RIGHT);
    sheet_column(s, "blocks", SHEET_RIGHT);
    sheet_column(s, "of it slack", SHEET_RIGHT);
    sheet_column(s, "free beside", SHEET_RIGHT);
    sheet_column(s, "allocated", SHEET_RIGHT);
    sheet_column(s, "all blocks", SHEET_RIGHT);
    sheet_column(s, "a second", SHEET_RIGHT);
    for (size_t i = 0; i < count && i < rows; i++) {
        put_class(s, p, numbers[i], asked);
    }
    if (count > rows) {
        sheet_line(s, "%zu more (--all)", count - rows);
    }
}

/* ---- waste ---- */

static double live_waste(const struct stack *s)
{
    return (double)stack_waste(s, PROFILE_LIVE_BYTES);
}

static double peak_waste(const struct stack *s)
{
    return (double)stack_waste(s, PROFILE_PEAK_BYTES);
}

/* No class is twice as long as the next shorter one, and realloc keeps no block so empty. */
static const char *reason(const struct stack *k, double asked, double taken)
{
    return 2 * k->large_allocated_bytes > (double)k->value[PROFILE_ALLOCATED_BYTES]
               ? "whole pages"
           : 2 * asked < taken && taken > ALIGNED_BYTES ? "alignment"
                                                        : "size class";
}

static void put_waste_row(
    const struct making *m, const struct stack *k, enum profile_value of, double waste)
{
    double blocks = (double)k->value[of - 1]; /* blocks stand before bytes */
    double bytes = (double)k->value[of];
    double taken = blocks > 0 ? bytes / blocks : 0;
    double asked = blocks > 0 ? (bytes - waste) / blocks : 0;

    sheet_cell(m->sheet, "%s", format_bytes(waste).text);
    sheet_cell(m->sheet, "%s", format_percent(waste, bytes).text);
    sheet_cell(m->sheet, "%s \u2192 %s", format_block((uint64_t)(asked + 0.5)).text,
        format_block((uint64_t)(taken + 0.5)).text);
    sheet_cell(m->sheet, "%s", reason(k, asked, taken));
    put_stack(m, k);
}

static void add_waste(const struct making *m)
{
    bool is_ended = view_is_ended(m->profile->image);
    enum profile_value of = is_ended ? PROFILE_PEAK_BYTES : PROFILE_LIVE_BYTES;
    double whole = sum_of(m, of);
    bool is_first = true;
    size_t count;
    const struct stack **list = largest(m, is_ended ? peak_waste : live_waste, &count);

    for (size_t i = 0; i < count; i++) {
        const struct stack *k = list[i];
        double waste = (double)stack_waste(k, of);

        if (waste < 1 || waste < LEAST_SHARE * whole) {
            break;
        }
        if (is_first) {
            sheet_heading(m->sheet,
                is_ended
                    ? "Waste: bytes of blocks beyond what was asked for, at the peak"
                    : "Waste: live bytes of blocks beyond what was asked for");
            sheet_table(m->sheet);
            sheet_column(m->sheet, "wasted", SHEET_RIGHT);
            sheet_column(m->sheet, "of its own", SHEET_RIGHT);
            sheet_column(m->sheet, "asked \u2192 taken", SHEET_RIGHT);
            sheet_column(m->sheet, "reason", SHEET_LEFT);
            stack_columns(m->sheet);
            is_first = false;
        }
        put_waste_row(m, k, of, waste);
    }
    free(list);
}

/* ---- churn ---- */

static void put_churn_row(const struct making *m, const struct stack *k, double whole)
{
    double bytes = (double)k->value[PROFILE_ALLOCATED_BYTES];

    put_value(m->sheet, k, PROFILE_ALLOCATED_BYTES);
    sheet_cell(m->sheet, "%s", format_percent(bytes, whole).text);
    sheet_cell(m->sheet, "%s", m->ran_s > 0 ? format_bytes(bytes / m->ran_s).text : "");
    put_rate(m->sheet, (double)k->value[PROFILE_ALLOCATED_BLOCKS], m->ran_s);
    put_young(m->sheet, k->value);
    put_lived(m->sheet, k->lifetime_s);
    put_stack(m, k);
}

static double allocated_bytes(const struct stack *s)
{
    return (double)s->value[PROFILE_ALLOCATED_BYTES];
}

static void add_churn(const struct making *m)
{
    double whole = sum_of(m, PROFILE_ALLOCATED_BYTES);
    size_t count;
    const struct stack **list = largest(m, allocated_bytes, &count);

    sheet_heading(m->sheet,
        "Churn: most bytes allocated; young: blocks that lived for 8 ms "
        "or less; lived: the mean of what was freed");
    sheet_table(m->sheet);
    sheet_column(m->sheet, "allocated", SHEET_RIGHT);
    sheet_column(m->sheet, "share", SHEET_RIGHT);
    sheet_column(m->sheet, "a second", SHEET_RIGHT);
    sheet_column(m->sheet, "blocks/s", SHEET_RIGHT);
    sheet_column(m->sheet, "young", SHEET_RIGHT);
    sheet_column(m->sheet, "lived", SHEET_RIGHT);
    stack_columns(m->sheet);
    for (size_t i = 0; i < count && list[i]->samples > 0; i++) {
        put_churn_row(m, list[i], whole);
    }
    free(list);
}

static void put_short_row(const struct making *m, const struct stack *k, double whole)
{
    double blocks = (double)k->value[PROFILE_SHORT_BLOCKS];

    sheet_cell(m->sheet, "%s", format_count(blocks).text);
    sheet_cell(m->sheet, "%s", format_percent(blocks, whole).text);
    put_rate(m->sheet, blocks, m->ran_s);
    put_young(m->sheet, k->value);
    sheet_cell(m->sheet, "%s",
        format_block((uint64_t)((double)k->value[PROFILE_SHORT_BYTES] / blocks + 0.5))
            .text);
    put_stack(m, k);
}

static double short_blocks(const struct stack *s)
{
    return (double)s->value[PROFILE_SHORT_BLOCKS];
}

static void add_short(const struct making *m)
{
    double whole = sum_of(m, PROFILE_SHORT_BLOCKS);
    const struct stack **list;
    size_t count;

    if (whole < 1) {
        return;
    }
    list = largest(m, short_blocks, &count);
    sheet_heading(m->sheet, "Short-lived: most blocks that lived for 8 ms or less");
    sheet_table(m->sheet);
    sheet_column(m->sheet, "blocks", SHEET_RIGHT);
    sheet_column(m->sheet, "share", SHEET_RIGHT);
    sheet_column(m->sheet, "a second", SHEET_RIGHT);
    sheet_column(m->sheet, "of its own", SHEET_RIGHT);
    sheet_column(m->sheet, "block size", SHEET_RIGHT);
    stack_columns(m->sheet);
    for (size_t i = 0; i < count && list[i]->samples > 0 && short_blocks(list[i]) >= 1;
         i++) {
        put_short_row(m, list[i], whole);
    }
    free(list);
}

/* ---- realloc ---- */

static double moved_bytes(const struct stack *s)
{
    return s->moved_bytes.value;
}

static void add_moves(const struct making *m)
{
    size_t count;
    const struct stack **list = largest(m, moved_bytes, &count);

    if (count == 0 || list[0]->moved_blocks.value < 1) {
        free(list);
        return;
    }
    sheet_heading(m->sheet, "Realloc: what moved to grow, and was copied");
    sheet_table(m->sheet);
    sheet_column(m->sheet, "copied", SHEET_RIGHT);
    sheet_column(m->sheet, "a second", SHEET_RIGHT);
    sheet_column(m->sheet, "moves", SHEET_RIGHT);
    sheet_column(m->sheet, "bytes a move", SHEET_RIGHT);
    sheet_column(m->sheet, "of its own", SHEET_RIGHT);
    stack_columns(m->sheet);
    for (size_t i = 0; i < count; i++) {
        const struct stack *k = list[i];
        const struct range *b = &k->moved_bytes;
        double moves = k->moved_blocks.value;

        if (k->samples == 0 || moves < 1) {
            break;
        }
        put_estimate(m->sheet, b->value, b->low, b->high);
        sheet_cell(
            m->sheet, "%s", m->ran_s > 0 ? format_bytes(b->value / m->ran_s).text : "");
        sheet_cell(m->sheet, "%s", format_count(moves).text);
        sheet_cell(m->sheet, "%s", format_bytes(b->value / moves).text);
        sheet_cell(m->sheet, "%s",
            format_percent(fmin(b->value, (double)k->value[PROFILE_ALLOCATED_BYTES]),
                (double)k->value[PROFILE_ALLOCATED_BYTES])
                .text);
        put_stack(m, k);
    }
    free(list);
}

/* ---- large blocks ---- */

static double large_bytes(const struct stack *s)
{
    return s->large_allocated_bytes;
}

static void add_large(const struct making *m)
{
    size_t count;
    const struct stack **list = largest(m, large_bytes, &count);

    if (count == 0 || list[0]->samples == 0 || list[0]->large_allocated_blocks < 1) {
        free(list);
        return;
    }
    sheet_heading(m->sheet, "Large requests: blocks of whole pages");
    sheet_table(m->sheet);
    sheet_column(m->sheet, "live", SHEET_RIGHT);
    sheet_column(m->sheet, "allocated", SHEET_RIGHT);
    sheet_column(m->sheet, "blocks", SHEET_RIGHT);
    sheet_column(m->sheet, "a second", SHEET_RIGHT);
    sheet_column(m->sheet, "block size", SHEET_RIGHT);
    sheet_column(m->sheet, "lived", SHEET_RIGHT);
    stack_columns(m->sheet);
    for (size_t i = 0; i < count; i++) {
        const struct stack *k = list[i];
        double blocks = k->large_allocated_blocks;

        if (k->samples == 0 || blocks < 1) {
            break;
        }
        sheet_cell(m->sheet, "%s", format_bytes(k->large_live_bytes).text);
        sheet_cell(m->sheet, "%s", format_bytes(k->large_allocated_bytes).text);
        sheet_cell(m->sheet, "%s", format_count(blocks).text);
        put_rate(m->sheet, blocks, m->ran_s);
        sheet_cell(
            m->sheet, "%s", format_bytes(k->large_allocated_bytes / blocks).text);
        put_lived(m->sheet, k->lifetime_s);
        put_stack(m, k);
    }
    free(list);
}

/* ---- lifetimes ---- */

static void put_lifetime_row(
    const struct making *m, double blocks, double all, double bytes, const char *text)
{
    if (blocks >= 0.5) {
        sheet_cell(m->sheet, "%s", format_count(blocks).text);
        sheet_cell(m->sheet, "%s", format_percent(blocks, all).text);
        sheet_cell(m->sheet, "%s", format_bytes(bytes).text);
        sheet_cell(m->sheet, "%s", text);
    }
}

static void add_lifetimes(const struct making *m)
{
    /* Up to 2^end microseconds. */
    static const struct {
        unsigned end;
        const char *text;
    } rows[] = {{10, "up to 1 ms"}, {PROFILE_SHORT_BUCKET, "up to 8 ms"},
        {17, "up to 0.13 s"}, {20, "up to 1 s"}, {24, "up to 17 s"},
        {28, "up to 4.5 min"}, {32, "up to 1.2 h"}, {MP_REGION_LIFETIMES, "longer"}};
    const struct mp_region_totals *t = mp_image_totals(m->profile->image);
    struct analysis_lifetimes l;
    unsigned bucket = 0;
    double all;

    analysis_lifetimes_make(m->profile->image, &l);
    if (l.all_blocks < 1) {
        return;
    }
    all = l.all_blocks + (double)t->live_blocks;
    sheet_heading(m->sheet, "Lifetimes: how long blocks lived, as far as sampled");
    sheet_table(m->sheet);
    sheet_column(m->sheet, "blocks", SHEET_RIGHT);
    sheet_column(m->sheet, "share", SHEET_RIGHT);
    sheet_column(m->sheet, "bytes", SHEET_RIGHT);
    sheet_column(m->sheet, "lived", SHEET_LEFT);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        double blocks = 0;
        double bytes = 0;

        for (; bucket < rows[i].end; bucket++) {
            blocks += l.blocks[bucket];
            bytes += l.bytes[bucket];
        }
        put_lifetime_row(m, blocks, all, bytes, rows[i].text);
    }
    put_lifetime_row(
        m, (double)t->live_blocks, all, (double)t->live_bytes, "still live");
}

void report_analysis_stacks(
    struct sheet *s, const struct profile *p, const struct stacks *stacks, size_t rows)
{
    struct making m = {s, p, stacks, rows, view_ran_seconds(p->image)};

    add_waste(&m);
    add_churn(&m);
    add_short(&m);
    add_lifetimes(&m);
    add_moves(&m);
    add_large(&m);
}

/* ---- by function, operation, thread ---- */

/* Operations where one is named; threads where their names tell them apart. */
static bool is_worth(const struct profile *p, enum top_key key)
{
    const char *first = NULL;

    for (size_t i = 0; key != TOP_FUNCTION && i < p->sample_count; i++) {
        const struct profile_sample *k = &p->samples[i];
        const char *name = key == TOP_OPERATION ? k->operation : k->thread;

        if (name[0] != '\0' && key == TOP_OPERATION) {
            return true;
        }
        if (name[0] != '\0' && first != NULL && strcmp(first, name) != 0) {
            return true;
        }
        first = name[0] != '\0' ? name : first;
    }
    return key == TOP_FUNCTION && p->has_stacks;
}

static void put_top(
    struct sheet *s, const struct top *t, enum top_key key, double ran_s)
{
    put_estimate(s, (double)t->value[PROFILE_LIVE_BYTES],
        (double)t->low[PROFILE_LIVE_BYTES], (double)t->high[PROFILE_LIVE_BYTES]);
    put_estimate(s, (double)t->value[PROFILE_PEAK_BYTES],
        (double)t->low[PROFILE_PEAK_BYTES], (double)t->high[PROFILE_PEAK_BYTES]);
    put_estimate(s, (double)t->value[PROFILE_ALLOCATED_BYTES],
        (double)t->low[PROFILE_ALLOCATED_BYTES],
        (double)t->high[PROFILE_ALLOCATED_BYTES]);
    sheet_cell(s, "%s", format_count((double)t->value[PROFILE_ALLOCATED_BLOCKS]).text);
    put_rate(s, (double)t->value[PROFILE_ALLOCATED_BLOCKS], ran_s);
    put_young(s, t->value);
    sheet_cell(s, "%s", t->name[0] != '\0' ? t->name : top_unnamed(key));
}

static void add_top(
    struct sheet *s, const struct profile *p, enum top_key key, size_t rows)
{
    enum profile_value by =
        view_is_ended(p->image) ? PROFILE_PEAK_BYTES : PROFILE_LIVE_BYTES;
    struct tops *t;
    char text[64];

    if (!is_worth(p, key)) {
        return;
    }
    t = tops_create(p, key, by);
    snprintf(text, sizeof(text), "By %s", top_key_name(key));
    sheet_heading(s, text);
    sheet_table(s);
    sheet_column(s, "live", SHEET_RIGHT);
    sheet_column(s, "at the peak", SHEET_RIGHT);
    sheet_column(s, "allocated", SHEET_RIGHT);
    sheet_column(s, "blocks", SHEET_RIGHT);
    sheet_column(s, "a second", SHEET_RIGHT);
    sheet_column(s, "young", SHEET_RIGHT);
    sheet_column(s, top_key_name(key), SHEET_LEFT);
    for (size_t i = 0; i < t->count && i < rows; i++) {
        put_top(s, &t->top[i], key, view_ran_seconds(p->image));
    }
    if (t->count > rows) {
        sheet_line(s, "%zu more (--by %s)", t->count - rows, top_key_name(key));
    }
    tops_destroy(t);
}

void report_analysis_tops(struct sheet *s, const struct profile *p, size_t rows)
{
    add_top(s, p, TOP_FUNCTION, rows);
    add_top(s, p, TOP_OPERATION, rows);
    add_top(s, p, TOP_THREAD, rows);
}
