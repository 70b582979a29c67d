/*
 * verdict - one judgement for each call stack, out of all that speaks for and against it
 *
 * Owns: which evidence makes which verdict, how bad it is, what to do about it, and the words.
 * Does not own: the evidence (growth.h), where it comes from (series.h).
 */
#include <mpstats.h>

#include "held.h"
#include "series.h"
#include "thread_name.h"
#include "trend.h"
#include "words.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NORMAL_95 1.96
#define HINT      0.01 /* p of one stack that is worth a look, though not sure among many */
#define DAY_S     86400.0

enum { NAMES_MOST = 64 }; /* of threads that are told apart */

struct words {
    struct words *next;
    char text[160];
};

struct mp_verdicts {
    const mp_image_t *image;
    struct mp_verdict_options options;
    bool has_ended; /* in order: a check at the end needs no second round */
    struct series series;
    struct mp_estimate *held; /* by each of its groups */
    uint64_t limit_bytes;
    uint64_t resident_bytes;
    double live_bytes;
    struct words *words; /* of lines that are not always the same */
    size_t count;
    struct mp_verdict *all;           /* by group */
    const struct mp_verdict **sorted; /* they are long: not they themselves are moved */
};

/* One that is being made. */
struct judged {
    struct mp_verdicts *of;
    const struct series_group *group;
    const struct growth *growth;
    bool is_sure; /* p is below what is allowed for all of them */
    double fit;   /* what it holds by the counters, over what its samples say */
};

/* ---- words ---- */

/* As it is; it lives as long as the program. */
static void say_words(struct mp_verdict *v, const char *words)
{
    if (v->line_count < MP_VERDICT_LINES) {
        v->line[v->line_count++] = words;
    }
}

/* A line that there is no memory for is left out. */
static void __attribute__((format(printf, 3, 4)))
say(const struct judged *j, struct mp_verdict *v, const char *format, ...)
{
    struct words *w = malloc(sizeof(*w));
    va_list list;

    if (w == NULL) {
        return;
    }
    va_start(list, format);
    vsnprintf(w->text, sizeof(w->text), format, list);
    va_end(list);
    w->next = j->of->words;
    j->of->words = w;
    say_words(v, w->text);
}

/* ---- who ---- */

struct name_weight {
    uint16_t name;
    double bytes;
};

static int compare_names(const void *a, const void *b)
{
    double x = ((const struct name_weight *)a)->bytes;
    double y = ((const struct name_weight *)b)->bytes;

    return (x < y) - (x > y);
}

/* Of threads: by what is live, the most first. */
static void add_names(
    const struct mp_verdicts *all, const struct series_group *g, struct mp_verdict *v)
{
    struct name_weight names[NAMES_MOST] = {{0, 0}};
    size_t count = 0;
    double most = -1;
    double sum = 0;

    for (size_t i = 0; i < g->count; i++) {
        const struct mp_region_site *t =
            mp_image_site(all->image, all->series.sites[g->first + i]);
        double live = t->allocated_bytes - t->freed_bytes;
        size_t k = 0;

        if (live > most) {
            most = live;
            v->operation = t->operation;
        }
        sum += live;
        while (k < count && names[k].name != t->thread) {
            k++;
        }
        if (t->thread != 0 && k < NAMES_MOST) {
            count = k == count ? count + 1 : count;
            names[k].name = t->thread;
            names[k].bytes += live;
        }
    }
    qsort(names, count, sizeof(*names), compare_names);
    for (size_t k = 0; k < count && k < MP_VERDICT_THREADS; k++) {
        v->threads[k] = names[k].name;
    }
    v->thread_share = sum > 0 && count > 0 ? names[0].bytes / sum : 0;
}

/* What the last leak check found of a site. */
static struct mp_scanned scanned_of(const struct mp_verdicts *all, uint32_t site)
{
    const struct mp_region_leaks *check = mp_image_leaks(all->image);
    const struct mp_region_leak_site *s = mp_image_leak_site(all->image, site);
    bool is_steady;

