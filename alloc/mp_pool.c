#include "mp_pool.h"

#include "harden.h"
#include "malloc.h"
#include "malloc_hard.h"
#include "mp_pool_parts.h"
#include "probe.h"

#include <errno.h>
#include <string.h>

enum {
    STOCK_MOST = 32,              /* objects of a stock, at most, */
    STOCK_BYTES_MOST = 64 * 1024, /* and of so many bytes, but for one */
};

struct lock pools_lock = LOCK_INIT(RANK_POOLS);
struct mp_pool *pools;
uint64_t pools_ever;
struct mp_pool *pools_at_place[POOL_PLACES];

/* ---- stocks ---- */

static void stock_push(struct stock **list, struct stock *s)
{
    s->previous = NULL;
    s->next = *list;
    if (s->next != NULL) {
        s->next->previous = s;
    }
    *list = s;
}

static struct stock *stock_remove(struct stock **list, struct stock *s)
{
    if (s->next != NULL) {
        s->next->previous = s->previous;
    }
    if (s->previous != NULL) {
        s->previous->next = s->next;
    } else {
        *list = s->next;
    }
    return s;
}

static struct stock *stock_pop(struct stock **list)
{
    return *list != NULL ? stock_remove(list, *list) : NULL;
}

static struct stock *stock_create(const struct mp_pool *p)
{
    return malloc_zeroed(
        p->component, 1, sizeof(struct stock) + p->stock_most * sizeof(void *));
}

static void store_push_locked(struct mp_pool *p, struct stock *s)
{
    s->tray = NULL;
    p->store_count += s->count;
    stock_push(s->count != 0 ? &p->store : &p->empties, s);
}

static struct stock *store_pop_locked(struct mp_pool *p)
{
    struct stock *s = stock_pop(&p->store);

    if (s != NULL) {
        p->store_count -= s->count;
    }
    return s;
}

/* ---- trays ---- */

static ALWAYS_INLINE struct tray *tray_of(const struct mp_pool *p)
{
    return (struct tray *)(thread_trays + p->head.place);
}

static void tray_set_get(struct tray *t, struct stock *s, size_t count)
{
    store_relaxed(&t->get_stock, s);
    t->head.base = s->items;
    t->head.got = s->items + count;
    store_relaxed(&t->loaded, t->loaded + count);
}

static void tray_set_put(const struct mp_pool *p, struct tray *t, struct stock *s)
{
    t->put_stock = s;
    t->head.put = s->items;
    t->head.end = s->items + p->stock_most;
}

/* Get from what was put lately: there is nothing else. */
static void tray_swap(const struct mp_pool *p, struct tray *t)
{
    struct stock *empty = t->get_stock;

    tray_set_get(t, t->put_stock, (size_t)(t->head.put - t->put_stock->items));
    tray_set_put(p, t, empty);
}

static void tray_attach_locked(
    struct mp_pool *p, struct tray *t, struct stock *get, struct stock *put)
{
    stock_push(&p->stocks, get);
    stock_push(&p->stocks, put);
    get->tray = put->tray = t;
    tray_set_get(t, get, get->count);
    tray_set_put(p, t, put);
    t->next = p->trays;
    p->trays = t;
}

/*
 * What is in it goes to the store. A thread that fork lost in the middle of a get or a put left
 * the object in its stock, or there is NULL.
 */
static void stock_give_back_locked(struct mp_pool *p, struct stock *s)
{
    s->count = 0;
    for (size_t i = 0; i < p->stock_most; i++) {
        void *object = s->items[i];

        s->items[i] = NULL;
        if (object != NULL) {
            s->items[s->count++] = object;
        }
    }
    store_push_locked(p, stock_remove(&p->stocks, s));
}

static void tray_detach_locked(struct mp_pool *p, struct tray *t)
{
    struct tray **link = &p->trays;

    p->gets += pool_tray_gets(p, t);
    for (struct stock *s = p->stocks, *next; s != NULL; s = next) {
        next = s->next;
        if (s->tray == t) {
            stock_give_back_locked(p, s);
        }
    }
    while (*link != t) {
        link = &(*link)->next;
    }
    *link = t->next;
    memset(t, 0, sizeof(*t));
}

