#include "shadow.h"

#include <stdio.h>
#include <string.h>

enum {
    WHOLE = 2048,       /* blocks up to here are filled entirely */
    STRIDE = 512,       /* larger ones here and there */
    HUGE_STRIDE = 65536 /* and those of megabytes seldom */
};

static struct shadow live[SHADOW_MAX];
static size_t count;
static uint64_t serial;

void shadow_expect(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_api: not so: %s\n", what);
        __builtin_trap();
    }
}

/* The offset that is looked at after `at`: every word of small blocks, both ends of all. */
static size_t step(size_t at, size_t usable)
{
    size_t stride = usable <= WHOLE      ? sizeof(uint64_t)
                    : usable <= 1u << 20 ? STRIDE
                                         : HUGE_STRIDE;
    size_t last = usable - sizeof(uint64_t);

    return at < last && at + stride > last ? last : at + stride;
}

static uint64_t word_at(uint64_t seed, size_t at)
{
    return (seed + at) * 0x9e3779b97f4a7c15u;
}

static void fill(const struct shadow *s)
{
    for (size_t at = 0; at < s->usable; at = step(at, s->usable)) {
        uint64_t word = word_at(s->seed, at);

        memcpy(s->p + at, &word, sizeof(word));
    }
}

void shadow_check_prefix(const struct shadow *s, const void *p, size_t bytes)
{
    for (size_t at = 0; at < s->usable && at + sizeof(uint64_t) <= bytes;
         at = step(at, s->usable)) {
        uint64_t word;

        memcpy(&word, (const char *)p + at, sizeof(word));
        shadow_expect(word == word_at(s->seed, at), "a block keeps its content");
    }
}

/* The first block at p or above. */
static size_t position(const void *p)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if ((uintptr_t)live[middle].p < (uintptr_t)p) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void shadow_insert(
    void *p, size_t usable, size_t size, size_t align, unsigned component)
{
    struct shadow s = {.p = p,
        .size = size,
        .usable = usable,
        .align = align,
        .component = component,
        .seed = ++serial * 0x2545f4914f6cdd1du};
    size_t i = position(p);

    shadow_expect(count < SHADOW_MAX, "the fuzzer's own table is long enough");
    shadow_expect(
        usable >= size && usable >= 16, "a block is as long as was asked for");
    shadow_expect(usable % 16 == 0, "block bytes are a multiple of 16");
    shadow_expect(((uintptr_t)p & (align - 1)) == 0 && ((uintptr_t)p & 15) == 0,
        "a block is aligned");
    shadow_expect(i == 0 || live[i - 1].p + live[i - 1].usable <= s.p,
        "a new block begins behind the one before");
    shadow_expect(i == count || s.p + usable <= live[i].p,
        "a new block ends before the next one");
    memmove(live + i + 1, live + i, (count - i) * sizeof(live[0]));
    live[i] = s;
    count++;
    fill(&s);
}

struct shadow shadow_remove(size_t i)
{
    struct shadow s = live[i];

    shadow_check_prefix(&s, s.p, s.usable);
    count--;
    memmove(live + i, live + i + 1, (count - i) * sizeof(live[0]));
    return s;
}

const struct shadow *shadow_at(size_t i)
{
    return &live[i];
}

size_t shadow_count(void)
{
    return count;
}

void shadow_check_all(void)
{
    for (size_t i = 0; i < count; i++) {
        shadow_check_prefix(&live[i], live[i].p, live[i].usable);
    }
}

void shadow_sum(size_t component, uint64_t *ret_blocks, uint64_t *ret_bytes)
{
    *ret_blocks = *ret_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (component == SIZE_MAX || live[i].component == component) {
            *ret_blocks += 1;
            *ret_bytes += live[i].usable;
        }
    }
}
