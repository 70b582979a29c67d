/*
 * give_back - what stays resident after a peak, second by second
 *
 *     give_back [--mib N] [--keep N] [--seconds S]
 *
 * Fills N MiB with blocks of 16 B to 256 KiB, all written, and frees all of them (with
 * --keep N all but one in N, chosen at random). After that it allocates a little every
 * 20 ms, as a service that has little to do, and reads its resident memory ten times a
 * second. Prints JSON; bench/memory runs it.
 */
#include "bench.h"
#include "rss.h"

#include <getopt.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

enum { SAMPLES_MAX = 1200 };

struct block {
    void *p;
    size_t size;
};

static double now(void)
{
    return (double)bench_now_ns() * 1e-9;
}

/* Three blocks in four are small, yet most of the bytes lie in the others. */
static size_t draw_size(uint64_t *random)
{
    unsigned shift = 4 + (unsigned)random_below(random, 8);

    if (random_below(random, 64) == 0) {
        shift = 12 + (unsigned)random_below(random, 6);
    }
    return ((size_t)1 << shift) + random_below(random, (size_t)1 << shift);
}

static size_t fill(struct block *blocks, size_t most, size_t bytes, uint64_t *random)
{
    size_t count = 0, live = 0;

    for (; live < bytes && count < most; count++) {
        struct block *b = &blocks[count];

        b->size = draw_size(random);
        b->p = block_new(b->size);
        block_touch((char *)b->p + 8, b->size > 16 ? b->size - 16 : 0);
        live += b->size;
    }
    return count;
}

/* Returns the bytes that stay. */
static size_t drop(struct block *blocks, size_t count, unsigned keep, uint64_t *random)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (keep > 0 && random_below(random, keep) == 0) {
            kept += blocks[i].size;
        } else {
            block_delete(blocks[i].p, blocks[i].size);
            blocks[i].p = NULL;
        }
    }
    return kept;
}

static void idle_along(double seconds, size_t harness)
{
    double began = now(), next = 0;
    const char *comma = "";

    for (unsigned n = 0; n < SAMPLES_MAX && next <= seconds; n++, next += 0.1) {
        while (now() - began < next) {
            usleep(20000);
            for (size_t size = 16; size <= 4096; size *= 4) {
                block_delete(block_new(size), size);
            }
        }
        printf("%s[%.2f, %zu]", comma, now() - began, rss_bytes() - harness);
        comma = ", ";
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"mib", required_argument, NULL, 'm'},
        {"keep", required_argument, NULL, 'k'},
        {"seconds", required_argument, NULL, 's'}, {0}};
    uint64_t random = 0x9e3779b97f4a7c15ull;
    size_t mib = 256, most, count, peak, huge, kept, harness, start;
    unsigned keep = 0;
    double seconds = 3;
    struct block *blocks;
    static char buffer[1 << 16];
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'm':
            mib = strtoull(optarg, NULL, 10);
            break;
        case 'k':
            keep = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            seconds = atof(optarg);
            break;
        default:
            mib = 0;
        }
    }
    if (mib == 0 || mib > 1 << 20 || seconds <= 0 || optind != argc) {
        fputs("usage: give_back [--mib N] [--keep N] [--seconds S]\n", stderr);
        return 2;
    }
    setvbuf(stdout, buffer, _IOFBF, sizeof(buffer)); /* its buffer is not the heap's */
    free(malloc(1));
    most = mib * MIB / 64 + 1;
    start = rss_bytes();
    blocks = mmap(NULL, most * sizeof(*blocks), PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (blocks == MAP_FAILED) {
        bench_fail("no memory for the harness");
    }
    harness = rss_bytes() - start;
    count = fill(blocks, most, mib * MIB, &random);
    peak = rss_bytes() - harness;
    huge = rss_huge_bytes();
    kept = drop(blocks, count, keep, &random);
    printf("{\"blocks\": %zu, \"start_rss_bytes\": %zu, \"peak_rss_bytes\": %zu, "
           "\"peak_huge_bytes\": %zu, \"kept_bytes\": %zu, \"samples\": [",
        count, start, peak, huge, kept);
    idle_along(seconds, harness);
    puts("]}");
    for (size_t i = 0; i < count; i++) {
        if (blocks[i].p != NULL) {
            block_delete(blocks[i].p, blocks[i].size);
        }
    }
    return 0;
}
