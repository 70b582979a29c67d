#include "index.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 8192, POSTINGS_MAX = 64 };

struct term {
    struct term *next;
    uint32_t *posting; /* a ring once count exceeds POSTINGS_MAX */
    uint32_t count;    /* ever added */
    uint32_t capacity;
    uint32_t length;
    char word[];
};

/* All fields under the lock, but for the constant ones. */
struct index {
    pthread_mutex_t lock;
    mp_component_t *component; /* const */
    size_t limit_bytes;        /* const */
    size_t bytes;              /* at most limit_bytes */
    struct term *bucket[BUCKETS];
};

struct index *index_create(size_t limit_bytes)
{
    MP_SCOPE("index");
    struct index *x = memory_take(sizeof(*x));

    memset(x, 0, sizeof(*x));
    pthread_mutex_init(&x->lock, NULL);
    x->component = mp_component("index");
    x->limit_bytes = limit_bytes;
    return x;
}

static struct term *find_term(struct index *x, const char *word, size_t length)
{
    struct term *t = x->bucket[hash_bytes(word, length) % BUCKETS];

    while (t != NULL && (t->length != length || memcmp(t->word, word, length) != 0)) {
        t = t->next;
    }
    return t;
}

static bool try_charge(struct index *x, size_t bytes)
{
    if (x->bytes + bytes > x->limit_bytes) {
        return false;
    }
    x->bytes += bytes;
    return true;
}

static struct term *try_add_term(struct index *x, const char *word, size_t length)
{
    struct term **bucket = &x->bucket[hash_bytes(word, length) % BUCKETS];
    struct term *t;

    if (!try_charge(x, sizeof(*t) + length)) {
        return NULL;
    }
    t = memory_take_for(x->component, sizeof(*t) + length);
    *t = (struct term){.next = *bucket, .length = (uint32_t)length};
    memcpy(t->word, word, length);
    *bucket = t;
    return t;
}

static void add_posting(struct index *x, struct term *t, uint32_t document)
{
    if (t->count == t->capacity && t->capacity < POSTINGS_MAX) {
        uint32_t more = t->capacity == 0 ? 4 : t->capacity;

        if (!try_charge(x, more * sizeof(*t->posting))) {
            return;
        }
        t->capacity += more;
        t->posting = memory_resize_for(
            x->component, t->posting, t->capacity * sizeof(*t->posting));
    }
    t->posting[t->count++ % t->capacity] = document;
}

void index_insert(struct index *x, uint32_t document, const struct buffer *text)
{
    const char *at = text->data;
    const char *end = at + text->length;

    pthread_mutex_lock(&x->lock);
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        size_t length = (size_t)((space == NULL ? end : space) - at);
        struct term *t = find_term(x, at, length);

        t = t == NULL ? try_add_term(x, at, length) : t;
        if (t != NULL) {
            add_posting(x, t, document);
        }
        at += length + 1;
    }
    pthread_mutex_unlock(&x->lock);
}

unsigned index_find(struct index *x, const char *word, struct buffer *ret)
{
    struct term *t;
    unsigned found = 0;

    pthread_mutex_lock(&x->lock);
    t = find_term(x, word, strlen(word));
    if (t != NULL) {
        found = t->count < t->capacity ? t->count : t->capacity;
    }
    for (unsigned i = 0; i < found; i++) {
        buffer_print(ret, "%u\n", t->posting[i]);
    }
    pthread_mutex_unlock(&x->lock);
    return found;
}

void index_destroy(struct index *x)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (x->bucket[i] != NULL) {
            struct term *t = x->bucket[i];

            x->bucket[i] = t->next;
            free(t->posting);
            free(t);
        }
    }
    pthread_mutex_destroy(&x->lock);
    free(x);
}
