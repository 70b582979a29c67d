#include "span.h"

#include "check.h"
#include "os.h"
#include "probe.h"
#include "thp.h"

/*
 * Invariants, with span_lock free:
 *
 *     P1  the first entry of a free run has kind SPAN_FREE_*, run = its length; the last,
 *         if another, SPAN_FREE_TAIL and the same run; those between SPAN_NONE
 *     P2  no two free runs of one kind touch
 *     P3  every free run is in the bin of its kind and length; every dirty run also in the
 *         age list, oldest first
 *     P4  pocket[n - 1] is NULL or a run of n spans of kind SPAN_POCKETED, in no list
 */

enum {
    BINS_EXACT = 32, /* runs of 1 to 32 spans: one bin each */
    BINS = 64,       /* then four to each doubling */
    POCKETS = 32,    /* lengths of runs that are pocketed */
};

struct bins {
    uint64_t nonempty;
    struct span *head[BINS];
    size_t spans; /* in all of them */
    size_t parts; /* touched ones */
};

struct lock span_lock = LOCK_INIT(RANK_SPANS);
static struct bins dirty;
static struct bins clean;
static struct span *oldest, *newest; /* dirty runs by age */
static struct span *purging;         /* runs on their way to the kernel */
static struct span *pocket[POCKETS]; /* by length */
static uint32_t pocketed;            /* a bit for each length that is there */
static size_t used_spans;
static size_t purged_bytes;
static size_t purges;

static unsigned bin_of(size_t run)
{
    unsigned log;
    unsigned bin;

    if (run <= BINS_EXACT) {
        return (unsigned)run - 1;
    }
    log = bits_log2(run);
    bin = BINS_EXACT + (log - 5) * 4 + (unsigned)((run >> (log - 2)) & 3);
    return bin < BINS ? bin : BINS - 1;
}

static void bin_insert(struct bins *b, struct span *s)
{
    unsigned i = bin_of(s->run);

    s->prev = NULL;
    s->next = b->head[i];
    if (s->next != NULL) {
        s->next->prev = s;
    }
    b->head[i] = s;
    b->nonempty |= (uint64_t)1 << i;
    b->spans += s->run;
    b->parts += s->touched;
}

static void bin_remove(struct bins *b, struct span *s)
{
    unsigned i = bin_of(s->run);

    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        b->head[i] = s->next;
        if (s->next == NULL) {
            b->nonempty &= ~((uint64_t)1 << i);
        }
    }
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    b->spans -= s->run;
    b->parts -= s->touched;
}

/* The first run of at least `count` spans in the least bin that has one. */
static struct span *bin_find(const struct bins *b, size_t count)
{
    unsigned i = bin_of(count);
    uint64_t candidates = b->nonempty >> i << i;

    while (candidates != 0) {
        struct span *s;

        i = (unsigned)__builtin_ctzll(candidates);
        for (s = b->head[i]; s != NULL; s = s->next) {
            if (s->run >= count) {
                return s; /* at once, but for the bins of several lengths */
            }
        }
        candidates &= candidates - 1;
    }
    return NULL;
}

static void age_append(struct span *s)
{
    s->age_next = NULL;
    s->age_prev = newest;
    if (newest != NULL) {
        newest->age_next = s;
    } else {
        oldest = s;
    }
    newest = s;
}

static void age_remove(struct span *s)
{
    if (s->age_prev != NULL) {
        s->age_prev->age_next = s->age_next;
    } else {
        oldest = s->age_next;
    }
    if (s->age_next != NULL) {
        s->age_next->age_prev = s->age_prev;
    } else {
        newest = s->age_prev;
    }
}

static void run_mark(struct span *s, size_t run, enum span_kind kind)
{
    s->owner = 0;
    s->run = (uint32_t)run;
    store_relaxed(&s->kind, (uint8_t)kind); /* sweeps read it without the lock */
    if (run > 1) {
        s[run - 1].run = (uint32_t)run;
        store_relaxed(&s[run - 1].kind, SPAN_FREE_TAIL);
    }
}

static void run_unmark(struct span *s)
{
    store_relaxed(&s[s->run - 1].kind, SPAN_NONE);
    store_relaxed(&s->kind, SPAN_NONE);
}

