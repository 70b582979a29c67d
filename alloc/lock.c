#include "lock.h"

#include "arch.h"
#include "atomic.h"
#include "check.h"
#include "os.h"

#include <assert.h>

#define SLEEPERS ((uintptr_t)1) /* in the word; thread pointers are aligned */

enum {
    SPINS = 100,   /* then sleep: a holder that lost its processor is not spun on */
    SLEEP_MS = 50, /* and look again: a filter of system calls may refuse to wake us */
};

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

static bool take_free(struct lock *l, uintptr_t as)
{
    uintptr_t free_word = 0;

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

/* The kernel compares 32 bits: the low ones, where the lowest bit is. */
static uint32_t *futex_of(struct lock *l)
{
    static_assert(
        __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");
    return (uint32_t *)&l->word;
}

static COLD NOINLINE void lock_slow(struct lock *l)
{
    uintptr_t self = thread_pointer();

    if ((load_relaxed(&l->word) & ~SLEEPERS) == self) { /* it alone writes that */
        check_die(
            "this thread waits for a lock that it holds (rank %u): it allocated in a "
            "signal handler, or jumped out of one, that interrupted malloc",
            (unsigned)l->rank);
    }
    for (unsigned i = 0; i < SPINS; i++) {
        if (load_relaxed(&l->word) == 0 && take_free(l, self)) {
            return;
        }
        cpu_relax();
    }
    /* From here on we were asleep, maybe with others: they are woken when we unlock. */
    while (!take_free(l, self | SLEEPERS)) {
        uintptr_t word = load_relaxed(&l->word);

        if (word != 0
            && ((word & SLEEPERS) != 0
                || cas_acquire(&l->word, &word, word | SLEEPERS))) {
            os_futex_wait_ms(futex_of(l), (uint32_t)(word | SLEEPERS), SLEEP_MS);
        }
    }
}

void lock_lock_one_of_many(struct lock *l)
{
    if (!take_free(l, thread_pointer())) {
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
    if (!take_free(l, thread_pointer())) {
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
    /* release: pairs with take_free. */
    if ((swap_release(&l->word, 0) & SLEEPERS) != 0) {
        os_futex_wake_all(futex_of(l));
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

bool lock_is_mine(const struct lock *l)
{
    return (load_relaxed(&l->word) & ~SLEEPERS) == thread_pointer();
}

void lock_reset(struct lock *l)
{
#if DEBUG_CHECKS
    held_ranks &= ~(1u << l->rank);
#endif
    store_relaxed(&l->word, 0);
}
