#include "mp_pool.h"

#include "check.h"
#include "mp_pool_parts.h"
#include "region.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

size_t pool_stock_count(const struct mp_pool *p, const struct stock *s)
{
    size_t count = 0;

    for (size_t i = 0; i < p->stock_most; i++) {
        count += load_relaxed(&s->items[i]) != NULL;
    }
    return count;
}

uint64_t pool_tray_gets(const struct mp_pool *p, const struct tray *t)
{
    const struct stock *s = load_relaxed(&t->get_stock);
    uint64_t loaded = load_relaxed(&t->loaded);

    return loaded - bits_min(pool_stock_count(p, s), loaded);
}

struct figures {
    uint64_t gets;
    uint64_t hits;
    uint64_t misses;
    uint64_t freed;
    uint64_t kept;
    uint64_t live;
    uint64_t peak;
};

static struct figures look_locked(struct mp_pool *p)
{
    struct figures f = {.gets = p->gets,
        .misses = p->made,
        .freed = load_relaxed(&p->freed),
        .kept = p->store_count,
        .peak = p->peak};

    for (const struct tray *t = p->trays; t != NULL; t = t->next) {
        f.gets += pool_tray_gets(p, t);
    }
    for (const struct stock *s = p->stocks; s != NULL; s = s->next) {
        f.kept += pool_stock_count(p, s);
    }
    /* Threads go on meanwhile: figures that were read at different moments may not fit. */
    f.gets = bits_max(f.gets, p->gets_seen);
    p->gets_seen = f.gets;
    f.hits = f.gets - bits_min(f.misses, f.gets);
    f.freed = bits_min(f.freed, f.misses);
    f.kept = bits_min(f.kept, f.misses - f.freed);
    f.live = f.misses - f.freed - f.kept;
    return f;
}

static_assert(
    (int)POOL_PLACES == (int)MP_REGION_POOLS_MAX, "the record of a pool is its place");

/* Shown of each place, as in the region: number 0, nothing. counters_lock */
static uint64_t shown[POOL_PLACES];

/* from: all but seq. */
static void write_record(size_t place, struct mp_region_pool *from)
{
    struct mp_region_pool *out = region_pool(place);

    if (out != NULL) {
        from->seq = load_relaxed(&out->seq);
        region_publish(&out->seq, &from->seq, sizeof(*from));
        shown[place] = from->number;
    }
}

static struct mp_region_pool describe(struct mp_pool *p)
{
    struct figures f;

    lock_lock(&p->lock);
    f = look_locked(p);
    lock_unlock(&p->lock);
    return (struct mp_region_pool){
        .number = p->number,
        .component = p->component->row,
        .object_bytes = p->object_bytes,
        .keep = p->keep,
        .gets_total = f.gets,
        .hits_total = f.hits,
        .misses_total = f.misses,
        .freed_total = f.freed,
        .kept = f.kept,
        .live = f.live,
        .peak = f.peak,
    };
}

static void add_up(struct mp_region_pool *sum, const struct mp_region_pool *one)
{
    sum->number++;
    sum->keep += bits_min(one->keep, UINT64_MAX - sum->keep);
    sum->gets_total += one->gets_total;
    sum->hits_total += one->hits_total;
    sum->misses_total += one->misses_total;
    sum->freed_total += one->freed_total;
    sum->kept += one->kept;
    sum->live += one->live;
    sum->peak += one->peak;
}

void mp_pool_publish_locked(void)
{
    struct mp_region_pool others = {.number = 0};

    if (load_relaxed(&pools_ever) == 0) {
        return;
    }
    lock_lock(&pools_lock);
    for (struct mp_pool *p = pools; p != NULL; p = p->next) {
        struct mp_region_pool one = describe(p);

        if (p->head.place != 0) {
            write_record(p->head.place / TRAY_BYTES, &one);
        } else {
            add_up(&others, &one);
        }
    }
    for (size_t i = 1; i < POOL_PLACES; i++) {
        struct mp_region_pool none = {.number = 0};

        if (pools_at_place[i] == NULL && shown[i] != 0) {
            write_record(i, &none);
        }
    }
    if (others.number != 0 || shown[0] != 0) {
        write_record(0, &others);
    }
    lock_unlock(&pools_lock);
}

MP_EXPORT int mp_pool_stats(mp_pool_t *p, struct mp_pool_stats *s)
{
    struct mp_pool_stats full;
    struct figures f;
    size_t size;

    if (p == NULL || s == NULL || s->size < 2 * sizeof(size)) {
        return -EINVAL;
    }
    lock_lock(&p->lock);
    f = look_locked(p);
    lock_unlock(&p->lock);
    size = s->size;
    full = (struct mp_pool_stats){
        .size = size,
        .object_bytes = p->object_bytes,
        .keep = p->keep,
        .gets_total = f.gets,
        .hits_total = f.hits,
        .misses_total = f.misses,
        .freed_total = f.freed,
        .kept = f.kept,
        .live = f.live,
        .peak = f.peak,
    };
    memcpy(s, &full, bits_min(size, sizeof(full)));
    return 0;
}

/* Objects stand at the front, and nothing is behind them. */
static void check_items(const struct mp_pool *p, const struct stock *s, size_t count)
{
    CHECK(count <= p->stock_most);
    for (size_t i = 0; i < p->stock_most; i++) {
        CHECK((s->items[i] != NULL) == (i < count));
    }
}

void mp_pool_check(mp_pool_t *p)
{
    struct figures f = look_locked(p);
    size_t in_store = p->loose != NULL ? p->loose->count : 0;

    for (const struct tray *t = p->trays; t != NULL; t = t->next) {
        CHECK(t->head.base == t->get_stock->items && t->get_stock->tray == t); /* O1 */
        CHECK(t->head.end == t->put_stock->items + p->stock_most
              && t->put_stock->tray == t);
        check_items(p, t->get_stock, (size_t)(t->head.got - t->head.base));
        check_items(p, t->put_stock, (size_t)(t->head.put - t->put_stock->items));
    }
    for (const struct stock *s = p->store; s != NULL; s = s->next) {
        check_items(p, s, s->count);
        in_store += s->count;
    }
    for (const struct stock *s = p->empties; s != NULL; s = s->next) {
        check_items(p, s, 0);
    }
    CHECK(in_store == p->store_count);            /* O2 */
    CHECK(p->made - p->freed == f.live + f.kept); /* O3 */
    CHECK(f.live <= f.peak);
}
