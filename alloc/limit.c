#include "limit.h"

#include "bits.h"
#include "check.h"
#include "counters.h"
#include "guard.h"
#include "huge.h"
#include "options.h"
#include "os.h"
#include "pool.h"
#include "probe.h"
#include "region.h"
#include "slab.h"
#include "telling.h"
#include "thread.h"

#include <errno.h>
#include <string.h>

enum {
    HARD_SHARE = 64,  /* of the hard limit: bytes that may be handed out uncounted */
    OVER_SHARE = 32,  /* of the soft one: the same, while it is passed */
    BELOW_SHARE = 16, /* so far below the soft limit its next crossing counts anew */
    PATIENCE = 16,    /* ms, while what others took is on its way */
};

bool limit_is_waiting;

/* counters_lock */
static void (*listener)(struct mp_component *c, size_t live, void *arg);
static void *listener_arg;

/* ---- what is live ---- */

static uint64_t freed_bytes(const struct large_count *n, unsigned most)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < most; i++) {
        sum += load_acquire(&n[i].freed_bytes);
    }
    return sum;
}

static uint64_t allocated_bytes(const struct large_count *n, unsigned most)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < most; i++) {
        sum += load_acquire(&n[i].allocated_bytes);
    }
    return sum;
}

static uint64_t pool_bytes(const struct mp_component *c, bool is_freed)
{
    const struct pool_counts *n = pool_counts_of(c);
    uint64_t sum = 0;

    for (; n != NULL; n = pool_next_counts(n)) {
        for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
            sum += load_acquire(is_freed ? &n->freed[cls] : &n->allocated[cls])
                   * sizeclass_bytes(cls);
        }
    }
    return sum;
}

/* Freed first: what is allocated and freed in between counts as live, not as less. */
static uint64_t outside_slabs_locked(struct mp_component *root)
{
    uint64_t sum = 0;

    for (const struct mp_component *c = root; c != NULL;
         c = component_next_locked(c, root)) {
        sum -= freed_bytes(c->large, CLASS_LARGE_COUNT) + pool_bytes(c, true);
        for (const struct heap *h = c->heaps; h != NULL; h = h->next_of_component) {
            sum -= freed_bytes(h->large, LARGE_CACHE_CLASSES);
        }
    }
    for (const struct mp_component *c = root; c != NULL;
         c = component_next_locked(c, root)) {
        sum += allocated_bytes(c->large, CLASS_LARGE_COUNT) + pool_bytes(c, false);
        for (const struct heap *h = c->heaps; h != NULL; h = h->next_of_component) {
            sum += allocated_bytes(h->large, LARGE_CACHE_CLASSES);
        }
    }
    return (int64_t)sum > 0 ? sum : 0;
}

/* What is in use in slabs, with blocks that wait to be popped. Racy, as sweeps are. */
static RACY_READER bool add_slab(
    const struct budget *b, const struct span *s, void *sum)
{
    unsigned kind = load_acquire(&s->kind); /* pairs with slab_init */
    unsigned cls = load_relaxed(&s->cls);
    const struct mp_component *c = component_by_row(load_relaxed(&s->row));
    uint64_t used;
    uint64_t remote;

    if ((kind != SPAN_SLAB && kind != SPAN_TRACKED) || cls >= CLASS_SLAB_COUNT
        || c == NULL || !budget_covers(b, c)) {
        return false;
    }
    used = slab_used_at_once(s);
    remote = slab_remote_count(s);
    used = bits_min(used - bits_min(remote, used), load_relaxed(&s->carved));
    *(uint64_t *)sum += used * sizeclass_bytes(cls);
    return true;
}

/* Blocks on the lists of heaps: in use to their slabs, but nobody has them. */
static uint64_t waiting_locked(struct mp_component *root)
{
    uint64_t sum = 0;

    for (const struct mp_component *c = root; c != NULL;
         c = component_next_locked(c, root)) {
        for (const struct heap *h = c->heaps; h != NULL; h = h->next_of_component) {
            const struct track_hand *hands = load_acquire(&h->hands);

            for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
                uint64_t n = counters_list_length(&h->head[cls]);

                n = n != COUNTERS_LIST_BUSY ? n : 0;
                n += hands != NULL ? bits_count(load_relaxed(&hands[cls].ready)) : 0;
                sum += n * sizeclass_bytes(cls);
            }
        }
    }
    return sum;
}

