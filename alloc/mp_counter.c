#include "mp_counter.h"

#include "arena.h"
#include "atomic.h"
#include "component.h"
#include "region.h"

#include <errno.h>
#include <string.h>

enum { MOST = MP_REGION_USER_COUNTERS_MAX };

/* Of a cache line each: threads count different things without disturbing each other. */
struct mp_counter {
    int64_t value;                                                 /* relaxed atomic */
    char name[sizeof(((struct mp_region_user_counter *)0)->name)]; /* const */
};

static struct mp_counter *counters[MOST]; /* component_lock */
static size_t count; /* the same; release, for readers without it */

static struct mp_counter *create_locked(const char *name, size_t length)
{
    struct mp_counter *c = count < MOST ? arena_alloc(sizeof(*c)) : NULL;

    if (c != NULL) {
        memcpy(c->name, name, length);
        counters[count] = c;
        store_release(&count, count + 1); /* pairs with mp_counter_publish_locked */
    }
    return c;
}

MP_EXPORT mp_counter_t *mp_counter(const char *name)
{
    struct mp_counter *c = NULL;
    size_t length;

    if (name == NULL || name[0] == '\0') {
        errno = EINVAL;
        return NULL;
    }
    length = strnlen(name, sizeof(c->name) - 1);
    lock_lock(&component_lock);
    for (size_t i = 0; i < count && c == NULL; i++) {
        if (memcmp(counters[i]->name, name, length) == 0
            && counters[i]->name[length] == '\0') {
            c = counters[i];
        }
    }
    c = c != NULL ? c : create_locked(name, length);
    lock_unlock(&component_lock);
    if (c == NULL) {
        errno = ENOMEM;
    }
    return c;
}

MP_EXPORT void mp_counter_add(mp_counter_t *c, int64_t n)
{
    if (c != NULL) {
        add_relaxed(&c->value, n);
    }
}

MP_EXPORT void mp_counter_set(mp_counter_t *c, int64_t value)
{
    if (c != NULL) {
        store_relaxed(&c->value, value);
    }
}

MP_EXPORT int64_t mp_counter_value(const mp_counter_t *c)
{
    return c != NULL ? load_relaxed(&c->value) : 0;
}

void mp_counter_publish_locked(void)
{
    size_t n = load_acquire(&count); /* pairs with create_locked */

    for (size_t i = 0; i < n; i++) {
        struct mp_region_user_counter *out = region_user_counter(i);

        if (out != NULL) {
            if (out->name[0] == '\0') {
                memcpy(out->name, counters[i]->name, sizeof(out->name));
            }
            store_relaxed(&out->value, load_relaxed(&counters[i]->value));
        }
    }
}
