#include "render_diff.h"

#include "format.h"
#include "view.h"

#include <math.h>
#include <string.h>

enum { FRAMES_SHOWN = 6 };

/* ---- pieces ---- */

static struct format change_of_bytes(double change)
{
    struct format f = format_bytes(change);
    struct format r = {"+"};

    memcpy(r.text + 1, f.text, sizeof(r.text) - 2);
    return change > 0 ? r : f;
}

static struct format change_of_count(double change)
{
    struct format f = format_count(fabs(change));
    struct format r = f;

    snprintf(r.text, sizeof(r.text), "%s%.37s",
        change > 0   ? "+"
        : change < 0 ? "-"
                     : "",
        f.text);
    return r;
}

static struct format ratio_of(const struct mp_change *c)
{
    struct format f = {""};

    if (c->before == 0) {
        snprintf(f.text, sizeof(f.text), "%s", c->change > 0 ? "new" : "");
    } else if (c->change < 1000.0 * (double)c->before) {
        snprintf(f.text, sizeof(f.text), "%+.1f %%",
            fmin(100 * c->change / (double)c->before, 99999));
    } else {
        snprintf(f.text, sizeof(f.text), "x %.36s",
            format_count((double)c->after / (double)c->before).text);
    }
    return f;
}

static const char *color_of(double change)
{
    return change > 0   ? format_begin(STYLE_RED)
           : change < 0 ? format_begin(STYLE_GREEN)
                        : format_begin(STYLE_DIM);
}

/* ---- the head ---- */

static void put_side(FILE *out, const struct comparison_side *s, const char *what)
{
    const struct mp_region_process *p = mp_image_process(s->image);
    char name[256];

    fprintf(out, "%-6s %s %llu  %s  (%s%s)\n", what,
        format_name(name, sizeof(name), p->service, 40), (unsigned long long)p->pid,
        s->time_ns != 0 ? format_time(s->time_ns).text : "", s->label,
        view_is_ended(s->image) ? ", at its end" : "");
}

static void put_total(
    FILE *out, const char *name, const struct mp_change *c, bool is_bytes)
{
    struct format before =
        is_bytes ? format_bytes((double)c->before) : format_count((double)c->before);
    struct format after =
        is_bytes ? format_bytes((double)c->after) : format_count((double)c->after);

    fprintf(out, "  %-18s %12s %12s  %s%12s%s %10s\n", name, before.text, after.text,
        color_of(c->change),
        is_bytes ? change_of_bytes(c->change).text : change_of_count(c->change).text,
        format_end(), ratio_of(c).text);
}

static void put_head(FILE *out, const struct comparison *c)
{
    const struct mp_change *f = mp_diff_total(c->diff)->figure;

    put_side(out, &c->side[0], "before");
    put_side(out, &c->side[1], "after");
    for (size_t i = 0; i < c->note_count; i++) {
        fprintf(out, "%snote%s   %s\n", format_begin(STYLE_YELLOW), format_end(),
            c->note[i].text);
    }
    fprintf(out, "\n  %-18s %12s %12s  %12s\n", "", "before", "after", "change");
    put_total(out, "live", &f[MP_DIFF_LIVE_BYTES], true);
    put_total(out, "live blocks", &f[MP_DIFF_LIVE_BLOCKS], false);
    put_total(out, "peak", &f[MP_DIFF_PEAK_BYTES], true);
    put_total(out, "allocated, ever", &f[MP_DIFF_ALLOCATED_BYTES], true);
    put_total(out, "blocks, ever", &f[MP_DIFF_ALLOCATED_BLOCKS], false);
}

/* ---- by component, by class ---- */

static unsigned blocks_of(enum mp_diff_figure judged)
{
    return judged == MP_DIFF_ALLOCATED_BYTES ? MP_DIFF_ALLOCATED_BLOCKS
                                             : MP_DIFF_LIVE_BLOCKS;
}