struct guarded {
    const struct budget *b;
    uint64_t bytes;
};

static void add_guarded(unsigned row, unsigned cls, void *arg)
{
    struct guarded *g = arg;
    const struct mp_component *c = component_by_row(row);

    if (c != NULL && cls < CLASS_SLAB_COUNT && budget_covers(g->b, c)) {
        g->bytes += sizeclass_bytes(cls);
    }
}

/* is_close: without those that wait, which takes longer to tell. */
static uint64_t count_live_locked(struct budget *b, bool is_close)
{
    struct guarded guarded = {b, 0};
    uint64_t slabs = 0;
    uint64_t waiting = 0;
    uint64_t live;

    lock_lock(&component_lock);
    live = outside_slabs_locked(b->component);
    if (is_close) { /* before their slabs: what is popped in between counts as live */
        waiting = waiting_locked(b->component);
    }
    budget_each_slab(b, add_slab, &slabs);
    lock_unlock(&component_lock);
    guard_each_live(add_guarded, &guarded);
    return live + slabs - bits_min(waiting, slabs) + guarded.bytes;
}

/* ---- what follows ---- */

static void cross(struct budget *b, uint64_t live)
{
    b->is_over = true;
    b->hits++;
    b->hit_ns = os_realtime_ns();
    b->hit_bytes = live;
    store_relaxed(&b->is_waiting, true);
    store_release(&limit_is_waiting, true); /* pairs with limit_tell_slow */
    store_relaxed(&probe_is_waiting, true); /* for those who look at that alone */
}

static bool is_close(const struct budget *b, uint64_t live, size_t need)
{
    uint64_t below = b->soft - b->soft / BELOW_SHARE;

    return (b->hard != 0 && live + need > b->hard)
           || (b->soft != 0 && (b->is_over ? live >= below : live + need > b->soft));
}

/* How many bytes may be handed out before somebody must count again. */
static uint64_t room_of(const struct budget *b, uint64_t live)
{
    uint64_t room = BUDGET_UNLIMITED;

    if (b->hard != 0) {
        room = live < b->hard ? bits_max(b->hard - live, b->hard / HARD_SHARE) : 0;
    }
    if (b->soft != 0 && b->is_over) {
        room = bits_min(room, bits_max(b->soft / OVER_SHARE, 1));
    } else if (b->soft != 0) {
        room = bits_min(room, b->soft - bits_min(live, b->soft));
    }
    return room;
}

/* What this thread is about to free of it. */
static size_t lent_of(const struct budget *b)
{
    const struct thread *t = thread_local_state.thread;

    return t != NULL && t->lent != 0 && budget_covers(b, t->lender) ? t->lent : 0;
}

/* Live bytes, and what was taken for blocks that were not seen to live. */
struct counted {
    int64_t room; /* before that */
    uint64_t pending;
    uint64_t live;
};

/* In this order: a block that comes to live meanwhile is counted twice, none is left out. */
static struct counted count_locked(struct budget *b, bool is_close)
{
    struct counted n;

    n.room = load_acquire(&b->room); /* pairs with try_take */
    n.pending = load_acquire(&b->pending);
    n.live = count_live_locked(b, is_close) + n.pending;
    return n;
}

static bool fits_hard(const struct budget *b, uint64_t live, size_t need)
{
    return b->hard == 0 || (live <= b->hard && need <= b->hard - live);
}

