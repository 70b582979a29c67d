#include "own_memory.h"

#include "arena.h"
#include "bits.h"
#include "region.h"

static size_t allocated;
static size_t copied = REGION_PROFILE_LEAST; /* what the region has, or comes to */
static size_t most;

void *own_alloc_copied_locked(size_t bytes, size_t copy_bytes)
{
    size_t in_region = bits_max(copied + copy_bytes, region_profile_bytes());
    void *p = allocated + bytes + in_region <= most ? arena_alloc(bytes) : NULL;

    if (p != NULL) {
        allocated += bytes;
        copied += copy_bytes;
    }
    return p;
}

void *own_alloc_locked(size_t bytes)
{
    return own_alloc_copied_locked(bytes, 0);
}

void own_set_most_locked(size_t bytes)
{
    most = bytes;
}

size_t own_most_locked(void)
{
    return most;
}

size_t own_bytes_locked(void)
{
    return allocated + region_profile_bytes();
}
