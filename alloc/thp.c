#include "thp.h"

#include "options.h"
#include "os.h"

#include <string.h>

enum {
    TRUST_MAX = 6,
    TRUST_PART = 4,
    DENSE_EIGHTHS = 5, /* not more: slabs of many classes are being filled at a time */
    BLOCKS_MAX = 8192, /* asked for, ever: each is a mapping or two for the kernel */
    PROBE_EVERY = 64,  /* blocks: one is timed */
    SLOW_NS = 2000000, /* 2 MiB are cleared in a tenth of it, 512 faults take half */
    PAUSE_FIRST = 8,   /* chunks and blocks, then twice as many each time */
    PAUSE_MAX = 32768,
};

static size_t trusted; /* span_lock: chunks that are asked for without a look */
/* span_lock: the chunk of the frontier, and 1; 0: not asked for. Its address is that of a block. */
static size_t advised;
static unsigned blocks; /* relaxed atomic: asked for, ever */

/* Relaxed atomics; a race of two threads makes a pause longer or shorter by one. */
static unsigned paused;     /* chunks and blocks that are not asked for yet */
static unsigned next_pause; /* for the next slow one; 0: there was none */

/* Whether the kernel gives huge pages to who asks, and only to those. Any thread. */
static bool is_kernel_willing(void)
{
    static int answer; /* relaxed atomic, all threads find the same; 0: not asked */
    int known = load_relaxed(&answer);

    if (known == 0 && os_is_secure()) {
        return false; /* opens no files */
    }
    if (known == 0) {
        char text[64];
        int state = os_cancel_disable();

        os_read_file("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));
        os_cancel_restore(state);
        known = strstr(text, "[madvise]") != NULL ? 1 : -1;
        store_relaxed(&answer, known);
    }
    return known > 0;
}

static bool is_possible(void)
{
    /* Of a kernel with larger pages the huge ones are larger, too: 512 MiB with 64 KiB. */
    return options.huge_pages == HUGE_PAGES_AUTO && os_page_bytes() == 4096
           && !os_is_sandboxed() && is_kernel_willing();
}

/*
 * Have a huge page, and see what it costs. A machine whose memory is lent to it page by
 * page (a guest that reports its free memory to the host) may take 30 times as long for one
 * as for pages that were in use a moment ago: then it is not asked again for a while. `at`
 * reads as zero, and is the caller's.
 */
static void probe(char *at)
{
    uint64_t began_ns = os_monotonic_ns();
    unsigned pause = load_relaxed(&next_pause);

    *(volatile char *)at = 0;
    if (os_monotonic_ns() - began_ns >= SLOW_NS) {
        pause = pause == 0 ? PAUSE_FIRST : (unsigned)bits_min(2 * pause, PAUSE_MAX);
        store_relaxed(&next_pause, pause);
        store_relaxed(&paused, pause);
    }
}

/* A block's own pages are touched by nobody but the program. */
static void probe_elsewhere(void)
{
    char *map = os_map(2 * THP_BYTES);
    char *at;

    if (map != NULL) {
        at = (char *)bits_round_up((uintptr_t)map, THP_BYTES);
        if (os_advise_huge(at, THP_BYTES, true)) {
            probe(at);
        }
        os_unmap(map, 2 * THP_BYTES);
    }
}

/* Whether there is a pause, of which this is one. */
static bool take_pause(void)
{
    unsigned left = load_relaxed(&paused);

    if (left > 0) {
        store_relaxed(&paused, left - 1);
    }
    return left > 0;
}

/* The number of a span in the first range; of one in another it is too large. */
static size_t number_of(const struct span *s)
{
    return (size_t)((const char *)s - pagemap_ranges[0].table) >> SPAN_ENTRY_SHIFT;
}

static char *chunk_start(size_t chunk)
{
    return (char *)pagemap_origin + (chunk << THP_SHIFT);
}

/* How much of a run lies in the chunk that was asked for. */
static size_t bytes_advised(const struct span *s, size_t count)
{
    uintptr_t start = (uintptr_t)pagemap_address(s);
    uintptr_t end = start + (count << SPAN_SHIFT);
    uintptr_t chunk;

    if (advised == 0) {
        return 0;
    }
    chunk = (uintptr_t)chunk_start(advised - 1);
    if (end <= chunk || start >= chunk + THP_BYTES) {
        return 0;
    }
    return bits_min(end, chunk + THP_BYTES) - bits_max(start, chunk);
}

/* How many chunks may follow this one without a look: of each seven, one is looked at. */
static size_t trusted_after(size_t chunk)
{
    return bits_min(TRUST_MAX, chunk / TRUST_PART);
}

static bool is_dense(size_t chunk)
{
    return os_resident_bytes(chunk_start(chunk), THP_BYTES)
           >= THP_BYTES / 8 * DENSE_EIGHTHS;
}

/* The frontier leaves the chunk `before` and comes to lie in `chunk`. */
static void move_on(size_t before, size_t chunk)
{
    bool was_advised = advised != 0;

    advised = 0;
    if (chunk < THP_HEAP_SPANS / THP_SPANS || !is_possible()
        || pagemap_ranges[0].mapped < (chunk + 1) * THP_SPANS || take_pause()) {
        trusted = 0;
    } else if (trusted > 0) {
        trusted--;
        advised = chunk + 1;
    } else if (!was_advised && is_dense(before)) {
        trusted = trusted_after(chunk);
        advised = chunk + 1;
    }
    /* Also to one that was left out: neighbours that are alike are one mapping. */
    if ((was_advised || advised != 0) && !os_is_sandboxed()) {
        os_advise_huge(chunk_start(before), THP_BYTES, false);
    }
    if (advised != 0 && !os_advise_huge(chunk_start(chunk), THP_BYTES, true)) {
        advised = 0;
    }
    if (advised != 0) {
        probe(chunk_start(chunk)); /* in the spans that are new */
    }
}

size_t thp_extend_locked(const struct span *s, size_t count)
{
    size_t first = number_of(s);
    size_t chunk = (first + count - 1) / THP_SPANS;
    size_t bytes;

    if (!pagemap_ranges[0].grows || first == 0
        || first >= pagemap_ranges[0].spans_max) {
        return 0;
    }
    bytes = bytes_advised(s, count);
    if ((first - 1) / THP_SPANS != chunk) {
        move_on((first - 1) / THP_SPANS, chunk);
        bytes += bytes_advised(s, count);
    }
    return bytes;
}

bool thp_is_wanted(size_t bytes, size_t used_spans)
{
    return bytes >= 2 * THP_BYTES && used_spans >= THP_HEAP_SPANS && is_possible()
           && !take_pause() && load_relaxed(&blocks) < BLOCKS_MAX;
}

void thp_advise(void *start, size_t bytes, bool is_wanted)
{
    uintptr_t first = bits_round_up((uintptr_t)start, THP_BYTES);
    uintptr_t end = ((uintptr_t)start + bytes) & ~(uintptr_t)(THP_BYTES - 1);

    if (first < end && is_possible()
        && os_advise_huge((void *)first, end - first, is_wanted) && is_wanted
        && add_relaxed(&blocks, 1) % PROBE_EVERY == 0) {
        probe_elsewhere();
    }
}

void thp_advise_mapping(void *start, size_t bytes, bool is_wanted)
{
    if (is_possible() && !(is_wanted && take_pause())) {
        os_advise_huge(start, bytes, is_wanted);
    }
}
