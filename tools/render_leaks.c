#include "render_leaks.h"

#include "format.h"
#include "view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES_SHOWN = 8 };

/* ---- pieces ---- */

static const char *style_of(enum mp_verdict_kind kind)
{
    return kind <= MP_VERDICT_GROWING   ? format_begin(STYLE_RED)
           : kind == MP_VERDICT_SUSPECT ? format_begin(STYLE_YELLOW)
                                        : format_begin(STYLE_DIM);
}

static void put_rate(FILE *out, const struct mp_estimate *e)
{
    fprintf(out, "%s/h (%s to %s)", format_bytes(e->value).text,
        e->low > 0 ? format_bytes(e->low).text : "0 B", format_bytes(e->high).text);
}

static void put_rules(FILE *out, unsigned rules)
{
    const char *comma = "";

    for (unsigned i = 0; i < MP_RULES; i++) {
        if ((rules & 1u << i) != 0) {
            fprintf(out, "%s%s", comma, mp_rule_name(1u << i));
            comma = ", ";
        }
    }
}

static void put_stack(FILE *out, const struct leak *k, size_t most)
{
    for (size_t i = 0; i < k->depth && i < most; i++) {
        const struct stack_name *f = &k->frames[i];

        fprintf(out, "      %s %s", i == 0 ? "at" : "by", f->function);
        if (f->file != NULL) {
            fprintf(out, "  %s%s", format_begin(STYLE_DIM), f->file);
            if (f->line != 0) {
                fprintf(out, ":%u", f->line);
            }
            fputs(format_end(), out);
        }
        fputc('\n', out);
    }
    if (k->depth > most) {
        fprintf(out, "      and %zu more\n", k->depth - most);
    }
}

/* ---- one of them ---- */

static void put_leak(FILE *out, const struct leaks *l, const struct leak *k)
{
    const struct mp_verdict *v = k->verdict;
    char text[256];

    fprintf(out, "\n%s%s%s  %s  %s", style_of(v->kind), mp_verdict_name(v->kind),
        format_end(), k->id, k->component);
    if (leak_operation(l, k, text)[0] != '\0') {
        fprintf(out, "  %s", text);
    }
    if (k->depth > 0) {
        fprintf(out, "  %s%s%s", format_begin(STYLE_BOLD), k->frames[0].function,
            format_end());
    }
    fprintf(out, "\n    holds %s %s in %llu samples",
        format_estimate(v->live_bytes.value, v->live_bytes.low, v->live_bytes.high)
            .text,
        format_spread(v->live_bytes.value, v->live_bytes.low, v->live_bytes.high).text,
        (unsigned long long)v->live_samples);
    if (v->kind <= MP_VERDICT_SUSPECT) {
        fputs(", grows by ", out);
        put_rate(out, &v->bytes_per_hour);
        if (v->severity != MP_SEVERITY_INFO) {
            fprintf(out, "  %s%s%s", format_begin(STYLE_RED),
                mp_severity_name(v->severity), format_end());
        }
    }
    if (k->has_since) {
        fprintf(out, ", %s%s since then", k->since >= 0 ? "+" : "-",
            format_bytes(fabs(k->since)).text);
    }
    fprintf(out, "\n    first seen %s, last %s", format_time(v->first_ns).text,
        format_time(v->last_ns).text);
    if (leak_threads(l, k, text)[0] != '\0') {
        fprintf(out, ", by %s", text);
    }
    fputc('\n', out);
    if (k->ack != NULL) {
        fprintf(out, "    acknowledged%s%s%s%s\n",
            k->ack_until_s != INT64_MAX ? " until " : "",
            k->ack_until_s != INT64_MAX
                ? format_time((uint64_t)(k->ack_until_s - 1) * 1000000000u).text
                : "",
            k->ack[0] != '\0' ? ": " : "", k->ack);
        return;
    }
    for (unsigned i = 0; i < v->line_count; i++) {
        fprintf(out, "    %s\n", v->line[i]);
    }
    if (v->rules != 0) {
        fputs("    rules: ", out);
        put_rules(out, v->rules);
        fputc('\n', out);
    }
    put_stack(out, k, FRAMES_SHOWN);
    if (v->advice != MP_ADVICE_NONE) {
        fprintf(out, "    %s\n", mp_advice_text(v->advice));
    }
}

/* ---- by component ---- */

static void put_components(FILE *out, const struct leaks *l, size_t rows)
{
    size_t count;
    struct leaks_component *all = leaks_by_component(l, &count);

    fprintf(out, "\n  %-10s %10s %14s        %s\n", "verdict", "live", "grows by, a h",
        "component");
    for (size_t i = 0; i < count && i < rows; i++) {
        const struct mp_estimate *r = &all[i].rate;
        const char *spread = format_spread(r->value, r->low, r->high).text;
        unsigned used = format_columns(spread);

        fprintf(out, "  %s%-10s%s %10s %14s %s%*s %s\n", style_of(all[i].worst),
            mp_verdict_name(all[i].worst), format_end(),
            format_bytes((double)all[i].live).text,
            all[i].worst <= MP_VERDICT_GROWING
                ? format_estimate(r->value, r->low, r->high).text
                : "",
            spread, used < 6 ? (int)(6 - used) : 0, "", all[i].name);
    }
    if (count > rows) {
        fprintf(out, "\n%zu more (--rows %zu)\n", count - rows, count);
    }
    free(all);
}

