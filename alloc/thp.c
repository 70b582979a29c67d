#include "thp.h"

#include "options.h"
#include "os.h"

enum {
    TRUST_MAX = 6,
    TRUST_PART = 4,
    DENSE_EIGHTHS = 5, /* not more: slabs of many classes are being filled at a time */
};

static size_t trusted; /* span_lock: chunks that are asked for without a look */
static char
    *advised; /* span_lock: the 2 MiB that hold the frontier; NULL: not asked for */

static bool is_possible(void)
{
    /* Of a kernel with larger pages the huge ones are larger, too: 512 MiB with 64 KiB. */
    return options.huge_pages == HUGE_PAGES_AUTO && os_page_bytes() == 4096
           && !os_is_sandboxed();
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

bool thp_is_entered(const struct span *s, size_t count)
{
    size_t first = number_of(s);

    return pagemap_ranges[0].grows && first < pagemap_ranges[0].spans_max
           && (first == 0
               || (first - 1) / THP_SPANS != (first + count - 1) / THP_SPANS);
}

/* How many chunks may follow this one without a look: of each eight, one is looked at. */
static size_t trusted_after(size_t chunk)
{
    return bits_min(TRUST_MAX, chunk / TRUST_PART);
}

void thp_move_on_locked(const struct span *s, size_t count)
{
    size_t first = number_of(s);
    size_t chunk = (first + count - 1) / THP_SPANS;
    char *before = advised;

    if (before != NULL) {
        os_advise_huge(before, THP_BYTES, false);
        advised = NULL;
    }
    if (chunk < THP_HEAP_SPANS / THP_SPANS || !is_possible()
        || pagemap_ranges[0].mapped < (chunk + 1) * THP_SPANS) {
        return;
    }
    if (trusted > 0) {
        trusted--;
    } else if (before == NULL
               && os_resident_bytes(chunk_start((first - 1) / THP_SPANS), THP_BYTES)
                      >= THP_BYTES / 8 * DENSE_EIGHTHS) {
        trusted = trusted_after(chunk);
    } else {
        return;
    }
    if (os_advise_huge(chunk_start(chunk), THP_BYTES, true)) {
        advised = chunk_start(chunk);
    }
}

size_t thp_bytes_ahead_locked(const struct span *s, size_t count)
{
    char *start = pagemap_address(s);
    char *end = start + (count << SPAN_SHIFT);

    if (advised == NULL || end <= advised || start >= advised + THP_BYTES) {
        return 0;
    }
    return (size_t)(end - (start > advised ? start : advised));
}

bool thp_is_wanted(size_t bytes, size_t used_spans)
{
    return bytes >= 2 * THP_BYTES && used_spans >= THP_HEAP_SPANS && is_possible();
}

void thp_advise(void *start, size_t bytes, bool is_wanted)
{
    uintptr_t first = bits_round_up((uintptr_t)start, THP_BYTES);
    uintptr_t end = ((uintptr_t)start + bytes) & ~(uintptr_t)(THP_BYTES - 1);

    if (first < end) {
        os_advise_huge((void *)first, end - first, is_wanted);
    }
}

void thp_advise_mapping(void *start, size_t bytes)
{
    if (is_possible()) {
        os_advise_huge(start, bytes, true);
    }
}
