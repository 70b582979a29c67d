#include "make_region.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };

const struct make_shape make_small = {.components = 8,
    .classes = MP_REGION_CLASSES,
    .cell_rows = 1,
    .moments = {8, 4, 4},
    .modules = 3,
    .options = 4,
    .frames = 16,
    .sites = 6,
    .samples = 8,
    .names = 4,
    .rows = 4,
    .marks = MP_REGION_MARKS,
    .leak_rows = 4,
    .written = {11, 2, 0}};

const struct make_shape make_full = {.components = MP_REGION_COMPONENT_ROWS,
    .classes = MP_REGION_CLASSES,
    .cell_rows = MP_REGION_COMPONENT_ROWS,
    .moments = {3600, 1440, 4320},
    .modules = MP_REGION_MODULES_MAX,
    .options = MP_REGION_OPTIONS_MAX,
    .frames = MP_REGION_FRAMES_MAX,
    .sites = MP_REGION_SITES_MAX,
    .samples = MP_REGION_SAMPLES_MAX,
    .names = MP_REGION_NAMES_MAX,
    .rows = MP_REGION_SITE_EPOCHS_MAX,
    .marks = MP_REGION_MARKS,
    .leak_rows = MP_REGION_COMPONENT_ROWS,
    .written = {4000, 66, 6}};

static void stop(const char *what)
{
    perror(what);
    abort();
}

/* ---- the table ---- */

struct mp_region_header *made_header(const struct made *m)
{
    return (struct mp_region_header *)(void *)m->data;
}

struct mp_region_section *made_section(
    const struct made *m, enum mp_region_section_id id)
{
    struct mp_region_header *h = made_header(m);

    for (unsigned i = 0; i < h->section_count; i++) {
        if (h->sections[i].id == id) {
            return &h->sections[i];
        }
    }
    stop("made_section");
    return NULL;
}

void *made_record(const struct made *m, enum mp_region_section_id id, size_t number)
{
    const struct mp_region_section *c = made_section(m, id);

    return m->data + c->offset + number * c->stride;
}

void made_remove(const struct made *m, enum mp_region_section_id id)
{
    struct mp_region_section *c = made_section(m, id);
    struct mp_region_header *h = made_header(m);

    *c = h->sections[--h->section_count];
}

