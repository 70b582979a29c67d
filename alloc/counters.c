#include "counters.h"

#include "arena.h"
#include "guard.h"
#include "heap.h"
#include "huge.h"
#include "os.h"
#include "pool.h"

#include <string.h>

struct lock counters_lock = LOCK_INIT(RANK_PUBLISH);
static struct counters_row *rows[COMPONENT_ROWS];
static struct counters_totals totals;

/* Where the sweep under way stands. */
static struct {
    bool is_running;
    size_t range;
    size_t index;
    uint64_t guarded_bytes;      /* live, outside slabs */
    struct counters_totals seen; /* refills and the slab_ fields only */
} sweep;

static struct counters_row *obtain_row(size_t row)
{
    if (rows[row] == NULL) {
        rows[row] = arena_alloc(sizeof(*rows[row]));
    }
    return rows[row];
}

/*
 * The order of the three parts matters. A refill between them raises `used` and `waiting`
 * of the same blocks; handed is read first, so blocks handed out since are missed, not
 * counted as freed. Counts thus come late, never early, and catch up.
 */

/* What was allocated of a component in guarded slots and in the pool of samples. */
static void add_outside_slabs(size_t i)
{
    const uint64_t *guarded = guard_allocated(component_by_row(i));
    const struct pool_counts *pool = pool_counts_of(component_by_row(i));
    struct counters_row *row = guarded != NULL || pool != NULL ? obtain_row(i) : NULL;

    for (unsigned cls = 0; row != NULL && cls < CLASS_SLAB_COUNT; cls++) {
        if (guarded != NULL) {
            row->handed[cls] += load_acquire(&guarded[cls]); /* guard_try_alloc_slow */
        }
        for (const struct pool_counts *n = pool; n != NULL; n = pool_next_counts(n)) {
            row->handed[cls] += load_acquire(&n->allocated[cls]);
        }
    }
}

/* 1: what heaps handed out, ever. */
static void sweep_begin(void)
{
    uint64_t handed[CLASS_SLAB_COUNT];
    size_t count = component_count();

    sweep.seen = (struct counters_totals){0};
    for (size_t i = 0; i < count; i++) {
        const struct mp_component *c = component_by_row(i);
        struct counters_row *row = rows[i];

        if (row == NULL && load_relaxed(&c->has_heap)) {
            row = obtain_row(i);
        }
        if (row == NULL) {
            continue;
        }
        for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
            row->handed[cls] = c->handed_gone[cls];
            row->used[cls] = 0;
            row->waiting[cls] = 0;
            row->returned[cls] = 0;
            row->touched[cls] = 0;
        }
    }
    for (const struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        const struct mp_component *c = load_acquire(&h->component);
        struct counters_row *row = c != NULL ? obtain_row(c->row) : NULL;

        if (row == NULL) {
            continue;
        }
        for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
            handed[cls] = load_acquire(&h->handed[cls]); /* heap_refill */
        }
        sweep.seen.refills += load_relaxed(&h->refills);
        if (load_relaxed(&h->component) != c) {
            continue; /* it went to another one meanwhile */
        }
        for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
            row->handed[cls] += handed[cls];
        }
    }
    for (size_t i = 0; i < count; i++) {
        add_outside_slabs(i);
    }
    sweep.is_running = true;
    sweep.range = 0;
    sweep.index = 0;
}

/* Racy: the slab may change hands meanwhile; each field is checked before it is used. */
static RACY_READER void sweep_slab(const struct span *s)
{
    unsigned cls = load_relaxed(&s->cls);
    unsigned row_number = load_relaxed(&s->row);
    uint64_t used = slab_used_at_once(s);
    uint64_t remote = slab_remote_count(s);
    uint64_t carved = load_relaxed(&s->carved);
    uint64_t touched;
    struct counters_row *row;

    if (cls >= CLASS_SLAB_COUNT || row_number >= component_count()) {
        return;
    }
    row = rows[row_number];
    touched = bits_round_up(bits_max(carved * sizeclass_bytes(cls),
                                (uint64_t)slab_touched_before(s) << SPAN_PART_SHIFT),
        os_page_bytes());
    if (row != NULL) {
        row->touched[cls] += touched;
        /* More than there are: of a hard slab, of which a remote free is still to be counted. */
        row->used[cls] += bits_min(used - bits_min(remote, used), carved);
    }
    sweep.seen.slab_bytes += (uint64_t)sizeclass_table[cls].spans * SPAN_BYTES;
    sweep.seen.slab_touched_bytes += touched;
}

/* How many entries to go on by: over runs at once. */
static RACY_READER size_t entry_length(const struct span *s, unsigned kind)
{
    if (kind != SPAN_LARGE && kind != SPAN_CONFINED && kind != SPAN_KEPT
        && kind != SPAN_POCKETED && kind != SPAN_FREE_DIRTY
        && kind != SPAN_FREE_CLEAN) {
        return 1;
    }
    return bits_max(load_relaxed(&s->run), 1);
}

