#include "export.h"

#include "view.h"

#include <stddef.h>
#include <string.h>

/*
 * OpenMetrics 1.0 text. Names are the keys of the JSON documents with the prefix mpalloc_, in
 * base units.
 */

struct metric {
    const char *name; /* without prefix and _total */
    const char *unit; /* its last word, "" for none */
    bool is_counter;
    size_t offset; /* of a uint64_t in the record */
    const char *help;
};

#define GAUGE(record, name, unit, help)                                                \
    {                                                                                  \
#        name, unit, false, offsetof(struct record, name), help                        \
    }
#define COUNTER(record, name, unit, help)                                              \
    {                                                                                  \
#        name, unit, true, offsetof(struct record, name##_total), help                 \
    }

static const struct metric of_totals[] = {
    GAUGE(mp_region_totals, live_bytes, "bytes", "Bytes of blocks in use."),
    GAUGE(mp_region_totals, live_blocks, "blocks", "Blocks in use."),
    GAUGE(mp_region_totals, live_peak_bytes, "bytes",
        "Highest live bytes that were seen."),
    COUNTER(mp_region_totals, allocated_bytes, "bytes", "Bytes of blocks allocated."),
    COUNTER(mp_region_totals, allocated_blocks, "blocks", "Blocks allocated."),
    COUNTER(mp_region_totals, freed_bytes, "bytes", "Bytes of blocks freed."),
    COUNTER(mp_region_totals, freed_blocks, "blocks", "Blocks freed."),
    GAUGE(mp_region_totals, active_bytes, "bytes",
        "Bytes of spans that hold live blocks."),
    GAUGE(
        mp_region_totals, cached_bytes, "bytes", "Bytes of free blocks in such spans."),
    GAUGE(
        mp_region_totals, dirty_bytes, "bytes", "Bytes of free spans still in memory."),
    GAUGE(mp_region_totals, retained_bytes, "bytes",
        "Bytes of free spans given back to the kernel."),
    GAUGE(mp_region_totals, resident_bytes, "bytes",
        "Bytes in memory as the allocator counts them, at most."),
    GAUGE(mp_region_totals, mapped_bytes, "bytes", "Bytes of writable address space."),
    GAUGE(mp_region_totals, large_bytes, "bytes", "Bytes in blocks of whole spans."),
    GAUGE(mp_region_totals, huge_bytes, "bytes",
        "Bytes in blocks with a mapping of their own."),
    GAUGE(mp_region_totals, threads, "", "Threads that allocate."),
    COUNTER(mp_region_totals, refills, "", "Lists of blocks taken from slabs."),
    COUNTER(mp_region_totals, purged_bytes, "bytes", "Bytes given back to the kernel."),
    COUNTER(mp_region_totals, allocation_failures, "", "Allocations that failed."),
    COUNTER(mp_region_totals, invalid_frees, "", "Frees of what was no block."),
};

static const struct metric of_components[] = {
    GAUGE(
        mp_region_component, live_bytes, "bytes", "Live bytes of the component alone."),
    GAUGE(mp_region_component, live_blocks, "blocks",
        "Live blocks of the component alone."),
    GAUGE(mp_region_component, live_peak_bytes, "bytes",
        "Highest live bytes of the component alone that were seen."),
    COUNTER(mp_region_component, allocated_bytes, "bytes",
        "Bytes of blocks allocated by the component."),
    COUNTER(mp_region_component, allocated_blocks, "blocks",
        "Blocks allocated by the component."),
    COUNTER(mp_region_component, freed_bytes, "bytes",
        "Bytes of blocks of the component freed."),
    COUNTER(
        mp_region_component, freed_blocks, "blocks", "Blocks of the component freed."),
};

static const struct metric of_classes[] = {
    COUNTER(mp_region_cell, allocated_bytes, "bytes",
        "Bytes of blocks allocated in the size class."),
    COUNTER(mp_region_cell, allocated_blocks, "blocks",
        "Blocks allocated in the size class."),
    COUNTER(mp_region_cell, freed_bytes, "bytes",
        "Bytes of blocks of the size class freed."),
    COUNTER(mp_region_cell, freed_blocks, "blocks", "Blocks of the size class freed."),
};