static void make_table(struct made *m, const struct make_shape *shape)
{
    const struct {
        enum mp_region_section_id id;
        size_t bytes;
        size_t count;
    } plan[] = {
        {MP_SECTION_PROCESS, sizeof(struct mp_region_process), 1},
        {MP_SECTION_TOTALS, sizeof(struct mp_region_totals), 1},
        {MP_SECTION_CLASSES, sizeof(struct mp_region_class), shape->classes},
        {MP_SECTION_COMPONENTS, sizeof(struct mp_region_component), shape->components},
        {MP_SECTION_COUNTERS, sizeof(struct mp_region_cell),
            shape->cell_rows * MP_REGION_CLASSES},
        {MP_SECTION_TIMELINE_1S, sizeof(struct mp_region_moment), shape->moments[0]},
        {MP_SECTION_TIMELINE_1M, sizeof(struct mp_region_moment), shape->moments[1]},
        {MP_SECTION_TIMELINE_10M, sizeof(struct mp_region_moment), shape->moments[2]},
        {MP_SECTION_MODULES, sizeof(struct mp_region_module), shape->modules},
        {MP_SECTION_MAILBOX, sizeof(struct mp_region_mailbox), 1},
        {MP_SECTION_OPTIONS, sizeof(struct mp_region_option), shape->options},
        {MP_SECTION_SAMPLING, sizeof(struct mp_region_sampling), 1},
        {MP_SECTION_FRAMES, sizeof(struct mp_region_frame), shape->frames},
        {MP_SECTION_SITES, sizeof(struct mp_region_site), shape->sites},
        {MP_SECTION_SAMPLES, sizeof(struct mp_region_sample), shape->samples},
        {MP_SECTION_NAMES, sizeof(struct mp_region_name), shape->names},
        {MP_SECTION_EPOCHS, sizeof(struct mp_region_epochs), 1},
        {MP_SECTION_SITE_EPOCHS, sizeof(struct mp_region_site_epochs), shape->rows},
        {MP_SECTION_MARKS, sizeof(struct mp_region_mark), shape->marks},
        {MP_SECTION_LEAKS, sizeof(struct mp_region_leaks), 1},
        {MP_SECTION_LEAK_CELLS, sizeof(struct mp_region_leak_cell),
            shape->leak_rows * MP_REGION_CLASSES},
        {MP_SECTION_LEAK_SITES, sizeof(struct mp_region_leak_site), shape->sites},
        {MP_SECTION_POOLS, sizeof(struct mp_region_pool), MAKE_POOLS},
        {MP_SECTION_USER, sizeof(struct mp_region_user_counter), MAKE_POOLS},
        {MP_SECTION_LIMITS, sizeof(struct mp_region_limit), MAKE_POOLS},
    };
    struct mp_region_header h = {.magic = MP_REGION_MAGIC,
        .version = MP_REGION_VERSION,
        .header_bytes = sizeof(h),
        .section_count = sizeof(plan) / sizeof(plan[0])};
    size_t at = PAGE;

    for (unsigned i = 0; i < h.section_count; i++) {
        size_t stride = plan[i].bytes + shape->extra_bytes;

        h.sections[i] = (struct mp_region_section){.id = plan[i].id,
            .version = 1,
            .offset = at,
            .stride = stride,
            .count = plan[i].count};
        at = (at + stride * plan[i].count + PAGE - 1) / PAGE * PAGE;
    }
    h.region_bytes = at;
    m->bytes = at;
    m->data =
        mmap(NULL, at, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->data == MAP_FAILED) {
        stop("mmap");
    }
    memcpy(m->data, &h, sizeof(h));
}

/* ---- the records ---- */

static void make_process(const struct made *m)
{
    struct mp_region_process *p = made_record(m, MP_SECTION_PROCESS, 0);

    p->pid = 4000000; /* above the largest default, with a start time of nobody */
    p->parent_pid = 1;
    p->uid = geteuid();
    p->start_ticks = 1;
    p->started_ns = 1700000000000000000u;
    p->started_mono_ns = 5000000000u;
    p->state = MP_STATE_RUNNING;
    p->page_bytes = PAGE;
    p->span_bytes = 65536;
    p->limit_cgroup_bytes = 1u << 30;
    p->physical_bytes = 8ull << 30;
    p->build_id_bytes = 20;
    memset(p->run_id, 0x5a, sizeof(p->run_id));
    memset(p->build_id, 0xb1, 20);
    strcpy(p->version, "0.1.0");
    strcpy(p->service, "made");
    strcpy(p->exe, "/usr/bin/made");
    strcpy(p->command, "made --for tests");
}

static void make_components(
    const struct made *m, const struct make_shape *shape, struct mp_region_totals *t)
{
    static const struct {
        const char *name;
        uint64_t parent;
    } rows[MAKE_COMPONENTS] = {{"(untagged)", 0}, {"(overflow)", 0}, {"extraction", 0},
        {"extraction/html", 2}, {"index", 0}, {"extraction/html/tables", 3}};

    for (size_t i = 0; i < MAKE_COMPONENTS; i++) {
        struct mp_region_component *c = made_record(m, MP_SECTION_COMPONENTS, i);

        strcpy(c->name, rows[i].name);
        c->parent = rows[i].parent;
        c->allocated_blocks_total = 100 * (i + 1);
        c->freed_blocks_total = 40 * (i + 1);
        c->allocated_bytes_total = 6400 * (i + 1);
        c->freed_bytes_total = 2560 * (i + 1);
        c->live_blocks = 60 * (i + 1);
        c->live_bytes = 3840 * (i + 1);
        c->live_peak_bytes = 5000 * (i + 1);
        c->live_peak_ns = 1700000001000000000u + i;
        c->tree_live_bytes = c->live_bytes;
        c->tree_live_peak_bytes = c->live_peak_bytes;
        c->tree_live_peak_ns = c->live_peak_ns;
        t->allocated_blocks_total += c->allocated_blocks_total;
        t->freed_blocks_total += c->freed_blocks_total;
        t->allocated_bytes_total += c->allocated_bytes_total;
        t->freed_bytes_total += c->freed_bytes_total;
        for (size_t part = 0; part < 2 && i < shape->cell_rows; part++) {
            struct mp_region_cell *cell = made_record(
                m, MP_SECTION_COUNTERS, i * MP_REGION_CLASSES + (part ? 7 : 3));
            uint64_t tenths = part ? 4 : 6;

            cell->allocated_blocks_total = c->allocated_blocks_total / 10 * tenths;
            cell->freed_blocks_total = c->freed_blocks_total / 10 * tenths;
            cell->allocated_bytes_total = c->allocated_bytes_total / 10 * tenths;
            cell->freed_bytes_total = c->freed_bytes_total / 10 * tenths;
            cell->live_peak_bytes = 1000 * (i + 1);
        }
    }
    t->component_count = MAKE_COMPONENTS;
}

