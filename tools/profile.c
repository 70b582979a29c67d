#include "profile.h"

#include "format.h"
#include "view.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 4 * MP_REGION_NAME_BYTES + 1 /* each byte may be escaped */ };

struct builder {
    struct profile *profile;
    size_t frames_room;
    size_t samples_room;
    size_t texts_room;
    void *known; /* tsearch: names of frames */
};

/* A name and its number. */
struct known {
    const char *name;
    uint32_t number;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("mpalloc: no memory for the profile\n", stderr);
        exit(1);
    }
    return memory;
}

/* Room for one more of `bytes` each. */
static void *grow(void *array, size_t count, size_t *room, size_t bytes)
{
    if (count < *room) {
        return array;
    }
    *room = *room == 0 ? 64 : 2 * *room;
    return must(reallocarray(array, *room, bytes));
}

static int compare_known(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

/* The number of the frame of that name. */
static uint32_t frame_of(struct builder *b, const char *name)
{
    struct profile *p = b->profile;
    struct known wanted = {name, 0};
    struct known **found = tfind(&wanted, &b->known, compare_known);
    struct known *fresh;

    if (found != NULL) {
        return (*found)->number;
    }
    p->frames = grow(p->frames, p->frame_count, &b->frames_room, sizeof(*p->frames));
    p->frames[p->frame_count] =
        (struct profile_frame){.function = must(strdup(name)), .module = UINT32_MAX};
    fresh = must(malloc(sizeof(*fresh)));
    *fresh =
        (struct known){p->frames[p->frame_count].function, (uint32_t)p->frame_count};
    must(tsearch(fresh, &b->known, compare_known));
    return (uint32_t)p->frame_count++;
}

/* "64 B", "up to 128 KiB" */
static void class_name(const mp_image_t *image, unsigned cls, char *ret, size_t size)
{
    const struct mp_region_class *c = mp_image_class(image, cls);

    snprintf(ret, size, "%s%s", c->kind == MP_CLASS_LARGE ? "up to " : "",
        c->block_bytes == UINT64_MAX ? "any size" : format_block(c->block_bytes).text);
}

/* The parts of a component's name, and the class. */
static void add_frames(
    struct builder *b, struct profile_sample *s, const char *component, unsigned cls)
{
    char name[NAME_BYTES];
    const char *at = component;
    size_t room = 0;

    for (;;) {
        size_t n = strcspn(at, "/");

        if (n > 0) { /* "a//b" has no part without a name */
            mp_text_escape(name, sizeof(name), at, n);
            s->frames = grow(s->frames, s->depth, &room, sizeof(*s->frames));
            s->frames[s->depth++] = frame_of(b, name);
        }
        if (at[n] == '\0') {
            break;
        }
        at += n + 1;
    }
    class_name(b->profile->image, cls, name, sizeof(name));
    s->frames = grow(s->frames, s->depth, &room, sizeof(*s->frames));
    s->frames[s->depth++] = frame_of(b, name);
}

/* A copy that lives as long as the profile. */
static const char *keep_text(struct builder *b, const char *text)
{
    struct profile *p = b->profile;

    p->texts = grow(p->texts, p->text_count, &b->texts_room, sizeof(*p->texts));
    p->texts[p->text_count] = must(strdup(text));
    return p->texts[p->text_count++];
}

static void add_sample(struct builder *b, const struct mp_region_component *component,
    unsigned cls, const struct mp_region_cell *cell)
{
    struct profile *p = b->profile;
    struct profile_sample *s;
    char name[NAME_BYTES];

    mp_text_escape(name, sizeof(name), component->name, sizeof(component->name));
    p->samples =
        grow(p->samples, p->sample_count, &b->samples_room, sizeof(*p->samples));
    s = &p->samples[p->sample_count++];
    *s = (struct profile_sample){
        .component = keep_text(b, name),
        .operation = "",
        .thread = "",
        .block_bytes = cell->allocated_bytes_total / cell->allocated_blocks_total,
        .value =
            {
                cell->allocated_blocks_total,
                cell->allocated_bytes_total,
                view_live(cell->allocated_blocks_total, cell->freed_blocks_total),
                view_live(cell->allocated_bytes_total, cell->freed_bytes_total),
            },
    };
    memcpy(s->low, s->value, sizeof(s->low));
    memcpy(s->high, s->value, sizeof(s->high));
    add_frames(b, s, component->name, cls);
}

struct profile *profile_create(const mp_image_t *image)
{
    struct builder b = {.profile = must(calloc(1, sizeof(*b.profile)))};

    b.profile->image = image;
    b.profile->interval = MP_SAMPLING_OFF;
    for (size_t row = 0; row < mp_image_component_count(image); row++) {
        for (unsigned cls = 0; cls < mp_image_class_count(image); cls++) {
            const struct mp_region_cell *cell = mp_image_cell(image, row, cls);

            if (cell != NULL && cell->allocated_blocks_total != 0) {
                add_sample(&b, mp_image_component(image, row), cls, cell);
            }
        }
    }
    while (b.known != NULL) {
        struct known *k = *(struct known **)b.known;

        tdelete(k, &b.known, compare_known);
        free(k);
    }
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

const char *profile_describe(const struct profile *p, char *ret, size_t size)
{
    if (!p->has_stacks) {
        snprintf(ret, size, "components and size classes, exact");
    } else if (p->interval == MP_SAMPLING_EXACT) {
        snprintf(ret, size, "every allocation");
    } else {
        snprintf(ret, size, "sampled, one in %s",
            p->interval == MP_SAMPLING_OFF ? "none any more"
                                           : format_block(p->interval).text);
    }
    return ret;
}