    if (all->options.scanned != NULL) {
        return all->options.scanned[site];
    }
    if (check == NULL || s == NULL) {
        return (struct mp_scanned){0};
    }
    /*
     * The indirect ones of the second round hang on all that is definite then, also on what was
     * not so in the first: they are believed where most of it was.
     */
    is_steady = all->has_ended
                || 2 * check->blocks[MP_LEAK_LOST] >= check->blocks[MP_LEAK_DEFINITE];
    return (struct mp_scanned){.rounds = all->has_ended ? 2 : (unsigned)check->rounds,
        .definite_bytes = s->bytes[check->rounds > 1 ? MP_LEAK_LOST : MP_LEAK_DEFINITE],
        .indirect_bytes = is_steady ? s->bytes[MP_LEAK_INDIRECT] : 0,
        .possible_bytes = s->bytes[MP_LEAK_POSSIBLE],
        .reachable_bytes = s->bytes[MP_LEAK_REACHABLE]};
}

static void add_scanned(struct mp_verdict *v, const struct mp_scanned *s)
{
    v->scanned.rounds = s->rounds > v->scanned.rounds ? s->rounds : v->scanned.rounds;
    v->scanned.definite_bytes += s->definite_bytes;
    v->scanned.indirect_bytes += s->indirect_bytes;
    v->scanned.possible_bytes += s->possible_bytes;
    v->scanned.reachable_bytes += s->reachable_bytes;
}

static void add_sums(
    const struct mp_verdicts *all, const struct series_group *g, struct mp_verdict *v)
{
    v->first_ns = UINT64_MAX;
    for (size_t i = 0; i < g->count; i++) {
        uint32_t number = all->series.sites[g->first + i];
        const struct mp_region_site *t = mp_image_site(all->image, number);
        struct mp_scanned scanned;

        v->live_samples += t->allocated_samples - t->freed_samples;
        v->freed_samples += t->freed_samples;
        v->first_ns = t->first_ns < v->first_ns ? t->first_ns : v->first_ns;
        v->last_ns = t->last_ns > v->last_ns ? t->last_ns : v->last_ns;
        scanned = scanned_of(all, number);
        add_scanned(v, &scanned);
    }
    v->live_bytes = all->held[g - all->series.groups];
}

/*
 * What the check found of a stack is of its samples; what it holds was fitted to the counters. The
 * same fit makes the two comparable, and nothing that is lost was freed: it is at most what is held.
 */
static void fit_scanned(double fit, struct mp_verdict *v)
{
    struct mp_scanned *s = &v->scanned;
    double lost = fit * (s->definite_bytes + s->indirect_bytes);
    double within = lost > v->live_bytes.high ? v->live_bytes.high / lost : 1;

    s->definite_bytes *= fit * within;
    s->indirect_bytes *= fit * within;
    s->possible_bytes *= fit;
    s->reachable_bytes *= fit;
}

/* ---- how fast, how long ---- */

static void add_rate(const struct judged *j, struct mp_verdict *v)
{
    const struct growth *g = j->growth;
    double seconds = series_seconds_since(j->of->image, &j->of->series, g->from);
    double grown = j->fit * g->grown;
    double error = j->fit * NORMAL_95 * g->grown_deviation;

    if (seconds > 0) {
        double hours = seconds / 3600;

        v->bytes_per_hour = (struct mp_estimate){
            grown / hours, (grown - error) / hours, (grown + error) / hours};
    }
    v->limit_s = (struct mp_estimate){INFINITY, INFINITY, INFINITY};
    if (j->of->limit_bytes > 0 && v->bytes_per_hour.value > 0) {
        double room = j->of->limit_bytes > j->of->resident_bytes
                          ? (double)(j->of->limit_bytes - j->of->resident_bytes)
                          : 0;

        v->limit_s.value = room / v->bytes_per_hour.value * 3600;
        v->limit_s.low = room / v->bytes_per_hour.high * 3600;
        v->limit_s.high =
            v->bytes_per_hour.low > 0 ? room / v->bytes_per_hour.low * 3600 : INFINITY;
    }
}

static void add_severity(const struct judged *j, struct mp_verdict *v)
{
    const struct mp_verdict_options *o = &j->of->options;
    bool is_bad = v->kind == MP_VERDICT_LOST || v->kind == MP_VERDICT_GROWING;

    v->severity = v->kind == MP_VERDICT_LOST ? MP_SEVERITY_WARNING : MP_SEVERITY_INFO;
    if (is_bad && v->limit_s.value < o->warning_s) {
        v->severity = MP_SEVERITY_WARNING;
    }
    if (is_bad && v->limit_s.value < o->critical_s) {
        v->severity = MP_SEVERITY_CRITICAL;
    }
}

