/*
 * estimates - what the stacks of an image hold, so that it adds up to the counters
 *
 * Owns: which sums of sites are estimated by which formula of estimate.h, what they are
 * calibrated with, and rounding to whole bytes and blocks. README.md, "Sampling".
 *
 * Live and freed are estimated for themselves, each against its own counter, and allocated
 * is their sum: so no stack holds more than it allocated. What came after the counters were
 * published (site_sums.h) has none to be held against, and is added to that.
 */
#include "estimate.h"
#include "image.h"
#include "peaks.h"
#include "rests.h"
#include "site_sums.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NO_CELL UINT32_MAX /* of all components and classes: without a counter */

enum part {
    LIVE = SITE_LIVE,
    FREED = SITE_FREED,
    PEAK = SITE_PEAK,
    SHORT = SITE_SHORT
};
enum { PARTS = SHORT + 1 }; /* that are estimated at the counters */

struct group {
    uint32_t cell; /* component * MP_REGION_CLASSES + class */
    bool is_used;
    struct tally part[SITE_PARTS];
    double allocated_blocks;
    double allocated_bytes;
    double allocated_requested;
    double live_requested;
    double peak_requested;
    double lifetime_ns;
    uint64_t freed[UNITS]; /* its value, rounded */
    uint64_t freed_low[UNITS];
    uint64_t freed_high[UNITS];
};

struct mp_estimates {
    const mp_image_t *image;
    bool is_exact;          /* nothing but exact recording, ever */
    double interval;        /* R of sums without a sample; 0: not known */
    double peak_most;       /* of all; INFINITY: not known */
    double overflow[PARTS]; /* which share of all bytes sampled is in (overflow) */
    size_t group_count;
    struct group *groups;
    struct mp_figures *figures; /* of groups */
    size_t rest_count;
    struct rest *rests; /* by cell */
};

/* The groups of a cell, and its counters. */
struct members {
    const uint32_t *group;
    size_t count;
    const struct mp_region_cell *cell; /* NULL: not known */
    double interval[UNITS];            /* R in the unit */
};

static void add_site(struct mp_estimates *e, size_t number, uint32_t group)
{
    const struct mp_region_site *t = mp_image_site(e->image, number);
    const struct mp_region_sampling *g = mp_image_sampling(e->image);
    bool is_counted =
        number == 0 || mp_image_cell(e->image, t->component, t->class_number) != NULL;
    struct tally part[SITE_PARTS];
    struct group *to = &e->groups[group];
    struct mp_figures *f = &e->figures[group];

    if (t->allocated_samples == 0) {
        return;
    }
    if (!to->is_used) {
        to->is_used = true;
        to->cell =
            number == 0 ? NO_CELL : t->component * MP_REGION_CLASSES + t->class_number;
    }
    site_sums_of(t, g,
        is_counted ? mp_image_totals(e->image)->published_total : UINT64_MAX, part);
    for (unsigned i = 0; i < SITE_PARTS; i++) {
        tally_merge(&to->part[i], &part[i]);
    }
    to->allocated_blocks += t->allocated_blocks;
    to->allocated_bytes += t->allocated_bytes;
    to->allocated_requested += t->allocated_requested;
    to->live_requested += t->allocated_requested - t->freed_requested;
    to->peak_requested += t->peak_number == g->peak_number
                              ? t->peak_requested
                              : t->allocated_requested - t->freed_requested;
    to->lifetime_ns += t->freed_lifetime_ns;
    f->samples += t->allocated_samples;
    f->live_samples += t->allocated_samples - t->freed_samples;
    if (f->first_ns == 0 || t->first_ns < f->first_ns) {
        f->first_ns = t->first_ns;
    }
    f->last_ns = t->last_ns > f->last_ns ? t->last_ns : f->last_ns;
}

/* ---- one estimate ---- */

/* A tally whose bytes are the figure that is wanted. */
static struct tally in_unit(const struct tally *t, enum unit unit)
{
    struct tally r = *t;

    if (unit == BLOCKS) {
        r.bytes = t->blocks;
    }
    return r;
}

/* Cut to a factor what is more than there is. */
static struct estimate cut(struct estimate r, double factor, double exact)
{
    if (factor < 1) {
        r.value *= factor;
        r.low *= factor;
    }
    r.high = fmax(fmin(r.high, exact), r.value);
    return r;
}

