#include "pagemap.h"

#include "arch.h"
#include "os.h"

#define WINDOW_SPANS ((size_t)1 << (40 - SPAN_SHIFT)) /* 1 TiB at most */

enum {
    TABLE_STEP = 64 * 1024, /* entries for 64 MiB */
    CHAIN_SPANS = 1024,     /* 64 MiB */
    CHAIN_SPANS_MIN = 16,
    MAP_SPANS_MIN = 16,  /* 1 MiB: what is beyond faults at once */
    MAP_SPANS_UNIT = 32, /* 2 MiB, where huge pages begin (thp.h), once there is much */
    MAP_SPANS_MAX = 4096, /* 256 MiB */
};

/* In a section of their own, away from variables that are written all the time. */
#define HOT __attribute__((section(".data.mpalloc_pagemap")))
uintptr_t pagemap_origin HOT __attribute__((aligned(CACHE_LINE)));
uintptr_t pagemap_frontier HOT;
char *pagemap_table HOT;

struct range pagemap_ranges[RANGES_MAX];
static size_t
    range_count; /* writer: the spans' lock; release, for readers without it */

size_t pagemap_range_count(void)
{
    return load_acquire(&range_count); /* pairs with range_publish */
}

struct span *pagemap_find(const void *p)
{
    size_t count = pagemap_range_count();

    for (size_t i = 0; i < count; i++) {
        const struct range *r = &pagemap_ranges[i];
        uintptr_t index = ((uintptr_t)p - r->origin) >> SPAN_SHIFT;

        if (index < load_acquire(&r->frontier)) {
            return (struct span *)(r->table + (index << SPAN_ENTRY_SHIFT));
        }
    }
    return NULL;
}

const struct range *pagemap_range_of(const struct span *s)
{
    const struct range *r = pagemap_ranges;

    while ((uintptr_t)s - (uintptr_t)r->table >= r->spans_max << SPAN_ENTRY_SHIFT) {
        r++;
    }
    return r;
}

char *pagemap_address(const struct span *s)
{
    const struct range *r = pagemap_range_of(s);

    return (char *)r->origin
           + (((uintptr_t)s - (uintptr_t)r->table) >> SPAN_ENTRY_SHIFT << SPAN_SHIFT);
}

static void range_publish(const struct range *r)
{
    if (range_count == 0) {
        pagemap_origin = r->origin;
        pagemap_table = r->table;
    }
    store_release(&range_count, range_count + 1); /* pairs with pagemap_range_count */
}

/*
 * The window, for addresses of that many bits; nothing of it is mapped yet. False: no
 * lonely address here.
 */
static bool open_window_of(struct range *r, unsigned bits)
{
    size_t spans = bits_min(WINDOW_SPANS, (size_t)1 << (bits - 3 - SPAN_SHIFT));
    size_t table_bytes = spans << SPAN_ENTRY_SHIFT;
    char *start = os_lonely_address(table_bytes + (spans << SPAN_SHIFT), bits);

    if (start == NULL || !os_map_at(start, TABLE_STEP)) {
        return false;
    }
    *r = (struct range){.origin = (uintptr_t)start + table_bytes,
        .table = start,
        .spans_max = spans,
        .table_mapped = TABLE_STEP,
        .grows = true};
    return true;
}

/* Kernels do not say how many bits there are: where nothing can be mapped are too many. */
static bool open_window(struct range *r)
{
    static const unsigned bits[] = {ARCH_ADDRESS_BITS};

    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        if (open_window_of(r, bits[i])) {
            return true;
        }
    }
    return false;
}

