/*
 * findings - advice: which rule fires, on what evidence, with what gain
 *
 * Owns: the rules about stacks, components and the heap, their thresholds, the order.
 * Does not own: the sums of stacks (stack_sums.h), verdicts about leaks (verdict.c), names
 * (finding_names.c), frames of ARENA (short_tree.h).
 *
 * Thresholds are shares of the process's own heap or time, and are held against the lower end of
 * an estimate: what few samples suggest is not advised.
 */
#include "outgrown.h"
#include "short_tree.h"
#include "stack_sums.h"
#include "words.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PAIR_S       20e-9 /* a malloc and its free, with the misses of their blocks */
#define SHORT_SHARE  0.5 /* of a stack's blocks, to say that it makes short-lived ones */
#define ONE_SIZE     0.9   /* share of the class that a pool would be of */
#define WASTE_SHARE  0.125 /* of a block: classes are at most that far apart */
#define SHORT_RUN    0.05  /* of the run: a large block's life, to be in passing */
#define DIRTY_SHARE  0.1   /* of the resident heap, free and not given back */
#define FREE_SHARE   0.25  /* of the resident heap, in free blocks between live ones */
#define HOT_SHARE    0.5   /* of live bytes, in one component of several */
#define BATCH        16    /* blocks that one batch replaces */
#define CHUNKS       16    /* pieces that a large block is cut in */
#define SMALL_BYTES  256   /* the largest mean block that is worth a batch */
#define HOURS_OF_DAY 24

#define COPY_RATE   10e9 /* bytes in a second: of memory that is in caches */
#define MOVED_SHARE 0.4  /* of a stack's bytes: a half where each move doubles */

enum { MOVES_SEEN = 8 }; /* samples, at least, for moves to be spoken of */

/* In these every size fits where a block is: realloc makes it smaller in place. */
enum { SHRINKS_BYTES = 64 };

enum { HOT_COMPONENTS = 3 }; /* at least, for one to be hot among them */

struct mp_findings {
    size_t count;
    struct mp_finding *all;
};

struct making {
    const mp_image_t *image;
    const struct mp_region_totals *totals;
    struct mp_finding_options options;
    struct stack_sums stacks;
    double ran_s;
    double heap_bytes; /* resident */
    uint32_t
        *arenas; /* by component: the frame below which an arena is advised, or 0 */
    struct mp_findings *to;
    size_t room;
};

/* ---- pieces ---- */

static void __attribute__((format(printf, 2, 3)))
say(struct mp_finding *f, const char *format, ...)
{
    va_list list;

    if (f->line_count < MP_FINDING_LINES) {
        va_start(list, format);
        vsnprintf(f->line[f->line_count++], sizeof(f->line[0]), format, list);
        va_end(list);
    }
}

/* NULL: no memory, or the gain is too small to speak of. */
static struct mp_finding *add(struct making *m, enum mp_finding_code code,
    enum mp_gain_unit unit, struct mp_estimate gain)
{
    double whole =
        unit == MP_GAIN_PEAK_BYTES ? (double)m->totals->live_peak_bytes : m->heap_bytes;
    bool is_time =
        unit == MP_GAIN_CALLS_PER_SECOND || unit == MP_GAIN_COPIED_PER_SECOND;
    double scale = unit == MP_GAIN_CALLS_PER_SECOND    ? PAIR_S / 2
                   : unit == MP_GAIN_COPIED_PER_SECOND ? 1 / COPY_RATE
                   : whole <= 0                        ? 0
                   : unit == MP_GAIN_BYTES_PER_HOUR    ? HOURS_OF_DAY / whole
                                                       : 1 / whole;
    double least = is_time                          ? m->options.least_time
                   : unit == MP_GAIN_NONE           ? -1
                   : unit == MP_GAIN_BYTES_PER_HOUR ? 0
                                                    : m->options.least_memory;

    if (gain.low * scale < least || m->to->count == m->room) {
        return NULL;
    }
    m->to->all[m->to->count] = (struct mp_finding){.code = code,
        .unit = unit,
        .gain = gain,
        .share = unit == MP_GAIN_NONE ? 0 : gain.value * scale};
    return &m->to->all[m->to->count++];
}

static struct mp_estimate scaled(const struct mp_estimate *e, double factor)
{
    return (struct mp_estimate){e->value * factor, e->low * factor, e->high * factor};
}

