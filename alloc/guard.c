#include "guard.h"

#include "arena.h"
#include "atomic.h"
#include "bits.h"
#include "check.h"
#include "options.h"
#include "os.h"
#include "poisson.h"
#include "probe.h"
#include "segv.h"
#include "trace.h"

#include <string.h>

enum {
    FRAMES = 32,
    CANARY = 0xc5, /* fills the rest of a block's page */
    NONE = UINT32_MAX,
};

enum slot_state {
    SLOT_UNUSED,
    SLOT_BUSY, /* somebody is making or freeing it, without the lock */
    SLOT_LIVE,
    SLOT_FREED,
};

struct slot_event {
    uint64_t thread;
    uint16_t count;
    struct unwind_info info;
    uintptr_t pcs[FRAMES];
};

struct slot {
    uint8_t state; /* atomic; changes under guard_lock */
    uint8_t cls;   /* const while live or freed, as are the next two */
    uint16_t row;
    uint32_t bytes;
    uintptr_t block;
    uint32_t next_freed; /* guard_lock: freed after this one */
    struct slot_event allocated;
    struct slot_event freed;
};

HIDDEN struct guard_pool guard_pool;
struct lock guard_lock = LOCK_INIT(RANK_GUARD);

static struct slot *slots;
static uint32_t slots_used; /* guard_lock: the first so many were used */
static uint32_t oldest = NONE, newest = NONE; /* guard_lock: freed ones */
static uint64_t random_state;                 /* guard_lock */
static int64_t countdown;                     /* atomic: bytes to the next sample */
static size_t mean_bytes;
/* By row: counters by class. Atomic; made once. */
static uint64_t *allocated[COMPONENT_ROWS];

/* ---- when ---- */

static void draw_locked(void)
{
    store_relaxed(&countdown, (int64_t)poisson_gap(&random_state, 1, mean_bytes));
}

/* ---- slots ---- */

static size_t page_bytes(void)
{
    return os_page_bytes();
}

/* Pages are: guard, slot 0, guard, slot 1, ... slot n-1, guard. */
static char *slot_page(uint32_t i)
{
    return (char *)guard_pool.start + (2 * (size_t)i + 1) * page_bytes();
}

static struct slot *slot_of(uintptr_t address)
{
    size_t page = (address - guard_pool.start) / page_bytes();

    return page % 2 == 1 ? &slots[page / 2] : NULL;
}

static uint32_t slot_index(const struct slot *s)
{
    return (uint32_t)(s - slots);
}

/* One that was never used, else the one that was freed first. NULL: all are live. */
static struct slot *acquire_locked(void)
{
    uint32_t i = oldest;

    if (slots_used < GUARD_SLOTS) {
        i = slots_used++;
    } else if (i != NONE) {
        oldest = slots[i].next_freed;
        newest = oldest == NONE ? NONE : newest;
    } else {
        return NULL;
    }
    store_relaxed(&slots[i].state, SLOT_BUSY);
    return &slots[i];
}

static void release_locked(struct slot *s)
{
    uint32_t i = slot_index(s);

    s->next_freed = NONE;
    if (newest != NONE) {
        slots[newest].next_freed = i;
    } else {
        oldest = i;
    }
    newest = i;
    store_release(&s->state, SLOT_FREED);
}

static NOINLINE void note_event(struct slot_event *e)
{
    e->thread = os_thread_id();
    e->count = (uint16_t)unwind_here(e->pcs, FRAMES, &e->info);
}

/* ---- messages ---- */

static void say_event(const char *what, const struct slot_event *e)
{
    check_say("%s by thread %zu:", what, (size_t)e->thread);
    trace_print(e->pcs, e->count, &e->info);
}

static const char *component_name(const struct slot *s)
{
    const struct mp_component *c = component_by_row(s->row);

    return c != NULL ? c->name : "?";
}

static void say_history(const struct slot *s, enum slot_state state)
{
    say_event("it was allocated", &s->allocated);
    if (state == SLOT_FREED) {
        say_event("it was freed", &s->freed);
    }
}

/* "16 bytes behind", of an address that is not in the block; or into it. */
static void say_place(const char *what, const struct slot *s, uintptr_t at)
{
    const char *where = "into";
    size_t distance = at - s->block;

    if (at < s->block) {
        where = "before";
        distance = s->block - at;
    } else if (at >= s->block + s->bytes) {
        where = "behind the end of";
        distance = at - (s->block + s->bytes);
    }
    check_say("%s %p (%zu bytes %s the guarded block of %u bytes at %p, component %s)",
        what, (void *)at, distance, where, (unsigned)s->bytes, (void *)s->block,
        component_name(s));
}

static NORETURN void die_here(void)
{
    check_say("this is thread %zu:", (size_t)os_thread_id());
    check_end();
}

/* ---- pointers that are no blocks ---- */