/* A range of fixed size for at least `count` spans, wherever the kernel puts it. */
static bool open_chained(struct range *r, size_t count)
{
    size_t least = bits_max(count, CHAIN_SPANS_MIN);
    /* Longer as there are more: 256 of them are room for terabytes. */
    size_t spans =
        bits_max(count, (size_t)CHAIN_SPANS << bits_min(range_count / 16, 8));

    for (;;) {
        size_t table_bytes = bits_round_up(spans << SPAN_ENTRY_SHIFT, os_page_bytes());
        char *table = os_map(table_bytes);
        char *memory = NULL;

        if (table != NULL) {
            memory = os_map((spans + 1) << SPAN_SHIFT); /* one more, to align */
        }
        if (memory != NULL) {
            *r = (struct range){.origin = bits_round_up((uintptr_t)memory, SPAN_BYTES),
                .table = table,
                .spans_max = spans,
                .mapped = spans,
                .table_mapped = table_bytes};
            return true;
        }
        if (table != NULL) {
            os_unmap(table, table_bytes);
        }
        if (spans == least) {
            return false;
        }
        spans = bits_max(spans / 2, least);
    }
}

static bool map_table(struct range *r, size_t spans)
{
    size_t want = bits_round_up(spans << SPAN_ENTRY_SHIFT, TABLE_STEP);

    if (want <= r->table_mapped) {
        return true;
    }
    if (!os_map_at(r->table + r->table_mapped, want - r->table_mapped)) {
        return false;
    }
    r->table_mapped = want;
    return true;
}

/* Map memory behind what is mapped, ahead of need if that is allowed. */
static bool map_spans(struct range *r, size_t spans)
{
    size_t ahead = bits_min(bits_max(r->mapped / 2, MAP_SPANS_MIN), MAP_SPANS_MAX);
    size_t unit = r->mapped > 4 * MAP_SPANS_UNIT ? MAP_SPANS_UNIT : 1;
    size_t wanted = bits_round_up(bits_max(spans, r->mapped + ahead), unit);
    size_t want = bits_min(wanted, r->spans_max);

    if (spans <= r->mapped) {
        return true;
    }
    for (; want >= spans; want = want > spans ? spans : 0) {
        char *end = (char *)r->origin + (r->mapped << SPAN_SHIFT);

        if (os_map_at(end, (want - r->mapped) << SPAN_SHIFT)) {
            r->mapped = want;
            return true;
        }
    }
    return false;
}

static struct span *range_extend(struct range *r, size_t count)
{
    size_t index = r->frontier;

    if (count > r->spans_max - index) {
        return NULL;
    }
    if (r->grows && (!map_table(r, index + count) || !map_spans(r, index + count))) {
        return NULL;
    }
    store_release(&r->frontier, index + count); /* pairs with pagemap_find */
    if (r == pagemap_ranges) {
        store_release(&pagemap_frontier, index + count);
    }
    return (struct span *)(r->table + (index << SPAN_ENTRY_SHIFT));
}

struct span *pagemap_extend_locked(size_t count)
{
    struct range *r;
    struct span *s;

    for (size_t i = 0; i < range_count; i++) {
        s = range_extend(&pagemap_ranges[i], count);
        if (s != NULL) {
            return s;
        }
    }
    if (range_count == RANGES_MAX) {
        return NULL;
    }
    r = &pagemap_ranges[range_count];
    if (range_count == 0 && open_window(r)) {
        range_publish(r);
        s = range_extend(r, count);
        if (s != NULL || range_count == RANGES_MAX) {
            return s;
        }
        r = &pagemap_ranges[range_count];
    }
    if (!open_chained(r, count)) {
        return NULL;
    }
    range_publish(r);
    return range_extend(r, count);
}

size_t pagemap_mapped_bytes(void)
{
    size_t bytes = 0;

    for (size_t i = 0; i < pagemap_range_count(); i++) {
        bytes += load_relaxed(&pagemap_ranges[i].mapped) << SPAN_SHIFT;
    }
    return bytes;
}

size_t pagemap_table_bytes(void)
{
    size_t bytes = 0;

    for (size_t i = 0; i < pagemap_range_count(); i++) {
        bytes += load_relaxed(&pagemap_ranges[i].table_mapped);
    }
    return bytes;
}
