#include "arena.h"

#include "arch.h"
#include "bits.h"
#include "lock.h"
#include "os.h"

#include <assert.h>

enum { CHUNK_BYTES = 256 * 1024 };

/* At the start of each chunk, so that all can be found. */
struct chunk {
    struct chunk *next;
    size_t bytes;
};
static_assert(sizeof(struct chunk) <= CACHE_LINE, "it has a line");

struct lock arena_lock = LOCK_INIT(RANK_ARENA);
static struct chunk *chunks;
static char *chunk_at;
static size_t chunk_left;
static size_t mapped;

void *arena_alloc(size_t bytes)
{
    char *p = NULL;

    bytes = bits_round_up(bytes, CACHE_LINE);
    lock_lock(&arena_lock);
    if (bytes > chunk_left) {
        size_t least = bits_round_up(bytes + CACHE_LINE, os_page_bytes());
        size_t want = bits_max(CHUNK_BYTES, least);
        char *chunk = os_map(want);

        if (chunk == NULL) {
            want = least;
            chunk = os_map(want); /* little is left: no more than needed */
        }
        if (chunk != NULL) {
            *(struct chunk *)chunk = (struct chunk){chunks, want};
            chunks = (struct chunk *)chunk;
            chunk_at = chunk + CACHE_LINE;
            chunk_left = want - CACHE_LINE;
            mapped += want;
        }
    }
    if (bytes <= chunk_left) {
        p = chunk_at;
        chunk_at += bytes;
        chunk_left -= bytes;
    }
    lock_unlock(&arena_lock);
    return p;
}

size_t arena_bytes(void)
{
    size_t bytes;

    lock_lock(&arena_lock);
    bytes = mapped - chunk_left;
    lock_unlock(&arena_lock);
    return bytes;
}

void arena_each_chunk(
    void (*each)(const void *start, size_t bytes, void *arg), void *arg)
{
    for (const struct chunk *c = chunks; c != NULL; c = c->next) {
        each(c, c->bytes, arg);
    }
}