static struct mp_finding *about(struct mp_finding *f, const struct stack_sum *s)
{
    if (f != NULL) {
        f->has_component = true;
        f->component = s->component;
        f->frame = s->frame;
    }
    return f;
}

static double mean_block(const struct stack_sum *s)
{
    double blocks = s->value[MP_ALLOCATED_BLOCKS].value;

    return blocks > 0 ? s->value[MP_ALLOCATED_BYTES].value / blocks : 0;
}

/* ---- many calls ---- */

/* The class that most blocks are of; its share to *ret_share. */
static uint16_t main_class(const struct stack_sum *s, double *ret_share)
{
    double all = s->value[MP_ALLOCATED_BLOCKS].value;
    double most = -1;
    uint16_t number = 0;

    for (size_t i = 0; i < s->class_count; i++) {
        double blocks = (double)s->classes[i].figures->value[MP_ALLOCATED_BLOCKS];

        if (blocks > most) {
            most = blocks;
            number = s->classes[i].number;
        }
    }
    *ret_share = all > 0 ? most / all : 0;
    return number;
}

static bool is_slab_class(const mp_image_t *image, uint16_t number)
{
    const struct mp_region_class *c = mp_image_class(image, number);

    return c != NULL && c->kind == MP_CLASS_SLAB;
}

static void advise_pool(struct making *m, const struct stack_sum *s)
{
    struct mp_estimate calls = scaled(&s->value[MP_SHORT_BLOCKS], 2 / m->ran_s);
    double share;
    uint16_t number = main_class(s, &share);
    struct mp_finding *f;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];

    if (stack_sum_short(s).low < SHORT_SHARE || share < ONE_SIZE
        || !is_slab_class(m->image, number)
        || (m->arenas[s->component] != 0
            && short_tree_is_below(m->image, s->frame, m->arenas[s->component]))) {
        return;
    }
    f = about(add(m, MP_FINDING_POOL, MP_GAIN_CALLS_PER_SECOND, calls), s);
    if (f != NULL) {
        say(f, "%s blocks of %llu B, %s a second; %.0f %% of them lived less than 8 ms",
            words_count(s->value[MP_ALLOCATED_BLOCKS].value, a),
            (unsigned long long)mp_image_class(m->image, number)->block_bytes,
            words_count(s->value[MP_ALLOCATED_BLOCKS].value / m->ran_s, b),
            100 * stack_sum_short(s).value);
    }
}

static void advise_batch(struct making *m, const struct stack_sum *s)
{
    struct mp_estimate calls =
        scaled(&s->value[MP_ALLOCATED_BLOCKS], (1 - 1.0 / BATCH) / m->ran_s);
    struct mp_finding *f;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];
    char c[WORDS_BYTES];

    if (stack_sum_short(s).high > 1 - SHORT_SHARE || mean_block(s) > SMALL_BYTES) {
        return;
    }
    f = about(add(m, MP_FINDING_BATCH, MP_GAIN_CALLS_PER_SECOND, calls), s);
    if (f != NULL) {
        say(f, "%s blocks of %s on average, %s a second, that stay longer than 8 ms",
            words_count(s->value[MP_ALLOCATED_BLOCKS].value, a),
            words_bytes(mean_block(s), b),
            words_count(s->value[MP_ALLOCATED_BLOCKS].value / m->ran_s, c));
        say(f, "%d of them in one block are one call", BATCH);
    }
}

/* Whether all short-lived blocks of stacks first ... together are worth a look. */
static bool has_short(const struct making *m, size_t first)
{
    uint32_t component = m->stacks.all[first].component;
    double blocks = 0;

    for (size_t i = first;
         i < m->stacks.count && m->stacks.all[i].component == component; i++) {
        blocks += m->stacks.all[i].value[MP_SHORT_BLOCKS].value;
    }
    return blocks / m->ran_s * PAIR_S >= m->options.least_time;
}

