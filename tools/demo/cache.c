#include "cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct link {
    struct link *newer;
    struct link *older;
};

/* On the ring from the most to the least recently used, and on the list of its bucket. */
struct entry {
    struct link link; /* first: a link of an entry is the entry */
    struct entry *next;
    uint64_t key;
    size_t length;
    char text[];
};

/* All fields under the lock, but for the constant ones. */
struct cache {
    pthread_mutex_t lock;
    mp_component_t *component; /* const */
    size_t limit_bytes;        /* const */
    size_t bytes;              /* texts and their entries: at most limit_bytes */
    struct link ring;          /* ring.older is the newest, ring.newer the oldest */
    struct entry *bucket[BUCKETS];
};

struct cache *cache_create(size_t limit_bytes)
{
    MP_SCOPE("cache");
    struct cache *c = memory_take(sizeof(*c));

    memset(c, 0, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->component = mp_component("cache");
    c->limit_bytes = limit_bytes;
    c->ring.newer = c->ring.older = &c->ring;
    return c;
}

static void unlink_from_ring(struct link *e)
{
    e->newer->older = e->older;
    e->older->newer = e->newer;
}

static void push_newest(struct cache *c, struct link *e)
{
    e->newer = &c->ring;
    e->older = c->ring.older;
    e->older->newer = e;
    c->ring.older = e;
}

/* Where the pointer to the entry is, or would be. */
static struct entry **get_place(struct cache *c, uint64_t key)
{
    struct entry **place = &c->bucket[key % BUCKETS];

    while (*place != NULL && (*place)->key != key) {
        place = &(*place)->next;
    }
    return place;
}

static void remove_oldest(struct cache *c)
{
    struct entry *e = (struct entry *)c->ring.newer;

    unlink_from_ring(&e->link);
    *get_place(c, e->key) = e->next;
    c->bytes -= sizeof(*e) + e->length;
    free(e);
}

bool cache_find(struct cache *c, uint64_t key, struct buffer *ret_text)
{
    struct entry *e;

    pthread_mutex_lock(&c->lock);
    e = *get_place(c, key);
    if (e != NULL) {
        unlink_from_ring(&e->link);
        push_newest(c, &e->link);
        buffer_add(ret_text, e->text, e->length);
    }
    pthread_mutex_unlock(&c->lock);
    return e != NULL;
}

void cache_insert(struct cache *c, uint64_t key, const struct buffer *text)
{
    size_t bytes = sizeof(struct entry) + text->length;
    struct entry **place;

    if (bytes > c->limit_bytes) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    if (*get_place(c, key) == NULL) {
        struct entry *e = memory_take_for(c->component, bytes);

        e->key = key;
        e->length = text->length;
        memcpy(e->text, text->data, text->length);
        while (c->bytes + bytes > c->limit_bytes) {
            remove_oldest(c);
        }
        place = get_place(c, key); /* not before: remove_oldest changes the lists */
        e->next = *place;
        *place = e;
        push_newest(c, &e->link);
        c->bytes += bytes;
    }
    pthread_mutex_unlock(&c->lock);
}

void cache_destroy(struct cache *c)
{
    while (c->ring.newer != &c->ring) {
        remove_oldest(c);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}
