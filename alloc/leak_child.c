#include "leak_child.h"

#include "atomic.h"
#include "leak_own.h"
#include "leak_roots.h"
#include "live.h"
#include "os.h"

#include <errno.h>

enum { LATE_PART = 10 }; /* of the time there is, so much is for counting at the end */

static const struct leak_round *the_round;

/* ---- what is shared ---- */

struct mp_region_leak_cell *leak_area_cells(const struct leak_area *a)
{
    return (struct mp_region_leak_cell *)(uintptr_t)(a + 1);
}

struct mp_region_leak_site *leak_area_sites(const struct leak_area *a)
{
    return (
        struct mp_region_leak_site *)(leak_area_cells(a) + a->row_count * CLASS_COUNT);
}

struct leak_area *leak_area_map(size_t rows, size_t sites)
{
    size_t bytes = sizeof(struct leak_area)
                   + rows * CLASS_COUNT * sizeof(struct mp_region_leak_cell)
                   + sites * sizeof(struct mp_region_leak_site);
    struct leak_area *a = os_map_shared(bytes);

    if (a != NULL) {
        a->bytes = bytes;
        a->row_count = rows;
        a->site_count = sites;
    }
    return a;
}

void leak_area_unmap(struct leak_area *a)
{
    if (a != NULL) {
        os_unmap(a, a->bytes);
    }
}

struct leak_lost *leak_lost_map(void)
{
    struct leak_places places = leak_places_now();
    size_t bytes = sizeof(struct leak_lost) + leak_places_count(&places) / 8 + 8;
    struct leak_lost *l = os_map_shared(bytes);

    if (l != NULL) {
        l->bytes = bytes;
        l->places = places;
        l->time_ns = os_monotonic_ns();
    }
    return l;
}

void leak_lost_unmap(struct leak_lost *l)
{
    if (l != NULL) {
        os_unmap(l, l->bytes);
    }
}

static void lost_add(struct leak_lost *l, const struct leak_block *b)
{
    size_t place = leak_place(&l->places, b->start);

    if (place != SIZE_MAX) {
        l->bits[place / 64] |= (uint64_t)1 << place % 64;
    } else if (l->far_count < LEAK_CHILD_FAR) {
        l->far[l->far_count++] = b->start;
    }
}

static bool lost_has(const struct leak_lost *l, const struct leak_block *b)
{
    size_t place = leak_place(&l->places, b->start);

    if (b->record != 0 && live_sampled_locked(b->record)->born_ns > l->time_ns) {
        return false; /* another block, in its place */
    }
    if (place != SIZE_MAX) {
        return (l->bits[place / 64] >> place % 64 & 1) != 0;
    }
    for (size_t i = 0; i < l->far_count; i++) {
        if (l->far[i] == b->start) {
            return true;
        }
    }
    return false;
}

/* ---- sums ---- */

static struct mp_region_leak_cell *cell_of(const struct leak_block *b)
{
    struct leak_area *a = the_round->area;

    return b->row < a->row_count && b->cls < CLASS_COUNT
               ? &leak_area_cells(a)[(size_t)b->row * CLASS_COUNT + b->cls]
               : NULL;
}

/* NULL: it is not sampled. */
static struct mp_region_leak_site *site_of(
    const struct leak_block *b, const struct sampled **ret_sampled)
{
    uint32_t site =
        b->record != 0 && live_is_locked(b->record) ? live_site(b->record) : UINT32_MAX;

    if (site >= the_round->area->site_count) {
        return NULL;
    }
    *ret_sampled = live_sampled_locked(b->record);
    return &leak_area_sites(the_round->area)[site];
}

static void add(const struct leak_block *b, enum mp_region_leak_kind kind, uint64_t n)
{
    struct leak_area *a = the_round->area;
    struct mp_region_leak_cell *cell = cell_of(b);
    const struct sampled *s;
    struct mp_region_leak_site *site;

    a->blocks[kind] += n;
    a->sizes[kind] += n * b->bytes;
    if (cell == NULL) {
        a->partial |= MP_LEAK_PARTIAL_ROWS;
    } else {
        cell->blocks[kind] += n;
        cell->bytes[kind] += n * b->bytes;
    }
    site = n != 0 ? site_of(b, &s) : NULL;
    if (site != NULL) {
        double bytes = (double)b->bytes;

        site->samples[kind]++;
        site->blocks[kind] += s->blocks;
        site->bytes[kind] += s->blocks * bytes;
        site->blocks_variance[kind] += s->blocks_variance;
        site->bytes_variance[kind] += s->blocks_variance * bytes * bytes;
    }
}

