#include "own_memory.h"

#include "arena.h"
#include "region.h"

static size_t allocated;
static size_t most;

void *own_alloc_locked(size_t bytes)
{
    void *p = own_bytes_locked() + bytes <= most ? arena_alloc(bytes) : NULL;

    allocated += p != NULL ? bytes : 0;
    return p;
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
