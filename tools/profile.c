#include "profile.h"

#include "format.h"
#include "frames.h"
#include "must.h"
#include "view.h"

#include <assert.h>
#include <math.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = 4 * MP_REGION_NAME_BYTES + 1, /* each byte may be escaped */
    DEPTH_MAX = 512, /* of a stack in the region; the allocator takes 128 */
};

static_assert((int)PROFILE_SHORT_BUCKET == (int)MP_SHORT_BUCKET, "one idea of short");
static_assert((int)PROFILE_VALUES == (int)MP_FIGURES
                  && (int)PROFILE_LIVE_BYTES == (int)MP_LIVE_BYTES
                  && (int)PROFILE_PEAK_BYTES == (int)MP_PEAK_BYTES
                  && (int)PROFILE_SHORT_BYTES == (int)MP_SHORT_BYTES,
    "values are figures, in the same order");

/* What makes samples different that have the same stack. */
struct key {
    uint32_t component; /* UINT32_MAX: (overflow) of sites */
    uint16_t class_number;
    uint16_t operation;
    uint16_t thread;
};

/* A sample that is known, by its key and its stack. */
struct known {
    struct key key;
    size_t depth;
    const uint32_t *frames;
    uint32_t number;
};

/* The frames of a profile that a frame of the region is; count 0: not asked for yet. */
struct code {
    uint32_t first;
    uint32_t count;
};

struct builder {
    struct profile *profile;
    struct frames *frames;
    struct code *codes; /* by number of the region's frame */
    size_t samples_room;
    size_t texts_room;
    const char **component_names; /* by row, NULL: not asked for yet */
    void *known;                  /* tsearch */
    uint32_t *stack;              /* the one that is being made */
    size_t stack_room;
};

/* ---- texts ---- */

/* A copy that lives as long as the profile, fit to print. */
static const char *keep_text(struct builder *b, const char *text, size_t bytes)
{
    struct profile *p = b->profile;
    char escaped[NAME_BYTES];

    mp_text_escape(escaped, sizeof(escaped), text, bytes);
    p->texts = must_grow(p->texts, p->text_count, &b->texts_room, sizeof(*p->texts));
    p->texts[p->text_count] = must(strdup(escaped));
    return p->texts[p->text_count++];
}

static const char *component_name(struct builder *b, uint32_t row)
{
    const struct mp_region_component *c = mp_image_component(b->profile->image, row);

    if (row == UINT32_MAX) {
        return "(overflow)";
    }
    if (c == NULL) {
        return "(untagged)";
    }
    if (b->component_names[row] == NULL) {
        b->component_names[row] = keep_text(b, c->name, sizeof(c->name));
    }
    return b->component_names[row];
}

static const char *name_of(struct builder *b, uint16_t number)
{
    const char *name = mp_image_name(b->profile->image, number);

    return name[0] != '\0' ? keep_text(b, name, strlen(name)) : "";
}

/* ---- samples ---- */

static struct profile_sample *add_sample(
    struct builder *b, const struct key *key, const uint32_t *frames, size_t depth)
{
    struct profile *p = b->profile;
    struct profile_sample *s;

    p->samples =
        must_grow(p->samples, p->sample_count, &b->samples_room, sizeof(*p->samples));
    s = &p->samples[p->sample_count++];
    *s = (struct profile_sample){
        .depth = depth,
        .frames = must(malloc(depth * sizeof(*frames))),
        .component = component_name(b, key->component),
        .component_row = key->component,
        .operation = name_of(b, key->operation),
        .thread = name_of(b, key->thread),
    };
    memcpy(s->frames, frames, depth * sizeof(*frames));
    return s;
}

static void push(struct builder *b, size_t depth, uint32_t frame)
{
    b->stack = must_grow(b->stack, depth, &b->stack_room, sizeof(*b->stack));
    b->stack[depth] = frame;
}

static void set_block_bytes(struct profile_sample *s)
{
    uint64_t blocks = s->value[PROFILE_ALLOCATED_BLOCKS];

    s->block_bytes = blocks > 0 ? s->value[PROFILE_ALLOCATED_BYTES] / blocks : 0;
}