static void make_totals(const struct made *m, const struct make_shape *shape)
{
    struct mp_region_totals *t = made_record(m, MP_SECTION_TOTALS, 0);

    make_components(m, shape, t);
    t->seq = 24;
    t->published_ns = 1700000012000000000u;
    t->published_mono_ns = 17000000000u;
    t->published_total = 12;
    t->live_blocks = t->allocated_blocks_total - t->freed_blocks_total;
    t->live_bytes = t->allocated_bytes_total - t->freed_bytes_total;
    t->live_peak_bytes = t->live_bytes + 4096;
    t->live_peak_ns = 1700000001000000000u;
    t->active_bytes = 1 << 20;
    t->cached_bytes = t->active_bytes - t->live_bytes;
    t->dirty_bytes = 3 << 16;
    t->retained_bytes = 5 << 16;
    t->metadata_span_bytes = 8192;
    t->metadata_heap_bytes = 16384;
    t->metadata_region_bytes = 65536;
    t->mapped_bytes = 4 << 20;
    t->reserved_bytes = 64 << 20;
    t->resident_bytes = t->active_bytes + t->dirty_bytes + 8192 + 16384 + 65536 - 4096;
    t->resident_peak_bytes = t->resident_bytes + 12288;
    t->huge_bytes = 0;
    t->large_bytes = 1 << 17;
    t->threads = 2;
    t->threads_peak = 3;
    t->threads_total = 4;
    t->heaps = 2;
    t->module_count = MAKE_MODULES;
    t->option_count = MAKE_OPTIONS;
    memcpy(t->timeline_total, shape->written, sizeof(t->timeline_total));
}

static void make_timeline(
    const struct made *m, unsigned tier, uint64_t written, size_t room)
{
    static const uint64_t step[] = {1, 60, 600};

    for (uint64_t i = 0; i < written; i++) {
        struct mp_region_moment *p =
            made_record(m, MP_SECTION_TIMELINE_1S + tier, i % room);

        p->seq += 2;
        p->time_ns = 1700000000000000000u + i * step[tier] * 1000000000u;
        p->live_bytes = 1000 + i;
        p->live_blocks = 10 + i;
        p->live_high_bytes = 2000 + i;
        p->active_bytes = 1 << 20;
        p->resident_bytes = 1 << 20;
        p->allocated_bytes_total = 5000 * i;
        p->allocated_blocks_total = 50 * i;
        p->threads = 2;
        p->cached_bytes = 300 + i;
        p->metadata_bytes = 400;
        p->profiler_bytes = 500;
    }
}