/* Short-lived blocks of many stacks below one frame; the stacks of a component begin at first. */
static void advise_arena(struct making *m, size_t first)
{
    uint32_t component = m->stacks.all[first].component;
    struct short_tree tree;
    struct mp_finding *f;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];

    if (!has_short(m, first)
        || !short_tree_find(m->image, &m->stacks, component, SHORT_SHARE, &tree)
        || tree.stacks < 3 || tree.classes < 3) {
        return;
    }
    f = add(m, MP_FINDING_ARENA, MP_GAIN_CALLS_PER_SECOND,
        scaled(&tree.short_blocks, 2 / m->ran_s));
    if (f != NULL) {
        m->arenas[component] = tree.frame;
        f->has_component = true;
        f->component = component;
        f->frame = tree.inside;
        say(f, "%s blocks of %zu size classes, from %zu stacks, lived less than 8 ms",
            words_count(tree.short_blocks.value, a), tree.classes, tree.stacks);
        say(f, "that is %.0f %% of what is allocated there, %s blocks a second",
            100 * tree.share, words_count(tree.short_blocks.value / m->ran_s, b));
    }
}

/* ---- memory ---- */

/* Large blocks, of whole pages, in passing when most was live. */
static void advise_chunk(struct making *m, const struct stack_sum *s)
{
    struct mp_estimate large = {0, 0, 0};
    double blocks = 0;
    double bytes = 0;
    struct mp_finding *f;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];
    char c[WORDS_BYTES];

    if (s->lifetime_s <= 0 || s->lifetime_s > SHORT_RUN * m->ran_s
        || 2 * s->value[MP_LIVE_BYTES].value > s->value[MP_PEAK_BYTES].value) {
        return;
    }
    for (size_t i = 0; i < s->class_count; i++) {
        const struct mp_figures *g = s->classes[i].figures;

        if (!is_slab_class(m->image, s->classes[i].number)) {
            large.value += (double)g->value[MP_PEAK_BYTES];
            large.low += (double)g->low[MP_PEAK_BYTES];
            large.high += (double)g->high[MP_PEAK_BYTES];
            blocks += (double)g->value[MP_ALLOCATED_BLOCKS];
            bytes += (double)g->value[MP_ALLOCATED_BYTES];
        }
    }
    if (blocks <= 0) {
        return;
    }
    f = about(
        add(m, MP_FINDING_CHUNK, MP_GAIN_PEAK_BYTES, scaled(&large, 1 - 1.0 / CHUNKS)),
        s);
    if (f != NULL) {
        say(f, "%s blocks of %s on average, which live %s; %s of them at the peak",
            words_count(blocks, a), words_bytes(bytes / blocks, b),
            words_time(s->lifetime_s, c),
            words_bytes(large.value, (char[WORDS_BYTES]){0}));
    }
}

/* Realloc that moves: by what it costs more, the copies or the calls. */
static void advise_reserve(struct making *m, const struct stack_sum *s)
{
    double allocated = s->value[MP_ALLOCATED_BYTES].value;
    double moved = s->moved_blocks.value;
    bool is_copying = s->moved_bytes.value / COPY_RATE > moved * PAIR_S;
    struct mp_finding *f;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];
    char c[WORDS_BYTES];

    if (s->moved_samples < MOVES_SEEN
        || s->moved_bytes.value < MOVED_SHARE * allocated) {
        return;
    }
    f = about(is_copying ? add(m, MP_FINDING_RESERVE, MP_GAIN_COPIED_PER_SECOND,
                  scaled(&s->moved_bytes, 1 / m->ran_s))
                         : add(m, MP_FINDING_RESERVE, MP_GAIN_CALLS_PER_SECOND,
                             scaled(&s->moved_blocks, 2 / m->ran_s)),
        s);
    if (f != NULL) {
        say(f, "grown %s times, %s copied; %s at a time", words_count(moved, a),
            words_bytes(s->moved_bytes.value, b),
            words_bytes(s->moved_bytes.value / moved, c));
        say(f,
            "%.0f %% of the bytes that it allocates are copied once more when it grows",
            fmin(100 * s->moved_bytes.value / allocated, 100));
    }
}

/*
 * Of a class, what it would take without the alignment: realloc keeps no block of which less than
 * half is asked for, and no class is so far from the next.
 */
static double over_aligned(const struct making *m, const struct stack_class *k,
    bool has_ended, double *ret_asked)
{
    const struct mp_region_class *c = mp_image_class(m->image, k->number);
    const struct mp_figures *g = k->figures;
    double bytes = (double)g->value[has_ended ? MP_PEAK_BYTES : MP_LIVE_BYTES];
    double asked = (double)(has_ended ? g->peak_requested : g->live_requested);

    if (!is_slab_class(m->image, k->number) || c->block_bytes <= SHRINKS_BYTES
        || asked <= 0 || 2 * asked >= bytes) {
        return 0;
    }
    *ret_asked += asked;
    return bytes;
}

