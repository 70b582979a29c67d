#include "clock.h"

enum {
    LINES = 16,                  /* in turn: who reads an old one has 1.6 s for it */
    FIRST_NS = 20 * 1000 * 1000, /* of comparison, before it is used */
    NEXT_NS = 100 * 1000 * 1000, /* from one line to the next */
    APART_NS = 1000 * 1000,      /* more, and something happened: begin anew */
    TRIES = 4,
};

const struct clock_line *clock_line;

static struct clock_line lines[LINES];
static unsigned next_line;
static bool is_trusted;
static bool has_base;
static uint64_t base_ticks, base_ns; /* what both were, the last time */

void clock_start(void)
{
    is_trusted = arch_has_ticks() && os_trusts_ticks();
    has_base = false;
    store_release(&clock_line, NULL);
}

/* Both at one moment. False: we were interrupted each time. */
static bool read_both(uint64_t *ret_ticks, uint64_t *ret_ns)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t before = arch_ticks();
        uint64_t ns = os_monotonic_ns();
        uint64_t took = arch_ticks() - before;

        if (took < least) {
            least = took;
            *ret_ticks = before + took / 2;
            *ret_ns = ns;
        }
    }
    return least < UINT64_C(20) * 1000; /* some us, of any counter there is */
}

static void begin(uint64_t ticks, uint64_t ns)
{
    base_ticks = ticks;
    base_ns = ns;
    has_base = true;
    store_release(&clock_line, NULL);
}

/* From where the last one has come to, so that it is even, towards the clock. */
static void draw(uint64_t ticks, uint64_t ns, uint64_t from_ns)
{
    struct clock_line *l = &lines[next_line++ % LINES];
    uint64_t ran = ticks - base_ticks;
    int64_t behind = (int64_t)(ns - from_ns);
    uint64_t slope = (uint64_t)((double)(ns - base_ns) / (double)ran
                                * (double)(UINT64_C(1) << CLOCK_SHIFT));

    /* Within the next line, if that is as long; it is at most a hundredth of its slope. */
    slope += (uint64_t)(behind * (int64_t)(slope / NEXT_NS));
    *l = (struct clock_line){.ticks = ticks, .ns = from_ns, .slope = slope};
    base_ticks = ticks;
    base_ns = ns;
    store_release(&clock_line, l); /* pairs with clock_ns */
}

void clock_compare(void)
{
    const struct clock_line *l = clock_line;
    uint64_t ticks = 0, ns = 0, from_ns;

    if (!is_trusted || !read_both(&ticks, &ns)) {
        return;
    }
    if (!has_base || ticks <= base_ticks || ns <= base_ns) {
        begin(ticks, ns);
        return;
    }
    if (ns - base_ns < (l == NULL ? FIRST_NS : NEXT_NS)) {
        return;
    }
    from_ns = l == NULL
                  ? ns
                  : l->ns
                        + (uint64_t)(((unsigned __int128)(ticks - l->ticks) * l->slope)
                                     >> CLOCK_SHIFT);
    if (from_ns - ns + APART_NS
        > 2 * (uint64_t)APART_NS) { /* asleep, or moved elsewhere */
        begin(ticks, ns);
        return;
    }
    draw(ticks, ns, from_ns);
}