static void make_others(const struct made *m, const struct make_shape *shape)
{
    static const char *const options[MAKE_OPTIONS][2] = {
        {"REGION", "file"}, {"PURGE_DELAY", "250ms"}, {"KEEP", "0"}};

    for (size_t i = 0; i < shape->classes; i++) {
        struct mp_region_class *c = made_record(m, MP_SECTION_CLASSES, i);

        c->block_bytes = 16 * (i + 1);
        c->kind = i < 40 ? MP_CLASS_SLAB : i < 60 ? MP_CLASS_LARGE : MP_CLASS_UNUSED;
        c->blocks_per_span = i < 40 ? (uint32_t)(65536 / c->block_bytes) : 0;
    }
    for (size_t i = 0; i < MAKE_MODULES; i++) {
        struct mp_region_module *o = made_record(m, MP_SECTION_MODULES, i);

        o->bytes = 0x20000;
        o->build_id_bytes = 20;
        o->segment_count = 2;
        memset(o->build_id, 0xb1 + (int)i, 20);
        o->segments[0] = (struct mp_region_segment){0, 0x10000, 0, 5};
        o->segments[1] = (struct mp_region_segment){0x10000, 0x10000, 0x10000, 6};
        strcpy(o->path, i == 0 ? "/usr/bin/made" : "/usr/lib/libmade.so.1");
    }
    for (size_t i = 0; i < MAKE_OPTIONS; i++) {
        struct mp_region_option *o = made_record(m, MP_SECTION_OPTIONS, i);

        strcpy(o->name, options[i][0]);
        strcpy(o->value, options[i][1]);
        o->origin = i == 1;
    }
}

/* ---- sampled stacks ---- */

void made_add_samples(struct mp_region_site *t, const struct made_samples *what)
{
    double chance = what->interval > 0 ? 1 - exp(-what->bytes / what->interval) : 1;
    double weight = 1 / chance;
    double variance = (1 - chance) * weight * weight;
    unsigned bucket = 0;

    while (bucket + 1 < MP_REGION_LIFETIMES && what->us >> (bucket + 1) != 0) {
        bucket++;
    }
    t->allocated_samples += what->allocated;
    t->allocated_blocks += what->allocated * weight;
    t->allocated_bytes += what->allocated * weight * what->bytes;
    t->allocated_requested += what->allocated * weight * what->requested;
    t->allocated_blocks_variance += what->allocated * variance;
    t->allocated_bytes_variance +=
        what->allocated * variance * what->bytes * what->bytes;
    t->freed_samples += what->freed;
    t->freed_blocks += what->freed * weight;
    t->freed_bytes += what->freed * weight * what->bytes;
    t->freed_requested += what->freed * weight * what->requested;
    t->freed_blocks_variance += what->freed * variance;
    t->freed_bytes_variance += what->freed * variance * what->bytes * what->bytes;
    t->freed_lifetime_ns += what->freed * weight * (double)what->us * 1000;
    t->heaviest_bytes = fmax(t->heaviest_bytes, weight * what->bytes);
    t->heaviest_blocks = fmax(t->heaviest_blocks, weight);
    t->lifetimes[bucket] += what->freed;
}

/* main calls two functions, which both call into the library; code of no module. */
static void make_frames(const struct made *m)
{
    static const struct mp_region_frame frames[MAKE_FRAMES] = {{0}, {0, 0, 0x1100},
        {1, 0, 0x1200}, {2, 1, 0x340}, {1, 0, 0x1300}, {4, 1, 0x340},
        {2, UINT32_MAX, 0}};

    for (size_t i = 0; i < MAKE_FRAMES; i++) {
        memcpy(made_record(m, MP_SECTION_FRAMES, i), &frames[i], sizeof(frames[i]));
    }
}