/* ---- without stacks ---- */

/* "64 B", "up to 128 KiB" */
static void class_name(const mp_image_t *image, unsigned cls, char *ret, size_t size)
{
    const struct mp_region_class *c = mp_image_class(image, cls);

    snprintf(ret, size, "%s%s", c->kind == MP_CLASS_LARGE ? "up to " : "",
        c->block_bytes == UINT64_MAX ? "any size" : format_block(c->block_bytes).text);
}

/* The parts of a component's name, and the class. Returns the depth. */
static size_t name_frames(struct builder *b, const char *component, unsigned cls)
{
    char name[NAME_BYTES];
    const char *at = component;
    size_t depth = 0;

    for (;;) {
        size_t n = strcspn(at, "/");

        if (n > 0) { /* "a//b" has no part without a name */
            mp_text_escape(name, sizeof(name), at, n);
            push(b, depth++, frames_of_text(b->frames, name));
        }
        if (at[n] == '\0') {
            break;
        }
        at += n + 1;
    }
    class_name(b->profile->image, cls, name, sizeof(name));
    push(b, depth++, frames_of_text(b->frames, name));
    return depth;
}

static void add_cell(struct builder *b, const struct key *key,
    const struct mp_region_component *component, const struct mp_region_cell *cell)
{
    /* First, for it makes room in b->stack: which argument is made first is the compiler's. */
    size_t depth = name_frames(b, component->name, key->class_number);
    struct profile_sample *s = add_sample(b, key, b->stack, depth);

    s->value[PROFILE_ALLOCATED_BLOCKS] = cell->allocated_blocks_total;
    s->value[PROFILE_ALLOCATED_BYTES] = cell->allocated_bytes_total;
    s->value[PROFILE_LIVE_BLOCKS] =
        view_live(cell->allocated_blocks_total, cell->freed_blocks_total);
    s->value[PROFILE_LIVE_BYTES] =
        view_live(cell->allocated_bytes_total, cell->freed_bytes_total);
    memcpy(s->low, s->value, sizeof(s->low));
    memcpy(s->high, s->value, sizeof(s->high));
    set_block_bytes(s);
}

static void add_cells(struct builder *b)
{
    const mp_image_t *image = b->profile->image;

    for (uint32_t row = 0; row < mp_image_component_count(image); row++) {
        for (uint16_t cls = 0; cls < mp_image_class_count(image); cls++) {
            const struct mp_region_cell *cell = mp_image_cell(image, row, cls);
            struct key key = {.component = row, .class_number = cls};

            if (cell != NULL && cell->allocated_blocks_total != 0) {
                add_cell(b, &key, mp_image_component(image, row), cell);
            }
        }
    }
}

/* ---- with stacks ---- */

static void reverse(uint32_t *frames, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        uint32_t frame = frames[i];

        frames[i] = frames[count - 1 - i];
        frames[count - 1 - i] = frame;
    }
}

static struct code code_of(struct builder *b, uint32_t number)
{
    struct code *c = &b->codes[number];

    if (c->count == 0) {
        c->count = (uint32_t)frames_of_code(b->frames, number, &c->first);
    }
    return *c;
}

/*
 * The stack of a site, the root first, without the frames of mpalloc at its other end.
 * Returns the depth, at least 1.
 */
static size_t walk_stack(
    struct builder *b, const struct mp_region_site *t, bool *ret_is_cut)
{
    const mp_image_t *image = b->profile->image;
    uint32_t at = t->frame;
    bool is_inside = true; /* in mpalloc's own frames */
    bool entered = false;
    size_t depth = 0;
    unsigned steps = 0;

    /* Callers have lower numbers: it ends. */
    for (; at != 0 && steps < DEPTH_MAX; steps++) {
        const struct mp_region_frame *frame = mp_image_frame(image, at);
        struct code code;

        if (is_inside && frames_is_own_module(b->frames, frame->module)) {
            at = frame->parent;
            continue; /* names of it are not even asked for */
        }
        code = code_of(b, at);
        at = frame->parent;
        for (uint32_t i = 0; i < code.count; i++) {
            uint32_t number = code.first + i;

            is_inside = is_inside && frames_is_own(b->frames, number, &entered);
            if (!is_inside) {
                push(b, depth++, number);
            }
        }
    }
    *ret_is_cut = at != 0 || (t->flags & (MP_SITE_TRUNCATED | MP_SITE_LOST)) != 0;
    if (depth == 0) {
        push(b, depth++, frames_of_text(b->frames, "(no stack)"));
    }
    reverse(b->stack, depth);
    return depth;
}

