#include "arena.h"

#include "arch.h"
#include "bits.h"
#include "lock.h"
#include "os.h"

enum { CHUNK_BYTES = 256 * 1024 };

struct lock arena_lock = LOCK_INIT(RANK_ARENA);
static char *chunk_at;
static size_t chunk_left;
static size_t mapped;

void *arena_alloc(size_t bytes)
{
    char *p = NULL;

    bytes = bits_round_up(bytes, CACHE_LINE);
    lock_lock(&arena_lock);
    if (bytes > chunk_left) {
        size_t want = bits_max(CHUNK_BYTES, bits_round_up(bytes, os_page_bytes()));
        char *chunk = os_map(want);

        if (chunk == NULL) {
            want = bits_round_up(bytes, os_page_bytes());
            chunk = os_map(want); /* little is left: no more than needed */
        }
        if (chunk != NULL) {
            chunk_at = chunk;
            chunk_left = want;
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