/* So many bytes of `need` are taken at once, where it fits. */
static bool decide_locked(struct budget *b, size_t need, size_t taking, bool is_last)
{
    struct counted n = count_locked(b, false);
    size_t asked = need;
    uint32_t never = 0;
    uint64_t room;
    bool fits;

    need -= bits_min(lent_of(b), need);
    if (is_close(b, n.live, need)) {
        n = count_locked(b, true);
    }
    fits = fits_hard(b, n.live, need);
    /*
     * What is on its way is told from what has come by waiting for it: without the lock, which
     * those that it is for may need. Who has another way to go may be who it is for.
     */
    for (unsigned i = 0; i < PATIENCE && !fits && is_last && n.pending != 0
                         && fits_hard(b, n.live - n.pending, need);
         i++) {
        lock_unlock(&counters_lock);
        os_futex_wait_ms(&never, 0, 1);
        lock_lock(&counters_lock);
        n = count_locked(b, true);
        fits = fits_hard(b, n.live, need);
    }
    if (b->is_over && n.live < b->soft - b->soft / BELOW_SHARE) {
        b->is_over = false;
    }
    if (b->soft != 0 && !b->is_over && n.live + (fits ? need : 0) > b->soft) {
        cross(b, n.live + (fits ? need : 0));
    }
    if (!fits && asked != 0 && is_last) {
        b->refused++;
        b->refused_ns = os_realtime_ns();
    }
    room = bits_max(room_of(b, n.live), fits ? asked : 0);
    if (fits && taking != 0) {
        add_relaxed(&b->pending, taking);
        room -= taking;
    }
    /* What others took meanwhile stays taken. */
    add_relaxed(&b->room, (int64_t)room - n.room);
    return fits;
}

static bool can_look(size_t need)
{
    return need <= PTRDIFF_MAX && !lock_is_mine(&counters_lock)
           && !lock_is_mine(&component_lock);
}

bool limit_look(struct budget *b, size_t need, bool is_last)
{
    bool fits;

    if (!can_look(need)) {
        return true; /* it will fail by itself; or a handler interrupted us */
    }
    lock_lock(&counters_lock);
    fits =
        load_relaxed(&b->room) >= (int64_t)need || decide_locked(b, need, 0, is_last);
    lock_unlock(&counters_lock);
    return fits;
}

void limit_charge(const struct mp_component *c, size_t bytes, const void *block)
{
    struct budget *b = load_acquire(&c->budget); /* pairs with put_in_tree */
    const struct span *s = block != NULL && b != NULL ? span_find(block) : NULL;
    unsigned kind = s != NULL ? load_relaxed(&s->kind) : SPAN_NONE;

    for (; b != NULL; b = load_acquire(&b->above)) {
        sub_relaxed(&b->room, (int64_t)bytes);
        if (kind == SPAN_SLAB || kind == SPAN_TRACKED) {
            budget_mark(b, s);
        }
    }
}

size_t limit_room(const struct mp_component *c, size_t most)
{
    const struct budget *b = load_acquire(&c->budget); /* pairs with put_in_tree */

    for (; b != NULL; b = load_acquire(&b->above)) {
        int64_t room = load_relaxed(&b->room);

        most = bits_min(most, room > 0 ? (size_t)room : 0);
    }
    return most;
}

/* ---- taking ---- */

static bool try_take(struct budget *b, size_t need)
{
    int64_t room = load_relaxed(&b->room);

    if (room < (int64_t)need) {
        return false;
    }
    add_relaxed(&b->pending, need);
    while (
        !cas_weak_release(&b->room, &room, room - (int64_t)need)) { /* count_locked */
        if (room < (int64_t)need) {
            sub_relaxed(&b->pending, need);
            return false;
        }
    }
    return true;
}

static bool take(struct budget *b, size_t need, bool is_last)
{
    bool fits;

    if (try_take(b, need)) {
        return true;
    }
    lock_lock(&counters_lock);
    fits = try_take(b, need) || decide_locked(b, need, need, is_last);
    lock_unlock(&counters_lock);
    return fits;
}

/*
 * Budgets of t, up to `end`, that were there when it was taken. In a forked child nothing is on its
 * way any more. Room is given back with the lock: who counts reads it before what is pending.
 */