/* Some or all of one kind; of a slab, many at once. */
static void add_some(
    const struct leak_block *b, enum mp_region_leak_kind kind, uint64_t n)
{
    if (n != 0) {
        add(b, kind, n);
    }
}

static void count_reached(
    const struct leak_block *b, const uint64_t count[4], void *arg)
{
    const bool *is_late = arg;

    add_some(b, MP_LEAK_REACHABLE, count[LEAK_REACHED]);
    add_some(b, MP_LEAK_POSSIBLE,
        count[LEAK_POSSIBLE] + (*is_late ? count[LEAK_UNSEEN] : 0));
}

/* What the last leader led to. */
static struct mp_region_leak_cell owned;

static void count_owned(const struct leak_block *b)
{
    add(b, MP_LEAK_INDIRECT, 1);
    owned.owned_blocks++;
    owned.owned_bytes += b->bytes;
}

static bool count_leader(const struct leak_block *b, void *arg)
{
    const struct leak_round *r = the_round;
    struct mp_region_leak_cell *cell = cell_of(b);
    const struct sampled *s;
    struct mp_region_leak_site *site = site_of(b, &s);

    (void)arg;
    owned.owned_blocks = owned.owned_bytes = 0;
    leak_mark_owned(b, count_owned);
    add(b, MP_LEAK_DEFINITE, 1);
    if (r->before != NULL && lost_has(r->before, b)) {
        add(b, MP_LEAK_LOST, 1);
    }
    if (r->write != NULL) {
        lost_add(r->write, b);
    }
    if (cell != NULL) {
        cell->owned_blocks += owned.owned_blocks;
        cell->owned_bytes += owned.owned_bytes;
    }
    if (site != NULL) {
        site->owned_blocks += s->blocks * (double)owned.owned_blocks;
        site->owned_bytes += s->blocks * (double)owned.owned_bytes;
    }
    return true;
}

/* Those for which there was no time, or no room: which leads to which is not known. */
static void count_rest(const struct leak_block *b, const uint64_t count[4], void *arg)
{
    (void)arg;
    add_some(b, MP_LEAK_INDIRECT, count[LEAK_INDIRECT]);
    add_some(b, MP_LEAK_POSSIBLE, count[LEAK_UNSEEN]);
}

/* ---- the round ---- */

static int look(const struct leak_round *r)
{
    uint64_t most_ns = r->most_ms * UINT64_C(1000000);
    uint64_t deadline_ns =
        r->most_ms != 0 ? os_monotonic_ns() + most_ns - most_ns / LATE_PART : 0;
    struct leak_own own[3] = {{r->area, r->area->bytes}};
    bool is_late;
    int code;

    if (r->write != NULL) {
        own[1] = (struct leak_own){r->write, r->write->bytes};
    }
    if (r->before != NULL) {
        own[2] = (struct leak_own){r->before, r->before->bytes};
    }
    if (leak_heap_open() != 0 || !leak_mark_begin(&r->pointers, deadline_ns)) {
        return -ENOMEM;
    }
    code = leak_roots_mark(own, 3);
    if (code != 0) {
        return code;
    }
    leak_mark_reached();
    leak_mark_possible();
    is_late = leak_mark_sums().is_late;
    leak_heap_count(count_reached, &is_late);
    leak_heap_keep_unseen();
    if (!is_late) {
        leak_mark_lost();
        leak_heap_each_backwards(LEAK_LEADER, count_leader, NULL);
        leak_heap_count(count_rest, NULL);
    }
    return 0;
}

void leak_child_look(const struct leak_round *r)
{
    uint64_t start_ns = os_monotonic_ns();
    uint64_t start_cpu_ns = os_cpu_ns();
    struct leak_area *a = r->area;
    struct leak_mark_sums sums;

    the_round = r;
    a->error = look(r);
    sums = leak_mark_sums();
    a->partial |= sums.is_late ? MP_LEAK_PARTIAL_TIME : 0;
    a->partial |= leak_heap_sums().unsure_slabs != 0 ? MP_LEAK_PARTIAL_BUSY : 0;
    a->partial |= sums.faults != 0 ? MP_LEAK_PARTIAL_MEMORY : 0;
    a->heap_bytes = sums.heap_bytes;
    a->root_bytes = sums.root_bytes;
    a->own_bytes = leak_own_bytes();
    a->mark_ns = os_monotonic_ns() - start_ns;
    a->mark_cpu_ns = os_cpu_ns() - start_cpu_ns;
}

void leak_child_run(const struct leak_round *r)
{
    os_begin_child(r->most_ms, leak_mark_on_fault);
    leak_child_look(r);
    os_exit(LEAK_CHILD_DONE);
}
