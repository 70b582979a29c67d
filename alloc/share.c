#include "share.h"

#include "own_memory.h"

#include <string.h>

enum {
    KEPT_BYTES = 64 * 1024, /* idle blocks of a bin are no more than so much, */
    KEPT_LEAST = 2,         /* but so many */
};

uint32_t share_epoch;

static uint32_t last_epoch;  /* profile_lock */
static uint32_t last_number; /* the same */
static struct share *all;    /* the same */

uint32_t share_idle_most(unsigned bin)
{
    size_t n = KEPT_BYTES / pool_bin_bytes(bin);

    return n > SHARE_IDLE ? SHARE_IDLE : n < KEPT_LEAST ? KEPT_LEAST : (uint32_t)n;
}

void share_give_back_locked(struct share *x, unsigned bin, uint32_t left)
{
    while (x->idle_count[bin] > left) {
        const struct pool_block *b = &x->idle[bin][--x->idle_count[bin]];

        pool_put_locked(b);
        live_return_locked(b->record);
    }
}

void share_flush_locked(struct share *x)
{
    for (unsigned bin = 0; bin < POOL_BINS; bin++) {
        share_give_back_locked(x, bin, 0);
    }
}

void share_grow_locked(struct share *x)
{
    uint32_t wanted = x->stack_count == 0 ? SHARE_STACKS : 4 * x->stack_count;
    struct share_of_stack *more = own_alloc_locked(wanted * sizeof(*more));

    x->stack_misses = 0;
    if (more != NULL) {
        x->of_stack = more;
        x->stack_count = wanted;
    }
}

/* Where there is memory for half of it, that waits for the rest. */
static struct share *obtain_structure(void)
{
    static struct share *waiting; /* profile_lock */
    struct share *x = waiting;

    if (x == NULL) {
        x = waiting = own_alloc_locked(sizeof(*x));
    }
    if (x != NULL && x->of_stack == NULL) {
        share_grow_locked(x);
    }
    if (x == NULL || x->of_stack == NULL) {
        return NULL;
    }
    waiting = NULL;
    return x;
}

void share_obtain_locked(struct thread *t)
{
    struct share *x = t->share;

    if (load_relaxed(&share_epoch) == 0) {
        return;
    }
    if (x == NULL) {
        x = obtain_structure();
        if (x == NULL) {
            return;
        }
        x->number = ++last_number;
        x->next = all;
        all = x;
        t->share = x;
    }
    if (x->epoch != load_relaxed(&share_epoch)) {
        if (x->epoch != 0) { /* not new */
            share_flush_locked(x);
            memset(x->of_stack, 0, x->stack_count * sizeof(*x->of_stack));
            memset(x->of_site, 0, sizeof(x->of_site));
        }
        x->epoch = load_relaxed(&share_epoch);
    }
}

void share_start_locked(void)
{
    store_release(&share_epoch, ++last_epoch); /* pairs with share_is_ready */
}

void share_stop(void)
{
    store_relaxed(&share_epoch, 0);
}

void share_describe_locked(struct mp_region_sampling *s)
{
    for (const struct share *x = all; x != NULL; x = x->next) {
        uint64_t freed = load_relaxed(&x->freed);

        s->freed_total += freed;
        s->allocated_total += load_relaxed(&x->allocated);
        s->samples_unlisted_total += load_relaxed(&x->unlisted);
    }
}
