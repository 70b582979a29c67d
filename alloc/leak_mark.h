/*
 * leak_mark - what reaches which blocks
 *
 * Owns: what is still to be looked into, the ways from words to blocks and from blocks to others,
 * the kinds.
 * Does not own: the blocks and their states (leak_heap.h), where roots are (leak_roots.h).
 *
 * A word that is the address of a block's start reaches the block; one that points into it may be
 * a pointer or an accident, and reaches it possibly. In this order:
 *
 *     leak_mark_word, leak_mark_memory     from each root: what is reached, by starts alone
 *     leak_mark_possible                   from all that words point into
 *     leak_mark_lost                       the rest is lost: its leaders, to which nothing lost
 *                                          leads but what they lead to themselves
 *     leak_mark_owned                      what a leader leads to
 *
 * What was marked and is still to be looked into has a bit, and its span is in a queue: all such
 * blocks of a span are looked into in the order of their addresses, so that a page comes from
 * memory, and its address from the kernel's tables, for many blocks and not for one. The bits, one
 * for each block, cannot be full. Memory that cannot be read is passed over and counted.
 */
#ifndef LEAK_MARK_H
#define LEAK_MARK_H

#include "leak_heap.h"

/* Which words count as the start of a block: MPALLOC_LEAK_POINTERS. */
struct leak_pointers {
    bool low;      /* the lowest three bits may be a tag */
    bool high;     /* the upper 16 bits may be a tag */
    bool interior; /* any address in the block will do */
    size_t offset; /* and one so far behind the start; 0: none */
};

/* False: no memory. deadline_ns: of CLOCK_MONOTONIC, 0: none. */
bool leak_mark_begin(const struct leak_pointers *pointers, uint64_t deadline_ns);

/* For a handler of SIGSEGV and SIGBUS: goes on behind what cannot be read. */
void leak_mark_on_fault(int number);

/* A root that is one word: what it points to, or into where `is_loose`, is reached. */
void leak_mark_word(uintptr_t word, bool is_loose);

/* Roots that lie in memory; aligned words. */
void leak_mark_memory(uintptr_t start, uintptr_t end);

/* What was reached so far, with all that it leads to. */
void leak_mark_reached(void);
void leak_mark_possible(void);
void leak_mark_lost(void);

/*
 * Each lost block that the leader leads to and that nobody owns yet. To be called for the leaders
 * in the order opposite to that in which they were found: one that an earlier one leads to, as
 * parts of a cycle may be to each other, is none any more and is told of here. (Of two leaders
 * the one found first does not lead to the other, or that would have been none.)
 */
void leak_mark_owned(
    const struct leak_block *leader, void (*each)(const struct leak_block *b));

struct leak_mark_sums {
    uint64_t heap_bytes; /* that were looked at */
    uint64_t root_bytes;
    uint64_t faults;
    bool is_late; /* the deadline passed: what was not seen is not known to be lost */
};
struct leak_mark_sums leak_mark_sums(void);

#endif