static bool has_changed(const struct mp_difference *r)
{
    bool changed = false;

    for (unsigned f = 0; f < MP_DIFF_FIGURES; f++) {
        changed |= r->figure[f].change != 0;
    }
    return changed;
}

static void put_counted(FILE *out, const struct comparison *c, enum mp_diff_by by,
    const struct render_diff_options *o)
{
    size_t count = mp_diff_count(c->diff, by);
    size_t shown = 0;
    size_t wanted = 0;
    char name[512];

    fprintf(out, "\n%s%s%s, %s bytes, exact\n", format_begin(STYLE_BOLD),
        by == MP_DIFF_COMPONENT ? "By component" : "By size class", format_end(),
        comparison_judged(c));
    if (by == MP_DIFF_CLASS && c->judged == MP_DIFF_PEAK_BYTES) {
        fputs("  peaks of size classes are not known\n", out);
        return;
    }
    fprintf(out, "  %12s %10s %12s %12s %10s %12s  %s\n", "change", "", "before",
        "after", "blocks", "allocated",
        by == MP_DIFF_COMPONENT ? "component" : "blocks of");
    for (size_t i = 0; i < count; i++) {
        const struct mp_difference *r = mp_diff_at(c->diff, by, i);
        const struct mp_change *f = &r->figure[c->judged];

        if (!o->all && !has_changed(r)) {
            continue;
        }
        wanted++;
        if (shown == o->rows) {
            continue;
        }
        shown++;
        fprintf(out, "  %s%12s%s %10s %12s %12s %10s %12s  %s\n", color_of(f->change),
            change_of_bytes(f->change).text, format_end(), ratio_of(f).text,
            format_bytes((double)f->before).text, format_bytes((double)f->after).text,
            change_of_count(r->figure[blocks_of(c->judged)].change).text,
            change_of_bytes(r->figure[MP_DIFF_ALLOCATED_BYTES].change).text,
            comparison_name(c, by, r, name, sizeof(name)));
    }
    if (wanted == 0) {
        fputs("  nothing changed\n", out);
    }
    if (wanted > shown) {
        fprintf(out, "  %zu more (--rows %zu)\n", wanted - shown, wanted);
    }
}

/* ---- by stack ---- */

static void put_p(FILE *out, const struct comparison *c, const struct mp_difference *r)
{
    if ((mp_diff_flags(c->diff) & MP_DIFF_EXACT) != 0) {
        fputs("exact", out);
    } else if (!r->is_significant) {
        fprintf(
            out, "%snoise%s, p = %.2g", format_begin(STYLE_DIM), format_end(), r->p);
    } else if (r->p < 1e-4) {
        fputs("p < 0.0001", out);
    } else {
        fprintf(out, "p = %.2g", r->p);
    }
}

static void put_stack(
    FILE *out, const struct comparison *c, const struct mp_difference *r)
{
    const struct mp_change *f = &r->figure[c->judged];
    struct mp_line line[SITE_LINES_MAX];
    size_t depth = comparison_stack(c, r, line);
    char name[512];

    fprintf(out, "\n  %s%s%s", color_of(f->change), change_of_bytes(f->change).text,
        format_end());
    if (f->low != f->high) {
        fprintf(out, " (%s to %s)", change_of_bytes(f->low).text,
            change_of_bytes(f->high).text);
    }
    fprintf(out, "  %s -> %s  ", format_bytes((double)f->before).text,
        format_bytes((double)f->after).text);
    put_p(out, c, r);
    fprintf(out, "  %s  %s%s%s\n",
        comparison_name(c, MP_DIFF_SITE, r, name, sizeof(name)),
        format_begin(STYLE_BOLD), depth > 0 ? line[0].function : "(no stack)",
        format_end());
    for (size_t i = 0; i < depth && i < FRAMES_SHOWN; i++) {
        fprintf(out, "      %s %s", i == 0 ? "at" : "by", line[i].function);
        if (line[i].file != NULL) {
            fprintf(out, "  %s%s:%u%s", format_begin(STYLE_DIM), line[i].file,
                line[i].line, format_end());
        }
        fputc('\n', out);
    }
    if (depth > FRAMES_SHOWN) {
        fprintf(out, "      and %zu more\n", depth - FRAMES_SHOWN);
    }
}