/* ---- rules ---- */

/* Bytes that go through blocks of whole pages, against all that this stack holds. */
static bool has_large_churn(const struct mp_verdicts *all, const struct series_group *g)
{
    double large = 0;
    double work = mp_image_epochs(all->image)->work_bytes;

    for (size_t i = 0; i < g->count; i++) {
        const struct mp_region_site *t =
            mp_image_site(all->image, all->series.sites[g->first + i]);
        const struct mp_region_class *c = mp_image_class(all->image, t->class_number);

        large += c != NULL && c->kind == MP_CLASS_LARGE ? t->freed_bytes : 0;
    }
    return work > 0 && large > all->options.large_share * work;
}

static bool has_slack(const struct mp_verdicts *all, const struct series_group *g)
{
    uint64_t number = mp_image_sampling(all->image)->peak_number;
    double peak = 0;
    double live = 0;

    for (size_t i = 0; i < g->count; i++) {
        const struct mp_region_site *t =
            mp_image_site(all->image, all->series.sites[g->first + i]);
        double now = t->allocated_bytes - t->freed_bytes;

        peak += t->peak_number == number ? t->peak_bytes : now;
        live += now;
    }
    return peak > 2 * live && peak - live > all->options.large_share * all->live_bytes;
}

static unsigned rules_of(const struct judged *j, const struct mp_verdict *v)
{
    const struct growth *g = j->growth;
    const struct mp_verdict_options *o = &j->of->options;
    unsigned rules = 0;

    rules |= j->is_sure && g->p_drift < 0.05 ? MP_RULE_GROWTH : 0;
    rules |=
        v->live_bytes.low > o->large_share * j->of->live_bytes ? MP_RULE_LARGE_SITE : 0;
    rules |= g->p_retained < HINT ? MP_RULE_NEVER_FREED : 0;
    rules |= g->floor_rises ? MP_RULE_RISING_FLOOR : 0;
    rules |= has_slack(j->of, j->group) ? MP_RULE_SLACK_AFTER_PEAK : 0;
    rules |= j->is_sure && g->is_exponential ? MP_RULE_EXPONENTIAL : 0;
    rules |= has_large_churn(j->of, j->group) ? MP_RULE_LARGE_CHURN : 0;
    rules |= j->is_sure && v->live_samples > 19 * v->freed_samples ? MP_RULE_LOOP : 0;
    rules |= v->scanned.rounds >= 2
                     && v->scanned.definite_bytes + v->scanned.indirect_bytes > 0
                 ? MP_RULE_UNREACHABLE
                 : 0;
    rules |= g->is_by_marks && g->p_drift < HINT ? MP_RULE_MARKS : 0;
    return rules;
}

/* ---- the verdict ---- */

/*
 * Epochs are of work, so that growth is growth with work. Where most of all work ever was to
 * allocate what is live, as when a program has loaded its tables, growth is that work itself, and
 * only time can tell whether it goes on. Had it gone on at its pace, the last of n samples would be
 * as long ago as it is with chance (time of growth / time until now)^n.
 */
static bool has_stopped(const struct judged *j, const struct mp_verdict *v)
{
    const struct mp_region_epochs *e = mp_image_epochs(j->of->image);
    uint64_t now = mp_image_totals(j->of->image)->published_ns;
    double n = (double)(v->live_samples + v->freed_samples);

    if (2 * j->of->live_bytes < e->work_bytes || now <= v->last_ns
        || v->last_ns <= v->first_ns) {
        return false;
    }
    return n * log((double)(v->last_ns - v->first_ns) / (double)(now - v->first_ns))
           < log(HINT);
}

static enum mp_verdict_kind kind_of(const struct judged *j, const struct mp_verdict *v)
{
    const struct growth *g = j->growth;
    bool is_hint = g->p < HINT;

