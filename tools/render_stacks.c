#include "render_stacks.h"

#include "format.h"
#include "report_analysis.h"
#include "stacks.h"
#include "view.h"

#include <string.h>

enum {
    ROWS_USUAL = 12, /* whoever wants more says so */
    TOP = 10,
    TOP_WHOLE = 3, /* of them, with the whole stack */
    TOP_FRAMES = 8,
    TOP_PEAK = 3,
    TOP_ANALYSIS = 5,
    COMPONENT_COLUMNS = 20,
    STACK_COLUMNS = 54,
    FUNCTION_COLUMNS = 40,
    TEXT_BYTES = 2048,
};

struct report {
    FILE *out;
    const mp_image_t *image;
    const struct profile *profile;
    struct stacks *stacks;
    enum profile_value
        by;       /* of the first table: live, or of an ended process at the peak */
    double whole; /* of which its rows are shares */
    size_t rows;  /* SIZE_MAX: all */
};

static size_t less(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void heading(const struct report *r, const char *text)
{
    fprintf(r->out, "\n%s%s%s\n", format_begin(STYLE_BOLD), text, format_end());
}

/* Text, and blanks up to so many columns. */
static void put_padded(const struct report *r, const char *text, unsigned columns)
{
    unsigned used = format_columns(text);

    fprintf(r->out, "%s%*s", text, used < columns ? (int)(columns - used) : 0, "");
}

/* "   12.4 MiB ±7 %  " */
static void put_estimate(
    const struct report *r, const struct stack *s, enum profile_value i)
{
    double value = (double)s->value[i];
    double low = (double)s->low[i];
    double high = (double)s->high[i];

    fprintf(r->out, "  %11s ", format_estimate(value, low, high).text);
    put_padded(r, format_spread(value, low, high).text, 6);
}

/* ---- stacks ---- */

static const struct profile_frame *frame_of(
    const struct report *r, const struct stack *s, size_t from_leaf)
{
    return &r->profile->frames[s->frames[s->depth - 1 - from_leaf]];
}

/* "function ← caller ← caller": as many as fit, the last one cut. */
static void put_line(const struct report *r, const struct stack *s)
{
    const char *arrow = format_has_blocks() ? " \u2190 " : " <- ";
    unsigned left = STACK_COLUMNS;
    char text[TEXT_BYTES];

    for (size_t i = 0; i < s->depth; i++) {
        unsigned gap = i > 0 ? format_columns(arrow) : 0;
        unsigned room = left - gap < FUNCTION_COLUMNS ? left - gap : FUNCTION_COLUMNS;

        if (left < gap + 8) {
            break;
        }
        format_cut(text, sizeof(text), frame_of(r, s, i)->function, room);
        fprintf(r->out, "%s%s", i > 0 ? arrow : "", text);
        left -= gap + format_columns(text);
    }
    fputc('\n', r->out);
}

static void put_component(const struct report *r, const struct stack *s)
{
    char text[TEXT_BYTES];

    fputs("  ", r->out);
    put_padded(r, format_cut(text, sizeof(text), s->component, COMPONENT_COLUMNS),
        COMPONENT_COLUMNS);
    fputs("  ", r->out);
}

static void put_share(const struct report *r, double value)
{
    fprintf(r->out, "  %7s", format_percent(value, r->whole).text);
}

static void put_row(const struct report *r, const struct stack *s)
{
    uint64_t samples = r->by == PROFILE_LIVE_BYTES ? s->live_samples : s->samples;

    put_estimate(r, s, r->by);
    put_share(r, (double)s->value[r->by]);
    fprintf(r->out, "  %7s", format_count((double)samples).text);
    put_component(r, s);
    put_line(r, s);
}

static void put_sum(const struct report *r, double bytes)
{
    fprintf(r->out, "  %11s       ", format_bytes(bytes).text);
    put_share(r, bytes);
}

static void put_table_head(const struct report *r)
{
    bool is_live = r->by == PROFILE_LIVE_BYTES;
    char text[100];

    snprintf(text, sizeof(text), "Top stacks, by bytes %s%s",
        is_live ? "live" : "live at the peak",
        r->profile->interval == MP_SAMPLING_EXACT
            ? ""
            : ": estimates, right 19 times out of 20");
    heading(r, text);
    fprintf(r->out, "  %11s         %7s  %7s  %-*s  %s\n", is_live ? "live" : "then",
        "share", "samples", COMPONENT_COLUMNS, "component", "stack");
}

/* Of the peak no counter of its own says what no stack explains: it is what is left of all. */
static double unsampled_peak(const struct report *r)
{
    double rest = mp_image_peak_bytes(r->image);

    for (size_t i = 0; i < r->stacks->count; i++) {
        rest -= (double)r->stacks->stack[i].value[PROFILE_PEAK_BYTES];
    }
    return rest < 1 ? 0 : rest;
}

static void put_rest(const struct report *r, double rest)
{
    put_sum(r, rest);
    fputs(mp_image_sampling(r->image)->sites_refused_total != 0
              ? "  of stacks that found no room, or of which nothing was sampled\n"
              : "  of which nothing was sampled\n",
        r->out);
}

static void put_table(const struct report *r, size_t most)
{
    double rest = r->by == PROFILE_PEAK_BYTES ? unsampled_peak(r) : 0;
    double others = 0;
    size_t hidden = 0;

    put_table_head(r);
    for (size_t i = 0; i < r->stacks->count; i++) {
        const struct stack *s = &r->stacks->stack[i];
        double value = (double)s->value[r->by];

        if (s->samples == 0) {
            rest += value;
        } else if (i < most && value > 0) {
            put_row(r, s);
        } else {
            others += value;
            hidden += value > 0;
        }
    }
    if (hidden > 0) {
        put_sum(r, others);
        fprintf(r->out, "  %s more (--all)\n", format_count((double)hidden).text);
    }
    if (rest > 0) {
        put_rest(r, rest);
    }
}

static void put_frame(const struct report *r, const struct profile_frame *f)
{
    char function[TEXT_BYTES];
    char file[TEXT_BYTES];

    fputs("      ", r->out);
    format_cut(function, sizeof(function), f->function, 60);
    if (f->file == NULL) {
        fprintf(r->out, "%s\n", function);
        return;
    }
    put_padded(r, function, FUNCTION_COLUMNS);
    fprintf(r->out, "  %s%s", format_begin(STYLE_DIM),
        format_cut(file, sizeof(file), f->file, 42));
    if (f->line > 0) {
        fprintf(r->out, ":%u", f->line);
    }
    fprintf(r->out, "%s\n", format_end());
}

static void put_whole(const struct report *r, const struct stack *s)
{
    const char *dots = format_has_blocks() ? "\u2026" : "...";
    size_t shown = s->depth < TOP_FRAMES ? s->depth : TOP_FRAMES;

    fputc('\n', r->out);
    put_estimate(r, s, r->by);
    fprintf(r->out, "  in %s blocks of %s\n",
        format_count((double)s->value[r->by - 1]).text, /* blocks, then bytes */
        s->component);
    for (size_t i = 0; i < shown; i++) {
        put_frame(r, frame_of(r, s, i));
    }
    if (shown < s->depth) {
        fprintf(r->out, "      %s %zu more\n", dots, s->depth - shown);
    } else if (s->is_cut) {
        fprintf(r->out, "      %s its first frames are missing\n", dots);
    }
}

/* ---- the peak ---- */

static void put_peak(struct report *r)
{
    const struct mp_region_sampling *g = mp_image_sampling(r->image);
    uint64_t started = mp_image_process(r->image)->started_ns;
    const struct mp_region_totals *t = mp_image_totals(r->image);
    double peak = mp_image_peak_bytes(r->image);
    double others = 0;
    size_t hidden = 0;

    if (g->peak_ns == 0 || peak <= 0) {
        return;
    }
    heading(r, "The peak");
    fprintf(r->out, "  %11s live%s at %s", format_bytes(peak).text,
        g->peak_ns > t->published_ns ? ", by samples newer than the counters," : "",
        format_time(g->peak_ns).text);
    if (g->peak_ns > started) {
        fprintf(r->out, ", after %s",
            format_seconds((double)(g->peak_ns - started) / 1e9).text);
    }
    if (peak < 0.99 * (double)t->live_peak_bytes) {
        fprintf(r->out, ": the stacks were copied then, not at %s of %s",
            format_bytes((double)t->live_peak_bytes).text,
            format_time(t->live_peak_ns).text);
    }
    fputc('\n', r->out);
    if (r->by == PROFILE_PEAK_BYTES) {
        return; /* its stacks are the table above */
    }
    stacks_sort(r->stacks, PROFILE_PEAK_BYTES);
    r->whole = peak;
    for (size_t i = 0; i < r->stacks->count; i++) {
        const struct stack *s = &r->stacks->stack[i];

        if (i >= less(r->rows, TOP_PEAK)) {
            others += (double)s->value[PROFILE_PEAK_BYTES];
            hidden += s->value[PROFILE_PEAK_BYTES] > 0;
            continue;
        }
        if (s->value[PROFILE_PEAK_BYTES] > 0) {
            put_estimate(r, s, PROFILE_PEAK_BYTES);
            put_share(r, (double)s->value[PROFILE_PEAK_BYTES]);
            fprintf(r->out, "  %7s", "");
            put_component(r, s);
            put_line(r, s);
        }
    }
    if (hidden > 0) {
        put_sum(r, others);
        fprintf(r->out, "  %s more\n", format_count((double)hidden).text);
    }
    if (unsampled_peak(r) > 0) {
        put_rest(r, unsampled_peak(r));
    }
}

/* That of the counters, with what is newer. */
static double sum_of(const struct stacks *stacks, enum profile_value i)
{
    double sum = 0;

    for (size_t n = 0; n < stacks->count; n++) {
        sum += (double)stacks->stack[n].value[i];
    }
    return sum;
}

/* What the other forms of the report say in the same words. */
static void put_analysis(struct report *r, size_t rows)
{
    struct sheet *sheet = sheet_create("");

    report_analysis_stacks(sheet, r->profile, r->stacks, rows);
    report_analysis_tops(sheet, r->profile, rows);
    sheet_put_text(sheet, r->out);
    sheet_destroy(sheet);
}

/* ---- how it is sampled ---- */

static void put_losses(const struct report *r)
{
    const struct mp_region_sampling *g = mp_image_sampling(r->image);
    const struct {
        uint64_t count;
        const char *what;
    } losses[] = {{g->stacks_truncated_total, "stacks cut at 128 frames"},
        {g->stacks_lost_total, "stacks whose first frames were not found"},
        {g->frames_refused_total, "stacks cut for want of room"},
        {g->sites_refused_total, "samples in (overflow)"},
        {g->samples_refused_total, "samples without memory"},
        {g->samples_unlisted_total, "samples not listed one by one"},
        {g->names_refused_total, "names without room"},
        {g->doublings_total, "times the interval was doubled to save time"}};
    const char *before = "  ";

    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        if (losses[i].count != 0) {
            fprintf(r->out, "%s%s: %s", before, losses[i].what,
                format_count((double)losses[i].count).text);
            before = "; ";
        }
    }
    if (before[0] == ';') {
        fputc('\n', r->out);
    }
}

