/*
 * make_stacks - a region with sampled stacks, for tests of what the command says of them
 *
 *     make_stacks PATH sampled|exact
 *
 * A server of which the truth is known: what each stack allocated and freed, at an interval
 * of 64 KiB. Made without the allocator.
 */
#include "../stats/make_region.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INTERVAL = 64 << 10, DEPTH = 14 };

/* Classes by number, and the bytes of their blocks. */
static const unsigned class_bytes[] = {[3] = 64, [15] = 256, [39] = 640, [50] = 131072};

/* Offsets of functions in the module, the root first; 0 ends them. */
static const struct truth {
    uint32_t component;
    uint16_t class_number;
    uint16_t operation;
    uint16_t thread;
    unsigned requested;
    unsigned live;
    unsigned freed;
    unsigned us;
    uint64_t stack[DEPTH];
} truths[] = {
    {2, 3, 0, 2, 64, 60000, 200000, 50, {0x1100, 0x1200, 0x1310}},
    {2, 15, 0, 2, 130, 60000, 1000, 90000, {0x1100, 0x1200, 0x1310}},
    {3, 39, 1, 2, 640, 16000, 4000, 3000,
        {0x1100, 0x1200, 0x1320, 0x1400, 0x1410, 0x1420, 0x1430, 0x1440, 0x1450, 0x1460,
            0x1470}},
    {3, 50, 1, 2, 100000, 25, 300, 20, {0x1100, 0x1200, 0x1320, 0x1500}},
    {4, 3, 0, 0, 64, 3000, 100, 1000000, {0x1100, 0x1600}},
    {4, 15, 0, 0, 256, 20, 0, 0,
        {0x1100, 0x1610}}, /* too little to be sampled, mostly */
    {0, 39, 0, 0, 640, 0, 90000, 10, {0x1100, 0x1700}},
};
enum { TRUTHS = sizeof(truths) / sizeof(truths[0]) };

static uint64_t state = 0x9e3779b97f4a7c15u;

static double uniform(void) /* in (0, 1] */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)((state >> 11) + 1) / 9007199254740992.0;
}

static unsigned draw(unsigned count, double bytes, bool is_exact)
{
    unsigned sampled = 0;

    if (is_exact) {
        return count;
    }
    for (double at = 0;; at++, sampled++) {
        at += floor(-log(uniform()) * INTERVAL / bytes);
        if (at >= count) {
            return sampled;
        }
    }
}

/* The frame of a call from another; each once. */
static uint32_t frame_of(const struct made *m, uint32_t parent, uint64_t offset)
{
    struct mp_region_sampling *g = made_record(m, MP_SECTION_SAMPLING, 0);

    for (uint32_t i = 1; i < g->frame_count; i++) {
        const struct mp_region_frame *f = made_record(m, MP_SECTION_FRAMES, i);

        if (f->parent == parent && f->offset == offset) {
            return i;
        }
    }
    *(struct mp_region_frame *)made_record(m, MP_SECTION_FRAMES, g->frame_count) =
        (struct mp_region_frame){parent, offset >= 0x8000 ? 1 : 0, offset};
    return (uint32_t)g->frame_count++;
}

/* Every stack ends in the library's malloc, on one of two ways. */
static void add_site(const struct made *m, const struct truth *t, bool is_exact)
{
    struct mp_region_sampling *g = made_record(m, MP_SECTION_SAMPLING, 0);
    unsigned bytes = class_bytes[t->class_number];

    for (unsigned way = 0; way < 2; way++) {
        struct mp_region_site *s = made_record(m, MP_SECTION_SITES, g->site_count);
        unsigned live = draw(t->live / 2, bytes, is_exact);
        unsigned freed = draw(t->freed / 2, bytes, is_exact);
        struct made_samples what = {
            bytes, t->requested, is_exact ? 0 : INTERVAL, live + freed, freed, t->us};

        if (live + freed == 0) {
            continue;
        }
        *s = (struct mp_region_site){.seq = 2,
            .component = t->component,
            .class_number = t->class_number,
            .operation = t->operation,
            .thread = t->thread,
            .first_ns = 1700000000000000000u,
            .last_ns = 1700000010000000000u};
        for (unsigned i = 0; i < DEPTH && t->stack[i] != 0; i++) {
            s->frame = frame_of(m, s->frame, t->stack[i]);
        }
        s->frame = frame_of(m, s->frame, 0x8100 + 0x100 * way);
        made_add_samples(s, &what);
        g->allocated_total += live + freed;
        g->freed_total += freed;
        g->site_count++;
    }
}

