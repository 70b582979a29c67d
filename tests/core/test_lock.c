#include "lock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>

enum { THREADS = 4, ROUNDS = 100000 };

static struct lock lock = LOCK_INIT(RANK_SPANS);
static unsigned long counter; /* guarded by lock */

static void *count(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        lock_lock(&lock);
        counter++;
        lock_unlock(&lock);
    }
    return NULL;
}

Test(lock, excludes_and_wakes)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, count, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(counter, (unsigned long)THREADS * ROUNDS);
}

Test(lock, try_declines_when_taken)
{
    lock_lock(&lock);
    cr_assert_not(lock_try(&lock));
    lock_unlock(&lock);
    cr_assert(lock_try(&lock));
    lock_unlock(&lock);
}

Test(lock, waiting_for_itself_is_fatal, .signal = SIGABRT, .timeout = 10)
{
    lock_lock_one_of_many(&lock);
    lock_lock_one_of_many(&lock);
}

Test(lock, reset_forgets_the_holder)
{
    lock_lock_one_of_many(&lock);
    lock_reset(&lock);
    lock_lock_one_of_many(&lock);
    lock_unlock_one_of_many(&lock);
}
