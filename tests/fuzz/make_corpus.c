/*
 * make_corpus - seeds for fuzz_region: make_corpus DIRECTORY
 *
 * One file for each shape and state of a region that takes another way through the
 * reader. The regressions are here too, where they can be said in a line.
 */
#include "../stats/make_region.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *directory;

/* Save and free. */
static void save(struct made *m, const char *name)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    made_save(m, path);
    make_region_free(m);
}

static struct made small(void)
{
    struct made m;

    make_region(&m, &make_small);
    return m;
}

static struct mp_region_totals *totals(const struct made *m)
{
    return made_record(m, MP_SECTION_TOTALS, 0);
}

static struct mp_region_process *process(const struct made *m)
{
    return made_record(m, MP_SECTION_PROCESS, 0);
}

static void save_shapes(void)
{
    struct make_shape shape = make_small;
    struct made m = small();

    save(&m, "small");
    shape.cell_rows = 7; /* cells of all components */
    make_region(&m, &shape);
    save(&m, "cells");
    shape = make_small;
    shape.extra_bytes = 40; /* of a later library */
    make_region(&m, &shape);
    save(&m, "longer");
    shape = make_small;
    shape.written[0] = 8; /* a ring that is just full */
    shape.written[1] = 0;
    shape.written[2] = 5;
    make_region(&m, &shape);
    save(&m, "ring");
    m = small();
    totals(&m)->component_count = totals(&m)->module_count = 0;
    totals(&m)->option_count = 0;
    memset(totals(&m)->timeline_total, 0, sizeof(totals(&m)->timeline_total));
    for (unsigned id = MP_SECTION_CLASSES; id <= MP_SECTION_MARKS; id++) {
        made_remove(&m, (enum mp_region_section_id)id);
    }
    made_remove(&m, MP_SECTION_LEAKS);
    made_remove(&m, MP_SECTION_LEAK_CELLS);
    made_remove(&m, MP_SECTION_LEAK_SITES);
    m.bytes = made_header(&m)->region_bytes = 3 * 4096;
    save(&m, "least");
    m = small(); /* the table in another order */
    struct mp_region_section first = made_header(&m)->sections[0];
    made_header(&m)->sections[0] = made_header(&m)->sections[10];
    made_header(&m)->sections[10] = first;
    save(&m, "order");
}

static void save_states(void)
{
    struct made m = small();

    process(&m)->state = MP_STATE_EXITED;
    process(&m)->ended_ns = 1700000020000000000u;
    save(&m, "exited");
    m = small();
    process(&m)->pid = 4000001; /* PID_SELF of fuzz_region.c */
    save(&m, "self");
    m = small();
    totals(&m)->seq++;
    save(&m, "torn_totals");
    m = small();
    totals(&m)->live_bytes = totals(&m)->dirty_bytes = UINT64_MAX;
    totals(&m)->freed_bytes_total++;
    save(&m, "mixed");
    m = small();
    ((struct mp_region_leaks *)made_record(&m, MP_SECTION_LEAKS, 0))->seq++;
    ((struct mp_region_leak_site *)made_record(&m, MP_SECTION_LEAK_SITES, 1))
        ->blocks[0] = -1e300;
    save(&m, "torn_leaks");
    m = small();
    ((struct mp_region_leaks *)made_record(&m, MP_SECTION_LEAKS, 0))->row_count = 5;
    save(&m, "leak_rows");
    m = small();
    made_header(&m)->magic = 0;
    save(&m, "unfinished");
    m = small();
    memset(process(&m)->exe, 'x', sizeof(process(&m)->exe));
    strcpy(process(&m)->service, "\33[31m\xe2\x80\xae\xf0\x9f\x98\x80 \xc3\xa9\xff\\");
    memset(((struct mp_region_module *)made_record(&m, MP_SECTION_MODULES, 1))->path,
        0xe2, 512);
    save(&m, "strings");
    m = small();
    ((struct mp_region_component *)made_record(&m, MP_SECTION_COMPONENTS, 3))->parent =
        3;
    save(&m, "parents");
}

