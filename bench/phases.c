/*
 * phases - a program whose sizes change: what remains of one phase lies in the way of the
 * next
 *
 * Each phase fills up to a budget with blocks around one size, then frees most of them at
 * random; one in sixteen stays for some phases. The budget counts bytes that were asked
 * for: an allocator that reuses the memory of other sizes needs little more than it.
 */
#include "bench.h"

enum { BUDGET = 32 << 20, BLOCKS_MAX = 1 << 20, KEEP = 16 };

struct slot {
    void *block;
    uint32_t size;
    uint32_t until; /* phase at whose end it goes */
};

struct heap {
    size_t count, bytes;
    struct slot slot[BLOCKS_MAX];
};

/* The sizes of the phases, so that neighbours differ much and not by doubling. */
static const uint32_t typical[] = {48, 1500, 96, 10000, 24, 400, 6000, 160, 30000, 700};

static void fill(struct heap *h, uint32_t phase, struct worker *w)
{
    uint32_t around = typical[phase % (sizeof(typical) / sizeof(typical[0]))];

    while (h->bytes < BUDGET && h->count < BLOCKS_MAX && worker_more(w)) {
        for (unsigned i = 0; i < 64 && h->count < BLOCKS_MAX; i++) {
            struct slot *s = &h->slot[h->count++];
            uint32_t extra = (uint32_t)random_below(&w->random, KEEP) == 0;

            s->size = 8 + around / 2 + (uint32_t)random_below(&w->random, around);
            s->until = phase + extra * (1 + (uint32_t)random_below(&w->random, 6));
            s->block = block_new(s->size);
            if (s->size > 4096) {
                block_touch((char *)s->block + 8, s->size - 16);
            }
            h->bytes += s->size;
        }
        w->ops += 64;
    }
}

/* In an order that has nothing to do with that of the allocations. */
static void thin_out(struct heap *h, uint32_t phase, uint64_t *random)
{
    for (size_t i = h->count; i > 1; i--) {
        size_t j = random_below(random, i);
        struct slot s = h->slot[i - 1];

        h->slot[i - 1] = h->slot[j];
        h->slot[j] = s;
    }
    for (size_t i = 0; i < h->count;) {
        struct slot *s = &h->slot[i];

        if (s->until <= phase) {
            block_delete(s->block, s->size);
            h->bytes -= s->size;
            *s = h->slot[--h->count];
        } else {
            i++;
        }
    }
}

static void work(struct worker *w)
{
    struct heap *h = array_map(sizeof(*h));

    for (uint32_t phase = 0; worker_more(w); phase++) {
        fill(h, phase, w);
        thin_out(h, phase, &w->random);
    }
    thin_out(h, UINT32_MAX, &w->random);
    array_unmap(h, sizeof(*h));
}

const struct workload phases_workloads[] = {
    {"phases", "32 MiB of one size after the other, a sixteenth stays behind",
        .groups = "fragmentation", .threads = 1, .at_least = 1, .ops = 3000000,
        .work = work},
    {0},
};