/* Take a free run out of all lists. */
static void run_remove(struct span *s)
{
    if (s->kind == SPAN_FREE_DIRTY) {
        bin_remove(&dirty, s);
        age_remove(s);
    } else {
        bin_remove(&clean, s);
    }
    run_unmark(s);
}

/* At most this many parts of a run of that length can be touched. */
static size_t parts_within(size_t touched, size_t run)
{
    return bits_min(touched, run * SPAN_PARTS);
}

static void run_insert(
    struct span *s, size_t run, enum span_kind kind, uint32_t stamp_ms, size_t touched)
{
    run_mark(s, run, kind);
    s->stamp_ms = stamp_ms;
    store_relaxed(&s->touched, (uint32_t)parts_within(touched, run));
    if (kind == SPAN_FREE_DIRTY) {
        bin_insert(&dirty, s);
        age_append(s);
    } else {
        bin_insert(&clean, s);
    }
}

/*
 * What an entry is, for neighbours of a run: that it is free changes only under the lock;
 * from none to slab or large its user changes it without.
 */
static uint8_t kind_of(const struct span *s)
{
    return load_relaxed(&s->kind);
}

/* The free run that ends before s, or NULL. */
static struct span *run_before(struct span *s, const struct range *r)
{
    struct span *before = s - 1;
    uint8_t kind;

    if ((char *)s == r->table) {
        return NULL;
    }
    kind = kind_of(before);
    if (kind == SPAN_FREE_TAIL) {
        return before - before->run + 1;
    }
    return kind == SPAN_FREE_DIRTY || kind == SPAN_FREE_CLEAN ? before : NULL;
}

static struct span *entry_end(const struct range *r)
{
    return (struct span *)(r->table + (r->frontier << SPAN_ENTRY_SHIFT));
}

/* Insert a run, merged with its neighbours of the same kind. */
static void run_merge(
    struct span *s, size_t run, enum span_kind kind, uint32_t stamp_ms, size_t touched)
{
    const struct range *r = pagemap_range_of(s);
    struct span *before = run_before(s, r);
    struct span *after = s + run;
    size_t fresh = run;

    if (before != NULL && kind_of(before) == kind) {
        /* A run that mostly lay idle keeps its age: churn at its edge does not renew it. */
        if (before->run > 4 * fresh) {
            stamp_ms = before->stamp_ms;
        }
        run += before->run;
        touched += before->touched;
        run_remove(before);
        s = before;
    }
    if (after < entry_end(r) && kind_of(after) == kind) {
        if (after->run > 4 * fresh) {
            stamp_ms = after->stamp_ms;
        }
        run += after->run;
        touched += after->touched;
        run_remove(after);
    }
    run_insert(s, run, kind, stamp_ms, touched);
}

/* ---- the pocket ---- */

static void pocket_remove(struct span *s)
{
    size_t run = s->run;

    pocket[run - 1] = NULL;
    pocketed &= ~((uint32_t)1 << (run - 1));
    store_relaxed(&s->kind, SPAN_NONE);
}

/* To the free runs. */
static void pocket_empty(struct span *s)
{
    pocket_remove(s);
    run_merge(s, s->run, SPAN_FREE_DIRTY, s->stamp_ms, s->touched);
}

static void pocket_empty_all(void)
{
    while (pocketed != 0) {
        pocket_empty(pocket[__builtin_ctz(pocketed)]);
    }
}

static void pocket_put(struct span *s, size_t run, size_t touched, uint32_t now_ms)
{
    struct span *before = pocket[run - 1];

    if (before != NULL) {
        pocket_empty(before);
    }
    s->owner = 0;
    s->run = (uint32_t)run;
    s->stamp_ms = now_ms;
    store_relaxed(&s->touched, (uint32_t)parts_within(touched, run));
    store_relaxed(&s->kind, SPAN_POCKETED); /* sweeps read it without the lock */
    pocket[run - 1] = s;
    pocketed |= (uint32_t)1 << (run - 1);
}

/* ---- acquire, release ---- */

/* Of the parts of a run, those of a piece of it. Where they are in it is not known. */
static size_t parts_of_piece(size_t touched, size_t piece, size_t run)
{
    if (piece == 0 || touched >= run * SPAN_PARTS) {
        return piece * SPAN_PARTS;
    }
    return (touched * piece + run - 1) / run;
}

/*
 * Cut [s + skip, count) out of a free run that was removed, and give back the rest. Each piece
 * has its share of what was touched: together they have no more than the run had.
 */
