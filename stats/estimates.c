/*
 * estimates - what the stacks of an image hold, so that it adds up to the counters
 *
 * Owns: which sums of sites are estimated by which formula of estimate.h, what they are
 * calibrated with, and rounding to whole bytes and blocks. README.md, "Sampling".
 *
 * Live and freed are estimated for themselves, each against its own counter, and allocated
 * is their sum: so no stack holds more than it allocated.
 */
#include "estimate.h"
#include "image.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NO_CELL UINT32_MAX /* of all components and classes: without a counter */

enum part { LIVE, FREED, PEAK, SHORT, PARTS };
enum unit { BLOCKS, BYTES, UNITS };

struct group {
    uint32_t cell; /* component * MP_REGION_CLASSES + class */
    bool is_used;
    struct tally part[PARTS];
    double allocated_bytes;
    double allocated_requested;
    double live_requested;
    double peak_requested;
    double lifetime_ns;
    uint64_t freed[UNITS]; /* its value, rounded */
    uint64_t freed_low[UNITS];
    uint64_t freed_high[UNITS];
};

/* What no group explains of a cell that has groups. */
struct rest {
    uint32_t cell;
    uint64_t value[PARTS][UNITS]; /* live and freed */
    uint64_t low[PARTS][UNITS];
    uint64_t high[PARTS][UNITS];
};

struct mp_estimates {
    const mp_image_t *image;
    bool is_exact;          /* nothing but exact recording, ever */
    double interval;        /* R of sums without a sample; 0: not known */
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
};

static uint64_t round_down(double value)
{
    return value >= 0x1p62 ? 1ull << 62 : value > 0 ? (uint64_t)value : 0;
}

static uint64_t round_up(double value)
{
    return round_down(ceil(value));
}

/* ---- sums ---- */

/*
 * The weight of a sample that is not there is S / p, times 1 - p for what is known of it. The
 * heaviest in bytes and the one that stands for most blocks may be different ones, so this
 * bounds it: by both, and by its share of the variance, which is S^2 (1 - p) / p^2.
 */
static double heaviest(double weight, double blocks, double variance)
{
    double missed = blocks > 1 ? 1 - 1 / blocks : 0;

    return fmin(weight * missed, sqrt(variance * missed));
}

static struct tally tally_of_live(const struct mp_region_site *t)
{
    struct tally r = {.samples = t->allocated_samples - t->freed_samples};

    if (r.samples > 0) {
        r.bytes.value = t->allocated_bytes - t->freed_bytes;
        r.bytes.variance = t->allocated_bytes_variance - t->freed_bytes_variance;
        r.blocks.value = t->allocated_blocks - t->freed_blocks;
        r.blocks.variance = t->allocated_blocks_variance - t->freed_blocks_variance;
    }
    return r;
}

static struct tally tally_of_freed(const struct mp_region_site *t)
{
    struct tally r = {.samples = t->freed_samples};

    if (r.samples > 0) {
        r.bytes.value = t->freed_bytes;
        r.bytes.variance = t->freed_bytes_variance;
        r.blocks.value = t->freed_blocks;
        r.blocks.variance = t->freed_blocks_variance;
    }
    return r;
}

static struct tally tally_of_short(const struct mp_region_site *t)
{
    struct tally r = tally_of_freed(t);
    uint64_t sum = 0;
    uint64_t below = 0;
    double share;

    for (unsigned i = 0; i < MP_REGION_LIFETIMES; i++) {
        sum += t->lifetimes[i];
        below += i < MP_SHORT_BUCKET ? t->lifetimes[i] : 0;
    }
    share = sum > 0 ? (double)below / (double)sum : 0;
    r.samples = round_down((double)r.samples * share + 0.5);
    r.bytes.value *= share;
    r.bytes.variance *= share;
    r.blocks.value *= share;
    r.blocks.variance *= share;
    return r;
}

/* The variance of blocks is not recorded: it is that of bytes, blocks being alike. */
static struct tally tally_of_peak(
    const struct mp_region_site *t, const struct mp_region_sampling *g)
{
    struct tally r = {.samples = t->peak_samples};

    if (t->peak_number != g->peak_number) {
        return tally_of_live(t);
    }
    if (r.samples > 0 && t->peak_bytes > 0) {
        double blocks_per_byte = t->peak_blocks / t->peak_bytes;

        r.bytes.value = t->peak_bytes;
        r.bytes.variance = t->peak_bytes_variance;
        r.blocks.value = t->peak_blocks;
        r.blocks.variance = r.bytes.variance * blocks_per_byte * blocks_per_byte;
    }
    return r;
}