static int compare_known(const void *a, const void *b)
{
    const struct known *x = a;
    const struct known *y = b;

    if (x->depth != y->depth) {
        return x->depth < y->depth ? -1 : 1;
    }
    if (x->key.component != y->key.component) {
        return x->key.component < y->key.component ? -1 : 1;
    }
    if (x->key.class_number != y->key.class_number) {
        return x->key.class_number < y->key.class_number ? -1 : 1;
    }
    if (x->key.operation != y->key.operation) {
        return x->key.operation < y->key.operation ? -1 : 1;
    }
    if (x->key.thread != y->key.thread) {
        return x->key.thread < y->key.thread ? -1 : 1;
    }
    return memcmp(x->frames, y->frames, x->depth * sizeof(*x->frames));
}

/* The number of the sample of a site: a new one, or one that is alike. */
static uint32_t sample_of(struct builder *b, size_t number)
{
    const struct mp_region_site *t = mp_image_site(b->profile->image, number);
    struct known wanted = {.key = {number == 0 ? UINT32_MAX : t->component,
                               t->class_number, t->operation, t->thread}};
    struct known **found;
    struct known *fresh;
    bool is_cut = false;

    if (number == 0) {
        wanted.depth = 1;
        push(b, 0, frames_of_text(b->frames, "(overflow)"));
    } else {
        wanted.depth = walk_stack(b, t, &is_cut);
    }
    wanted.frames = b->stack;
    found = tfind(&wanted, &b->known, compare_known);
    if (found == NULL) {
        fresh = must(malloc(sizeof(*fresh)));
        *fresh = wanted;
        fresh->number = (uint32_t)b->profile->sample_count;
        fresh->frames = add_sample(b, &wanted.key, b->stack, wanted.depth)->frames;
        must(tsearch(fresh, &b->known, compare_known));
        found = &fresh;
    }
    b->profile->samples[(*found)->number].is_cut |= is_cut;
    b->profile->has_stacks |= t->frame != 0;
    return (*found)->number;
}

static void set_figures(struct profile_sample *s, const struct mp_figures *f)
{
    s->samples = f->samples;
    s->live_samples = f->live_samples;
    s->requested = f->requested;
    s->live_requested = f->live_requested;
    s->peak_requested = f->peak_requested;
    s->first_ns = f->first_ns;
    s->last_ns = f->last_ns;
    s->cut = f->cut;
    s->lifetime_s = f->lifetime_s;
    memcpy(s->value, f->value, sizeof(s->value));
    memcpy(s->low, f->low, sizeof(s->low));
    memcpy(s->high, f->high, sizeof(s->high));
    set_block_bytes(s);
}

/* What estimates do not say: sums of the sites themselves. */
static void add_site(struct profile_sample *s, const mp_image_t *image, size_t number)
{
    const struct mp_region_site *t = mp_image_site(image, number);
    const struct mp_region_class *c = mp_image_class(image, t->class_number);

    s->class_number = t->class_number;
    s->is_large = c != NULL && c->kind == MP_CLASS_LARGE;
    s->moved_blocks += t->moved_blocks;
    s->moved_bytes += t->moved_bytes;
    s->heaviest_blocks = fmax(s->heaviest_blocks, t->heaviest_blocks);
    s->heaviest_bytes = fmax(s->heaviest_bytes, t->heaviest_bytes);
}