/* `interval`: R in the unit. `exact`: the counter of the whole; NAN: there is none. */
static struct estimate judge(const struct mp_estimates *e, const struct tally *part,
    const struct tally *whole, double exact, double interval)
{
    double factor = whole->bytes.value > exact ? exact / whole->bytes.value : 1;

    if (e->is_exact) {
        return (struct estimate){
            part->bytes.value, part->bytes.value, part->bytes.value};
    }
    if (isnan(exact)) {
        return estimate_bytes(part, interval);
    }
    if (whole->samples < ESTIMATE_CALIBRATED) {
        return cut(estimate_bytes(part, interval), factor, exact);
    }
    return cut(estimate_calibrated(part, whole, exact, interval), 1, exact);
}

/* ---- a cell ---- */

static void whole_of(const struct mp_estimates *e, const struct members *m,
    unsigned part, enum unit unit, struct tally *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < m->count; i++) {
        struct tally t = in_unit(&e->groups[m->group[i]].part[part], unit);

        tally_merge(ret, &t);
    }
}

/* By the bytes of its blocks. */
static void find_intervals(const struct mp_estimates *e, struct members *m)
{
    double bytes = 0;
    double blocks = 0;

    for (size_t i = 0; i < m->count; i++) {
        bytes += e->groups[m->group[i]].allocated_bytes;
        blocks += e->groups[m->group[i]].allocated_blocks;
    }
    m->interval[BYTES] = e->interval;
    m->interval[BLOCKS] =
        bytes > 0 && blocks > 0 ? e->interval * blocks / bytes : e->interval;
}

/*
 * The highest that a cell was seen at. Its peak and that of all may be of different moments: it
 * held no more, then. INFINITY: not known, or older than the peak.
 */
static double peak_most(
    const struct mp_estimates *e, const struct members *m, enum unit unit)
{
    struct tally whole;

    if (m->cell == NULL || e->peak_most == INFINITY) {
        return INFINITY;
    }
    if (unit == BYTES) {
        return (double)m->cell->live_peak_bytes;
    }
    whole_of(e, m, PEAK, BYTES, &whole); /* blocks are alike */
    return whole.bytes.value > 0 ? (double)m->cell->live_peak_bytes * whole.blocks.value
                                       / whole.bytes.value
                                 : INFINITY;
}

/* Where the rounded figure of a group goes. */
struct slots {
    uint64_t *value;
    uint64_t *low;
    uint64_t *high;
};

static struct slots slots_of(
    struct mp_estimates *e, uint32_t group, enum part part, enum unit unit)
{
    static const uint8_t first[PARTS] = {
        [LIVE] = MP_LIVE_BLOCKS, [PEAK] = MP_PEAK_BLOCKS, [SHORT] = MP_SHORT_BLOCKS};
    struct group *g = &e->groups[group];
    struct mp_figures *f = &e->figures[group];
    unsigned figure = first[part] + (unsigned)unit; /* blocks, then bytes */

    if (part == FREED) {
        return (struct slots){
            &g->freed[unit], &g->freed_low[unit], &g->freed_high[unit]};
    }
    return (struct slots){&f->value[figure], &f->low[figure], &f->high[figure]};
}

/* What was allocated is the sum of what is live and what was freed. */
static void set_cut(
    struct mp_estimates *e, uint32_t group, enum part part, enum unit unit)
{
    struct mp_figures *f = &e->figures[group];

    if (part == LIVE || part == FREED) {
        f->cut |= 1u << (MP_ALLOCATED_BLOCKS + (unsigned)unit);
    }
    if (part != FREED) {
        f->cut |= 1u << (slots_of(e, group, part, unit).value - f->value);
    }
}

/* What a cell counted, of live or of freed; without a counter anything may be. */
struct counter {
    bool is_known;
    uint64_t value;
};

static struct counter counter_of(
    const struct mp_region_cell *c, enum part part, enum unit unit)
{
    if (c == NULL || part == PEAK) {
        return (struct counter){false, UINT64_MAX};
    }
    return (struct counter){
        true, rests_counter(c, part == LIVE ? COUNTED_LIVE : COUNTED_FREED, unit)};
}

