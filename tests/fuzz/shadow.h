/*
 * shadow - what the fuzzer knows of the blocks that live: where, how long, what is in them
 *
 * Owns: the table of live blocks, ordered by address, so that a block which overlaps
 * another is found when it is handed out; and the pattern that every block is filled with.
 * Not safe for threads: the fuzzer runs one step at a time.
 */
#ifndef FUZZ_SHADOW_H
#define FUZZ_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHADOW_MAX = 4096 };

struct shadow {
    unsigned char *p;
    size_t size;   /* as it was asked for */
    size_t usable; /* as malloc_usable_size said, for the block's whole life */
    size_t align;
    unsigned component; /* number of the one that it is accounted to */
    uint64_t seed;      /* of its pattern */
};

/* Aborts unless `holds`, saying what does not. */
void shadow_expect(bool holds, const char *what);

/* A new block: checks that it lies alone, aligned and long enough, and fills it. */
void shadow_insert(
    void *p, size_t usable, size_t size, size_t align, unsigned component);

/* Forget a block that is about to be freed; checks its content. */
struct shadow shadow_remove(size_t i);

/* The block number i, in order of address. */
const struct shadow *shadow_at(size_t i);
size_t shadow_count(void);

/* Whether the first `bytes` of what is at p are those of a block that was `s`. */
void shadow_check_prefix(const struct shadow *s, const void *p, size_t bytes);

/* All blocks, their content too. */
void shadow_check_all(void);

/* Blocks and bytes of a component, or of all (component SIZE_MAX). */
void shadow_sum(size_t component, uint64_t *ret_blocks, uint64_t *ret_bytes);

#endif