/* 2: blocks in use in slabs, remote frees not counted. True: all were seen. */
static bool sweep_spans(size_t most)
{
    while (sweep.range < pagemap_range_count()) {
        const struct range *r = &pagemap_ranges[sweep.range];
        size_t frontier = load_acquire(&r->frontier);

        while (sweep.index < frontier) {
            const struct span *s =
                (const struct span *)(r->table + (sweep.index << SPAN_ENTRY_SHIFT));
            unsigned kind = load_acquire(&s->kind); /* pairs with slab_init */

            if (most-- == 0) {
                return false;
            }
            if (kind == SPAN_SLAB || kind == SPAN_TRACKED) {
                sweep_slab(s);
            } else if (kind == SPAN_SAMPLED) {
                sweep.seen.slab_bytes += SPAN_BYTES;
                sweep.seen.slab_touched_bytes += pool_touched_bytes(s);
            }
            sweep.index += entry_length(s, kind);
        }
        sweep.range++;
        sweep.index = 0;
    }
    return true;
}

/* And guarded blocks: they lie in no slab. */
static void count_guarded(unsigned row, unsigned cls, void *arg)
{
    if (row < component_count() && rows[row] != NULL) {
        rows[row]->used[cls]++;
        *(uint64_t *)arg += sizeclass_bytes(cls);
    }
}

/*
 * Blocks that wait on a list which its owner may be popping from. The links run through
 * free blocks of one span; a link that leaves it is what a program wrote into a block that
 * was popped meanwhile. The list is as it was when its head has not changed.
 */
RACY_READER uint64_t counters_list_length(struct block *const *head)
{
    for (unsigned tries = 0; tries < 4; tries++) {
        const struct block *first = load_relaxed(head);
        const struct block *b = first;
        const struct span *s = span_find(first);
        uintptr_t span = (uintptr_t)first >> SPAN_SHIFT;
        uint64_t n = 0;

        while (b != NULL && ((uintptr_t)b >> SPAN_SHIFT == span || span_find(b) == s)
               && ((uintptr_t)b & (BLOCK_ALIGN - 1)) == 0 && n <= SLAB_BLOCKS_MAX) {
            n++;
            b = load_relaxed(&b->next);
        }
        fence_acquire(); /* the second look comes after the walk */
        if (b == NULL && load_relaxed(head) == first) {
            return n;
        }
    }
    return COUNTERS_LIST_BUSY; /* this class keeps its figures until the next sweep */
}

/*
 * Blocks of lists that were put back: handed out, but never to the program. Last of all: one
 * that is put back meanwhile is counted neither as allocated nor as freed, or as both.
 */
static void sweep_returned(void)
{
    size_t count = component_count();

    for (size_t i = 0; i < count; i++) {
        const struct mp_component *c = component_by_row(i);

        for (unsigned cls = 0; rows[i] != NULL && cls < CLASS_SLAB_COUNT; cls++) {
            rows[i]->returned[cls] = c->returned_gone[cls];
        }
    }
    for (const struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        const struct mp_component *c = load_acquire(&h->component);
        struct counters_row *row = c != NULL ? rows[c->row] : NULL;

        for (unsigned cls = 0; row != NULL && cls < CLASS_SLAB_COUNT; cls++) {
            row->returned[cls] += load_acquire(&h->returned[cls]); /* return_head */
        }
    }
}

/* Freed first: one that is allocated and freed in between is not counted as freed. */
static void count_pool(void)
{
    size_t count = component_count();

    for (size_t i = 0; i < count; i++) {
        const struct pool_counts *n = pool_counts_of(component_by_row(i));

        for (unsigned cls = 0; n != NULL && rows[i] != NULL && cls < CLASS_SLAB_COUNT;
             cls++) {
            uint64_t live = 0;

            for (const struct pool_counts *m = n; m != NULL; m = pool_next_counts(m)) {
                live -= load_acquire(&m->freed[cls]); /* pool_free_locked, exact_free */
            }
            for (const struct pool_counts *m = n; m != NULL; m = pool_next_counts(m)) {
                live += load_relaxed(&m->allocated[cls]);
            }
            rows[i]->used[cls] += live;
        }
    }
}