/* What the samples of a cell say, with those in (overflow): what its counter is known by. */
static bool find_whole(const struct mp_estimates *e, const struct members *m,
    unsigned part, enum unit unit, struct tally *ret)
{
    bool has_share = !e->is_exact && m->cell != NULL && part != PEAK;
    double share = has_share ? e->overflow[part == SHORT ? FREED : part] : 0;

    /* What died young is a part of what was freed. */
    whole_of(e, m, part == SHORT ? FREED : part, unit, ret);
    ret->bytes.value /= 1 - share;
    ret->bytes.variance /= 1 - share;
    return share > 0;
}

/*
 * All groups of a cell, rounded so that their sum is that of the estimates, rounded: each
 * gets what brings the sum so far to where it should be. Where they are calibrated the sum is
 * the counter, and the last one that has something gets what is missing to it.
 */
static void estimate_part(
    struct mp_estimates *e, const struct members *m, enum part part, enum unit unit)
{
    struct counter counter = counter_of(m->cell, part, unit);
    double exact = counter.is_known ? (double)counter.value : NAN;
    struct tally whole;
    double sum = 0;
    uint64_t given = 0;
    size_t last = m->count;
    bool is_shared = find_whole(e, m, part, unit, &whole);
    bool is_whole = !e->is_exact && !is_shared && part != SHORT && counter.is_known
                    && whole.bytes.value > 0 && whole.samples >= ESTIMATE_CALIBRATED;
    uint64_t most = e->is_exact ? UINT64_MAX : counter.value;
    double peak = part == PEAK ? peak_most(e, m, unit) : INFINITY;
    double bound = part == PEAK ? peak : (double)most;

    for (size_t i = 0; is_whole && i < m->count; i++) {
        if (e->groups[m->group[i]].part[part].samples > 0) {
            last = i;
        }
    }
    for (size_t i = 0; i < m->count; i++) {
        struct tally t = in_unit(&e->groups[m->group[i]].part[part], unit);
        struct estimate r = judge(e, &t, &whole, exact, m->interval[unit]);
        struct slots to = slots_of(e, m->group[i], part, unit);
        uint64_t upto;

        if (peak < INFINITY) {
            r = cut(r, whole.bytes.value > peak ? peak / whole.bytes.value : 1, peak);
        }
        sum += r.value;
        upto = i == last ? counter.value : estimate_down(sum + 0.5);
        upto = upto < most ? upto : most;
        *to.value = upto > given ? upto - given : 0;
        given += *to.value;
        *to.low = estimate_down(r.low);
        *to.high = estimate_up(r.high);
        *to.low = *to.low < *to.value ? *to.low : *to.value;
        *to.high = *to.high > *to.value ? *to.high : *to.value;
        if (*to.high > *to.value && (double)*to.high >= bound) {
            set_cut(e, m->group[i], part, unit);
        }
    }
}

/* ---- since the counters ---- */

/* What an estimate may be off by, beside others. */
struct errors {
    double below;
    double above;
};

static void add_error(struct errors *r, const struct estimate *e)
{
    r->below = hypot(r->below, e->value - e->low);
    r->above = hypot(r->above, e->high - e->value);
}

static void put_estimate(struct slots to, uint64_t value, const struct errors *r)
{
    *to.value = value;
    *to.low = estimate_down((double)value - r->below);
    *to.low = *to.low < value && r->below > 0 ? *to.low : value;
    *to.high = value + estimate_up(r->above);
}

static struct errors errors_of(struct slots s)
{
    return (struct errors){(double)(*s.value - *s.low), (double)(*s.high - *s.value)};
}

static void add_plain_error(const struct mp_estimates *e, const struct group *g,
    enum site_part part, enum unit unit, struct errors *ret)
{
    struct tally t = in_unit(&g->part[part], unit);
    struct estimate r;

    if (!e->is_exact && t.samples > 0) {
        r = estimate_bytes(&t, e->interval);
        add_error(ret, &r);
    }
}

static double in_part(const struct group *g, unsigned part, enum unit unit)
{
    return unit == BYTES ? g->part[part].bytes.value : g->part[part].blocks.value;
}