static void make_sites(const struct made *m)
{
    static const struct {
        struct mp_region_site site;
        struct made_samples samples;
    } sites[MAKE_SITES] = {{{0}, {64, 64, MAKE_INTERVAL, 0, 0, 0}},
        {{.frame = 3, .component = 0, .class_number = 3},
            {64, 60, MAKE_INTERVAL, 6, 1, 100}},
        {{.frame = 5, .component = 0, .class_number = 3},
            {64, 49, MAKE_INTERVAL, 2, 1, 20000}},
        {{.frame = 5, .component = 4, .class_number = 7, .operation = 1, .thread = 2},
            {128, 128, MAKE_INTERVAL, 3, 1, 5}},
        {{.frame = 6, .component = 2, .class_number = 3, .flags = MP_SITE_LOST},
            {64, 64, MAKE_INTERVAL, 1, 0, 0}}};

    for (size_t i = 0; i < MAKE_SITES; i++) {
        struct mp_region_site *t = made_record(m, MP_SECTION_SITES, i);

        *t = sites[i].site;
        t->seq = 2 + 2 * i;
        t->first_ns = 1700000000000000000u + i;
        t->last_ns = 1700000005000000000u + i;
        made_add_samples(t, &sites[i].samples);
        if (i == 2) { /* of an earlier peak: what is live was live then, too */
            t->peak_number = 6;
            t->peak_samples = 99;
        } else {
            t->peak_number = 7;
            t->peak_samples = t->allocated_samples;
            t->peak_blocks = t->allocated_blocks;
            t->peak_bytes = t->allocated_bytes;
            t->peak_bytes_variance = t->allocated_bytes_variance;
            t->peak_requested = t->allocated_requested;
        }
    }
}

static void make_sampling(const struct made *m)
{
    static const char *const names[MAKE_NAMES] = {"", "GET /index", "worker"};
    static const uint32_t sites[MAKE_SAMPLES] = {1, 1, 2, 3, 0, 4};
    struct mp_region_sampling *g = made_record(m, MP_SECTION_SAMPLING, 0);

    *g = (struct mp_region_sampling){.seq = 40,
        .interval_bytes = MAKE_INTERVAL,
        .wanted_bytes = MAKE_INTERVAL,
        .allocated_total = 12,
        .freed_total = 3,
        .cost_ns_total = 60000,
        .memory_bytes = 300000,
        .memory_max_bytes = 32 << 20,
        .frame_count = MAKE_FRAMES,
        .site_count = MAKE_SITES,
        .sample_count = MAKE_SAMPLES,
        .name_count = MAKE_NAMES,
        .stacks_lost_total = 1,
        .peak_number = 7,
        .peak_ns = 1700000001000000000u,
        .peak_bytes = 45000};
    for (size_t i = 0; i < MAKE_NAMES; i++) {
        strcpy(((struct mp_region_name *)made_record(m, MP_SECTION_NAMES, i))->name,
            names[i]);
    }
    for (size_t i = 0; i < MAKE_SAMPLES; i++) {
        *(struct mp_region_sample *)made_record(m, MP_SECTION_SAMPLES, i) =
            (struct mp_region_sample){.seq = 2,
                .is_live = i != 4,
                .site = sites[i],
                .bytes = sites[i] == 3 ? 128 : 64,
                .requested = 49,
                .interval = MAKE_INTERVAL,
                .born_ns = 6000000000u + i,
                .thread_id = 1234};
    }
}

/* ---- the past ---- */

/* Site 1 has a row as long as the epochs, site 2 an older one: two of its epochs are one. */
static void make_history(const struct made *m)
{
    struct mp_region_epochs *e = made_record(m, MP_SECTION_EPOCHS, 0);
    struct mp_region_site *sites[MAKE_ROWS] = {
        NULL, made_record(m, MP_SECTION_SITES, 1), made_record(m, MP_SECTION_SITES, 2)};

    *e = (struct mp_region_epochs){.seq = 8,
        .written_ns = 1700000012000000000u,
        .written_mono_ns = 17000000000u,
        .work_bytes = (MAKE_EPOCHS + 0.5) * 4096,
        .epoch_bytes = 4096,
        .doublings = 1,
        .current = MAKE_EPOCHS,
        .mark_count = MAKE_MARKS,
        .row_count = MAKE_ROWS};
    for (unsigned i = 0; i < MAKE_EPOCHS; i++) {
        e->ends[i] =
            (struct mp_region_epoch){.time_ns = 1700000000000000000u + i * 1000,
                .mono_ns = 5000000000u + i * 1000,
                .live_bytes = 1000 * (i + 1)};
    }
    for (uint32_t i = 1; i < MAKE_ROWS; i++) {
        struct mp_region_site_epochs *r = made_record(m, MP_SECTION_SITE_EPOCHS, i);

        *r = (struct mp_region_site_epochs){.seq = 2,
            .site = i,
            .doublings = i == 1,
            .current = i == 1 ? MAKE_EPOCHS : 7,
            .marks = 1,
            .mark_bytes = {500}};
        for (unsigned k = 0; k < r->current; k++) {
            r->live_bytes[k] = 100 * (float)(k + 1);
            r->floor_bytes[k] = 50 * (float)(k + 1);
        }
        sites[i]->epochs_row = i;
        sites[i]->floor_bytes = 20;
    }
    for (uint64_t i = 0; i < MAKE_MARKS; i++) {
        struct mp_region_mark *mark = made_record(m, MP_SECTION_MARKS, i);

        *mark = (struct mp_region_mark){.seq = 2,
            .number = i,
            .time_ns = 1700000000000000000u + i,
            .mono_ns = 5000000000u + i,
            .work_bytes = 4096 * (double)(i + 1),
            .live_bytes = 1000};
        strcpy(mark->name, "round");
    }
}

