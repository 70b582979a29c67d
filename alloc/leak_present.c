#include "leak_present.h"

#include "bits.h"
#include "os.h"

enum {
    WINDOW = 512, /* pages that are asked about at once */
    CONSTANTS = 512,
};

#define PRESENT (UINT64_C(3) << 62) /* in memory, or in swap */

static struct {
    int pagemap; /* descriptor and 1; 0: none */
    enum leak_present_kind kind;
    uintptr_t start; /* of what the window says */
    size_t pages;
    uint64_t window[WINDOW];
    struct {
        uintptr_t start;
        uintptr_t end;
    } constants[CONSTANTS]; /* by address */
    size_t constant_count;
} present;

void leak_present_begin(void)
{
    int fd = os_open_file("/proc/self/pagemap");

    present.pagemap = fd >= 0 ? fd + 1 : 0;
    present.pages = 0;
    present.kind = LEAK_PRESENT_PRIVATE;
    present.constant_count = 0;
}

void leak_present_end(void)
{
    if (present.pagemap != 0) {
        os_close(present.pagemap - 1);
        present.pagemap = 0;
    }
}

void leak_present_set(enum leak_present_kind kind)
{
    present.pages = 0;
    present.kind = kind;
}

/* The first page from there on that may be there: past holes of any size in one step. */
static uintptr_t skip_hole(uintptr_t page, uintptr_t end)
{
    uintptr_t next = 0;

    if (present.kind == LEAK_PRESENT_PRIVATE && present.pagemap != 0) {
        next = os_next_present(
            present.pagemap - 1, page, bits_round_up(end, os_page_bytes()));
    }
    return next != 0 ? next : page;
}

/* Has the window begin at this page. False: nothing is known about it. */
static bool ask(uintptr_t page, uintptr_t end)
{
    size_t page_bytes = os_page_bytes();
    size_t most = bits_min((end - page + page_bytes - 1) / page_bytes, WINDOW);
    long got = 0;

    present.start = page;
    present.pages = 0;
    if (present.kind
        == LEAK_PRESENT_SHARED) { /* mapped by others: our tables do not say */
        if (os_pages_present((void *)page, most, present.window)) {
            present.pages = most;
        }
    } else if (present.kind == LEAK_PRESENT_PRIVATE && present.pagemap != 0) {
        got = os_read_from(present.pagemap - 1, present.window,
            most * sizeof(present.window[0]),
            page / page_bytes * sizeof(present.window[0]));
        present.pages = got > 0 ? (size_t)got / sizeof(present.window[0]) : 0;
    }
    return present.pages > 0;
}

uintptr_t leak_present_next(uintptr_t at, uintptr_t end)
{
    size_t page_bytes = os_page_bytes();

    while (at < end) {
        uintptr_t page = bits_round_down(at, page_bytes);
        size_t number = (page - present.start) / page_bytes;

        if (page < present.start || number >= present.pages) {
            uintptr_t there = skip_hole(page, end);

            if (there > page) {
                at = there;
                continue;
            }
            if (!ask(page, end)) {
                return at;
            }
            number = 0;
        }
        if ((present.window[number] & PRESENT) != 0) {
            return at;
        }
        at = page + page_bytes;
    }
    return end;
}

bool leak_present_add_constant(uintptr_t start, uintptr_t end)
{
    size_t n = present.constant_count;

    if (n > 0 && present.constants[n - 1].end == start) {
        present.constants[n - 1].end = end;
        return true;
    }
    if (n == CONSTANTS) {
        return false;
    }
    present.constants[n].start = start;
    present.constants[n].end = end;
    present.constant_count++;
    return true;
}

bool leak_present_is_constant(uintptr_t address)
{
    size_t low = 0;
    size_t high = present.constant_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (present.constants[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < present.constant_count && present.constants[low].start <= address;
}