static void add_site(struct mp_estimates *e, size_t number, uint32_t group)
{
    const struct mp_region_site *t = mp_image_site(e->image, number);
    const struct mp_region_sampling *g = mp_image_sampling(e->image);
    struct tally part[PARTS] = {
        tally_of_live(t), tally_of_freed(t), tally_of_peak(t, g), tally_of_short(t)};
    double bytes =
        heaviest(t->heaviest_bytes, t->heaviest_blocks, t->allocated_bytes_variance);
    double blocks =
        heaviest(t->heaviest_blocks, t->heaviest_blocks, t->allocated_blocks_variance);
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
    for (unsigned i = 0; i < PARTS; i++) {
        part[i].bytes.heaviest = bytes;
        part[i].blocks.heaviest = blocks;
        tally_merge(&to->part[i], &part[i]);
    }
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
        double v = part->bytes.value;

        return cut((struct estimate){v, v, v}, factor, v);
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

/* Bytes of its blocks, to tell what R is in blocks. */
static double block_bytes(const struct mp_estimates *e, const struct members *m)
{
    double bytes = 0;
    double blocks = 0;

    for (size_t i = 0; i < m->count; i++) {
        const struct group *g = &e->groups[m->group[i]];

        bytes += g->part[LIVE].bytes.value + g->part[FREED].bytes.value;
        blocks += g->part[LIVE].blocks.value + g->part[FREED].blocks.value;
    }
    return bytes > 0 && blocks > 0 ? bytes / blocks : 1;
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

/* What a cell counted, of live or of freed; without a counter anything may be. */
struct counter {
    bool is_known;
    uint64_t value;
};

static struct counter counter_of(
    const struct mp_region_cell *c, enum part part, enum unit unit)
{
    uint64_t allocated;
    uint64_t freed;

    if (c == NULL || part == PEAK) {
        return (struct counter){false, UINT64_MAX};
    }
    allocated = unit == BYTES ? c->allocated_bytes_total : c->allocated_blocks_total;
    freed = unit == BYTES ? c->freed_bytes_total : c->freed_blocks_total;
    freed = freed < allocated ? freed : allocated;
    return (struct counter){true, part == LIVE ? allocated - freed : freed};
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
    double interval = e->interval / (unit == BLOCKS ? block_bytes(e, m) : 1);
    struct tally whole;
    double sum = 0;
    uint64_t given = 0;
    size_t last = m->count;
    bool is_shared = false;
    bool is_whole;

    /* What died young is a part of what was freed. */
    whole_of(e, m, part == SHORT ? FREED : part, unit, &whole);
    if (!e->is_exact && counter.is_known) {
        double share = e->overflow[part == SHORT ? FREED : part];

        whole.bytes.value /= 1 - share; /* with what of the cell is in (overflow) */
        whole.bytes.variance /= 1 - share;
        is_shared = share > 0;
    }
    is_whole = !e->is_exact && !is_shared && part != SHORT && counter.is_known
               && whole.bytes.value > 0 && whole.samples >= ESTIMATE_CALIBRATED;
    for (size_t i = 0; is_whole && i < m->count; i++) {
        if (e->groups[m->group[i]].part[part].samples > 0) {
            last = i;
        }
    }
    for (size_t i = 0; i < m->count; i++) {
        struct tally t = in_unit(&e->groups[m->group[i]].part[part], unit);
        struct estimate r = judge(e, &t, &whole, exact, interval);
        struct slots to = slots_of(e, m->group[i], part, unit);
        uint64_t upto;

        sum += r.value;
        upto = i == last ? counter.value : round_down(sum + 0.5);
        upto = upto < counter.value ? upto : counter.value;
        *to.value = upto > given ? upto - given : 0;
        given += *to.value;
        *to.low = round_down(r.low);
        *to.high = round_up(r.high);
        *to.low = *to.low < *to.value ? *to.low : *to.value;
        *to.high = *to.high > *to.value ? *to.high : *to.value;
    }
}

/* Of live and freed, which were estimated apart. */
static void add_allocated(struct mp_figures *f, const struct group *g, enum unit unit)
{
    unsigned live = MP_LIVE_BLOCKS + (unsigned)unit;
    unsigned figure = MP_ALLOCATED_BLOCKS + (unsigned)unit;
    uint64_t value = f->value[live] + g->freed[unit];
    double below = hypot((double)(f->value[live] - f->low[live]),
        (double)(g->freed[unit] - g->freed_low[unit]));
    double above = hypot((double)(f->high[live] - f->value[live]),
        (double)(g->freed_high[unit] - g->freed[unit]));

    f->value[figure] = value;
    f->low[figure] = round_down((double)value - below);
    f->low[figure] = f->low[figure] < value && below > 0 ? f->low[figure] : value;
    f->high[figure] = value + round_up(above);
}

static void limit(uint64_t *value, uint64_t most)
{
    *value = *value < most ? *value : most;
}

/* Of `bytes`, calibrated already, the share that the samples asked for. */
static uint64_t requested_of(uint64_t bytes, double requested, double sampled_bytes)
{
    return sampled_bytes > 0
               ? round_down(0.5 + (double)bytes * fmin(requested / sampled_bytes, 1))
               : 0;
}

static void finish_group(struct mp_estimates *e, uint32_t number)
{
    const struct group *g = &e->groups[number];
    struct mp_figures *f = &e->figures[number];

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
    f->live_requested = requested_of(
        f->value[MP_LIVE_BYTES], g->live_requested, g->part[LIVE].bytes.value);
    f->peak_requested = requested_of(
        f->value[MP_PEAK_BYTES], g->peak_requested, g->part[PEAK].bytes.value);
    if (g->part[FREED].blocks.value > 0) {
        f->lifetime_s = g->lifetime_ns / 1e9 * (double)g->freed[BLOCKS]
                        / g->part[FREED].blocks.value;
    }
}

static void add_rest(struct mp_estimates *e, const struct members *m, uint32_t cell)
{
    struct rest *r = &e->rests[e->rest_count++];

    r->cell = cell;
    for (unsigned i = 0; i < 2 * UNITS; i++) {
        enum part part = i / UNITS == 0 ? LIVE : FREED;
        enum unit unit = i % UNITS == 0 ? BLOCKS : BYTES;
        uint64_t exact = counter_of(m->cell, part, unit).value;
        uint64_t value = 0;
        uint64_t low = 0;
        double high = 0;

        for (size_t n = 0; n < m->count; n++) {
            struct slots from = slots_of(e, m->group[n], part, unit);

            value += *from.value;
            low += *from.low;
            high += (double)*from.high;
        }
        /* Never below 0: the values were rounded so that their sum fits. */
        r->value[part][unit] = exact - value;
        r->low[part][unit] =
            r->value[part][unit] == 0 ? 0 : round_down((double)exact - high);
        r->high[part][unit] = r->value[part][unit] == 0 ? 0 : exact - low;
        limit(&r->low[part][unit], r->value[part][unit]);
    }
}

/* What (overflow) holds is left to the rests of all cells, so that nothing counts twice. */
static void forget_counted(struct mp_figures *f)
{
    for (unsigned i = MP_ALLOCATED_BLOCKS; i <= MP_LIVE_BYTES; i++) {
        f->value[i] = f->low[i] = f->high[i] = 0;
    }
    f->requested = f->live_requested = 0;
}

static void estimate_cell(struct mp_estimates *e, const uint32_t *group, size_t count)
{
    uint32_t cell = e->groups[group[0]].cell;
    struct members m = {group, count,
        cell == NO_CELL ? NULL
                        : mp_image_cell(e->image, cell / MP_REGION_CLASSES,
                            cell % MP_REGION_CLASSES)};

    for (unsigned i = 0; i < PARTS * UNITS; i++) {
        estimate_part(e, &m, (enum part)(i / UNITS), (enum unit)(i % UNITS));
    }
    for (size_t i = 0; i < count; i++) {
        finish_group(e, group[i]);
    }
    if (m.cell != NULL) {
        add_rest(e, &m, cell);
    } else if (cell == NO_CELL) {
        forget_counted(&e->figures[group[0]]);
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

static int compare_rest(const void *cell, const void *rest)
{
    uint32_t a = *(const uint32_t *)cell;
    uint32_t b = ((const struct rest *)rest)->cell;

    return a < b ? -1 : a > b;
}

static struct rest rest_without_groups(const struct mp_region_cell *c)
{
    struct rest r = {0};

    for (unsigned i = 0; i < 2 * UNITS; i++) {
        enum part part = i / UNITS == 0 ? LIVE : FREED;
        enum unit unit = i % UNITS == 0 ? BLOCKS : BYTES;

        r.value[part][unit] = counter_of(c, part, unit).value;
    }
    memcpy(r.low, r.value, sizeof(r.low));
    memcpy(r.high, r.value, sizeof(r.high));
    return r;
}

void mp_estimates_rest(
    const mp_estimates_t *e, size_t row, size_t number, struct mp_figures *ret)
{
    const struct mp_region_cell *c = mp_image_cell(e->image, row, number);
    uint32_t cell = (uint32_t)(row * MP_REGION_CLASSES + number);
    const struct rest *found;
    struct rest r;

    memset(ret, 0, sizeof(*ret));
    if (c == NULL) {
        return;
    }
    found = e->rest_count > 0 ? bsearch(
                &cell, e->rests, e->rest_count, sizeof(*e->rests), compare_rest)
                              : NULL;
    r = found != NULL ? *found : rest_without_groups(c);
    for (unsigned unit = 0; unit < UNITS; unit++) {
        unsigned live = MP_LIVE_BLOCKS + unit;
        unsigned allocated = MP_ALLOCATED_BLOCKS + unit;

        ret->value[live] = r.value[LIVE][unit];
        ret->low[live] = r.low[LIVE][unit];
        ret->high[live] = r.high[LIVE][unit];
        ret->value[allocated] = r.value[LIVE][unit] + r.value[FREED][unit];
        ret->low[allocated] = r.low[LIVE][unit] + r.low[FREED][unit];
        ret->high[allocated] = r.high[LIVE][unit] + r.high[FREED][unit];
    }
}