static void settle(const struct limit_taken *t, const struct budget *end, bool is_block)
{
    struct budget *b = load_acquire(&t->component->budget); /* pairs with put_in_tree */
    bool gives_back = !is_block && t->budgets != 0;

    if (t->forks != budget_forks()) {
        return;
    }
    if (gives_back) {
        lock_lock(&counters_lock);
    }
    for (; b != end; b = load_acquire(&b->above)) {
        if (b->number < t->budgets) {
            if (!is_block) {
                add_relaxed(&b->room, (int64_t)t->bytes);
            }
            __atomic_fetch_sub(
                &b->pending, t->bytes, __ATOMIC_RELEASE); /* count_locked */
        }
    }
    if (gives_back) {
        lock_unlock(&counters_lock);
    }
}

bool limit_take(
    const struct mp_component *c, size_t bytes, bool is_last, struct limit_taken *ret)
{
    struct budget *b;

    /* First how many there are: those of them that are c's are in its chain then. */
    *ret = (struct limit_taken){c, bytes, budget_count(), budget_forks()};
    b = load_acquire(&c->budget); /* pairs with put_in_tree */
    if (bytes == 0 || !can_look(bytes)) {
        ret->budgets = 0; /* as limit_look */
        return true;
    }
    for (; b != NULL; b = load_acquire(&b->above)) {
        if (b->number < ret->budgets && !take(b, bytes, is_last)) {
            settle(ret, b, false);
            return false;
        }
    }
    return true;
}

void limit_settle(const struct limit_taken *t, bool is_block)
{
    settle(t, NULL, is_block);
}

/* ---- lending ---- */

/* Whose block p is, and what it counts for there. NULL: not known. */
static struct mp_component *find_holder(const void *p, size_t *ret_bytes)
{
    const struct span *s = span_find(p);
    unsigned kind = s != NULL ? load_relaxed(&s->kind) : SPAN_NONE;
    struct guard_block guarded;
    unsigned cls;

    if (guard_holds(p)) {
        if (!guard_look(guard_slot_number((uintptr_t)p), &guarded)) {
            return NULL;
        }
        *ret_bytes = sizeclass_bytes(guarded.cls);
        return component_by_row(guarded.row);
    }
    if (s == NULL) {
        return huge_find(p, ret_bytes) ? huge_component(p) : NULL;
    }
    if (kind == SPAN_SAMPLED) {
        unsigned row = pool_row(s, p, &cls);

        *ret_bytes = sizeclass_bytes(cls);
        return component_by_row(row);
    }
    if (kind == SPAN_SLAB || kind == SPAN_TRACKED) {
        *ret_bytes = sizeclass_bytes(load_relaxed(&s->cls));
        return component_by_row(load_relaxed(&s->row));
    }
    *ret_bytes = s->large_bytes;
    return kind == SPAN_LARGE ? s->component : NULL;
}

void limit_lend(const void *p)
{
    struct thread *t = thread_local_state.thread;
    size_t bytes = 0;

    if (t != NULL) {
        t->lender = find_holder(p, &bytes);
        t->lent = t->lender != NULL ? bytes : 0;
    }
}

void limit_lend_nothing(void)
{
    struct thread *t = thread_local_state.thread;

    if (t != NULL) {
        t->lent = 0;
    }
}

/* ---- telling ---- */

struct crossing {
    struct mp_component *component;
    size_t live;
    void (*listener)(struct mp_component *c, size_t live, void *arg);
    void *arg;
};

/* One that waits to be told. False: none does. */
static bool take_crossing(struct crossing *ret)
{
    struct budget *b;
    bool is_found = false;

    lock_lock(&counters_lock);
    store_relaxed(&limit_is_waiting, false);
    for (size_t i = 0; (b = budget_at(i)) != NULL; i++) {
        if (!load_relaxed(&b->is_waiting)) {
            continue;
        }
        if (is_found) {
            store_relaxed(&limit_is_waiting, true);
            break;
        }
        store_relaxed(&b->is_waiting, false);
        *ret = (struct crossing){b->component, b->hit_bytes, listener, listener_arg};
        is_found = true;
    }
    lock_unlock(&counters_lock);
    return is_found;
}

/*
 * In the thread that crossed it, or in another one that comes first. What the callback
 * allocates may cross more: that is told when it has returned.
 */
