#include "leak_own.h"

#include "bits.h"
#include "os.h"

enum { MAPS_MAX = 16 };

static struct {
    void *start;
    size_t bytes;
} maps[MAPS_MAX];
static unsigned map_count;
static size_t all_bytes;

void *leak_own_map(size_t bytes)
{
    void *p = NULL;

    bytes = bits_round_up(bits_max(bytes, 1), os_page_bytes());
    if (map_count < MAPS_MAX) {
        p = os_map(bytes);
    }
    if (p != NULL) {
        maps[map_count].start = p;
        maps[map_count++].bytes = bytes;
        all_bytes += bytes;
    }
    return p;
}

void leak_own_unmap_all(void)
{
    while (map_count > 0) {
        map_count--;
        os_unmap(maps[map_count].start, maps[map_count].bytes);
    }
    all_bytes = 0;
}

size_t leak_own_bytes(void)
{
    return all_bytes;
}

void leak_own_each(void (*each)(const void *start, size_t bytes, void *arg), void *arg)
{
    for (unsigned i = 0; i < map_count; i++) {
        each(maps[i].start, maps[i].bytes, arg);
    }
}