    if ((v->rules & MP_RULE_UNREACHABLE) != 0) {
        return MP_VERDICT_LOST;
    }
    if (g->shape == GROWTH_SATURATES && g->p_drift < HINT) {
        return MP_VERDICT_CACHE_LIKE;
    }
    if (j->is_sure && g->shape == GROWTH_STEADY && j->group->has_history
        && g->generations >= GROWTH_EPOCHS_LEAST && j->group->frame != 0
        && !has_stopped(j, v)) {
        return MP_VERDICT_GROWING;
    }
    return (is_hint || j->is_sure) && g->shape != GROWTH_SATURATES ? MP_VERDICT_SUSPECT
                                                                   : MP_VERDICT_FINE;
}

/* One block that has most of it, grown long ago. */
static bool is_one_buffer(const struct mp_verdict *v)
{
    return v->live_samples <= 2 && v->live_samples > 0
           && (v->rules & MP_RULE_LARGE_SITE) != 0;
}

static unsigned class_count(const struct judged *j)
{
    uint64_t seen[2] = {0};
    unsigned count = 0;

    for (size_t i = 0; i < j->group->count; i++) {
        const struct mp_region_site *t =
            mp_image_site(j->of->image, j->of->series.sites[j->group->first + i]);

        seen[t->class_number / 64 % 2] |= UINT64_C(1) << t->class_number % 64;
    }
    for (unsigned i = 0; i < 128; i++) {
        count += seen[i / 64] >> i % 64 & 1;
    }
    return count;
}

static enum mp_advice advice_of(const struct judged *j, const struct mp_verdict *v)
{
    if (v->kind == MP_VERDICT_LOST) {
        return MP_ADVICE_CYCLE;
    }
    if (is_one_buffer(v)) {
        return MP_ADVICE_SHRINK;
    }
    if (v->kind != MP_VERDICT_GROWING && v->kind != MP_VERDICT_SUSPECT) {
        return MP_ADVICE_NONE;
    }
    if (v->thread_share > 0.9 && mp_image_totals(j->of->image)->threads_peak > 1
        && !thread_name_is_common(
            j->of->image, mp_image_name(j->of->image, v->threads[0]))) {
        return MP_ADVICE_THREAD;
    }
    /* Handlers are alike; what is cached is of all sizes. */
    return v->freed_samples == 0 && class_count(j) == 1 ? MP_ADVICE_HANDLER
                                                        : MP_ADVICE_BOUND;
}

static void say_growth(const struct judged *j, struct mp_verdict *v)
{
    const struct growth *g = j->growth;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];
    char c[WORDS_BYTES];

    if (g->p_drift < HINT) {
        say(j, v, "grew by %s, %s per hour (95 %%: from %s); by chance: p = %s",
            words_bytes(j->fit * g->grown, a), words_bytes(v->bytes_per_hour.value, b),
            words_bytes(v->bytes_per_hour.low, c),
            words_chance(g->p, (char[WORDS_BYTES]){0}));
    }
    if (g->p_drift < HINT && g->generations >= 3) {
        say(j, v,
            "survivors of %u of %u epochs; their rate goes with time to the %.2f "
            "(95 %%: above %.2f), 1 is steady",
            g->generations, g->epochs, g->exponent, fmax(g->exponent_low, 0));
    }
    if (g->p_drift < HINT && isfinite(g->recent)) {
        say(j, v, "in the last third it grew %.2f times as fast as before", g->recent);
    }
    if (g->old_all > 0 && g->p_retained < HINT) {
        say(j, v,
            "of %.0f samples that got older than %s, %.0f were freed: "
            "an old one stays with %.0f %%",
            g->old_all, words_time(g->old_us / 1e6, a), g->old_died,
            100 * g->leak_chance);
    }
    if (g->floor_rises) {
        say(j, v, "its least in each epoch rises (tau = %.2f)", g->kendall);
    }
    if (v->doubling_s > 0) {
        say(j, v, "it doubles every %s", words_time(v->doubling_s, a));
    }
}

