#include "push_memory.h"

#include "must.h"
#include "serve/insight_make.h"

#include <string.h>
#include <time.h>

#define EVERY_NS UINT64_C(30000000000)

struct remembered {
    char id[64];
    bool is_there;
    struct metric_rows rows;
    struct metric_insight *insight; /* NULL: none */
    struct insight_seen *seen;      /* NULL: none was made yet */
    uint64_t made_ns;
    uint64_t took_ns;
};

struct push_memory {
    struct remembered **all;
    size_t count;
    size_t room;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

struct push_memory *push_memory_create(void)
{
    return must(calloc(1, sizeof(struct push_memory)));
}

static void forget(struct remembered *r)
{
    free(r->insight);
    free(r->seen);
    free(r);
}

void push_memory_destroy(struct push_memory *m)
{
    for (size_t i = 0; i < m->count; i++) {
        forget(m->all[i]);
    }
    free(m->all);
    free(m);
}

void push_memory_begin(struct push_memory *m)
{
    for (size_t i = 0; i < m->count; i++) {
        m->all[i]->is_there = false;
    }
}

void push_memory_end(struct push_memory *m)
{
    size_t left = 0;

    for (size_t i = 0; i < m->count; i++) {
        if (m->all[i]->is_there) {
            m->all[left++] = m->all[i];
        } else {
            forget(m->all[i]);
        }
    }
    m->count = left;
}

static struct remembered *get(struct push_memory *m, const char *id)
{
    struct remembered *fresh;

    for (size_t i = 0; i < m->count; i++) {
        if (strcmp(m->all[i]->id, id) == 0) {
            m->all[i]->is_there = true;
            return m->all[i];
        }
    }
    m->all = must_grow(m->all, m->count, &m->room, sizeof(*m->all));
    fresh = must(calloc(1, sizeof(*fresh)));
    snprintf(fresh->id, sizeof(fresh->id), "%s", id);
    fresh->is_there = true;
    return m->all[m->count++] = fresh;
}

struct metric_rows *push_memory_rows(struct push_memory *m, const char *id)
{
    return &get(m, id)->rows;
}

static void make(struct remembered *r, const mp_image_t *image)
{
    static const struct insights_options options = {.sites = 0};
    struct metric_insight *made = must(calloc(1, sizeof(*made)));
    uint64_t began_ns = now_ns();

    r->seen = r->seen != NULL ? r->seen : must(calloc(1, sizeof(*r->seen)));
    if (insight_make(image, &options, r->insight, r->seen, made)) {
        free(r->insight);
        r->insight = made;
    } else {
        free(made);
    }
    r->made_ns = now_ns();
    r->took_ns = r->made_ns - began_ns;
}

const struct metric_insight *push_memory_insight(
    struct push_memory *m, const struct push_process *process)
{
    struct remembered *r = get(m, process->id);
    uint64_t age_ns = now_ns() - r->made_ns;

    if (r->made_ns == 0 || (age_ns >= EVERY_NS && age_ns >= 100 * r->took_ns)) {
        make(r, process->image);
    }
    if (r->insight != NULL) {
        r->insight->age_s = (double)(now_ns() - r->made_ns) / 1e9;
    }
    return r->insight;
}
