/*
 * aligned - posix_memalign of 32 B to 4 KiB, among plain blocks
 *
 * Sizes are odd: Debian's mimalloc 2.0.9 misaligns some blocks whose size is a power of
 * two, and a run that fails its checks gives no figure to compare with.
 */
#include "bench.h"

enum { SLOTS = 512, BATCH = 256 };

static void *draw_block(size_t *ret_size, uint64_t *random)
{
    size_t alignment = (size_t)32 << random_below(random, 8);
    size_t size = (8 + random_below(random, 4 * alignment)) | 1;
    void *p = NULL;

    *ret_size = size;
    if (random_below(random, 4) == 0) {
        return block_new(size);
    }
    if (posix_memalign(&p, alignment, size) != 0 || (uintptr_t)p % alignment != 0) {
        bench_fail("posix_memalign(%zu, %zu) gave %p", alignment, size, p);
    }
    block_mark(p, size);
    return p;
}

static void work(struct worker *w)
{
    void *block[SLOTS] = {NULL};
    size_t size[SLOTS] = {0};

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            size_t at = random_below(&w->random, SLOTS);

            if (block[at] != NULL) {
                block_delete(block[at], size[at]);
            }
            block[at] = draw_block(&size[at], &w->random);
        }
        w->ops += BATCH;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (block[i] != NULL) {
            block_delete(block[i], size[i]);
        }
    }
}

const struct workload aligned_workloads[] = {
    {"aligned", "512 slots, three in four aligned to 32 B to 4 KiB",
        .groups = "aligned,allocation_sizes", .threads = 1, .at_least = 1,
        .ops = 20000000, .work = work},
    {0},
};