/* False: what is beyond the requests has another reason. */
static bool advise_align(struct making *m, const struct stack_sum *s)
{
    bool has_ended = mp_image_process(m->image)->state == MP_STATE_EXITED;
    const struct mp_estimate *whole =
        &s->value[has_ended ? MP_PEAK_BYTES : MP_LIVE_BYTES];
    double blocks = s->value[has_ended ? MP_PEAK_BLOCKS : MP_LIVE_BLOCKS].value;
    double asked = 0;
    double bytes = 0;
    struct mp_finding *f;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];

    for (size_t i = 0; i < s->class_count; i++) {
        bytes += over_aligned(m, &s->classes[i], has_ended, &asked);
    }
    if (blocks < 1 || 2 * bytes < whole->value || bytes <= 0) {
        return false;
    }
    f = about(add(m, MP_FINDING_ALIGN, has_ended ? MP_GAIN_PEAK_BYTES : MP_GAIN_BYTES,
                  scaled(whole, (bytes - asked) / whole->value)),
        s);
    if (f != NULL) {
        say(f,
            "%s are asked for on average, and %s taken: the alignment that was asked "
            "for makes it so",
            words_bytes(asked / blocks, a), words_bytes(whole->value / blocks, b));
    }
    return true;
}

/* "33 B are asked for, 48 B taken": of what is live, or was at the peak of one that ended. */
static void advise_resize(struct making *m, const struct stack_sum *s)
{
    bool has_ended = mp_image_process(m->image)->state == MP_STATE_EXITED;
    const struct mp_estimate *whole =
        &s->value[has_ended ? MP_PEAK_BYTES : MP_LIVE_BYTES];
    double blocks = s->value[has_ended ? MP_PEAK_BLOCKS : MP_LIVE_BLOCKS].value;
    double asked = has_ended ? s->peak_requested : s->live_requested;
    double waste;
    struct mp_finding *f;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];

    if (asked <= 0 || whole->value <= 0 || blocks < 1) {
        return;
    }
    waste = fmax(1 - asked / whole->value, 0);
    if (waste < WASTE_SHARE) {
        return;
    }
    f = about(add(m, MP_FINDING_RESIZE, has_ended ? MP_GAIN_PEAK_BYTES : MP_GAIN_BYTES,
                  scaled(whole, waste)),
        s);
    if (f != NULL) {
        say(f,
            "%.0f %% of it are beyond what is asked for: %s on average, in blocks of "
            "%s",
            100 * waste, words_bytes(asked / blocks, a),
            words_bytes(whole->value / blocks, b));
    }
}

/* Of buffers that grow, the few that are far above the others, and have been for long. */
static void advise_shrink(struct making *m, const struct stack_sum *s)
{
    struct outgrown g;
    struct mp_finding *f;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];
    char c[WORDS_BYTES];

    if (mp_image_process(m->image)->state == MP_STATE_EXITED
        || !outgrown_find(m->image, s, &g)) {
        return;
    }
    f = about(add(m, MP_FINDING_SHRINK, MP_GAIN_BYTES, g.gain), s);
    if (f != NULL) {
        say(f, "%s of %s live blocks have %s each; half of all have %s or less",
            words_count(g.blocks, a), words_count(g.all_blocks, b),
            words_bytes(g.block_bytes, c),
            words_bytes(g.usual_bytes, (char[WORDS_BYTES]){0}));
        say(f, "they grew, and have stayed as they are for %s or longer",
            words_time(g.idle_s, a));
    }
}

static void advise_trim(struct making *m)
{
    double dirty = (double)m->totals->dirty_bytes;
    struct mp_finding *f;
    char a[WORDS_BYTES];

    if (m->heap_bytes <= 0 || dirty < DIRTY_SHARE * m->heap_bytes
        || mp_image_life(m->image) != MP_LIFE_RUNNING) {
        return;
    }
    f = add(
        m, MP_FINDING_TRIM, MP_GAIN_BYTES, (struct mp_estimate){dirty, dirty, dirty});
    if (f != NULL) {
        say(f, "%s in spans without a live block, %.0f %% of the resident heap",
            words_bytes(dirty, a), 100 * dirty / m->heap_bytes);
    }
}