static void save_samples(void)
{
    struct mp_region_sampling *g;
    struct mp_region_site *t;
    struct made m = small();

    ((struct mp_region_frame *)made_record(&m, MP_SECTION_FRAMES, 3))->parent = 3;
    ((struct mp_region_sample *)made_record(&m, MP_SECTION_SAMPLES, 0))->seq++;
    t = made_record(&m, MP_SECTION_SITES, 2);
    t->class_number = MP_REGION_CLASSES;
    t->seq++;
    save(&m, "stacks_torn");
    m = small();
    t = made_record(&m, MP_SECTION_SITES, 1);
    t->allocated_bytes = t->peak_bytes_variance = NAN;
    t->freed_bytes = 1e300;
    t->allocated_blocks = -1;
    save(&m, "stacks_sums");
    m = small();
    g = made_record(&m, MP_SECTION_SAMPLING, 0);
    g->interval_bytes = MP_SAMPLING_EXACT;
    save(&m, "stacks_exact");
    m = small();
    t = made_record(&m, MP_SECTION_SITES, 2);
    *t = *(struct mp_region_site *)made_record(&m, MP_SECTION_SITES, 1);
    t->share = 1;
    t->allocated_samples = 0;
    t->allocated_bytes = t->counted_freed_blocks = INFINITY;
    t->peak_number--;
    t->counted_number = UINT64_MAX;
    save(&m, "stacks_shared");
    m = small();
    memset(made_record(&m, MP_SECTION_SAMPLING, 0), 0, sizeof(*g));
    save(&m, "stacks_none");
}

static void save_history(void)
{
    struct mp_region_site_epochs *r;
    struct mp_region_epochs *e;
    struct mp_region_site *t;
    struct made m = small();

    e = made_record(&m, MP_SECTION_EPOCHS, 0);
    e->current = MP_REGION_EPOCHS - 1; /* all but one have ended */
    e->doublings = 40;
    save(&m, "history_long");
    m = small();
    e = made_record(&m, MP_SECTION_EPOCHS, 0);
    e->current = MP_REGION_EPOCHS;
    save(&m, "history_epochs");
    m = small();
    r = made_record(&m, MP_SECTION_SITE_EPOCHS, 1);
    r->live_bytes[0] = NAN;
    r->floor_bytes[1] = -1;
    r->mark_bytes[2] = INFINITY;
    r = made_record(&m, MP_SECTION_SITE_EPOCHS, 2);
    r->seq++;
    t = made_record(&m, MP_SECTION_SITES, 3);
    t->epochs_row = 77;
    t->floor_bytes = NAN;
    save(&m, "history_rows");
    m = small();
    e = made_record(&m, MP_SECTION_EPOCHS, 0);
    e->mark_count = 77; /* of which two are where they should be: none */
    e->ends[2].mono_ns = UINT64_MAX;
    save(&m, "history_marks");
}

static void save_regressions(void)
{
    static const enum mp_region_section_id timelines[] = {
        MP_SECTION_TIMELINE_1S, MP_SECTION_TIMELINE_1M, MP_SECTION_TIMELINE_10M};
    struct make_shape shape = make_small;
    struct made m;

    /* each torn point was waited for: minutes for a full timeline */
    shape.moments[0] = shape.written[0] = 200;
    make_region(&m, &shape);
    for (size_t i = 0; i < 200; i++) {
        ((struct mp_region_moment *)made_record(&m, MP_SECTION_TIMELINE_1S, i))->seq++;
    }
    save(&m, "torn_moments");
    /* each section had 64 MiB to itself; here the file ends before that */
    m = small();
    for (unsigned i = 0; i < 3; i++) {
        struct mp_region_section *c = made_section(&m, timelines[i]);

        c->offset = (1 + i * 2) << 20;
        c->count = (2 << 20) / c->stride;
        totals(&m)->timeline_total[i] = UINT64_MAX;
    }
    made_header(&m)->region_bytes = 8 << 20;
    save(&m, "sparse");
    /* parts were cut to a limit one by one, their sum was cut to the same */
    m = small();
    process(&m)->pid = 4000001;
    totals(&m)->live_bytes = totals(&m)->dirty_bytes = UINT64_MAX;
    totals(&m)->metadata_heap_bytes = UINT64_MAX;
    save(&m, "ledger_limits");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus DIRECTORY\n");
        return 2;
    }
    directory = argv[1];
    save_shapes();
    save_states();
    save_samples();
    save_history();
    save_regressions();
    return 0;
}