/*
 * What is kept of what was live has its share of the counter, and what is not is freed. What
 * came has no counter: it counts for what its samples say.
 */
static void add_since(struct mp_estimates *e, const struct members *m,
    const struct tally *whole, uint32_t number, enum unit unit)
{
    struct group *g = &e->groups[number];
    struct slots live = slots_of(e, number, LIVE, unit);
    struct slots freed = slots_of(e, number, FREED, unit);
    struct slots brief = slots_of(e, number, SHORT, unit);
    struct errors live_errors = errors_of(live);
    struct errors freed_errors = errors_of(freed);
    struct errors brief_errors = errors_of(brief);
    double had = in_part(g, LIVE, unit);
    double kept = in_part(g, SITE_KEPT, unit);
    uint64_t stays = *live.value;

    if (kept < had) {
        struct counter counter = counter_of(m->cell, LIVE, unit);
        struct tally part = in_unit(&g->part[SITE_KEPT], unit);
        struct estimate r = judge(e, &part, whole,
            counter.is_known ? (double)counter.value : NAN, m->interval[unit]);

        live_errors = (struct errors){0};
        add_error(&live_errors, &r);
        stays = estimate_down((double)*live.value * (kept / had) + 0.5);
    }
    add_plain_error(e, g, SITE_FRESH, unit, &live_errors);
    add_plain_error(e, g, SITE_FREED_SINCE, unit, &freed_errors);
    add_plain_error(e, g, SITE_SHORT_SINCE, unit, &brief_errors);
    put_estimate(freed,
        *freed.value + (*live.value - stays)
            + estimate_down(in_part(g, SITE_GONE, unit) + 0.5),
        &freed_errors);
    put_estimate(
        live, stays + estimate_down(in_part(g, SITE_COME, unit) + 0.5), &live_errors);
    put_estimate(brief,
        *brief.value + estimate_down(in_part(g, SITE_SHORT_SINCE, unit) + 0.5),
        &brief_errors);
}

static bool has_since(const struct group *g)
{
    return g->part[SITE_FREED_SINCE].samples != 0 || g->part[SITE_FRESH].samples != 0
           || g->part[SITE_COME].bytes.value > 0
           || g->part[SITE_KEPT].bytes.value < g->part[LIVE].bytes.value;
}

/* ---- figures that follow from others ---- */

/* Of live and freed, which were estimated apart. */
static void add_allocated(struct mp_figures *f, const struct group *g, enum unit unit)
{
    unsigned live = MP_LIVE_BLOCKS + (unsigned)unit;
    unsigned figure = MP_ALLOCATED_BLOCKS + (unsigned)unit;
    struct slots to = {&f->value[figure], &f->low[figure], &f->high[figure]};
    struct errors r = {hypot((double)(f->value[live] - f->low[live]),
                           (double)(g->freed[unit] - g->freed_low[unit])),
        hypot((double)(f->high[live] - f->value[live]),
            (double)(g->freed_high[unit] - g->freed[unit]))};

    put_estimate(to, f->value[live] + g->freed[unit], &r);
}

static void limit(uint64_t *value, uint64_t most)
{
    *value = *value < most ? *value : most;
}

/* Of `bytes`, calibrated already, the share that the samples asked for. */
static uint64_t requested_of(uint64_t bytes, double requested, double sampled_bytes)
{
    return sampled_bytes > 0
               ? estimate_down(0.5 + (double)bytes * fmin(requested / sampled_bytes, 1))
               : 0;
}

static void finish_group(struct mp_estimates *e, uint32_t number)
{
    const struct group *g = &e->groups[number];
    struct mp_figures *f = &e->figures[number];
    double freed = in_part(g, FREED, BLOCKS) + in_part(g, SITE_FREED_SINCE, BLOCKS);

    for (unsigned unit = 0; unit < UNITS; unit++) {
        unsigned figure = MP_SHORT_BLOCKS + unit;

        add_allocated(f, g, (enum unit)unit);
        limit(&f->value[figure], g->freed[unit]);
        limit(&f->low[figure], f->value[figure]);
        limit(&f->high[figure], g->freed_high[unit]);
        f->high[figure] =
            f->high[figure] > f->value[figure] ? f->high[figure] : f->value[figure];
    }
    f->requested = requested_of(
        f->value[MP_ALLOCATED_BYTES], g->allocated_requested, g->allocated_bytes);
    f->live_requested = requested_of(f->value[MP_LIVE_BYTES], g->live_requested,
        g->part[SITE_KEPT].bytes.value + g->part[SITE_COME].bytes.value);
    f->peak_requested = requested_of(
        f->value[MP_PEAK_BYTES], g->peak_requested, g->part[PEAK].bytes.value);
    if (freed > 0) {
        f->lifetime_s = g->lifetime_ns / 1e9 * (double)g->freed[BLOCKS] / freed;
    }
}