static void put_since(const struct report *r)
{
    struct mp_since since;

    mp_image_since(r->image, &since);
    if (view_is_stale(r->image)) {
        fprintf(r->out,
            "  newer than the counters: %s sample%s, %s allocated; %s freed, %s\n",
            format_count((double)since.allocated_samples).text,
            since.allocated_samples == 1 ? "" : "s",
            format_bytes((double)since.allocated_bytes).text,
            format_count((double)since.freed_samples).text,
            format_bytes((double)since.freed_bytes).text);
    }
}

static void put_sampling(const struct report *r)
{
    const struct mp_region_sampling *g = mp_image_sampling(r->image);
    double ran = view_ran_seconds(r->image);
    double seconds = (double)g->cost_ns_total / 1e9;
    char how[100];

    heading(r, "Sampling");
    fprintf(r->out, "  %s: %s samples, %s of them live\n",
        profile_describe(r->profile, how, sizeof(how)),
        format_count((double)g->allocated_total).text,
        format_count((double)view_live(g->allocated_total, g->freed_total)).text);
    fprintf(r->out, "  cost: %s of time", format_seconds(seconds).text);
    if (ran > 0) {
        fprintf(r->out, ", %s of that it ran", format_percent(seconds, ran).text);
    }
    fprintf(r->out, "; %s of memory, at most %s\n",
        format_bytes((double)g->memory_bytes).text,
        format_bytes((double)g->memory_max_bytes).text);
    put_since(r);
    put_losses(r);
}

