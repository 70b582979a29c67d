#include "budget.h"

#include "arena.h"
#include "bits.h"

static struct budget *budgets[BUDGETS_MAX];
static size_t count; /* component_lock; release, for readers without it */
static unsigned forks;

struct budget *budget_at(size_t i)
{
    return i < load_acquire(&count) ? budgets[i] : NULL; /* pairs with obtain */
}

size_t budget_count(void)
{
    return load_acquire(&count); /* pairs with obtain */
}

unsigned budget_forks(void)
{
    return forks;
}

void budget_after_fork_in_child(void)
{
    forks++;
    for (size_t i = 0; i < count; i++) {
        store_relaxed(&budgets[i]->pending, 0);
    }
}

/* ---- which covers whom ---- */

static bool is_below(const struct mp_component *c, const struct mp_component *root)
{
    while (c != NULL && c != root) {
        c = c->parent;
    }
    return c == root;
}

/* b is the nearest to those that had no nearer one than it has above it. */
static void put_in_tree_locked(struct budget *b)
{
    struct mp_component *root = b->component;

    for (size_t i = 0; i < count; i++) {
        struct budget *other = budgets[i];

        if (other->above == b->above && is_below(other->component, root)) {
            store_release(&other->above, b); /* pairs with limit.h */
        }
    }
    for (struct mp_component *c = root; c != NULL; c = component_next_locked(c, root)) {
        if (c->budget == b->above) {
            store_release(&c->budget, b); /* pairs with limit.h */
        }
    }
}

struct budget *budget_obtain_locked(struct mp_component *c)
{
    struct budget *b = c->budget;

    if (b != NULL && b->component == c) {
        return b;
    }
    b = count < BUDGETS_MAX ? arena_alloc(sizeof(*b)) : NULL;
    if (b == NULL) {
        return NULL;
    }
    b->component = c;
    b->number = count;
    b->above = c->budget;
    b->room = BUDGET_UNLIMITED;
    put_in_tree_locked(b);
    budgets[count] = b;
    store_release(&count, count + 1); /* pairs with budget_at */
    return b;
}

bool budget_covers(const struct budget *b, const struct mp_component *c)
{
    const struct budget *at = load_acquire(&c->budget); /* pairs with put_in_tree */

    while (at != NULL && at != b) {
        at = load_acquire(&at->above);
    }
    return at == b;
}

/* ---- slabs ---- */

/* A structure of zeros at *at, made by who comes first. NULL: no memory. */
static void *obtain(void **at, size_t bytes)
{
    void *p = load_acquire(at);
    void *fresh;

    if (p != NULL) {
        return p;
    }
    fresh = arena_alloc(bytes);
    while (fresh != NULL && p == NULL) { /* of two that come at once, one is lost */
        if (cas_weak_acq_rel(at, &p, fresh)) { /* pairs with the loads of it */
            p = fresh;
        }
    }
    return p;
}

static uint64_t *find_word(struct budget *b, size_t range, size_t index)
{
    struct budget_pages *pages =
        obtain((void **)&b->pages[range], sizeof(struct budget_pages));
    size_t number = index / BUDGET_PAGE_SPANS;
    struct budget_page *page = NULL;

    if (pages != NULL && number < BUDGET_PAGES) {
        page = obtain((void **)&pages->page[number], sizeof(struct budget_page));
    }
    return page != NULL ? &page->words[index % BUDGET_PAGE_SPANS / 64] : NULL;
}

void budget_mark(struct budget *b, const struct span *s)
{
    const struct range *r = pagemap_range_of(s);
    size_t index = (size_t)((const char *)s - r->table) >> SPAN_ENTRY_SHIFT;
    uint64_t *word = find_word(b, (size_t)(r - pagemap_ranges), index);
    uint64_t bit = UINT64_C(1) << index % 64;

    if (word == NULL) {
        store_relaxed(&b->is_partial, true);
    } else if ((load_relaxed(word) & bit) == 0) {
        or_acq_rel(word, bit); /* pairs with forget */
    }
}

/*
 * Its bit goes, unless it is a slab of b again by now: who made it one did so before it set
 * the bit, so that either is seen here or the bit stays set.
 */
static void forget(struct budget *b, const struct span *s, uint64_t *word, uint64_t bit,
    bool (*each)(const struct budget *b, const struct span *s, void *arg), void *arg)
{
    and_acq_rel(word, ~bit); /* pairs with budget_mark */
    if (each(b, s, arg)) {
        or_acq_rel(word, bit);
    }
}

static void look_at_word(struct budget *b, const struct span *first, uint64_t *word,
    bool (*each)(const struct budget *b, const struct span *s, void *arg), void *arg)
{
    uint64_t bits = load_acquire(word); /* pairs with budget_mark */

    while (bits != 0) {
        uint64_t bit = bits & (~bits + 1);
        const struct span *s = first + __builtin_ctzll(bits);

        bits ^= bit;
        if (!each(b, s, arg)) {
            forget(b, s, word, bit, each, arg);
        }
    }
}

static void look_at_range(struct budget *b, const struct range *r,
    struct budget_pages *pages,
    bool (*each)(const struct budget *b, const struct span *s, void *arg), void *arg)
{
    size_t frontier = load_acquire(&r->frontier);

    for (size_t i = 0; i < BUDGET_PAGES && i * BUDGET_PAGE_SPANS < frontier; i++) {
        struct budget_page *page = load_acquire(&pages->page[i]);

        for (size_t w = 0; page != NULL && w < BUDGET_PAGE_SPANS / 64; w++) {
            size_t index = i * BUDGET_PAGE_SPANS + 64 * w;

            if (load_relaxed(&page->words[w]) != 0) {
                look_at_word(b,
                    (const struct span *)(r->table + (index << SPAN_ENTRY_SHIFT)),
                    &page->words[w], each, arg);
            }
        }
    }
}

void budget_each_slab(struct budget *b,
    bool (*each)(const struct budget *b, const struct span *s, void *arg), void *arg)
{
    for (size_t i = 0; i < pagemap_range_count(); i++) {
        const struct range *r = &pagemap_ranges[i];
        struct budget_pages *pages = load_acquire(&b->pages[i]);
        size_t frontier = load_acquire(&r->frontier);

        if (!load_relaxed(&b->is_partial)) {
            if (pages != NULL) {
                look_at_range(b, r, pages, each, arg);
            }
            continue;
        }
        for (size_t at = 0; at < frontier; at++) {
            each(b, (const struct span *)(r->table + (at << SPAN_ENTRY_SHIFT)), arg);
        }
    }
}