/* False: no memory. The lock is not held while it is asked for. */
static bool tray_make(struct mp_pool *p, struct tray *t)
{
    struct stock *stock[2];

    /* Those of threads that ended, first: else each thread that comes and goes would leave two. */
    lock_lock(&p->lock);
    stock[0] = stock_pop(&p->empties);
    stock[1] = stock_pop(&p->empties);
    lock_unlock(&p->lock);
    for (unsigned i = 0; i < 2; i++) {
        stock[i] = stock[i] != NULL ? stock[i] : stock_create(p);
    }
    if (stock[0] == NULL || stock[1] == NULL) {
        malloc_free(stock[0]);
        malloc_free(stock[1]);
        return false;
    }
    lock_lock(&p->lock);
    if (t != &p->shared && t->get_stock != NULL) { /* by who was told meanwhile */
        stock_push(&p->empties, stock[0]);
        stock_push(&p->empties, stock[1]);
    } else {
        tray_attach_locked(p, t, stock[0], stock[1]);
    }
    lock_unlock(&p->lock);
    return true;
}

/* This thread's tray, made if need be; else that of all that have none: lock, when it is used. */
static struct tray *tray_get(struct mp_pool *p)
{
    struct tray *t;

    if (p->head.place == 0 || p->stock_most == 0 || !thread_has_trays(p->component)) {
        return &p->shared;
    }
    t = tray_of(p);
    return t->get_stock != NULL || tray_make(p, t) ? t : &p->shared;
}

/* ---- get ---- */

static ALWAYS_INLINE void *tray_pop(struct tray *t, void **got)
{
    void *object = *--got;

    store_relaxed(got, NULL); /* figures and leak checks do not take it for kept */
    t->head.got = got;
    return object;
}

/* From anywhere: what was put lately, the store, what is loose there. */
static void *find_locked(struct mp_pool *p, struct tray *t)
{
    struct stock *s;

    if (t->head.got == t->head.base && t->put_stock != NULL
        && t->head.put != t->put_stock->items) {
        tray_swap(p, t);
    }
    if (t->head.got == t->head.base && t->get_stock != NULL) {
        s = store_pop_locked(p);
        if (s != NULL) {
            t->get_stock->count = 0;
            store_push_locked(p, stock_remove(&p->stocks, t->get_stock));
            s->tray = t;
            stock_push(&p->stocks, s);
            tray_set_get(t, s, s->count);
        }
    }
    if (t->head.got != t->head.base) {
        return tray_pop(t, t->head.got);
    }
    s = p->loose;
    if (s != NULL && s->count != 0) {
        void *object = s->items[--s->count];

        s->items[s->count] = NULL;
        p->store_count--;
        p->gets++;
        return object;
    }
    return NULL;
}

static NOINLINE void *get_slow(struct mp_pool *p)
{
    struct tray *t = tray_of(p);
    void *object;

    if (LIKELY(t->get_stock != NULL && t->head.put != t->put_stock->items)) {
        tray_swap(p, t);
        return tray_pop(t, t->head.got);
    }
    t = tray_get(p);
    lock_lock(&p->lock);
    object = find_locked(p, t);
    lock_unlock(&p->lock);
    if (object != NULL) {
        return object;
    }
    object = malloc_alloc(p->component, p->object_bytes);
    if (object != NULL) {
        lock_lock(&p->lock);
        p->gets++;
        p->made++;
        p->peak = bits_max(p->peak, p->made - load_relaxed(&p->freed));
        lock_unlock(&p->lock);
    }
    return object;
}

MP_EXPORT void *mp_pool_get(mp_pool_t *p)
{
    struct tray *t = tray_of(p);
    void **got = t->head.got;

    if (UNLIKELY(got == t->head.base)) {
        return get_slow(p);
    }
    return tray_pop(t, got);
}

/* ---- put ---- */

static ALWAYS_INLINE void tray_push(struct tray *t, void **put, void *object)
{
    store_relaxed(put, object);
    t->head.put = put + 1;
}

/*
 * Room for one more. `spare` is an empty stock, NULL when it was used; the full one goes to the
 * store.
 */