static void put_all(struct report *r)
{
    stacks_sort(r->stacks, r->by);
    put_table(r, r->rows > ROWS_USUAL ? r->rows : less(r->rows, TOP));
    for (size_t i = 0; i < less(r->rows, TOP_WHOLE) && i < r->stacks->count; i++) {
        const struct stack *s = &r->stacks->stack[i];

        if (s->samples > 0 && s->value[r->by] > 0) {
            put_whole(r, s);
        }
    }
    put_peak(r);
    put_analysis(r, r->rows > ROWS_USUAL ? r->rows : less(r->rows, TOP_ANALYSIS));
    put_sampling(r);
}

void render_stacks(FILE *out, const struct profile *profile, size_t rows)
{
    const mp_image_t *image = profile->image;
    double peak = mp_image_peak_bytes(image);
    struct report r = {.out = out,
        .image = image,
        .profile = profile,
        .by = PROFILE_LIVE_BYTES,
        .rows = rows};

    if (view_is_ended(image) && peak > 0) {
        r.by = PROFILE_PEAK_BYTES;
    }
    if (profile->has_stacks) {
        r.stacks = stacks_create(profile);
        r.whole = r.by == PROFILE_PEAK_BYTES ? peak : sum_of(r.stacks, r.by);
        put_all(&r);
        stacks_destroy(r.stacks);
    }
}