/* What no stack explains: one sample for each component and class. */
static void add_rests(struct builder *b, const mp_estimates_t *estimates)
{
    const mp_image_t *image = b->profile->image;
    const struct mp_region_site *overflow = mp_image_site(image, 0);
    uint32_t frame = frames_of_text(b->frames,
        overflow != NULL && overflow->allocated_samples > 0 ? "(overflow)"
                                                            : "(not sampled)");

    for (uint32_t row = 0; row < mp_image_component_count(image); row++) {
        for (uint16_t cls = 0; cls < mp_image_class_count(image); cls++) {
            struct key key = {.component = row, .class_number = cls};
            struct mp_figures rest;

            mp_estimates_rest(estimates, row, cls, &rest);
            if ((rest.value[MP_ALLOCATED_BLOCKS] | rest.value[MP_ALLOCATED_BYTES])
                != 0) {
                set_figures(add_sample(b, &key, &frame, 1), &rest);
            }
        }
    }
}

static void add_stacks(struct builder *b)
{
    const mp_image_t *image = b->profile->image;
    size_t sites = mp_image_site_count(image);
    uint32_t *group = must(calloc(sites + 1, sizeof(*group)));
    mp_estimates_t *estimates;

    for (size_t i = 0; i < sites; i++) {
        group[i] = mp_image_site(image, i)->allocated_samples != 0 ? sample_of(b, i)
                                                                   : UINT32_MAX;
        if (group[i] != UINT32_MAX) {
            add_site(&b->profile->samples[group[i]], image, i);
        }
    }
    if (mp_estimates_make(image, group, b->profile->sample_count, &estimates) != 0) {
        must(NULL);
    }
    for (size_t i = 0; i < b->profile->sample_count; i++) {
        set_figures(&b->profile->samples[i], mp_estimates_group(estimates, i));
    }
    add_rests(b, estimates);
    mp_estimates_free(estimates);
    free(group);
}

/* ---- the whole ---- */

static bool has_samples(const mp_image_t *image)
{
    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        if (mp_image_site(image, i)->allocated_samples != 0) {
            return true;
        }
    }
    return false;
}

struct profile *profile_create(const mp_image_t *image)
{
    return profile_create_named(image, NULL);
}

struct profile *profile_create_named(const mp_image_t *image, struct site_names *names)
{
    struct builder b = {.profile = must(calloc(1, sizeof(*b.profile)))};

    b.profile->image = image;
    b.profile->interval = mp_image_sampling(image)->interval_bytes;
    b.frames = frames_create(b.profile, names);
    b.component_names =
        must(calloc(mp_image_component_count(image) + 1, sizeof(*b.component_names)));
    b.codes = must(calloc(mp_image_frame_count(image) + 1, sizeof(*b.codes)));
    if (has_samples(image)) {
        add_stacks(&b);
    } else {
        add_cells(&b);
    }
    tdestroy(b.known, free);
    frames_destroy(b.frames);
    free(b.component_names);
    free(b.stack);
    free(b.codes);
    return b.profile;
}

void profile_destroy(struct profile *p)
{
    for (size_t i = 0; i < p->frame_count; i++) {
        free(p->frames[i].function);
        free(p->frames[i].file);
    }
    for (size_t i = 0; i < p->sample_count; i++) {
        free(p->samples[i].frames);
    }
    for (size_t i = 0; i < p->text_count; i++) {
        free(p->texts[i]);
    }
    free(p->frames);
    free(p->texts);
    free(p->samples);
    free(p);
}

bool profile_is_exact(const struct profile *p)
{
    return p->has_stacks && p->interval == MP_SAMPLING_EXACT
           && mp_image_sampling(p->image)->changes_total == 0;
}

const char *profile_describe(const struct profile *p, char *ret, size_t size)
{
    if (p->before_label != NULL) {
        snprintf(ret, size, "compared with %s", p->before_label);
    } else if (!p->has_stacks) {
        snprintf(ret, size, "components and size classes, exact");
    } else if (p->interval == MP_SAMPLING_OFF) {
        snprintf(ret, size, "sampled before, not any more");
    } else if (p->interval != MP_SAMPLING_EXACT) {
        snprintf(ret, size, "sampled, one in %s", format_block(p->interval).text);
    } else if (profile_is_exact(p)) {
        snprintf(ret, size, "every allocation");
    } else {
        snprintf(ret, size, "every allocation by now, sampled before");
    }
    return ret;
}