/* What is not shown one by one. */
struct others {
    size_t noise;
    double noise_bytes;
    size_t more;
};

static void put_others(FILE *out, const struct comparison *c, const struct others *x)
{
    const struct mp_difference *last;
    size_t count = mp_diff_count(c->diff, MP_DIFF_SITE);

    fputc('\n', out);
    if (c->significant == 0) {
        fputs("  no stack changed beyond the noise of sampling\n", out);
    }
    if (x->more > 0) {
        fprintf(out, "  %zu more (--rows)\n", x->more);
    }
    if (x->noise > 0) {
        fprintf(out, "  %zu stack%s within noise, %s together (--all)\n", x->noise,
            x->noise == 1 ? "" : "s", change_of_bytes(x->noise_bytes).text);
    }
    last = count > 0 ? mp_diff_at(c->diff, MP_DIFF_SITE, count - 1) : NULL;
    if (last != NULL && last->number[0] == UINT32_MAX && last->number[1] == UINT32_MAX
        && last->figure[c->judged].change != 0) {
        fprintf(out, "  %s that the samples do not explain, so that it adds up\n",
            change_of_bytes(last->figure[c->judged].change).text);
    }
}

static void put_sites(
    FILE *out, const struct comparison *c, const struct render_diff_options *o)
{
    struct others x = {0};
    size_t shown = 0;

    fprintf(out, "\n%sBy call stack%s, %s bytes", format_begin(STYLE_BOLD),
        format_end(), comparison_judged(c));
    if ((mp_diff_flags(c->diff) & MP_DIFF_NO_STACKS) != 0) {
        fputs(": not sampled\n", out);
        return;
    }
    fprintf(out, ": %zu changed beyond noise\n", c->significant);
    for (size_t i = 0; i < mp_diff_count(c->diff, MP_DIFF_SITE); i++) {
        const struct mp_difference *r = mp_diff_at(c->diff, MP_DIFF_SITE, i);

        if (r->number[0] == UINT32_MAX && r->number[1] == UINT32_MAX) {
            continue;
        }
        if (!r->is_significant && !o->all) {
            x.noise++;
            x.noise_bytes += r->figure[c->judged].change;
        } else if (shown < o->rows) {
            shown++;
            put_stack(out, c, r);
        } else {
            x.more++;
        }
    }
    put_others(out, c, &x);
}

/* ---- the whole ---- */

static void put_drift(FILE *out, const struct comparison *c)
{
    static const char *const what[] = {"component", "size class", "call stack in"};
    char name[512];

    fprintf(out, "\ndrift: %s%.1f %% of what was %s before",
        comparison_fails(c) ? format_begin(STYLE_RED) : "", 100 * c->drift,
        comparison_judged(c));
    fprintf(out, "%s", comparison_fails(c) ? format_end() : "");
    if (c->drift_row != NULL) {
        fprintf(out, ", by %s %s", what[c->drift_by],
            comparison_name(c, c->drift_by, c->drift_row, name, sizeof(name)));
    }
    if (!isnan(c->fail_drift)) {
        fprintf(out, "; %s %.1f %%", comparison_fails(c) ? "more than" : "allowed are",
            100 * c->fail_drift);
    }
    fputc('\n', out);
}

void render_diff(
    FILE *out, const struct comparison *c, const struct render_diff_options *o)
{
    format_set_output(out);
    put_head(out, c);
    if (o->by[MP_DIFF_COMPONENT]) {
        put_counted(out, c, MP_DIFF_COMPONENT, o);
    }
    if (o->by[MP_DIFF_CLASS]) {
        put_counted(out, c, MP_DIFF_CLASS, o);
    }
    if (o->by[MP_DIFF_SITE]) {
        put_sites(out, c, o);
    }
    put_drift(out, c);
}
