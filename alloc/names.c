#include "names.h"

#include "own_memory.h"
#include "region.h"

#include <string.h>

enum { BUCKETS = 256, CHUNK = 32 };

struct entry {
    struct mp_region_name name;
    uint16_t next; /* of its bucket */
};

static struct entry *chunks[MP_REGION_NAMES_MAX / CHUNK];
static uint16_t buckets[BUCKETS]; /* 0: empty */
static size_t count = 1;
static uint64_t refused;

static struct entry *entry_of(size_t number)
{
    return &chunks[number / CHUNK][number % CHUNK];
}

static void write_one(size_t number)
{
    struct mp_region_name *out = region_name(number);

    if (out != NULL) {
        *out = entry_of(number)->name;
    }
}

static uint16_t add(const struct mp_region_name *name, unsigned bucket)
{
    struct entry **chunk = &chunks[count / CHUNK];
    struct entry *e;

    if (count < MP_REGION_NAMES_MAX && *chunk == NULL) {
        *chunk = own_alloc_copied_locked(
            CHUNK * sizeof(**chunk), CHUNK * sizeof(struct mp_region_name));
    }
    if (count >= MP_REGION_NAMES_MAX || *chunk == NULL
        || (region_is_open() && region_name(count) == NULL)) {
        refused++;
        return 0;
    }
    e = entry_of(count);
    e->name = *name;
    e->next = buckets[bucket];
    buckets[bucket] = (uint16_t)count;
    write_one(count);
    return (uint16_t)count++;
}

uint16_t names_intern_locked(const char *name)
{
    struct mp_region_name cut = {{0}};
    uint32_t hash = 2166136261u; /* FNV-1a */
    uint16_t number;

    if (name == NULL || name[0] == '\0') {
        return 0;
    }
    for (size_t i = 0; i < sizeof(cut.name) - 1 && name[i] != '\0'; i++) {
        cut.name[i] = name[i];
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    }
    number = buckets[hash % BUCKETS];
    while (number != 0 && memcmp(&entry_of(number)->name, &cut, sizeof(cut)) != 0) {
        number = entry_of(number)->next;
    }
    return number != 0 ? number : add(&cut, hash % BUCKETS);
}

size_t names_count_locked(void)
{
    return count;
}

uint64_t names_refused_locked(void)
{
    return refused;
}

void names_write_all_locked(void)
{
    for (size_t i = 1; i < count; i++) {
        write_one(i);
    }
}
