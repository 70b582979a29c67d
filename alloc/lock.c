#include "lock.h"

#include "arch.h"
#include "atomic.h"
#include "check.h"
#include "os.h"

enum { SPINS = 100 }; /* then sleep: a holder that lost its processor is not spun on */

#if DEBUG_CHECKS
static __thread uint32_t held_ranks INITIAL_EXEC;

static void rank_push(struct lock *l)
{
    CHECK((held_ranks >> l->rank) == 0); /* ranks rise */
    held_ranks |= 1u << l->rank;
}

static void rank_pop(struct lock *l)
{
    CHECK((held_ranks & (1u << l->rank)) != 0);
    held_ranks &= ~(1u << l->rank);
}
#else
static void rank_push(struct lock *l)
{
    (void)l;
}

static void rank_pop(struct lock *l)
{
    (void)l;
}
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
    store_relaxed(&l->word, 0);
    l->rank = (uint8_t)rank;
}

static bool take_free(struct lock *l, uint32_t as)
{
    uint32_t free_word = 0;

    /*
     * Alone in the process: nobody can come between. The C library clears the flag before
     * it starts a thread, and no lock is held then; an atomic operation would wait here for
     * all stores of the program before it.
     */
    if (os_is_single_threaded()) {
        if (load_relaxed(&l->word) != 0) {
            return false;
        }
        store_relaxed(&l->word, as);
        return true;
    }
    return cas_acquire(&l->word, &free_word, as); /* pairs with lock_unlock */
}

static COLD NOINLINE void lock_slow(struct lock *l)
{
    for (unsigned i = 0; i < SPINS; i++) {
        if (load_relaxed(&l->word) == 0 && take_free(l, 1)) {
            return;
        }
        cpu_relax();
    }
    /* From here on we may be asleep: take it as 2, so that unlock wakes the others. */
    while (swap_acquire(&l->word, 2) != 0) {
        os_futex_wait(&l->word, 2);
    }
}

void lock_lock_one_of_many(struct lock *l)
{
    if (!take_free(l, 1)) {
        lock_slow(l);
    }
}

void lock_lock(struct lock *l)
{
    lock_lock_one_of_many(l);
    rank_push(l);
}

bool lock_try(struct lock *l)
{
    if (!take_free(l, 1)) {
        return false;
    }
    rank_push(l);
    return true;
}

void lock_unlock_one_of_many(struct lock *l)
{
    if (os_is_single_threaded()) {
        store_relaxed(&l->word, 0);
        return;
    }
    /* release: pairs with take_free and the swap in lock_slow. */
    if (swap_release(&l->word, 0) == 2) {
        os_futex_wake_all(&l->word);
    }
}

void lock_unlock(struct lock *l)
{
    rank_pop(l);
    lock_unlock_one_of_many(l);
}

bool lock_is_free(const struct lock *l)
{
    return load_relaxed(&l->word) == 0;
}

void lock_reset(struct lock *l)
{
#if DEBUG_CHECKS
    held_ranks &= ~(1u << l->rank);
#endif
    store_relaxed(&l->word, 0);
}