static struct span *run_cut(struct span *s, size_t run, size_t skip, size_t count,
    enum span_kind kind, uint32_t stamp_ms)
{
    size_t touched = s->touched;
    size_t rest = run - skip - count;
    size_t before = parts_of_piece(touched, skip, run);
    size_t after = bits_min(parts_of_piece(touched, rest, run), touched - before);

    if (skip > 0) {
        run_insert(s, skip, kind, stamp_ms, before);
    }
    if (rest > 0) {
        run_insert(s + skip + count, rest, kind, stamp_ms, after);
    }
    store_relaxed(
        &s[skip].touched, (uint32_t)parts_within(touched - before - after, count));
    return s + skip;
}

static size_t skip_to_align(const struct span *s, size_t align)
{
    uintptr_t index;

    if (align == 1) {
        return 0;
    }
    index = (uintptr_t)pagemap_address(s) >> SPAN_SHIFT;
    return (size_t)(-index & (align - 1));
}

/* Spans that were never used before. */
static struct span *extend(size_t count)
{
    struct span *s = pagemap_extend_locked(count);

    if (s == NULL) {
        return NULL;
    }
    store_relaxed(&s->touched, (uint32_t)span_parts_of(thp_extend_locked(s, count)));
    return s;
}

static struct span *acquire_from(struct bins *b, size_t count, size_t align)
{
    struct span *s = bin_find(b, count + align - 1);
    enum span_kind kind;
    uint32_t stamp_ms;
    size_t run;

    if (s == NULL) {
        return NULL;
    }
    kind = (enum span_kind)s->kind;
    run = s->run;
    stamp_ms = s->stamp_ms;
    run_remove(s);
    return run_cut(s, run, skip_to_align(s, align), count, kind, stamp_ms);
}

struct span *span_acquire_locked(size_t count, size_t align, bool *ret_clean)
{
    struct span *s;

    *ret_clean = false;
    if (count <= POCKETS && align == 1 && pocket[count - 1] != NULL) {
        s = pocket[count - 1];
        pocket_remove(s);
        store_relaxed(&used_spans, used_spans + count);
        probe_note_spans(used_spans);
        return s;
    }
    s = acquire_from(&dirty, count, align);
    if (s == NULL && pocketed != 0) {
        pocket_empty_all();
        s = acquire_from(&dirty, count, align);
    }
    if (s == NULL) {
        *ret_clean = true;
        s = acquire_from(&clean, count, align);
    }
    if (s == NULL) {
        s = extend(count + align - 1);
        if (s != NULL && align > 1) {
            s = run_cut(s, count + align - 1, skip_to_align(s, align), count,
                SPAN_FREE_CLEAN, 0);
        }
    }
    if (s != NULL) {
        store_relaxed(&used_spans, used_spans + count);
        probe_note_spans(used_spans);
    }
    return s;
}

struct span *span_acquire(size_t count, size_t align, bool *ret_clean)
{
    struct span *s;

    lock_lock(&span_lock);
    s = span_acquire_locked(count, align, ret_clean);
    lock_unlock(&span_lock);
    return s;
}

void span_release_locked(struct span *s, size_t count, size_t touched, uint32_t now_ms)
{
    store_relaxed(&used_spans, used_spans - count);
    if (count <= POCKETS) {
        pocket_put(s, count, touched, now_ms);
    } else {
        run_merge(s, count, SPAN_FREE_DIRTY, now_ms, touched);
    }
}

void span_release(struct span *s, size_t count, size_t touched)
{
    uint32_t now_ms = os_coarse_ms();

    lock_lock(&span_lock);
    span_release_locked(s, count, touched, now_ms);
    lock_unlock(&span_lock);
}