/* The slot that an address between pages is nearest to, of those that were used. */
static struct slot *nearest_slot(uintptr_t address)
{
    size_t page = (address - guard_pool.start) / page_bytes();
    struct slot *left = page >= 2 && page % 2 == 0 ? &slots[page / 2 - 1] : NULL;
    struct slot *right = page / 2 < GUARD_SLOTS ? &slots[page / 2] : NULL;
    bool has_left, has_right;

    if (page % 2 == 1) {
        return right;
    }
    has_left = left != NULL && load_acquire(&left->state) >= SLOT_LIVE;
    has_right = right != NULL && load_acquire(&right->state) >= SLOT_LIVE;
    if (has_left && has_right) {
        return address - (left->block + left->bytes) <= right->block - address ? left
                                                                               : right;
    }
    return has_right ? right : has_left ? left : NULL;
}

void guard_refuse(const void *p, const char *what)
{
    uintptr_t at = (uintptr_t)p;
    struct slot *s = nearest_slot(at);
    enum slot_state state;

    add_relaxed(&probe_passes.invalid_frees, 1);
    if (!options.abort) {
        if (options.log == LOG_DEBUG) {
            check_say("%s of %p (a guarded block); ignored", what, (void *)at);
        }
        return;
    }
    check_begin_death();
    state = s != NULL ? load_acquire(&s->state) : SLOT_UNUSED; /* as in explain */
    if (state < SLOT_LIVE) {
        check_say("%s of %p (no block is there)", what, (void *)at);
    } else {
        char text[64];

        check_format(text, sizeof(text), "%s of", what);
        say_place(text, s, at);
        say_history(s, state);
    }
    die_here();
}

/* ---- faults ---- */

/* In the handler: what is said here is all that the program will have to say. */
static void explain(const struct segv *f)
{
    struct unwind_context c;
    struct unwind_info info;
    uintptr_t pcs[FRAMES];
    struct slot *s;
    enum slot_state state;
    size_t count;
    char what[64];

    if (!guard_holds((void *)f->address) || (s = nearest_slot(f->address)) == NULL) {
        return;
    }
    state = load_acquire(&s->state); /* pairs with release_locked, guard_try_alloc */
    /* Once: it happens again, when a handler of the program returns. */
    if (state < SLOT_LIVE || !check_begin_death()) {
        return;
    }
    check_format(what, sizeof(what), "%s: %s at",
        state == SLOT_FREED     ? "use after free"
        : f->address < s->block ? "underflow"
                                : "overflow",
        f->access);
    say_place(what, s, f->address);
    say_history(s, state);
    unwind_capture_signal(&c, f->ucontext);
    count = unwind_walk(&c, 0, pcs, FRAMES, &info);
    check_say("this is thread %zu:", (size_t)os_thread_id());
    trace_print(pcs, count, &info);
}

/* ---- allocating ---- */

static uint64_t *counters_of(const struct mp_component *c)
{
    uint64_t **slot = &allocated[c->row];
    uint64_t *found = load_acquire(slot); /* pairs with the release below */
    uint64_t *fresh;

    if (found != NULL) {
        return found;
    }
    fresh = arena_alloc(CLASS_SLAB_COUNT * sizeof(*fresh));
    lock_lock(&guard_lock);
    if (*slot == NULL && fresh != NULL) {
        store_release(slot, fresh);
    } /* else: what was made in vain is lost, once a component at most */
    found = *slot;
    lock_unlock(&guard_lock);
    return found;
}

const uint64_t *guard_allocated(const struct mp_component *c)
{
    return load_acquire(&allocated[c->row]); /* pairs with counters_of */
}

/*
 * At the start of its page, or at the end as far as its alignment allows: that of its class,
 * whose blocks have any alignment that they could have in a slab.
 */
static void place_block(struct slot *s, bool is_at_end)
{
    char *page = slot_page(slot_index(s));
    char *block = page + (is_at_end ? page_bytes() - sizeclass_bytes(s->cls) : 0);

    memset(page, CANARY, (size_t)(block - page));
    memset(block + s->bytes, CANARY, (size_t)(page + page_bytes() - block) - s->bytes);
    s->block = (uintptr_t)block;
}

static bool is_due(size_t bytes)
{
    return sub_relaxed(&countdown, (int64_t)bytes) <= (int64_t)bytes;
}

void *guard_try_alloc_slow(
    struct mp_component *c, unsigned cls, unsigned given, size_t size)
{
    uint64_t *counters;
    struct slot *s;
    bool is_at_end;

    if (sizeclass_bytes(cls) > page_bytes()
        || !is_due(bits_max(given, 1) * sizeclass_bytes(cls))) {
        return NULL;
    }
    segv_arm(explain);
    counters = counters_of(c);
    lock_lock(&guard_lock);
    draw_locked();
    is_at_end = (poisson_random(&random_state) >> 40 & 1) != 0;
    s = counters != NULL ? acquire_locked() : NULL;
    lock_unlock(&guard_lock);
    if (s == NULL) {
        return NULL;
    }
    if (!os_protect(slot_page(slot_index(s)), page_bytes(), true)) {
        lock_lock(&guard_lock);
        s->allocated.count = s->freed.count = 0;
        release_locked(s);
        lock_unlock(&guard_lock);
        return NULL;
    }
    s->cls = (uint8_t)cls;
    s->row = c->row;
    /* A larger class than the size needs was taken for the sake of alignment or growth. */
    s->bytes = (uint32_t)(sizeclass_of(size) == cls ? bits_max(size, 1)
                                                    : sizeclass_bytes(cls));
    place_block(s, is_at_end);
    note_event(&s->allocated);
    store_release(&s->state, SLOT_LIVE);
    /* Counted when it is seen to live: the other way it would seem freed. guard_each_live */
    add_relaxed(&counters[cls], 1);
    return (void *)s->block;
}