static void say_rest(const struct judged *j, struct mp_verdict *v)
{
    const struct growth *g = j->growth;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];

    if (v->scanned.rounds > 0 && v->scanned.definite_bytes > 0) {
        say(j, v, "nothing points to %s of it",
            words_bytes(v->scanned.definite_bytes, a));
    }
    if (v->scanned.rounds > 0 && v->scanned.indirect_bytes > 0) {
        say(j, v, "%s of it hang on blocks that nothing points to",
            words_bytes(v->scanned.indirect_bytes, b));
    }
    if (g->marks_deny) {
        say_words(v, "at the last mark it held no more than at the first");
    }
    if (v->kind == MP_VERDICT_SUSPECT && has_stopped(j, v)) {
        say(j, v,
            "it was filled by most of all work so far, and nothing came since %s ago",
            words_time(
                (double)(mp_image_totals(j->of->image)->published_ns - v->last_ns)
                    / 1e9,
                a));
    }
    if (!j->group->has_history) {
        say_words(v, mp_verdicts_has_past(j->of)
                         ? "its past is not known: no room was left for it"
                         : "its past is not known: threads that record all keep none");
    }
    if (v->kind <= MP_VERDICT_GROWING && isfinite(v->limit_s.value)) {
        say(j, v, "at this rate memory (%s) is used up in %s",
            words_bytes((double)j->of->limit_bytes, a),
            words_time(v->limit_s.value, b));
    }
    if ((v->rules & MP_RULE_SLACK_AFTER_PEAK) != 0) {
        say_words(
            v, "most of what it held at the peak is freed: mpalloc trim, no leak");
    }
}

static void judge(struct mp_verdicts *all, const struct series_group *group,
    const struct growth *g, double threshold, struct mp_verdict *v)
{
    struct judged j = {all, group, g, g->p <= threshold && g->p < 0.05, 1};

    /* It is all 0. */
    v->frame = group->frame;
    v->component = group->component;
    v->site_count = group->count;
    v->sites = all->series.sites + group->first;
    v->p = g->p;
    v->slope_bytes = g->slope;
    v->exponent = g->exponent;
    v->exponent_low = g->exponent_low;
    v->generations = g->generations;
    v->epochs = g->epochs;
    v->old_died = g->old_died;
    v->old_all = g->old_all;
    v->leak_chance = g->leak_chance;
    add_sums(all, group, v);
    add_names(all, group, v);
    j.fit = g->live > 0 ? v->live_bytes.value / g->live : 1;
    fit_scanned(j.fit, v);
    add_rate(&j, v);
    if (group->birth_count > 0) { /* growth_find sorted them */
        v->oldest_s = series_seconds_since(
            all->image, &all->series, all->series.births[group->first_birth].at);
    }
    v->rules = rules_of(&j, v);
    v->kind = kind_of(&j, v);
    v->advice = advice_of(&j, v);
    if (g->is_exponential && g->epochs > 0) {
        v->doubling_s = g->doubling * series_seconds_since(all->image, &all->series, 0)
                        / fmax(all->series.now, 1);
    }
    add_severity(&j, v);
    say_growth(&j, v);
    say_rest(&j, v);
}

/* ---- all of them ---- */

static int compare_verdicts(const void *a, const void *b)
{
    const struct mp_verdict *x = *(const struct mp_verdict *const *)a;
    const struct mp_verdict *y = *(const struct mp_verdict *const *)b;

    if (x->kind != y->kind) {
        return (x->kind > y->kind) - (x->kind < y->kind);
    }
    if (x->kind <= MP_VERDICT_SUSPECT
        && x->bytes_per_hour.value != y->bytes_per_hour.value) {
        return x->bytes_per_hour.value < y->bytes_per_hour.value ? 1 : -1;
    }
    if (x->live_bytes.value != y->live_bytes.value) {
        return x->live_bytes.value < y->live_bytes.value ? 1 : -1;
    }
    return (x->frame > y->frame) - (x->frame < y->frame);
}

static uint64_t lesser_limit(uint64_t a, uint64_t b)
{
    return b == 0 || (a != 0 && a < b) ? a : b;
}

static void set_options(struct mp_verdicts *v, const struct mp_verdict_options *options)
{
    static const struct mp_verdict_options defaults = {.false_discovery = 0.05,
        .warning_s = 7 * DAY_S,
        .critical_s = 4 * 3600,
        .large_share = 0.1};
    const struct mp_region_process *p = mp_image_process(v->image);
    struct mp_verdict_options o = options != NULL ? *options : defaults;

    o.false_discovery =
        o.false_discovery > 0 ? o.false_discovery : defaults.false_discovery;
    o.warning_s = o.warning_s > 0 ? o.warning_s : defaults.warning_s;
    o.critical_s = o.critical_s > 0 ? o.critical_s : defaults.critical_s;
    o.large_share = o.large_share > 0 ? o.large_share : defaults.large_share;
    v->options = o;
    v->limit_bytes = o.limit_bytes;
    if (v->limit_bytes == 0) {
        uint64_t limit = mp_process_limit(v->image, MP_UNKNOWN, NULL);

        /* Whatever it may have: that of the machine is used up before. */
        v->limit_bytes =
            lesser_limit(limit != MP_UNKNOWN ? limit : 0, p->physical_bytes);
    }
    v->resident_bytes = o.resident_bytes != 0
                            ? o.resident_bytes
                            : mp_image_totals(v->image)->resident_bytes;
}