/* 3: blocks on the heaps' lists and in their hands. */
static void sweep_lists(void)
{
    sweep.guarded_bytes = 0;
    guard_each_live(count_guarded, &sweep.guarded_bytes);
    count_pool();
    for (const struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        const struct mp_component *c = load_acquire(&h->component);
        struct counters_row *row = c != NULL ? rows[c->row] : NULL;
        const struct track_hand *hands = load_acquire(&h->hands); /* obtain_hands */

        if (row == NULL) {
            continue;
        }
        for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
            if (load_relaxed(&h->head[cls]) != NULL) {
                row->waiting[cls] += counters_list_length(&h->head[cls]);
            }
            if (hands != NULL) {
                row->waiting[cls] += bits_count(load_relaxed(&hands[cls].ready));
            }
        }
    }
    sweep_returned();
}

static bool has_large(const struct mp_component *c)
{
    for (unsigned i = 0; i < CLASS_LARGE_COUNT; i++) {
        if (load_relaxed(&c->large[i].allocated_blocks) != 0) {
            return true;
        }
    }
    return false;
}

/*
 * What was allocated before what was freed: while others go on, live bytes come out too small,
 * never too large. A heap that went to another component meanwhile counts with the next sweep.
 */
static void add_large(struct large_count *sum, const struct large_count *n,
    unsigned most, const struct heap *h, const struct mp_component *c)
{
    struct large_count seen[CLASS_LARGE_COUNT];

    for (unsigned i = 0; i < most; i++) {
        seen[i].allocated_blocks = load_acquire(&n[i].allocated_blocks);
        seen[i].allocated_bytes = load_acquire(&n[i].allocated_bytes);
        seen[i].freed_blocks = load_acquire(&n[i].freed_blocks);
        seen[i].freed_bytes = load_acquire(&n[i].freed_bytes);
    }
    if (h != NULL && load_relaxed(&h->component) != c) {
        return;
    }
    for (unsigned i = 0; i < most; i++) {
        sum[i].allocated_blocks += seen[i].allocated_blocks;
        sum[i].allocated_bytes += seen[i].allocated_bytes;
        sum[i].freed_blocks += seen[i].freed_blocks;
        sum[i].freed_bytes += seen[i].freed_bytes;
    }
}

/* Large blocks, all at once. */
static void sweep_large(void)
{
    size_t count = component_count();

    for (size_t i = 0; i < count; i++) {
        const struct mp_component *c = component_by_row(i);
        struct counters_row *row =
            rows[i] != NULL || has_large(c) ? obtain_row(i) : NULL;

        if (row != NULL) {
            memset(row->large, 0, sizeof(row->large));
            add_large(row->large, c->large, CLASS_LARGE_COUNT, NULL, c);
        }
    }
    for (const struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        const struct mp_component *c = load_acquire(&h->component);
        struct counters_row *row = c != NULL ? rows[c->row] : NULL;

        if (row != NULL) {
            add_large(row->large, h->large, LARGE_CACHE_CLASSES, h, c);
        }
    }
}

/* ---- figures ---- */

static void raise(uint64_t *value, uint64_t to, bool *has_changed)
{
    if (to > *value) {
        *value = to;
        *has_changed = true;
    }
}

static void finish_small(struct counters_row *row, unsigned cls)
{
    struct mp_region_cell *cell = &row->cell[cls];
    uint64_t bytes = sizeclass_bytes(cls);
    uint64_t returned = bits_min(row->returned[cls], row->handed[cls]);
    uint64_t handed = row->handed[cls] - returned;
    uint64_t allocated = handed - bits_min(row->waiting[cls], handed);
    uint64_t freed = handed - bits_min(row->used[cls], handed);

    raise(&cell->allocated_blocks_total, allocated, &row->has_changed);
    raise(&cell->freed_blocks_total, bits_min(freed, cell->allocated_blocks_total),
        &row->has_changed);
    cell->allocated_bytes_total = cell->allocated_blocks_total * bytes;
    cell->freed_bytes_total = cell->freed_blocks_total * bytes;
    row->has_changed |= cell->slab_bytes != row->touched[cls];
    cell->slab_bytes = row->touched[cls];
}

static void finish_large(struct counters_row *row, unsigned cls)
{
    struct mp_region_cell *cell = &row->cell[cls];
    const struct large_count *n = &row->large[cls - CLASS_SLAB_COUNT];

    raise(&cell->allocated_blocks_total, n->allocated_blocks, &row->has_changed);
    raise(&cell->allocated_bytes_total, n->allocated_bytes, &row->has_changed);
    raise(&cell->freed_blocks_total,
        bits_min(n->freed_blocks, cell->allocated_blocks_total), &row->has_changed);
    raise(&cell->freed_bytes_total,
        bits_min(n->freed_bytes, cell->allocated_bytes_total), &row->has_changed);
}