static const struct metric of_pools[] = {
    COUNTER(mp_region_pool, gets, "", "Objects got from the pool."),
    COUNTER(mp_region_pool, hits, "", "Of them, those that the pool had kept."),
    COUNTER(mp_region_pool, misses, "", "Of them, those that malloc gave."),
    GAUGE(mp_region_pool, kept, "", "Objects that wait for the next get."),
    GAUGE(mp_region_pool, live, "", "Objects in use."),
    GAUGE(mp_region_pool, object_bytes, "bytes", "Bytes of each object."),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t value_of(const void *record, const struct metric *m)
{
    uint64_t value;

    memcpy(&value, (const char *)record + m->offset, sizeof(value));
    return value;
}

static void put_head(FILE *out, const char *prefix, const struct metric *m)
{
    fprintf(out, "# TYPE mpalloc_%s%s %s\n", prefix, m->name,
        m->is_counter ? "counter" : "gauge");
    if (m->unit[0] != '\0') {
        fprintf(out, "# UNIT mpalloc_%s%s %s\n", prefix, m->name, m->unit);
    }
    fprintf(out, "# HELP mpalloc_%s%s %s\n", prefix, m->name, m->help);
}

/* What a program wrote, in quotes. */
static void put_label(FILE *out, const char *key, const char *text)
{
    fprintf(out, "%s=\"", key);
    for (; *text != '\0'; text++) {
        fprintf(out, *text == '\\' || *text == '"' ? "\\%c" : "%c", *text);
    }
    putc('"', out);
}

static void put_totals(FILE *out, const mp_image_t *image)
{
    const struct mp_region_totals *t = mp_image_totals(image);

    for (size_t i = 0; i < COUNT(of_totals); i++) {
        const struct metric *m = &of_totals[i];

        put_head(out, "", m);
        fprintf(out, "mpalloc_%s%s %llu\n", m->name, m->is_counter ? "_total" : "",
            (unsigned long long)value_of(t, m));
    }
}

/* All of one metric together, as the format wants it. */
static void put_components(FILE *out, const mp_image_t *image)
{
    char name[4 * MP_REGION_NAME_BYTES + 1];

    for (size_t i = 0; i < COUNT(of_components); i++) {
        const struct metric *m = &of_components[i];

        put_head(out, "component_", m);
        for (size_t row = 0; row < mp_image_component_count(image); row++) {
            const struct mp_region_component *c = mp_image_component(image, row);

            if (c->allocated_blocks_total == 0) {
                continue;
            }
            mp_text_escape(name, sizeof(name), c->name, sizeof(c->name));
            fprintf(
                out, "mpalloc_component_%s%s{", m->name, m->is_counter ? "_total" : "");
            put_label(out, "component", name);
            fprintf(out, "} %llu\n", (unsigned long long)value_of(c, m));
        }
    }
}

static void put_classes(FILE *out, const mp_image_t *image)
{
    for (size_t i = 0; i < COUNT(of_classes); i++) {
        const struct metric *m = &of_classes[i];

        put_head(out, "class_", m);
        for (unsigned cls = 0; cls < mp_image_class_count(image); cls++) {
            const struct mp_region_class *c = mp_image_class(image, cls);
            struct mp_region_cell sum;

            mp_image_class_sum(image, cls, &sum);
            if (sum.allocated_blocks_total != 0) {
                fprintf(out, "mpalloc_class_%s_total{size_class=\"%llu\"} %llu\n",
                    m->name, (unsigned long long)c->block_bytes,
                    (unsigned long long)value_of(&sum, m));
            }
        }
    }
}

/* Of all pools that have no record of their own, there is a sum: its number says how many. */
static void put_pools(FILE *out, const mp_image_t *image)
{
    char name[4 * MP_REGION_NAME_BYTES + 1];

    for (size_t i = 0; i < COUNT(of_pools) && mp_image_pool_count(image) != 0; i++) {
        const struct metric *m = &of_pools[i];

        put_head(out, "pool_", m);
        for (size_t k = 0; k < mp_image_pool_count(image); k++) {
            const struct mp_region_pool *p = mp_image_pool(image, k);
            const struct mp_region_component *c =
                mp_image_component(image, p->component);

            mp_text_escape(name, sizeof(name), c->name, sizeof(c->name));
            fprintf(out, "mpalloc_pool_%s%s{", m->name, m->is_counter ? "_total" : "");
            if (p->object_bytes == 0) {
                fputs("pool=\"others\",", out);
            } else {
                fprintf(out, "pool=\"%llu\",", (unsigned long long)p->number);
            }
            put_label(out, "component", name);
            fprintf(out, "} %llu\n", (unsigned long long)value_of(p, m));
        }
    }
}

static void put_user_counters(FILE *out, const mp_image_t *image)
{
    char name[4 * sizeof(((struct mp_region_user_counter *)0)->name) + 1];

    if (mp_image_user_counter_count(image) != 0) {
        fputs("# TYPE mpalloc_user_counter gauge\n"
              "# HELP mpalloc_user_counter Counters of the program's own.\n",
            out);
    }
    for (size_t i = 0; i < mp_image_user_counter_count(image); i++) {
        const struct mp_region_user_counter *c = mp_image_user_counter(image, i);

        mp_text_escape(name, sizeof(name), c->name, sizeof(c->name));
        fputs("mpalloc_user_counter{", out);
        put_label(out, "name", name);
        fprintf(out, "} %lld\n", (long long)c->value);
    }
}

int export_openmetrics(FILE *out, const struct profile *p, enum profile_value value)
{
    const struct mp_region_process *process = mp_image_process(p->image);
    char name[4 * MP_REGION_NAME_BYTES + 1];

    (void)value; /* it has them all */
    mp_text_escape(name, sizeof(name), process->service, sizeof(process->service));
    fputs("# TYPE mpalloc_process info\n"
          "# HELP mpalloc_process The process that is looked at.\n"
          "mpalloc_process_info{",
        out);
    put_label(out, "service", name);
    fprintf(out, ",pid=\"%llu\",", (unsigned long long)process->pid);
    mp_text_escape(name, sizeof(name), process->version, sizeof(process->version));
    put_label(out, "version", name);
    fputs("} 1\n", out);
    put_totals(out, p->image);
    put_components(out, p->image);
    put_classes(out, p->image);
    put_pools(out, p->image);
    put_user_counters(out, p->image);
    fputs("# EOF\n", out);
    return 0;
}