bool span_extend(struct span *s, size_t count, size_t wanted, bool *ret_clean)
{
    const struct range *r = pagemap_range_of(s);
    struct span *after = s + count;
    size_t more = wanted - count;
    bool done = false;

    lock_lock(&span_lock);
    if (after < entry_end(r)
        && (kind_of(after) == SPAN_POCKETED
            || (kind_of(after) == SPAN_FREE_DIRTY && after->run < more))) {
        pocket_empty_all(); /* what is behind may be longer then */
    }
    if (after == entry_end(r)) {
        /* The frontier: new spans come right behind, if they come from this range. */
        struct span *fresh = r->frontier + more <= r->spans_max ? extend(more) : NULL;

        done = fresh == after;
        *ret_clean = true;
        if (done) {
            store_relaxed(&s->touched, s->touched + fresh->touched);
        }
        if (fresh != NULL && !done) {
            run_merge(fresh, more, SPAN_FREE_CLEAN, 0, fresh->touched);
        }
    } else if ((kind_of(after) == SPAN_FREE_DIRTY || kind_of(after) == SPAN_FREE_CLEAN)
               && after->run >= more) {
        enum span_kind kind = (enum span_kind)after->kind;
        size_t run = after->run;
        uint32_t stamp_ms = after->stamp_ms;

        run_remove(after);
        run_cut(after, run, 0, more, kind, stamp_ms);
        store_relaxed(&s->touched, s->touched + after->touched);
        *ret_clean = kind == SPAN_FREE_CLEAN;
        done = true;
    }
    if (done) {
        store_relaxed(&used_spans, used_spans + more);
    }
    lock_unlock(&span_lock);
    return done;
}

/* The oldest dirty run, if it is old enough, taken out of the lists. */
static struct span *purge_begin_locked(uint32_t now_ms, uint32_t age_ms)
{
    struct span *s = oldest;

    /* Signed: another thread's stamp may be younger than our look at the clock. */
    if (s == NULL
        || (age_ms != 0 && (int32_t)(now_ms - s->stamp_ms) < (int32_t)age_ms)) {
        return NULL;
    }
    run_remove(s);
    store_relaxed(&s->kind, SPAN_PURGING);
    s->age_next = purging; /* where a forked child finds it */
    s->age_prev = NULL;
    if (purging != NULL) {
        purging->age_prev = s;
    }
    purging = s;
    return s;
}

static void purge_end_locked(struct span *s)
{
    if (s->age_prev != NULL) {
        s->age_prev->age_next = s->age_next;
    } else {
        purging = s->age_next;
    }
    if (s->age_next != NULL) {
        s->age_next->age_prev = s->age_prev;
    }
}

/* What others were giving back when we forked: they are not here to finish it. */
void span_after_fork_in_child(void)
{
    while (purging != NULL) {
        struct span *s = purging;

        purge_end_locked(s);
        run_merge(s, s->run, SPAN_FREE_DIRTY, os_coarse_ms(), s->touched);
    }
}

size_t span_purge(uint32_t now_ms, uint32_t age_ms, size_t most)
{
    size_t done_bytes = 0;

    lock_lock(&span_lock);
    pocket_empty_all();
    while (done_bytes < most) {
        struct span *s = purge_begin_locked(now_ms, age_ms);
        size_t bytes;
        size_t touched_bytes;
        bool done;

        if (s == NULL) {
            break;
        }
        bytes = (size_t)s->run << SPAN_SHIFT;
        touched_bytes = (size_t)s->touched << SPAN_PART_SHIFT;
        lock_unlock(&span_lock);
        done = os_purge(span_address(s), bytes);
        lock_lock(&span_lock);
        purge_end_locked(s);
        if (!done) { /* refused: stays ours, dirty, and is not tried again at once */
            run_merge(s, s->run, SPAN_FREE_DIRTY, now_ms, s->touched);
            break;
        }
        run_merge(s, s->run, SPAN_FREE_CLEAN, 0, 0);
        done_bytes += touched_bytes;
        purged_bytes += touched_bytes;
        purges++;
    }
    lock_unlock(&span_lock);
    return done_bytes;
}

struct span_totals span_totals(void)
{
    struct span_totals t;
    size_t spans = 0;
    size_t parts = 0;

    lock_lock(&span_lock);
    for (unsigned i = 0; i < POCKETS; i++) {
        if (pocket[i] != NULL) {
            spans += pocket[i]->run;
            parts += pocket[i]->touched;
        }
    }
    spans += clean.spans + dirty.spans;
    parts += clean.parts + dirty.parts; /* clean ones: in huge pages */
    t = (struct span_totals){
        .dirty_bytes = parts << SPAN_PART_SHIFT,
        .retained_bytes = (spans << SPAN_SHIFT) - (parts << SPAN_PART_SHIFT),
        .used_spans = used_spans,
        .purged_bytes = purged_bytes,
        .purges = purges,
    };
    lock_unlock(&span_lock);
    return t;
}

size_t span_used(void)
{
    return load_relaxed(&used_spans);
}
