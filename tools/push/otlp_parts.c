#include "otlp_parts.h"

#include <stdio.h>
#include <unistd.h>

Mpalloc__Otlp__AnyValue *otlp_any(const struct otlp_attribute *a)
{
    Mpalloc__Otlp__AnyValue *v = OTLP_NEW(AnyValue, any_value);

    if (a->text != NULL) {
        v->value_case = MPALLOC__OTLP__ANY_VALUE__VALUE_STRING_VALUE;
        v->string_value = must(strdup(a->text));
    } else {
        v->value_case = MPALLOC__OTLP__ANY_VALUE__VALUE_INT_VALUE;
        v->int_value = (int64_t)a->number;
    }
    return v;
}

Mpalloc__Otlp__KeyValue *otlp_key_value(const struct otlp_attribute *a)
{
    Mpalloc__Otlp__KeyValue *k = OTLP_NEW(KeyValue, key_value);

    k->key = must(strdup(a->key));
    k->value = otlp_any(a);
    return k;
}

/* What the user said of the key comes instead of what is known. */
static void add(Mpalloc__Otlp__Resource *r, const struct otlp_resource *own,
    const char *key, const char *text, uint64_t number)
{
    struct otlp_attribute a = {key, text, number};

    for (size_t i = 0; own != NULL && i < own->count; i++) {
        if (strcmp(own->attributes[i].key, key) == 0) {
            return;
        }
    }
    OTLP_APPEND(r, attributes, otlp_key_value(&a));
}

static void add_identity(Mpalloc__Otlp__Resource *r, const struct otlp_resource *own,
    const struct mp_region_process *p)
{
    char id[2 * sizeof(p->run_id) + 5] = "";
    size_t n = 0;

    for (size_t i = 0; i < sizeof(p->run_id); i++) {
        n += (size_t)sprintf(id + n,
            i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", p->run_id[i]);
    }
    add(r, own, "service.instance.id", id, 0);
}

static void add_program(Mpalloc__Otlp__Resource *r, const struct otlp_resource *own,
    const struct mp_region_process *p)
{
    char path[4 * sizeof(p->exe) + 1];
    char build_id[2 * MP_REGION_BUILD_ID_BYTES + 1] = "";
    const char *slash;

    mp_text_escape(path, sizeof(path), p->exe, sizeof(p->exe));
    slash = strrchr(path, '/');
    add(r, own, "process.executable.name", slash != NULL ? slash + 1 : path, 0);
    add(r, own, "process.executable.path", path, 0);
    for (size_t i = 0; i < p->build_id_bytes && i < sizeof(p->build_id); i++) {
        sprintf(build_id + 2 * i, "%02x", p->build_id[i]);
    }
    if (build_id[0] != '\0') {
        add(r, own, "process.executable.build_id.gnu", build_id, 0);
    }
}

Mpalloc__Otlp__Resource *otlp_resource_make(
    const mp_image_t *image, const struct otlp_resource *own)
{
    const struct mp_region_process *p = mp_image_process(image);
    Mpalloc__Otlp__Resource *r = OTLP_NEW(Resource, resource);
    char name[4 * sizeof(p->service) + 1];
    char host[256] = "";

    mp_text_escape(name, sizeof(name), p->service, sizeof(p->service));
    add(r, own, "service.name", name, 0);
    add_identity(r, own, p);
    add(r, own, "process.pid", NULL, p->pid);
    add_program(r, own, p);
    if (gethostname(host, sizeof(host) - 1) == 0) {
        add(r, own, "host.name", host, 0);
    }
    for (size_t i = 0; own != NULL && i < own->count; i++) {
        OTLP_APPEND(r, attributes, otlp_key_value(&own->attributes[i]));
    }
    return r;
}

Mpalloc__Otlp__InstrumentationScope *otlp_scope(void)
{
    Mpalloc__Otlp__InstrumentationScope *s =
        OTLP_NEW(InstrumentationScope, instrumentation_scope);

    s->name = must(strdup("mpalloc"));
    s->version = must(strdup(CONFIG_VERSION));
    return s;
}
