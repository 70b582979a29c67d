/*
 * otlp_parts - parts of messages that metrics and profiles have in common
 */
#ifndef OTLP_PARTS_H
#define OTLP_PARTS_H

#include "otlp.h"

#include "../must.h"
#include "tools/push/otlp.pb-c.h"

#include <string.h>

/* A message of its own; each is freed with the tree that it is put into. */
#define OTLP_NEW(type, init)                                                           \
    __extension__({                                                                    \
        Mpalloc__Otlp__##type *otlp_fresh = must(malloc(sizeof(*otlp_fresh)));         \
        mpalloc__otlp__##init##__init(otlp_fresh);                                     \
        otlp_fresh;                                                                    \
    })

/* Room for one more in a list of a message, which doubles at powers of two. */
static inline void *otlp_more(void *list, size_t count)
{
    if ((count & (count - 1)) != 0) {
        return list;
    }
    return must(reallocarray(list, count == 0 ? 1 : 2 * count, sizeof(void *)));
}

#define OTLP_APPEND(message, field, value)                                             \
    do {                                                                               \
        (message)->field = otlp_more((message)->field, (message)->n_##field);          \
        (message)->field[(message)->n_##field++] = (value);                            \
    } while (0)

Mpalloc__Otlp__KeyValue *otlp_key_value(const struct otlp_attribute *a);
Mpalloc__Otlp__AnyValue *otlp_any(const struct otlp_attribute *a);
Mpalloc__Otlp__Resource *otlp_resource_make(
    const mp_image_t *image, const struct otlp_resource *own);
Mpalloc__Otlp__InstrumentationScope *otlp_scope(void);

#endif