static void add_rest(struct mp_estimates *e, const struct members *m, uint32_t cell)
{
    struct rest *r = &e->rests[e->rest_count++];

    r->cell = cell;
    for (unsigned i = 0; i < COUNTED * UNITS; i++) {
        enum counted what = (enum counted)(i / UNITS);
        enum part part = what == COUNTED_LIVE ? LIVE : FREED;
        enum unit unit = (enum unit)(i % UNITS);
        uint64_t exact = rests_counter(m->cell, what, unit);
        uint64_t value = 0;
        uint64_t low = 0;
        double high = 0;

        for (size_t n = 0; n < m->count; n++) {
            struct slots from = slots_of(e, m->group[n], part, unit);

            value += *from.value;
            low += *from.low;
            high += (double)*from.high;
        }
        /* Recorded exactly there may be more than counters, read a moment before, knew. */
        r->value[what][unit] = exact > value ? exact - value : 0;
        r->low[what][unit] =
            r->value[what][unit] == 0 ? 0 : estimate_down((double)exact - high);
        r->high[what][unit] = r->value[what][unit] == 0 ? 0 : exact - low;
        limit(&r->low[what][unit], r->value[what][unit]);
    }
}

/* What counters know of (overflow) is left to the rests of all cells: nothing counts twice. */
static void forget_counted(struct mp_estimates *e, uint32_t group)
{
    struct group *g = &e->groups[group];

    for (unsigned unit = 0; unit < UNITS; unit++) {
        for (unsigned part = 0; part < PARTS; part++) {
            struct slots to = slots_of(e, group, (enum part)part, (enum unit)unit);

            if (part != PEAK) {
                *to.value = *to.low = *to.high = 0;
            }
        }
    }
    g->part[LIVE] = g->part[SITE_KEPT] = (struct tally){0};
}

