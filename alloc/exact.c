#include "exact.h"

#include "probe.h"
#include "share.h"
#include "usdt.h"

/* ---- idle blocks ---- */

/* Half of what may be kept: the other half is for those that are freed. */
static NOINLINE bool refill(struct share *x, unsigned bin)
{
    uint32_t wanted = share_idle_most(bin) / 2;

    sample_enter();
    while (x->idle_count[bin] < wanted) {
        uint32_t record = live_reserve_locked();

        if (record == 0) {
            break;
        }
        if (!pool_take_locked(bin, record, &x->idle[bin][x->idle_count[bin]])) {
            live_return_locked(record);
            break;
        }
        x->idle_count[bin]++;
    }
    sample_tell_locked();
    lock_unlock(&profile_lock);
    return x->idle_count[bin] != 0;
}

static NOINLINE void make_room(struct share *x, unsigned bin)
{
    sample_enter();
    share_give_back_locked(x, bin, share_idle_most(bin) / 2);
    lock_unlock(&profile_lock);
}

static void keep(struct share *x, const struct pool_block *b)
{
    if (UNLIKELY(x->idle_count[b->bin] == share_idle_most(b->bin))) {
        make_room(x, b->bin);
    }
    x->idle[b->bin][x->idle_count[b->bin]++] = *b;
}

void exact_flush(void)
{
    struct thread *t = thread_local_state.thread;

    if (t != NULL && t->share != NULL) {
        sample_enter();
        share_flush_locked(t->share);
        lock_unlock(&profile_lock);
    }
}

void probe_thread_ends(void)
{
    exact_flush();
}

/* ---- sites ---- */

/* False: there is no site for this thread alone. */
static bool own_site_locked(struct share *x, uint32_t site, struct share_site *ret)
{
    struct site_key key = sites_key_locked(site);

    ret->row = sites_row_locked(site);
    ret->counts = pool_counts_for_locked(key.component, x);
    return site != SITE_OVERFLOW && key.share == x->number && ret->row.out != NULL
           && ret->counts != NULL;
}

/* Those in the region that are first seen here: readers are told before samples are of them. */
static NOINLINE bool learn_stack(struct share *x, const struct sample_capture *here,
    const struct mp_component *c, unsigned cls, struct share_of_stack *ret)
{
    uint64_t refused = stacks_refused_locked();
    struct site_key key = sample_key_locked(here, c, cls);

    ret->hash = 0;
    if (stacks_refused_locked() != refused || sites_are_many_locked()) {
        return false;
    }
    key.share = x->number;
    ret->frame = key.frame;
    ret->site = sample_find_site_locked(&key);
    return own_site_locked(x, ret->site, &ret->own);
}

static NOINLINE bool find_site_slow(
    struct share *x, uint32_t site, struct share_of_site *ret)
{
    uint32_t own;
    bool is_found = false;

    sample_enter();
    ret->site = 0;
    if (site != SITE_OVERFLOW && sites_site_locked(site) != NULL
        && !sites_are_many_locked()) { /* a block that two free at once has none */
        own = sites_share_locked(site, x->number);
        sample_tell_locked();
        is_found = own_site_locked(x, own, &ret->own);
    }
    ret->site = is_found ? site : 0;
    lock_unlock(&profile_lock);
    return is_found;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 31;
}

/* The first that is looked at, if it is free; else either, as it comes. */
static struct share_of_stack *place_for(struct share *x, uint64_t hash)
{
    size_t at = hash >> 32 & (x->stack_count - 1);

    return &x->of_stack[x->of_stack[at].hash == 0 ? at : at ^ (x->stack_misses & 1)];
}

