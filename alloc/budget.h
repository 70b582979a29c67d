/*
 * budget - what a component, and all below it, may hold
 *
 * Owns: the budgets, which component has which, the set of slabs of each, and the room: how
 * many bytes may be handed out before somebody must count what is live (limit.h). Handing
 * out takes from the room, freeing gives nothing back to it, so that the fast paths know
 * nothing of budgets and live bytes never grow by more than the room that was there.
 *
 * A budget lives for ever; one without limits has all the room there is.
 */
#ifndef BUDGET_H
#define BUDGET_H

#include "component.h"
#include "span.h"

#include <mpalloc/region.h>

enum { BUDGET_PAGE_SPANS = 32 * 1024, BUDGET_PAGES = 512 };

struct budget_page { /* a bit for each span */
    uint64_t words[BUDGET_PAGE_SPANS / 64];
};

struct budget_pages { /* of a range */
    struct budget_page *page[BUDGET_PAGES];
};

struct budget {
    int64_t room;     /* atomic */
    uint64_t pending; /* atomic: taken from it for blocks that are not there yet */
    struct mp_component *component; /* const */
    struct budget *above;           /* atomic: of the nearest parent that has one */
    size_t number;                  /* const: how many there were before it */
    uint64_t soft;                  /* counters_lock, as the next; 0: none */
    uint64_t hard;
    bool is_over;
    bool is_waiting; /* atomic: its crossing is to be told */
    bool is_partial; /* atomic: there was no memory for a bit; look at all spans */
    uint64_t hits;   /* counters_lock, as the rest */
    uint64_t hit_ns;
    uint64_t hit_bytes; /* live then */
    uint64_t refused;
    uint64_t refused_ns;
    struct budget_pages *pages[RANGES_MAX]; /* atomic */
};

enum { BUDGETS_MAX = MP_REGION_LIMITS_MAX };

#define BUDGET_UNLIMITED (INT64_MAX / 4)

/* By number; NULL: there are no more. */
struct budget *budget_at(size_t i);
size_t budget_count(void);

/* Of how many forks this process is the child. */
unsigned budget_forks(void);

/* Those who took room and are gone will not have their blocks. */
void budget_after_fork_in_child(void);

/* That of c, made if need be, without limits. NULL: too many, or no memory. */
struct budget *budget_obtain_locked(struct mp_component *c); /* component_lock */

/* Whether what c holds counts for b. */
bool budget_covers(const struct budget *b, const struct mp_component *c);

/* Slab s is one of b. Any thread. */
void budget_mark(struct budget *b, const struct span *s);

/*
 * Slabs of b, and maybe some that were. With counters_lock. each: false where it is none of
 * b any more, and is to be forgotten; it is asked again then.
 */
void budget_each_slab(struct budget *b,
    bool (*each)(const struct budget *b, const struct span *s, void *arg), void *arg);

#endif