static void estimate_cell(struct mp_estimates *e, const uint32_t *group, size_t count)
{
    uint32_t cell = e->groups[group[0]].cell;
    struct members m = {group, count,
        cell == NO_CELL ? NULL
                        : mp_image_cell(e->image, cell / MP_REGION_CLASSES,
                            cell % MP_REGION_CLASSES),
        {0}};

    find_intervals(e, &m);
    for (unsigned i = 0; i < PARTS * UNITS; i++) {
        estimate_part(e, &m, (enum part)(i / UNITS), (enum unit)(i % UNITS));
    }
    if (m.cell != NULL) {
        add_rest(e, &m, cell);
    } else if (cell == NO_CELL) {
        forget_counted(e, group[0]);
    }
    for (unsigned unit = 0; unit < UNITS; unit++) {
        struct tally whole;

        find_whole(e, &m, LIVE, (enum unit)unit, &whole);
        for (size_t i = 0; i < count; i++) {
            if (has_since(&e->groups[group[i]])) {
                add_since(e, &m, &whole, group[i], (enum unit)unit);
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        finish_group(e, group[i]);
    }
}

/* ---- the whole ---- */

struct order {
    uint32_t cell;
    uint32_t group;
};

static int compare_order(const void *a, const void *b)
{
    const struct order *x = a;
    const struct order *y = b;

    if (x->cell != y->cell) {
        return x->cell < y->cell ? -1 : 1;
    }
    return x->group < y->group ? -1 : x->group > y->group;
}

/* Groups that have samples, cell by cell. */
static int estimate_all(struct mp_estimates *e)
{
    struct order *order = calloc(e->group_count + 1, sizeof(*order));
    uint32_t *group = calloc(e->group_count + 1, sizeof(*group));
    size_t used = 0;
    int code = order != NULL && group != NULL ? 0 : -ENOMEM;

    for (uint32_t i = 0; code == 0 && i < e->group_count; i++) {
        if (e->groups[i].is_used) {
            order[used++] = (struct order){e->groups[i].cell, i};
        }
    }
    if (code == 0 && used > 0) {
        qsort(order, used, sizeof(*order), compare_order);
        e->rests = calloc(used, sizeof(*e->rests));
        code = e->rests != NULL ? 0 : -ENOMEM;
    }
    for (size_t i = 0; code == 0 && i < used; i++) {
        group[i] = order[i].group;
    }
    for (size_t first = 0, i = 1; code == 0 && i <= used; i++) {
        if (i == used || order[i].cell != order[first].cell) {
            estimate_cell(e, group + first, i - first);
            first = i;
        }
    }
    free(order);
    free(group);
    return code;
}

/* Of which class and component that is nobody knows: of all alike, it is taken. */
static void find_overflow(struct mp_estimates *e)
{
    for (unsigned part = 0; part < PARTS; part++) {
        double all = 0;
        double over = 0;

        for (size_t i = 0; i < e->group_count; i++) {
            const struct group *g = &e->groups[i];

            all += g->part[part].bytes.value;
            over += g->is_used && g->cell == NO_CELL ? g->part[part].bytes.value : 0;
        }
        e->overflow[part] = over < all ? over / all : 0;
    }
}

/* S / p is never less than R: the heaviest sample bounds it where it is not known any more. */
static double find_interval(const mp_image_t *image)
{
    uint64_t interval = mp_image_sampling(image)->interval_bytes;
    double least = 0;

    if (interval != MP_SAMPLING_EXACT && interval != MP_SAMPLING_OFF) {
        return fmin((double)interval, 0x1p57);
    }
    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        const struct mp_region_site *t = mp_image_site(image, i);

        if (t->heaviest_blocks > 1 && (least == 0 || t->heaviest_bytes < least)) {
            least = t->heaviest_bytes;
        }
    }
    return least;
}

int mp_estimates_make(const mp_image_t *image, const uint32_t *group,
    size_t group_count, mp_estimates_t **ret)
{
    const struct mp_region_sampling *g = mp_image_sampling(image);
    struct mp_estimates *e = calloc(1, sizeof(*e));
    int code = -ENOMEM;

    *ret = e;
    if (e == NULL) {
        return code;
    }
    e->image = image;
    e->is_exact = g->interval_bytes == MP_SAMPLING_EXACT && g->changes_total == 0;
    e->interval = find_interval(image);
    e->peak_most = peaks_most(image);
    e->group_count = group != NULL ? group_count : mp_image_site_count(image);
    e->groups = calloc(e->group_count + 1, sizeof(*e->groups));
    e->figures = calloc(e->group_count + 1, sizeof(*e->figures));
    if (e->groups != NULL && e->figures != NULL) {
        for (size_t i = 0; i < mp_image_site_count(image); i++) {
            uint32_t to = group != NULL ? group[i] : (uint32_t)i;

            if (to < e->group_count) {
                add_site(e, i, to);
            }
        }
        find_overflow(e);
        code = estimate_all(e);
        peaks_cut(e->figures, e->group_count, e->peak_most);
    }
    if (code != 0) {
        mp_estimates_free(e);
        *ret = NULL;
    }
    return code;
}

void mp_estimates_free(mp_estimates_t *e)
{
    if (e != NULL) {
        free(e->groups);
        free(e->figures);
        free(e->rests);
        free(e);
    }
}

const struct mp_figures *mp_estimates_group(const mp_estimates_t *e, size_t number)
{
    return number < e->group_count ? &e->figures[number] : NULL;
}

void mp_estimates_rest(
    const mp_estimates_t *e, size_t row, size_t number, struct mp_figures *ret)
{
    const struct mp_region_cell *c = mp_image_cell(e->image, row, number);
    uint32_t cell = (uint32_t)(row * MP_REGION_CLASSES + number);

    memset(ret, 0, sizeof(*ret));
    if (c != NULL) {
        rests_get(e->rests, e->rest_count, cell, c, ret);
    }
}