static bool make_room_locked(struct mp_pool *p, struct tray *t, struct stock **spare)
{
    if (t->put_stock == NULL) {
        return false;
    }
    if (t->head.put != t->head.end) {
        return true;
    }
    if (t->head.got == t->head.base && p->may_swap) {
        tray_swap(p, t);
        return true;
    }
    if (*spare == NULL || p->store_count + p->stock_most > p->store_most) {
        return false;
    }
    t->put_stock->count = p->stock_most;
    store_push_locked(p, stock_remove(&p->stocks, t->put_stock));
    (*spare)->tray = t;
    stock_push(&p->stocks, *spare);
    tray_set_put(p, t, *spare);
    *spare = NULL;
    return true;
}

static bool put_loose_locked(struct mp_pool *p, void *object)
{
    struct stock *s = p->loose;

    if (s == NULL || s->count == p->stock_most || p->store_count >= p->store_most) {
        return false;
    }
    s->items[s->count++] = object;
    p->store_count++;
    return true;
}

static void object_free(struct mp_pool *p, void *object)
{
    add_relaxed(&p->freed, 1);
    malloc_free(object);
}

/* An empty stock where one will be needed; NULL: none is, or no memory. */
static struct stock *get_spare(struct mp_pool *p, const struct tray *t)
{
    struct stock *s;
    bool is_needed;

    lock_lock(&p->lock);
    is_needed = t->put_stock != NULL && t->head.put == t->head.end
                && (t->head.got != t->head.base || !p->may_swap)
                && p->store_count + p->stock_most <= p->store_most;
    s = is_needed ? stock_pop(&p->empties) : NULL;
    lock_unlock(&p->lock);
    return is_needed && s == NULL ? stock_create(p) : s;
}

static NOINLINE void put_slow(struct mp_pool *p, void *object)
{
    struct stock *spare;
    struct tray *t;
    bool is_kept;

    if (object == NULL) {
        return;
    }
    t = tray_get(p);
    spare = get_spare(p, t);
    lock_lock(&p->lock);
    is_kept = make_room_locked(p, t, &spare);
    if (is_kept) {
        tray_push(t, t->head.put, object);
    } else {
        is_kept = put_loose_locked(p, object);
    }
    if (spare != NULL) {
        stock_push(&p->empties, spare);
    }
    lock_unlock(&p->lock);
    if (!is_kept) {
        object_free(p, object);
    }
}

MP_EXPORT void mp_pool_put(mp_pool_t *p, void *object)
{
    struct tray *t = tray_of(p);
    void **put = t->head.put;

    if (UNLIKELY(object == NULL || put == t->head.end)) {
        put_slow(p, object);
        return;
    }
    tray_push(t, put, object);
}

/* ---- begin and end ---- */

/* Where its trays are to be; all of them are empty there. */
static void find_place(struct mp_pool *p)
{
    lock_lock(&pools_lock);
    for (size_t i = 1; i < POOL_PLACES && p->head.place == 0; i++) {
        if (pools_at_place[i] == NULL) {
            pools_at_place[i] = p;
            p->head.place = i * TRAY_BYTES;
        }
    }
    lock_unlock(&pools_lock);
}

static void leave_place_locked(struct mp_pool *p)
{
    pools_at_place[p->head.place / TRAY_BYTES] = NULL; /* that of 0 is NULL always */
}

/* How much a stock has room for: two of them are at hand. */
static void set_sizes(struct mp_pool *p)
{
    size_t most = bits_max(STOCK_BYTES_MOST / p->object_bytes, 1);

    if (p->keep == 0
        || harden_is_on()) { /* hardened: malloc is to look at each object */
        return;
    }
    p->stock_most = bits_max(bits_min(bits_min(most, STOCK_MOST), p->keep / 2), 1);
    p->may_swap = p->keep >= 2 * p->stock_most;
    p->store_most = p->keep - bits_min(2 * p->stock_most, p->keep);
}

static void enlist(struct mp_pool *p)
{
    lock_lock(&pools_lock);
    p->number = pools_ever + 1;
    store_relaxed(&pools_ever, p->number);
    p->next = pools;
    if (pools != NULL) {
        pools->previous = p;
    }
    pools = p;
    lock_unlock(&pools_lock);
}

