#include "comparison_profile.h"

#include "must.h"

#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static const enum profile_value value_of[MP_DIFF_FIGURES] = {
    [MP_DIFF_LIVE_BYTES] = PROFILE_LIVE_BYTES,
    [MP_DIFF_LIVE_BLOCKS] = PROFILE_LIVE_BLOCKS,
    [MP_DIFF_ALLOCATED_BYTES] = PROFILE_ALLOCATED_BYTES,
    [MP_DIFF_ALLOCATED_BLOCKS] = PROFILE_ALLOCATED_BLOCKS,
    [MP_DIFF_PEAK_BYTES] = PROFILE_PEAK_BYTES,
};

/* A frame that is known, by what makes it another. */
struct known {
    struct mp_line line;
    uint32_t number;
};

struct builder {
    struct profile *profile;
    void *known; /* tsearch */
    size_t frame_room;
    size_t text_room;
};

static int compare_texts(const char *a, const char *b)
{
    return a == NULL || b == NULL ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

static int compare_known(const void *a, const void *b)
{
    const struct mp_line *x = &((const struct known *)a)->line;
    const struct mp_line *y = &((const struct known *)b)->line;
    int order = strcmp(x->function, y->function);

    if (order == 0) {
        order = compare_texts(x->file, y->file);
    }
    if (order == 0) {
        order = compare_texts(x->module, y->module);
    }
    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

/* The module of that file name, as an image of the profile has it. */
static uint32_t module_of(const struct builder *b, const char *name)
{
    const mp_image_t *image = b->profile->image;

    for (size_t i = 0; name[0] != '\0' && i < mp_image_module_count(image); i++) {
        const char *path = mp_image_module(image, i)->path;
        const char *slash = strrchr(path, '/');

        if (strcmp(slash != NULL ? slash + 1 : path, name) == 0) {
            return (uint32_t)i;
        }
    }
    return UINT32_MAX;
}

static uint32_t frame_of(struct builder *b, const struct mp_line *line)
{
    struct profile *p = b->profile;
    struct known wanted = {.line = *line};
    struct known **found = tfind(&wanted, &b->known, compare_known);
    struct known *fresh;

    if (found != NULL) {
        return (*found)->number;
    }
    p->frames =
        must_grow(p->frames, p->frame_count, &b->frame_room, sizeof(*p->frames));
    p->frames[p->frame_count] = (struct profile_frame){
        .function = must(strdup(line->function)),
        .file = line->file != NULL ? must(strdup(line->file)) : NULL,
        .line = line->line,
        .module = module_of(b, line->module),
    };
    fresh = must(malloc(sizeof(*fresh)));
    *fresh = (struct known){*line, (uint32_t)p->frame_count};
    must(tsearch(fresh, &b->known, compare_known));
    return (uint32_t)p->frame_count++;
}

static uint64_t distance(double from, double to)
{
    double d = to - from;

    return d > 0 && d < 0x1p63 ? (uint64_t)llround(d) : 0;
}

static void add_sample(
    struct builder *b, const struct comparison *c, const struct mp_difference *r)
{
    struct profile *p = b->profile;
    struct profile_sample *s = &p->samples[p->sample_count++];
    struct mp_line line[SITE_LINES_MAX];
    char name[512];
    /* It is there so that rows add up: nothing is known of it. */
    bool is_rest = r->number[0] == UINT32_MAX && r->number[1] == UINT32_MAX;

    s->depth = comparison_stack(c, r, line);
    s->frames = must(calloc(s->depth + 1, sizeof(*s->frames)));
    for (size_t i = 0; i < s->depth; i++) {
        s->frames[s->depth - 1 - i] = frame_of(b, &line[i]);
    }
    p->has_stacks |= s->depth > 0;
    comparison_name(c, MP_DIFF_SITE, r, name, sizeof(name));
    p->texts = must_grow(p->texts, p->text_count, &b->text_room, sizeof(*p->texts));
    p->texts[p->text_count] = must(strdup(name));
    s->component = p->texts[p->text_count++];
    s->operation = "";
    s->thread = "";
    s->samples = r->samples;
    s->live_samples = r->samples;
    for (unsigned i = 0; i < MP_DIFF_FIGURES; i++) {
        const struct mp_change *change = &r->figure[i];
        uint64_t unsure = is_rest ? distance(0, fabs(change->change)) : 0;

        s->value[value_of[i]] = change->after;
        s->before[value_of[i]] = change->before;
        s->low[value_of[i]] = distance(change->low, change->change) + unsure;
        s->high[value_of[i]] = distance(change->change, change->high) + unsure;
    }
}

struct profile *comparison_profile_create(const struct comparison *c)
{
    size_t count = mp_diff_count(c->diff, MP_DIFF_SITE);
    struct builder b = {.profile = must(calloc(1, sizeof(*b.profile)))};
    struct profile *p = b.profile;

    p->image = c->side[1].image;
    p->before = c->side[0].image;
    p->before_label = c->side[0].label;
    p->before_ns = c->side[0].time_ns;
    p->after_ns = c->side[1].time_ns;
    p->interval = mp_image_sampling(p->image)->interval_bytes;
    p->samples = must(calloc(count + 1, sizeof(*p->samples)));
    for (size_t i = 0; i < count; i++) {
        add_sample(&b, c, mp_diff_at(c->diff, MP_DIFF_SITE, i));
    }
    tdestroy(b.known, free);
    return p;
}