/* A heap takes from one slab of each class that it uses: so much is free in any case. */
static double slabs_in_use(const struct making *m)
{
    double spans = 0;

    for (size_t i = 0; i < mp_image_class_count(m->image); i++) {
        struct mp_region_cell sum;

        mp_image_class_sum(m->image, i, &sum);
        spans += is_slab_class(m->image, (uint16_t)i) && sum.allocated_blocks_total > 0;
    }
    return spans * (double)m->totals->heaps
           * (double)mp_image_process(m->image)->span_bytes;
}

/* The component and class with most free bytes, in words. */
static void say_worst(const struct making *m, struct mp_finding *f)
{
    uint64_t most = 0;
    uint16_t class_number = 0;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];
    char c[WORDS_BYTES];

    for (size_t row = 0; row < mp_image_component_count(m->image); row++) {
        for (uint16_t i = 0; i < mp_image_class_count(m->image); i++) {
            const struct mp_region_cell *cell = mp_image_cell(m->image, row, i);

            if (cell != NULL && mp_cell_free_bytes(cell) > most) {
                most = mp_cell_free_bytes(cell);
                class_number = i;
                f->component = (uint32_t)row;
            }
        }
    }
    if (most > 0) {
        const struct mp_region_cell *cell =
            mp_image_cell(m->image, f->component, class_number);

        f->has_component = true;
        say(f, "most of it in blocks of %s: %s free of the %s of their slabs",
            words_bytes((double)mp_image_class(m->image, class_number)->block_bytes, a),
            words_bytes((double)most, b), words_bytes((double)cell->slab_bytes, c));
    }
}

static void advise_spread(struct making *m)
{
    double cached = fmax((double)m->totals->cached_bytes - slabs_in_use(m), 0);
    double live = (double)m->totals->live_bytes;
    double peak = (double)m->totals->live_peak_bytes;
    struct mp_finding *f;
    char a[WORDS_BYTES];
    char b[WORDS_BYTES];
    char c[WORDS_BYTES];

    if (m->heap_bytes <= 0 || cached < FREE_SHARE * m->heap_bytes
        || mp_image_process(m->image)->state == MP_STATE_EXITED) {
        return;
    }
    f = add(m, MP_FINDING_SPREAD, MP_GAIN_BYTES,
        (struct mp_estimate){cached, cached * FREE_SHARE, cached});
    if (f != NULL) {
        say(f, "%s free between live blocks, which have %s; at the peak %s were live",
            words_bytes(cached, a), words_bytes(live, b), words_bytes(peak, c));
        say_worst(m, f);
    }
}

static void advise_hot(struct making *m)
{
    size_t used = 0;
    size_t hot = 0;
    struct mp_finding *f;
    char a[WORDS_BYTES];

    for (size_t i = 0; i < mp_image_component_count(m->image); i++) {
        const struct mp_region_component *c = mp_image_component(m->image, i);

        used += c->live_bytes > 0;
        if ((double)c->live_bytes > HOT_SHARE * (double)m->totals->live_bytes) {
            hot = i;
        }
    }
    if (hot == MP_REGION_UNTAGGED || hot == MP_REGION_OVERFLOW
        || used < HOT_COMPONENTS) {
        return;
    }
    f = add(m, MP_FINDING_HOT, MP_GAIN_NONE, (struct mp_estimate){0, 0, 0});
    if (f != NULL) {
        const struct mp_region_component *c = mp_image_component(m->image, hot);

        f->has_component = true;
        f->component = (uint32_t)hot;
        say(f, "%s, %.0f %% of what is live; %zu components have memory",
            words_bytes((double)c->live_bytes, a),
            100 * (double)c->live_bytes / (double)m->totals->live_bytes, used);
    }
}

/* ---- leaks ---- */