/* ---- freeing ---- */

/* The first byte beside the block that is not what it was. NULL: all are. */
static const unsigned char *find_damage(const struct slot *s)
{
    const unsigned char *page = (unsigned char *)slot_page(slot_index(s));
    const unsigned char *block = (unsigned char *)s->block;

    for (const unsigned char *p = block + s->bytes; p < page + page_bytes(); p++) {
        if (*p != CANARY) {
            return p;
        }
    }
    for (const unsigned char *p = block; p-- > page;) {
        if (*p != CANARY) {
            return p; /* the nearest to the block */
        }
    }
    return NULL;
}

static NORETURN void refuse_damaged(const struct slot *s, uintptr_t at)
{
    check_begin_death();
    say_place(at < s->block ? "underflow, found by free: write at"
                            : "overflow, found by free: write at",
        s, at);
    say_history(s, SLOT_LIVE);
    die_here();
}

/* From live to busy; false when it is not the start of a live block, or not any more. */
static bool take(struct slot *s, const void *p)
{
    bool is_taken;

    lock_lock(&guard_lock);
    is_taken = s != NULL && s->state == SLOT_LIVE && s->block == (uintptr_t)p;
    if (is_taken) {
        store_relaxed(&s->state, SLOT_BUSY);
    }
    lock_unlock(&guard_lock);
    return is_taken;
}

void guard_free(void *p)
{
    struct slot *s = slot_of((uintptr_t)p);
    const unsigned char *damage;

    if (!take(s, p)) {
        bool is_double = s != NULL && s->block == (uintptr_t)p;

        guard_refuse(p, is_double ? "double free" : "invalid free");
        return;
    }
    damage = find_damage(s);
    if (damage != NULL) {
        add_relaxed(&probe_passes.invalid_frees, 1);
        if (options.abort) {
            refuse_damaged(s, (uintptr_t)damage);
        }
    }
    note_event(&s->freed);
    os_make_inaccessible(slot_page(slot_index(s)), page_bytes());
    lock_lock(&guard_lock);
    release_locked(s);
    lock_unlock(&guard_lock);
}

bool guard_find(const void *p, size_t *ret_size)
{
    const struct slot *s = slot_of((uintptr_t)p);

    /* acquire: pairs with guard_try_alloc; whoever has p made or was given it */
    if (s == NULL || load_acquire(&s->state) != SLOT_LIVE || s->block != (uintptr_t)p) {
        return false;
    }
    *ret_size = s->bytes;
    return true;
}

void guard_each_live(void (*each)(unsigned row, unsigned cls, void *arg), void *arg)
{
    for (uint32_t i = 0; guard_pool.bytes != 0 && i < GUARD_SLOTS; i++) {
        enum slot_state state = load_acquire(&slots[i].state); /* guard_try_alloc */

        /* One that is being freed lives; one that is being made does not yet. */
        if (state == SLOT_LIVE) {
            each(slots[i].row, slots[i].cls, arg);
        }
    }
}

bool guard_look(unsigned i, struct guard_block *ret)
{
    const struct slot *s = &slots[i];

    if (guard_pool.bytes == 0 || load_acquire(&s->state) != SLOT_LIVE) {
        return false; /* acquire: guard_try_alloc */
    }
    *ret = (struct guard_block){s->block, s->bytes, s->row, s->cls};
    return true;
}

const void *guard_memory(size_t *ret_bytes)
{
    *ret_bytes = GUARD_SLOTS * sizeof(*slots);
    return slots;
}

unsigned guard_slot_number(uintptr_t address)
{
    return (unsigned)((address - guard_pool.start) / page_bytes() / 2);
}

/* ---- the start ---- */

void guard_init(void)
{
    size_t bytes = (2 * (size_t)GUARD_SLOTS + 1) * page_bytes();
    void *pool;

    if (options.guard_bytes == 0) {
        return;
    }
    slots = os_map(GUARD_SLOTS * sizeof(*slots));
    pool = slots != NULL ? os_map_inaccessible(bytes) : NULL;
    if (pool == NULL) {
        return;
    }
    os_random(&random_state, sizeof(random_state));
    random_state |= 1;
    mean_bytes = options.guard_bytes;
    draw_locked();
    guard_pool.start = (uintptr_t)pool;
    store_release(&guard_pool.bytes, bytes); /* constructors run before threads */
    segv_arm(explain);
}