static ALWAYS_INLINE struct share_of_stack *find_stack(struct share *x,
    const struct thread *t, const struct sample_capture *here,
    const struct mp_component *c, unsigned cls)
{
    uint32_t base;
    size_t fresh = unwind_meeting_find(&here->stack.meeting, here->stack.count, &base);
    uint64_t hash = stacks_hash(&here->stack, fresh, base);
    struct share_of_stack *e;

    hash = mix(hash, (uint64_t)c->row << 48 ^ (uint64_t)cls << 40
                         ^ (uint64_t)here->stack.info.end << 36
                         ^ (uint64_t)t->operation << 16 ^ t->name);
    hash |= 1;
    e = &x->of_stack[hash >> 32 & (x->stack_count - 1)];
    if (UNLIKELY(e->hash != hash)) {
        e = &x->of_stack[(hash >> 32 ^ 1) & (x->stack_count - 1)];
    }
    if (UNLIKELY(e->hash != hash)) {
        bool is_found;

        sample_enter();
        if (++x->stack_misses >= 4 * x->stack_count
            && x->stack_count < SHARE_STACKS_MOST) {
            share_grow_locked(x);
        }
        e = place_for(x, hash);
        is_found = learn_stack(x, here, c, cls, e);
        lock_unlock(&profile_lock);
        e->hash = is_found ? hash : 0;
        return is_found ? e : NULL;
    }
    stacks_number_kept(&here->stack, fresh, base, e->frame);
    return e;
}

/* ---- blocks ---- */

/* A counter that its thread alone adds to. release: who sees a block freed sees it allocated. */
static void count(uint64_t *n)
{
    store_release(n, load_relaxed(n) + 1); /* pairs with count_pool */
}

static NOINLINE void name_thread(struct thread *t, const struct sample_capture *here)
{
    sample_enter();
    sample_name_locked(t, here);
    lock_unlock(&profile_lock);
}

void *exact_try_alloc(const struct sample_capture *here, struct mp_component *c,
    unsigned cls, size_t size)
{
    struct thread *t = thread_local_state.thread;
    struct share *x = t->share;
    unsigned bin = pool_bin(sizeclass_bytes(cls));
    struct sampled s = sample_of(here, sizeclass_bytes(cls), size, MP_SAMPLING_EXACT);
    const struct share_of_stack *e;
    const struct pool_block *b;

    if (UNLIKELY(here->has_name)) {
        name_thread(t, here);
    }
    if (x->idle_count[bin] == 0 && !refill(x, bin)) {
        return NULL;
    }
    b = &x->idle[bin][x->idle_count[bin] - 1];
    live_expect_record(b->record);
    e = find_stack(x, t, here, c, cls);
    if (e == NULL || x->idle_count[bin] == 0) {
        return NULL;
    }
    x->idle_count[bin]--;
    s.blocks = 1;
    pool_begin(b, c->row, cls);
    count(&e->own.counts->allocated[cls]);
    live_begin_own(b->record, e->site, &e->own.row, &s);
    add_owned(&x->allocated, 1);
    if (UNLIKELY(!live_is_listed(b->record))) {
        add_owned(&x->unlisted, 1);
    }
    return b->p;
}

bool exact_try_free(struct span *s, void *p)
{
    struct share *x = thread_local_state.thread->share;
    struct pool_block b;
    struct share_of_site *e;
    unsigned cls;
    uint32_t record = pool_find(s, p, &b, &cls);
    uint32_t site;
    uint64_t now_ns;

    if (record == 0) {
        return false;
    }
    live_expect_record(record);
    now_ns = clock_ns();
    site = live_site(record);
    e = &x->of_site[site & (SHARE_SITES - 1)];
    if (UNLIKELY(e->site != site || site == SITE_OVERFLOW)
        && !find_site_slow(x, site, e)) {
        return false;
    }
    if (!pool_try_end(&b)) {
        return false;
    }
    usdt_free(p); /* while nobody else can be given the block */
    live_end_own(record, &e->own.row, now_ns);
    count(&e->own.counts->freed[cls]);
    add_owned(&x->freed, 1);
    keep(x, &b);
    sample_end_exact(now_ns, &x->turn);
    return true;
}