static int judge_all(struct mp_verdicts *v)
{
    size_t count = v->series.group_count;
    struct growth *growth = calloc(count + 1, sizeof(*growth));
    double *p = calloc(2 * count + 1, sizeof(*p));
    double threshold;

    v->all = calloc(count + 1, sizeof(*v->all));
    v->sorted = calloc(count + 1, sizeof(*v->sorted));
    if (growth == NULL || p == NULL || v->all == NULL || v->sorted == NULL) {
        free(growth);
        free(p);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct growth_past past;

        series_past(v->image, &v->series, &v->series.groups[i], &past);
        growth_find(&past, &growth[i]);
        p[i] = growth[i].p;
        v->live_bytes += growth[i].live;
    }
    threshold = trend_threshold(p, count, v->options.false_discovery, p + count);
    for (size_t i = 0; i < count; i++) {
        judge(v, &v->series.groups[i], &growth[i], threshold, &v->all[i]);
        v->sorted[i] = &v->all[i];
    }
    v->count = count;
    free(growth);
    free(p);
    qsort(v->sorted, count, sizeof(*v->sorted), compare_verdicts);
    return 0;
}

int mp_verdicts_make(const mp_image_t *image, const struct mp_verdict_options *options,
    mp_verdicts_t **ret)
{
    struct mp_verdicts *v = calloc(1, sizeof(*v));
    int code;

    *ret = NULL;
    if (v == NULL) {
        return -ENOMEM;
    }
    v->image = image;
    set_options(v, options);
    v->has_ended = mp_image_life(image) == MP_LIFE_EXITED;
    code = series_make(image, &v->series);
    v->held = code == 0 ? held_make(image, &v->series) : NULL;
    code = code == 0 && v->held == NULL ? -ENOMEM : code;
    code = code != 0 ? code : judge_all(v);
    if (code != 0) {
        mp_verdicts_free(v);
        return code;
    }
    *ret = v;
    return 0;
}

void mp_verdicts_free(mp_verdicts_t *v)
{
    if (v != NULL) {
        while (v->words != NULL) {
            struct words *next = v->words->next;

            free(v->words);
            v->words = next;
        }
        series_free(&v->series);
        free(v->held);
        free(v->all);
        free(v->sorted);
        free(v);
    }
}

size_t mp_verdicts_count(const mp_verdicts_t *v)
{
    return v->count;
}

const struct mp_verdict *mp_verdicts_at(const mp_verdicts_t *v, size_t number)
{
    return number < v->count ? v->sorted[number] : NULL;
}

struct mp_estimate mp_verdicts_growth(const mp_verdicts_t *v)
{
    struct mp_estimate sum = {0, 0, 0};
    double below = 0;
    double above = 0;

    for (size_t i = 0; i < v->count && v->sorted[i]->kind <= MP_VERDICT_GROWING; i++) {
        const struct mp_estimate *e = &v->sorted[i]->bytes_per_hour;

        sum.value += e->value;
        below += (e->value - e->low) * (e->value - e->low);
        above += (e->high - e->value) * (e->high - e->value);
    }
    sum.low = sum.value - sqrt(below);
    sum.high = sum.value + sqrt(above);
    return sum;
}

bool mp_verdicts_has_past(const mp_verdicts_t *v)
{
    bool is_exact = mp_image_sampling(v->image)->interval_bytes == MP_SAMPLING_EXACT;

    for (size_t i = 0; is_exact && i < v->series.group_count; i++) {
        if (!v->series.groups[i].has_history) {
            return false;
        }
    }
    return true;
}

uint64_t mp_verdicts_limit(const mp_verdicts_t *v)
{
    return v->limit_bytes;
}