static void advise_leak(struct making *m, const struct mp_verdict *v)
{
    static const enum mp_finding_code codes[MP_ADVICES] = {
        [MP_ADVICE_BOUND] = MP_FINDING_BOUND,
        [MP_ADVICE_HANDLER] = MP_FINDING_HANDLER,
        [MP_ADVICE_CYCLE] = MP_FINDING_CYCLE,
        [MP_ADVICE_SHRINK] = MP_FINDING_SHRINK,
        [MP_ADVICE_THREAD] = MP_FINDING_THREAD};
    bool has_rate = v->kind == MP_VERDICT_GROWING || v->bytes_per_hour.low > 0;
    struct mp_finding *f;

    if (v->kind > MP_VERDICT_GROWING || v->advice == MP_ADVICE_NONE) {
        return;
    }
    f = add(m, codes[v->advice], has_rate ? MP_GAIN_BYTES_PER_HOUR : MP_GAIN_BYTES,
        has_rate ? v->bytes_per_hour : v->live_bytes);
    if (f != NULL) {
        f->has_component = true;
        f->component = v->component;
        f->frame = v->frame;
        for (unsigned i = 0; i < v->line_count; i++) {
            say(f, "%s", v->line[i]);
        }
    }
}

/* ---- all of them ---- */

static int compare_findings(const void *a, const void *b)
{
    const struct mp_finding *x = a;
    const struct mp_finding *y = b;

    if (x->share != y->share) {
        return x->share < y->share ? 1 : -1;
    }
    if (x->code != y->code) {
        return x->code < y->code ? -1 : 1;
    }
    return (x->frame > y->frame) - (x->frame < y->frame);
}

static void advise(struct making *m, const mp_verdicts_t *verdicts)
{
    for (size_t i = 0; i < m->stacks.count && m->ran_s > 0; i++) {
        /* They are by component. An arena makes pools of what is below it needless. */
        if (i == 0 || m->stacks.all[i].component != m->stacks.all[i - 1].component) {
            advise_arena(m, i);
        }
    }
    for (size_t i = 0; i < m->stacks.count && m->ran_s > 0; i++) {
        const struct stack_sum *s = &m->stacks.all[i];

        advise_pool(m, s);
        advise_batch(m, s);
        advise_chunk(m, s);
        advise_reserve(m, s);
        advise_shrink(m, s);
        if (!advise_align(m, s)) {
            advise_resize(m, s);
        }
    }
    for (size_t i = 0; verdicts != NULL && i < mp_verdicts_count(verdicts); i++) {
        advise_leak(m, mp_verdicts_at(verdicts, i));
    }
    advise_trim(m);
    advise_spread(m);
    advise_hot(m);
    qsort(m->to->all, m->to->count, sizeof(*m->to->all), compare_findings);
}

static double ran_seconds(const mp_image_t *image)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    uint64_t begin = mp_image_process(image)->started_mono_ns;

    return t->published_mono_ns > begin ? (double)(t->published_mono_ns - begin) / 1e9
                                        : 0;
}

int mp_findings_make(const mp_image_t *image, const mp_verdicts_t *verdicts,
    const struct mp_finding_options *options, mp_findings_t **ret)
{
    struct making m = {.image = image,
        .totals = mp_image_totals(image),
        .ran_s = ran_seconds(image),
        .heap_bytes = (double)mp_image_totals(image)->resident_bytes};
    int error;

    if (options != NULL) {
        m.options = *options;
    }
    m.options.least_memory = m.options.least_memory > 0 ? m.options.least_memory : 0.02;
    m.options.least_time = m.options.least_time > 0 ? m.options.least_time : 0.005;
    *ret = NULL;
    error = stack_sums_make(image, &m.stacks);
    if (error != 0) {
        return error;
    }
    m.room = 6 * m.stacks.count + mp_image_component_count(image) + 3
             + (verdicts != NULL ? mp_verdicts_count(verdicts) : 0);
    m.to = calloc(1, sizeof(*m.to));
    m.arenas = calloc(mp_image_component_count(image) + 1, sizeof(*m.arenas));
    if (m.to != NULL) {
        m.to->all = calloc(m.room, sizeof(*m.to->all));
    }
    if (m.to != NULL && m.to->all != NULL && m.arenas != NULL) {
        advise(&m, verdicts);
        *ret = m.to;
    } else {
        mp_findings_free(m.to);
        error = -ENOMEM;
    }
    free(m.arenas);
    stack_sums_free(&m.stacks);
    return error;
}

void mp_findings_free(mp_findings_t *findings)
{
    if (findings != NULL) {
        free(findings->all);
        free(findings);
    }
}

size_t mp_findings_count(const mp_findings_t *findings)
{
    return findings->count;
}

const struct mp_finding *mp_findings_at(const mp_findings_t *findings, size_t number)
{
    return number < findings->count ? &findings->all[number] : NULL;
}