/* ---- a leak check ---- */

static void make_leaks(const struct made *m, const struct make_shape *shape)
{
    struct mp_region_leaks *l = made_record(m, MP_SECTION_LEAKS, 0);
    size_t rows = shape->leak_rows < MAKE_LEAK_ROWS ? shape->leak_rows : MAKE_LEAK_ROWS;

    *l = (struct mp_region_leaks){.seq = 6,
        .number = 2,
        .started = 3,
        .rounds = 2,
        .wait_ns = 1000000000,
        .time_ns = 1700000011000000000u,
        .time_mono_ns = 16000000000u,
        .pause_ns = 3000000,
        .fork_ns = 2000000,
        .mark_ns = 40000000,
        .heap_bytes = 30000,
        .root_bytes = 200000,
        .child_bytes = 700000,
        .threads = 2,
        .row_count = rows,
        .site_count = MAKE_SITES,
        .checks_failed_total = 1,
        .mark_cpu_ns = 30000000};
    for (size_t row = 0; row < rows; row++) {
        struct mp_region_leak_cell *c =
            made_record(m, MP_SECTION_LEAK_CELLS, row * MP_REGION_CLASSES + 3);

        for (unsigned kind = 0; kind < MP_LEAK_KINDS; kind++) {
            c->blocks[kind] = kind == MP_LEAK_LOST ? row : row + 2 + kind;
            c->bytes[kind] = c->blocks[kind] * 64;
            l->blocks[kind] += c->blocks[kind];
            l->bytes[kind] += c->bytes[kind];
        }
        c->owned_blocks = row;
        c->owned_bytes = row * 64;
    }
    for (size_t i = 1; i < MAKE_SITES; i++) {
        struct mp_region_leak_site *t = made_record(m, MP_SECTION_LEAK_SITES, i);

        t->samples[MP_LEAK_DEFINITE] = i;
        t->samples[MP_LEAK_LOST] = i - 1;
        t->blocks[MP_LEAK_DEFINITE] = 100.5 * (double)i;
        t->bytes[MP_LEAK_DEFINITE] = 6432.0 * (double)i;
        t->blocks_variance[MP_LEAK_DEFINITE] = 10000;
        t->bytes_variance[MP_LEAK_DEFINITE] = 4e7;
    }
}

/* Pool 1, a free record, pool 7; two counters. */
static void make_pools(struct made *m)
{
    struct mp_region_user_counter *c = made_record(m, MP_SECTION_USER, 0);

    for (uint64_t i = 1; i < MAKE_POOLS; i += 2) {
        *(struct mp_region_pool *)made_record(m, MP_SECTION_POOLS, i) =
            (struct mp_region_pool){.seq = 4,
                .number = i == 1 ? 1 : 7,
                .component = i,
                .object_bytes = 256,
                .keep = 100,
                .gets_total = 1000 * i,
                .hits_total = 1000 * i - 50,
                .misses_total = 50,
                .freed_total = 10,
                .kept = 30,
                .live = 10,
                .peak = 45};
    }
    c->value = -3;
    strcpy(c->name, "headers_inline");
    c = made_record(m, MP_SECTION_USER, 1);
    c->value = 42;
    strcpy(c->name, "headers_heap");
}

