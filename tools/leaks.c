#include "leaks.h"

#include "acks.h"
#include "must.h"
#include "stack_id.h"
#include "symbols.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- names ---- */

const char *leak_operation(const struct leaks *l, const struct leak *k, char ret[256])
{
    const char *name = mp_image_name(l->image, k->verdict->operation);

    mp_text_escape(ret, 256, name, strlen(name));
    return ret;
}

const char *leak_threads(const struct leaks *l, const struct leak *k, char ret[256])
{
    size_t at = 0;

    ret[0] = '\0';
    for (unsigned i = 0; i < MP_VERDICT_THREADS && k->verdict->threads[i] != 0; i++) {
        const char *name = mp_image_name(l->image, k->verdict->threads[i]);
        char text[128];

        mp_text_escape(text, sizeof(text), name, strlen(name));
        at += (size_t)snprintf(ret + at, 256 - at, i > 0 ? ", %s" : "%s", text);
        if (at >= 255) {
            break;
        }
    }
    return ret;
}

/* ---- what there was before ---- */

static void add_since(struct leaks *l, const mp_image_t *earlier)
{
    mp_verdicts_t *before = NULL;

    if (mp_verdicts_make(earlier, NULL, &before) != 0) {
        must(NULL);
    }
    for (size_t i = 0; i < l->count; i++) {
        l->all[i].has_since = true;
        l->all[i].since = l->all[i].verdict->live_bytes.value;
    }
    for (size_t i = 0; i < mp_verdicts_count(before); i++) {
        const struct mp_verdict *v = mp_verdicts_at(before, i);
        char id[LEAK_ID_BYTES];

        stack_id(earlier, v->component, v->frame, id);
        for (size_t k = 0; k < l->count; k++) {
            if (strcmp(l->all[k].id, id) == 0) {
                l->all[k].since -= v->live_bytes.value;
            }
        }
    }
    mp_verdicts_free(before);
}

/* ---- the whole ---- */

static void add_leak(struct leaks *l, const struct mp_verdict *v)
{
    struct leak *k = &l->all[l->count++];
    const char *name = mp_image_component(l->image, v->component)->name;
    const struct ack *ack;

    *k = (struct leak){.verdict = v};
    mp_text_escape(k->component, sizeof(k->component), name, strlen(name));
    stack_id(l->image, v->component, v->frame, k->id);
    if (v->kind <= MP_VERDICT_SUSPECT || l->count <= 64) { /* names take their time */
        k->depth = stack_names_find(l->image, l->symbols, v->frame, &k->frames);
    }
    ack = acks_find(l->acks, k->id, time(NULL));
    if (ack != NULL) {
        k->ack = ack->note;
        k->ack_until_s = ack->until_s;
        l->acknowledged += v->kind <= MP_VERDICT_GROWING;
    }
    l->of_kind[v->kind]++;
}

struct leaks *leaks_create(const mp_image_t *image, const mp_image_t *earlier)
{
    struct leaks *l = must(calloc(1, sizeof(*l)));
    size_t count;

    l->image = image;
    l->earlier = earlier;
    l->acks = acks_load();
    l->symbols = symbols_create(image);
    if (mp_verdicts_make(image, NULL, &l->verdicts) != 0) {
        must(NULL);
    }
    count = mp_verdicts_count(l->verdicts);
    l->all = must(calloc(count + 1, sizeof(*l->all)));
    for (size_t i = 0; i < count; i++) {
        add_leak(l, mp_verdicts_at(l->verdicts, i));
    }
    if (earlier != NULL) {
        add_since(l, earlier);
    }
    return l;
}

void leaks_destroy(struct leaks *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->all[i].frames);
    }
    mp_verdicts_free(l->verdicts);
    symbols_destroy(l->symbols);
    acks_free(l->acks);
    free(l->all);
    free(l);
}

static int compare_components(const void *a, const void *b)
{
    const struct leaks_component *x = a;
    const struct leaks_component *y = b;

    if (x->worst != y->worst) {
        return (x->worst > y->worst) - (x->worst < y->worst);
    }
    if (x->rate.value != y->rate.value) {
        return x->rate.value < y->rate.value ? 1 : -1;
    }
    return (x->live < y->live) - (x->live > y->live);
}

/* Stacks grow by themselves: half widths add as the sides of a right angle do. */
static void add_rate(struct mp_estimate *sum, const struct mp_estimate *e)
{
    double below = hypot(sum->value - sum->low, e->value - e->low);
    double above = hypot(sum->high - sum->value, e->high - e->value);

    sum->value += e->value;
    sum->low = sum->value - below;
    sum->high = sum->value + above;
}

struct leaks_component *leaks_by_component(const struct leaks *l, size_t *ret_count)
{
    size_t rows = mp_image_component_count(l->image);
    struct leaks_component *all = must(calloc(rows + 1, sizeof(*all)));
    size_t *of_row = must(calloc(rows + 1, sizeof(*of_row)));
    size_t count = 0;

    for (size_t i = 0; i < l->count; i++) {
        of_row[l->all[i].verdict->component] = 1; /* perhaps newer than its counters */
    }
    for (size_t row = 0; row < rows; row++) {
        const struct mp_region_component *c = mp_image_component(l->image, row);
        struct leaks_component *to = &all[count];

        if (c->allocated_blocks_total != 0 || of_row[row] != 0) {
            mp_text_escape(to->name, sizeof(to->name), c->name, sizeof(c->name));
            to->worst = MP_VERDICT_FINE;
            to->live = c->live_bytes;
            of_row[row] = ++count;
        }
    }
    for (size_t i = 0; i < l->count; i++) {
        const struct mp_verdict *v = l->all[i].verdict;
        struct leaks_component *c = &all[of_row[v->component] - 1];

        c->worst = v->kind < c->worst ? v->kind : c->worst;
        c->stacks[v->kind]++;
        if (v->kind <= MP_VERDICT_GROWING) {
            add_rate(&c->rate, &v->bytes_per_hour);
        }
    }
    free(of_row);
    qsort(all, count, sizeof(*all), compare_components);
    *ret_count = count;
    return all;
}

size_t leaks_failing(const struct leaks *l, bool growing)
{
    size_t count = 0;

    for (size_t i = 0; i < l->count; i++) {
        enum mp_verdict_kind kind = l->all[i].verdict->kind;

        count +=
            l->all[i].ack == NULL
            && (kind == MP_VERDICT_LOST || (growing && kind == MP_VERDICT_GROWING));
    }
    return count;
}