MP_EXPORT mp_pool_t *mp_pool_create(mp_component_t *c, size_t object, size_t keep)
{
    struct mp_pool *p;

    if (object > PTRDIFF_MAX) {
        return malloc_fail();
    }
    c = c != NULL ? c : component_by_row(COMPONENT_UNTAGGED);
    p = malloc_aligned(c, CACHE_LINE, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    memset(p, 0, sizeof(*p));
    p->component = c;
    p->object_bytes = bits_max(object, 1);
    p->keep = keep;
    lock_init(&p->lock, RANK_POOL);
    set_sizes(p);
    if (p->stock_most != 0) {
        p->loose = stock_create(p);
        if (p->loose == NULL || !tray_make(p, &p->shared)) {
            malloc_free(p->loose);
            malloc_free(p);
            return NULL;
        }
    }
    find_place(p);
    enlist(p);
    return p;
}

static void delist(struct mp_pool *p)
{
    lock_lock(&pools_lock);
    if (p->next != NULL) {
        p->next->previous = p->previous;
    }
    if (p->previous != NULL) {
        p->previous->next = p->next;
    } else {
        pools = p->next;
    }
    leave_place_locked(p);
    lock_lock(&p->lock);
    while (p->trays != NULL) {
        tray_detach_locked(p, p->trays);
    }
    lock_unlock(&p->lock);
    lock_unlock(&pools_lock);
}

/* A list of stocks with what is in them; these are not the business of a pool any more. */
static void free_stocks(struct stock *list)
{
    while (list != NULL) {
        struct stock *s = stock_pop(&list);

        while (s->count > 0) {
            malloc_free(s->items[--s->count]);
        }
        malloc_free(s);
    }
}

MP_EXPORT void mp_pool_destroy(mp_pool_t *p)
{
    if (p != NULL) {
        delist(p);
        free_stocks(p->store);
        free_stocks(p->empties);
        free_stocks(p->loose);
        malloc_free(p);
    }
}

MP_EXPORT size_t mp_pool_trim(mp_pool_t *p)
{
    struct tray *t = tray_of(p);
    struct stock *empties;
    size_t count = 0;

    if (t->get_stock != NULL) {
        lock_lock(&p->lock);
        tray_detach_locked(p, t);
        lock_unlock(&p->lock);
    }
    for (;; count++) {
        void *object;

        lock_lock(&p->lock);
        object = find_locked(p, &p->shared);
        p->gets -= object != NULL; /* that was counted, and is none */
        lock_unlock(&p->lock);
        if (object == NULL) {
            break;
        }
        object_free(p, object);
    }
    lock_lock(&p->lock);
    empties = p->empties;
    p->empties = NULL;
    lock_unlock(&p->lock);
    free_stocks(empties);
    return count * p->object_bytes;
}

/* What is in the store beyond all that is to be kept, to `list`: it counts as freed. */
static void store_cut_locked(struct mp_pool *p, struct stock **list)
{
    while (p->store_count > p->keep && p->store != NULL) {
        struct stock *s = store_pop_locked(p);

        add_relaxed(&p->freed, s->count);
        stock_push(list, s);
    }
}

void probe_trays_end(char *trays)
{
    struct stock *over = NULL;

    lock_lock(&pools_lock);
    for (size_t i = 1; i < POOL_PLACES; i++) {
        struct tray *t = (struct tray *)(trays + i * TRAY_BYTES);
        struct mp_pool *p = pools_at_place[i];

        if (p != NULL && t->get_stock != NULL) {
            lock_lock(&p->lock);
            tray_detach_locked(p, t);
            store_cut_locked(p, &over);
            lock_unlock(&p->lock);
        }
    }
    lock_unlock(&pools_lock);
    free_stocks(over); /* from here on the pools may be gone */
}

/* ---- fork ---- */

void mp_pool_lock_all(void)
{
    for (struct mp_pool *p = pools; p != NULL; p = p->next) {
        lock_lock_one_of_many(&p->lock);
    }
}

void mp_pool_unlock_all(void)
{
    for (struct mp_pool *p = pools; p != NULL; p = p->next) {
        lock_unlock_one_of_many(&p->lock);
    }
}

/* What other threads had at hand is for whoever is left. */
void mp_pool_after_fork_in_child(void)
{
    for (struct mp_pool *p = pools; p != NULL; p = p->next) {
        const struct tray *mine = tray_of(p);

        lock_reset(&p->lock);
        for (struct tray *t = p->trays, *next; t != NULL; t = next) {
            next = t->next;
            if (t != mine && t != &p->shared) {
                tray_detach_locked(p, t);
            }
        }
    }
}