/* Of component 2, without any left, of component 3; then none. */
static void make_limits(struct made *m)
{
    for (uint64_t i = 0; i < MAKE_POOLS - 1; i++) {
        *(struct mp_region_limit *)made_record(m, MP_SECTION_LIMITS, i) =
            (struct mp_region_limit){.is_set = 1,
                .component = i != 2 ? 2 : 3,
                .soft_bytes = i != 1 ? 1000 + i : 0,
                .hard_bytes = i == 2 ? (uint64_t)1 << 40 : 0,
                .is_over = i == 0,
                .hits_total = 5 - i,
                .refused_total = 7 * i};
    }
}

void make_region(struct made *m, const struct make_shape *shape)
{
    make_table(m, shape);
    make_process(m);
    make_totals(m, shape);
    for (unsigned tier = 0; tier < MP_REGION_TIMELINE_TIERS; tier++) {
        make_timeline(m, tier, shape->written[tier], shape->moments[tier]);
    }
    make_others(m, shape);
    make_frames(m);
    make_sites(m);
    make_sampling(m);
    make_history(m);
    make_leaks(m, shape);
    make_pools(m);
    make_limits(m);
}

void make_region_free(struct made *m)
{
    munmap(m->data, m->bytes);
    *m = (struct made){NULL, 0};
}

void made_count_now(const struct made *m, struct mp_region_site *t)
{
    t->counted_number =
        ((struct mp_region_totals *)made_record(m, MP_SECTION_TOTALS, 0))
            ->published_total;
    t->counted_allocated_samples = t->allocated_samples;
    t->counted_freed_samples = t->freed_samples;
    t->counted_allocated_blocks = t->allocated_blocks;
    t->counted_freed_blocks = t->freed_blocks;
    t->counted_allocated_bytes = t->allocated_bytes;
    t->counted_freed_bytes = t->freed_bytes;
    t->counted_allocated_blocks_variance = t->allocated_blocks_variance;
    t->counted_freed_blocks_variance = t->freed_blocks_variance;
    t->counted_allocated_bytes_variance = t->allocated_bytes_variance;
    t->counted_freed_bytes_variance = t->freed_bytes_variance;
}

/* ---- facts of the calling process ---- */

void made_adopt(const struct made *m)
{
    struct mp_region_process *p = made_record(m, MP_SECTION_PROCESS, 0);
    char text[2048];
    ssize_t n;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    char *at;
    struct stat st;

    n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (n <= 0) {
        stop("/proc/self/stat");
    }
    close(fd);
    text[n] = '\0';
    at = strrchr(text, ')');
    for (unsigned field = 2; field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    p->pid = (uint64_t)getpid();
    p->start_ticks = strtoull(at, NULL, 10);
    p->pid_namespace = stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
    memset(p->exe, 0, sizeof(p->exe));
    if (readlink("/proc/self/exe", p->exe, sizeof(p->exe) - 1) < 0) {
        stop("/proc/self/exe");
    }
}

/* ---- files ---- */

static void write_pages(const struct made *m, int fd)
{
    static const char zeros[PAGE];

    for (size_t at = 0; at < m->bytes; at += PAGE) {
        size_t n = m->bytes - at < PAGE ? m->bytes - at : PAGE;

        if (memcmp(m->data + at, zeros, n) != 0
            && pwrite(fd, m->data + at, n, (off_t)at) != (ssize_t)n) {
            stop("pwrite");
        }
    }
    if (ftruncate(fd, (off_t)m->bytes) != 0) {
        stop("ftruncate");
    }
}

void made_save(const struct made *m, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) {
        stop(path);
    }
    write_pages(m, fd);
    close(fd);
}

int made_memfd(const struct made *m)
{
    int fd = memfd_create("made", MFD_CLOEXEC);

    if (fd < 0) {
        stop("memfd_create");
    }
    write_pages(m, fd);
    return fd;
}