COLD NOINLINE void limit_tell_slow(void)
{
    struct telling t;
    struct crossing found;

    if (!telling_begin(&t)) {
        return;
    }
    while (load_acquire(&limit_is_waiting) /* pairs with cross */
           && take_crossing(&found)) {
        if (found.listener != NULL) {
            struct mp_component *c = found.component;

            found.listener(component_is_root(c) ? NULL : c, found.live, found.arg);
        }
    }
    telling_end(&t);
}

void limit_tell(void (*fn)(struct mp_component *c, size_t live, void *arg), void *arg)
{
    lock_lock(&counters_lock);
    listener = fn;
    listener_arg = arg;
    lock_unlock(&counters_lock);
}

/* ---- setting ---- */

static void mark_slabs(struct budget *b)
{
    for (size_t i = 0; i < pagemap_range_count(); i++) {
        const struct range *r = &pagemap_ranges[i];
        size_t frontier = load_acquire(&r->frontier);

        for (size_t at = 0; at < frontier; at++) {
            const struct span *s =
                (const struct span *)(r->table + (at << SPAN_ENTRY_SHIFT));
            uint64_t none = 0;

            if (add_slab(b, s, &none)) {
                budget_mark(b, s);
            }
        }
    }
}

int limit_set(struct mp_component *c, size_t soft, size_t hard)
{
    struct budget *b;
    bool is_new;

    if (soft != 0 && hard != 0 && soft > hard) {
        return -EINVAL;
    }
    lock_lock(&counters_lock);
    b = load_relaxed(&c->budget);
    is_new = b == NULL || b->component != c;
    if (is_new && soft == 0 && hard == 0) {
        lock_unlock(&counters_lock);
        return 0;
    }
    lock_lock(&component_lock);
    b = budget_obtain_locked(c);
    lock_unlock(&component_lock);
    if (b == NULL) {
        lock_unlock(&counters_lock);
        return budget_at(BUDGETS_MAX - 1) != NULL ? -ENOSPC : -ENOMEM;
    }
    if (is_new) {
        mark_slabs(b);
    }
    b->soft = bits_min(soft, BUDGET_UNLIMITED);
    b->hard = bits_min(hard, BUDGET_UNLIMITED);
    b->is_over = b->is_over && soft != 0;
    decide_locked(b, 0, 0, false);
    lock_unlock(&counters_lock);
    limit_run();
    return 0;
}

void limit_start(void)
{
    const char *at = options.limits;
    struct option_limit l;

    while (options_next_limit(&at, &l)) {
        struct mp_component *c = component_by_row(COMPONENT_UNTAGGED);

        if (strcmp(l.name, c->name) != 0) {
            c = component_intern(l.name);
        }
        if (limit_set(c, l.soft, l.hard) != 0) {
            check_say(
                "MPALLOC_LIMITS: no room for the limit of %s; it has none", l.name);
        }
    }
}

/* ---- the region ---- */

void limit_publish_locked(void)
{
    struct budget *b;

    for (size_t i = 0; (b = budget_at(i)) != NULL; i++) {
        const struct counters_row *row = counters_row_locked(b->component->row);
        struct mp_region_limit *out = region_limit(i);
        uint64_t live = row != NULL ? row->sum.tree_live_bytes : 0;

        if (b->is_over && live < b->soft - b->soft / BELOW_SHARE) {
            b->is_over = false;
            store_relaxed(&b->room, 0); /* look when something is allocated */
        }
        if (out == NULL) {
            continue;
        }
        store_relaxed(&out->component, b->component->row);
        store_relaxed(&out->soft_bytes, b->soft);
        store_relaxed(&out->hard_bytes, b->hard);
        store_relaxed(&out->hits_total, b->hits);
        store_relaxed(&out->hit_ns, b->hit_ns);
        store_relaxed(&out->refused_total, b->refused);
        store_relaxed(&out->refused_ns, b->refused_ns);
        store_relaxed(&out->is_over, (uint64_t)b->is_over);
        store_release(&out->is_set, (uint64_t)1);
    }
}