/* ---- the whole ---- */

static void put_count(
    FILE *out, const struct mp_region_leaks *c, unsigned kind, const char *name)
{
    fprintf(out, "%s%s %s in %s blocks", kind == MP_LEAK_LOST ? "" : ", ", name,
        format_bytes((double)c->bytes[kind]).text,
        format_count((double)c->blocks[kind]).text);
}

/* Exact, of all blocks, sampled or not. */
static void put_check(FILE *out, const mp_image_t *image)
{
    const struct mp_region_leaks *c = mp_image_leaks(image);

    if (c == NULL) {
        return;
    }
    fprintf(out, "leak check at %s", format_time(c->time_ns).text);
    if (c->error != 0) {
        fprintf(out, " failed: %s\n", strerror((int)c->error));
        return;
    }
    fprintf(out, ", %llu round%s, the program stood still for %.1f ms%s:\n  ",
        (unsigned long long)c->rounds, c->rounds == 1 ? "" : "s",
        (double)c->pause_ns / 1e6,
        c->partial != 0 ? "; incomplete, so blocks in use may be among the lost" : "");
    if (c->rounds > 1) {
        put_count(out, c, MP_LEAK_LOST, "lost");
    } else {
        fprintf(out, "nothing points to %s in %s blocks",
            format_bytes((double)c->bytes[MP_LEAK_DEFINITE]).text,
            format_count((double)c->blocks[MP_LEAK_DEFINITE]).text);
    }
    put_count(out, c, MP_LEAK_INDIRECT, "indirectly");
    put_count(out, c, MP_LEAK_POSSIBLE, "possibly");
    put_count(out, c, MP_LEAK_REACHABLE, "reachable");
    fputc('\n', out);
}

static void put_summary(FILE *out, const struct leaks *l)
{
    struct mp_estimate growth = mp_verdicts_growth(l->verdicts);
    const struct mp_region_process *p = mp_image_process(l->image);
    char name[256];

    fprintf(out, "%s %llu, %s: ", format_name(name, sizeof(name), p->service, 40),
        (unsigned long long)p->pid, mp_life_name(mp_image_life(l->image)));
    for (unsigned i = 0; i < MP_VERDICTS; i++) {
        fprintf(out, "%s%zu %s", i > 0 ? ", " : "", l->of_kind[i],
            mp_verdict_name((enum mp_verdict_kind)i));
    }
    fprintf(out, " of %zu stacks\n", l->count);
    if (l->of_kind[MP_VERDICT_LOST] + l->of_kind[MP_VERDICT_GROWING] > 0) {
        fputs("what leaks grows by ", out);
        put_rate(out, &growth);
        if (mp_verdicts_limit(l->verdicts) > 0) {
            const char *source;

            fprintf(out, "; the limit is %s",
                format_known(mp_verdicts_limit(l->verdicts)).text);
            if (view_limit(l->image, &source) == mp_verdicts_limit(l->verdicts)) {
                fprintf(out, ", %s", source);
            }
        }
        fputc('\n', out);
    }
    if (l->earlier != NULL) {
        const struct mp_region_process *before = mp_image_process(l->earlier);

        fprintf(out, "since is %s, of process %llu%s\n",
            format_time(mp_image_totals(l->earlier)->published_ns).text,
            (unsigned long long)before->pid,
            memcmp(before->run_id, p->run_id, sizeof(p->run_id)) != 0
                ? ", which is another one"
                : "");
    }
    if (l->since_s != 0) {
        fprintf(out, "since is %s, as recorded\n",
            format_time((uint64_t)l->since_s * 1000000000u).text);
    }
    if (l->acknowledged > 0) {
        fprintf(out, "%zu of them acknowledged\n", l->acknowledged);
    }
    if (mp_image_sampling(l->image)->allocated_total == 0) {
        fputs("nothing was sampled: nothing is known (MPALLOC_SAMPLE)\n", out);
    } else if (!mp_verdicts_has_past(l->verdicts)) {
        fputs(
            "growth is not judged: where all is recorded (exact) no past is kept; see "
            "--scan, --since\n",
            out);
    } else if (mp_image_epochs(l->image)->current < 8) {
        fputs("too little was allocated yet to see growth\n", out);
    }
}

void render_leaks(
    FILE *out, const struct leaks *l, const struct render_leaks_options *o)
{
    size_t shown = 0;
    size_t wanted = 0;

    put_summary(out, l);
    put_check(out, l->image);
    if (o->by_component) {
        put_components(out, l, o->rows);
        return;
    }
    for (size_t i = 0; i < l->count; i++) {
        if (!o->all && l->all[i].verdict->kind > MP_VERDICT_SUSPECT) {
            continue;
        }
        wanted++;
        if (shown < o->rows) {
            put_leak(out, l, &l->all[i]);
            shown++;
        }
    }
    if (wanted > shown) {
        fprintf(out, "\n%zu more (--rows %zu)\n", wanted - shown, wanted);
    }
}
