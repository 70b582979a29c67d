/*
 * corpus_park - one word that only a register holds
 *
 * The thread spins, for a system call would have the word saved where it could be found.
 */
#include "corpus.h"

#include <pthread.h>
#include <stdatomic.h>

static _Atomic uintptr_t handed; /* the word, with all bits turned */
static _Atomic int is_taken;

static void *spin(void *unused)
{
    uintptr_t word = ~atomic_load(&handed);

    (void)unused;
    atomic_store(&handed, 0);
    atomic_store(&is_taken, 1);
    for (;;) {
        __asm__ volatile("" : "+r"(word));
    }
    return NULL;
}

void park(uintptr_t *word)
{
    pthread_t thread;

    atomic_store(&handed, ~*word);
    *word = 0;
    pthread_create(&thread, NULL, spin, NULL);
    while (!atomic_load(&is_taken)) {
    }
}