static void finish_row(struct counters_row *row)
{
    struct mp_region_component sum = row->sum;

    row->has_changed = false;
    sum.allocated_blocks_total = sum.freed_blocks_total = 0;
    sum.allocated_bytes_total = sum.freed_bytes_total = 0;
    for (unsigned cls = 0; cls < CLASS_COUNT; cls++) {
        struct mp_region_cell *cell = &row->cell[cls];

        if (cls < CLASS_SLAB_COUNT) {
            finish_small(row, cls);
        } else {
            finish_large(row, cls);
        }
        raise(&cell->live_peak_bytes,
            cell->allocated_bytes_total - cell->freed_bytes_total, &row->has_changed);
        sum.allocated_blocks_total += cell->allocated_blocks_total;
        sum.freed_blocks_total += cell->freed_blocks_total;
        sum.allocated_bytes_total += cell->allocated_bytes_total;
        sum.freed_bytes_total += cell->freed_bytes_total;
    }
    sum.live_blocks = sum.allocated_blocks_total - sum.freed_blocks_total;
    sum.live_bytes = sum.allocated_bytes_total - sum.freed_bytes_total;
    sum.tree_live_bytes = sum.live_bytes;
    row->sum = sum;
}

/* Children have the higher rows: from the last to the first each is complete. */
static void roll_up(size_t count, uint64_t now_ns)
{
    bool changed; /* not needed here */

    for (size_t i = count; i-- > 0;) {
        const struct mp_component *parent = component_by_row(i)->parent;
        struct counters_row *row = rows[i];
        struct mp_region_component *sum;

        if (row == NULL) {
            continue;
        }
        sum = &row->sum;
        if (sum->live_bytes > sum->live_peak_bytes) {
            sum->live_peak_ns = now_ns;
            raise(&sum->live_peak_bytes, sum->live_bytes, &changed);
        }
        if (sum->tree_live_bytes > sum->tree_live_peak_bytes) {
            sum->tree_live_peak_ns = now_ns;
            raise(&sum->tree_live_peak_bytes, sum->tree_live_bytes, &row->has_changed);
        }
        if (parent != NULL && obtain_row(parent->row) != NULL) {
            struct counters_row *above = rows[parent->row];

            above->sum.tree_live_bytes += sum->tree_live_bytes;
            above->has_changed |= row->has_changed;
        }
    }
}

static void finish(void)
{
    size_t count = component_count();
    uint64_t now_ns = os_realtime_ns();
    struct counters_totals t = sweep.seen;

    t.live_peak_bytes = totals.live_peak_bytes;
    t.live_peak_ns = totals.live_peak_ns;
    for (size_t i = 0; i < count; i++) {
        if (rows[i] == NULL) {
            continue;
        }
        finish_row(rows[i]);
        t.allocated_blocks += rows[i]->sum.allocated_blocks_total;
        t.freed_blocks += rows[i]->sum.freed_blocks_total;
        t.allocated_bytes += rows[i]->sum.allocated_bytes_total;
        t.freed_bytes += rows[i]->sum.freed_bytes_total;
        for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
            const struct mp_region_cell *cell = &rows[i]->cell[cls];

            t.slab_live_bytes += cell->allocated_bytes_total - cell->freed_bytes_total;
        }
        for (unsigned cls = CLASS_SLAB_COUNT; cls < CLASS_COUNT; cls++) {
            const struct mp_region_cell *cell = &rows[i]->cell[cls];

            t.large_live_bytes += cell->allocated_bytes_total - cell->freed_bytes_total;
        }
    }
    t.slab_live_bytes -= bits_min(sweep.guarded_bytes, t.slab_live_bytes);
    roll_up(count, now_ns);
    for (size_t i = 0; i < count; i++) {
        if (rows[i] != NULL) {
            rows[i]->is_unwritten |= rows[i]->has_changed;
        }
    }
    if (t.allocated_bytes - t.freed_bytes > t.live_peak_bytes) {
        t.live_peak_bytes = t.allocated_bytes - t.freed_bytes;
        t.live_peak_ns = now_ns;
    }
    totals = t;
    sweep.is_running = false;
}

bool counters_sweep_locked(size_t spans)
{
    if (!sweep.is_running) {
        sweep_begin();
    }
    if (!sweep_spans(spans)) {
        return false;
    }
    sweep_lists();
    sweep.seen.huge_live_bytes = huge_live_bytes();
    sweep_large();
    finish();
    return true;
}

void counters_sweep_all_locked(void)
{
    sweep.is_running = false;
    while (!counters_sweep_locked(SIZE_MAX)) {
    }
}

const struct counters_totals *counters_totals_locked(void)
{
    return &totals;
}

const struct counters_row *counters_row_locked(size_t row)
{
    return row < component_count() ? rows[row] : NULL;
}

void counters_mark_written_locked(size_t row)
{
    rows[row]->is_unwritten = false;
}

void counters_mark_unwritten_locked(void)
{
    for (size_t i = 0; i < component_count(); i++) {
        if (rows[i] != NULL) {
            rows[i]->is_unwritten = true;
        }
    }
}