static void add_counters(const struct made *m, const struct truth *t)
{
    struct mp_region_totals *totals = made_record(m, MP_SECTION_TOTALS, 0);
    struct mp_region_component *c = made_record(m, MP_SECTION_COMPONENTS, t->component);
    struct mp_region_cell *cell = made_record(
        m, MP_SECTION_COUNTERS, t->component * MP_REGION_CLASSES + t->class_number);
    uint64_t blocks = t->live + t->freed;
    uint64_t bytes = class_bytes[t->class_number];

    cell->allocated_blocks_total += blocks;
    cell->allocated_bytes_total += blocks * bytes;
    cell->freed_blocks_total += t->freed;
    cell->freed_bytes_total += t->freed * bytes;
    c->allocated_blocks_total += blocks;
    c->allocated_bytes_total += blocks * bytes;
    c->freed_blocks_total += t->freed;
    c->freed_bytes_total += t->freed * bytes;
    c->live_blocks += t->live;
    c->live_bytes += t->live * bytes;
    totals->allocated_blocks_total += blocks;
    totals->allocated_bytes_total += blocks * bytes;
    totals->freed_blocks_total += t->freed;
    totals->freed_bytes_total += t->freed * bytes;
    totals->live_blocks += t->live;
    totals->live_bytes += t->live * bytes;
}

/* Take away the figures that make_region gave it. */
static void clear(const struct made *m)
{
    struct mp_region_totals *t = made_record(m, MP_SECTION_TOTALS, 0);
    struct mp_region_sampling *g = made_record(m, MP_SECTION_SAMPLING, 0);
    struct mp_region_class *large = made_record(m, MP_SECTION_CLASSES, 50);

    t->allocated_blocks_total = t->allocated_bytes_total = 0;
    t->freed_blocks_total = t->freed_bytes_total = 0;
    t->live_blocks = t->live_bytes = 0;
    for (size_t i = 0; i < MAKE_COMPONENTS; i++) {
        struct mp_region_component *c = made_record(m, MP_SECTION_COMPONENTS, i);

        c->allocated_blocks_total = c->allocated_bytes_total = 0;
        c->freed_blocks_total = c->freed_bytes_total = 0;
        c->live_blocks = c->live_bytes = 0;
        memset(made_record(m, MP_SECTION_COUNTERS, i * MP_REGION_CLASSES), 0,
            MP_REGION_CLASSES * sizeof(struct mp_region_cell));
    }
    large->block_bytes = class_bytes[50];
    memset(made_record(m, MP_SECTION_SITES, 0), 0, sizeof(struct mp_region_site));
    g->frame_count = g->site_count = 1;
    g->sample_count = 0;
    g->allocated_total = g->freed_total = 0;
}

int main(int argc, char **argv)
{
    struct make_shape shape = make_small;
    struct mp_region_sampling *g;
    struct made m;
    bool is_exact;

    if (argc != 3) {
        fprintf(stderr, "usage: make_stacks PATH sampled|exact\n");
        return 2;
    }
    is_exact = strcmp(argv[2], "exact") == 0;
    shape.cell_rows = MAKE_COMPONENTS;
    shape.frames = 200;
    shape.sites = 50;
    make_region(&m, &shape);
    clear(&m);
    g = made_record(&m, MP_SECTION_SAMPLING, 0);
    g->interval_bytes = g->wanted_bytes = is_exact ? MP_SAMPLING_EXACT : INTERVAL;
    strcpy(((struct mp_region_module *)made_record(&m, MP_SECTION_MODULES, 1))->path,
        "/usr/lib/x86_64-linux-gnu/libmpalloc.so.0");
    for (size_t i = 0; i < TRUTHS; i++) {
        add_counters(&m, &truths[i]);
        add_site(&m, &truths[i], is_exact);
    }
    for (size_t i = 1; i < g->site_count; i++) {
        struct mp_region_site *s = made_record(&m, MP_SECTION_SITES, i);

        s->peak_number = g->peak_number; /* when half of all was live */
        s->peak_samples = s->allocated_samples / 2;
        s->peak_blocks = s->allocated_blocks / 2;
        s->peak_bytes = s->allocated_bytes / 2;
        s->peak_bytes_variance = s->allocated_bytes_variance / 2;
        g->peak_bytes += i == 1 ? s->peak_bytes - g->peak_bytes : s->peak_bytes;
    }
    made_save(&m, argv[1]);
    make_region_free(&m);
    return 0;
}
