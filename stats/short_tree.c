#include "short_tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 0.8 /* of the short-lived blocks, to be below the frame */

enum { DEPTH_MOST = 512, FRAMES_MAX = 256, START_FRAMES = 4, CLASSES_PART = 10 };

/* ---- main, and what threads begin with ---- */

static bool is_of_libc(const mp_image_t *image, uint32_t frame)
{
    const struct mp_region_module *m =
        mp_image_module(image, mp_image_frame(image, frame)->module);
    const char *slash = m != NULL ? strrchr(m->path, '/') : NULL;

    return slash != NULL
           && (strncmp(slash + 1, "libc.so", 7) == 0
               || strncmp(slash + 1, "libpthread", 10) == 0
               || strncmp(slash + 1, "libc.musl", 9) == 0
               || strncmp(slash + 1, "ld-", 3) == 0);
}

/* The C library starts programs and threads: what it calls first is a start. */
static bool is_start(const mp_image_t *image, uint32_t frame)
{
    uint32_t chain[FRAMES_MAX];
    unsigned depth = 0;
    unsigned first = 0; /* from the root: the first that libc does not call, or is */

    for (uint32_t f = frame; f != 0 && depth < FRAMES_MAX;
         f = mp_image_frame(image, f)->parent) {
        chain[depth++] = f;
    }
    for (unsigned i = 0; i < START_FRAMES && i < depth; i++) {
        first = is_of_libc(image, chain[depth - 1 - i]) ? i + 1 : first;
    }
    return depth <= first + 1;
}

/* ---- sums ---- */

struct sums {
    double *shorts;    /* by frame: blocks below it, of stacks that count */
    double *allocated; /* of all stacks */
};

static bool counts(const struct stack_sum *s, uint32_t component, double least)
{
    return s->component == component && s->frame != 0
           && stack_sum_short(s).low >= least;
}

/* Callers have lower numbers, so one pass from the end adds up all that is below. */
static double add_up(const mp_image_t *image, const struct stack_sums *stacks,
    uint32_t component, double least, struct sums *s)
{
    double all = 0;

    for (size_t i = 0; i < stacks->count; i++) {
        const struct stack_sum *t = &stacks->all[i];

        if (t->component == component && t->frame != 0) {
            s->allocated[t->frame] += t->value[MP_ALLOCATED_BLOCKS].value;
        }
        if (counts(t, component, least)) {
            s->shorts[t->frame] += t->value[MP_SHORT_BLOCKS].value;
            all += t->value[MP_SHORT_BLOCKS].value;
        }
    }
    for (size_t i = mp_image_frame_count(image); i-- > 1;) {
        uint32_t parent = mp_image_frame(image, i)->parent;

        s->shorts[parent] += s->shorts[i];
        s->allocated[parent] += s->allocated[i];
    }
    return all;
}

bool short_tree_is_below(const mp_image_t *image, uint32_t frame, uint32_t above)
{
    for (unsigned i = 0; i < DEPTH_MOST && frame > above; i++) {
        frame = mp_image_frame(image, frame)->parent;
    }
    return frame == above;
}

static uint32_t find_inside(
    const mp_image_t *image, const struct sums *s, uint32_t frame)
{
    uint32_t inside = frame;
    double most = 0;

    for (size_t i = frame + 1; i < mp_image_frame_count(image); i++) {
        if (mp_image_frame(image, i)->parent == frame && s->shorts[i] > most) {
            most = s->shorts[i];
            inside = (uint32_t)i;
        }
    }
    return inside;
}

static void add_classes(const struct stack_sum *t, double blocks[MP_REGION_CLASSES])
{
    for (size_t i = 0; i < t->class_count; i++) {
        if (t->classes[i].number < MP_REGION_CLASSES) {
            blocks[t->classes[i].number] +=
                (double)t->classes[i].figures->value[MP_SHORT_BLOCKS];
        }
    }
}

static void describe(const mp_image_t *image, const struct stack_sums *stacks,
    uint32_t component, double least, struct short_tree *ret)
{
    double blocks[MP_REGION_CLASSES] = {0};
    double most = 0;
    double down = 0;
    double up = 0;

    for (size_t i = 0; i < stacks->count; i++) {
        const struct stack_sum *t = &stacks->all[i];
        const struct mp_estimate *e = &t->value[MP_SHORT_BLOCKS];

        if (counts(t, component, least)
            && short_tree_is_below(image, t->frame, ret->frame)) {
            ret->stacks++;
            ret->short_blocks.value += e->value;
            down = hypot(down, e->value - e->low);
            up = hypot(up, e->high - e->value);
            add_classes(t, blocks);
        }
    }
    ret->short_blocks.low = fmax(ret->short_blocks.value - down, 0);
    ret->short_blocks.high = ret->short_blocks.value + up;
    for (unsigned i = 0; i < MP_REGION_CLASSES; i++) {
        most = fmax(most, blocks[i]);
    }
    for (unsigned i = 0; i < MP_REGION_CLASSES; i++) {
        ret->classes += blocks[i] > 0 && blocks[i] * CLASSES_PART >= most;
    }
}

bool short_tree_find(const mp_image_t *image, const struct stack_sums *stacks,
    uint32_t component, double least, struct short_tree *ret)
{
    size_t count = mp_image_frame_count(image);
    struct sums s = {
        calloc(count + 1, sizeof(double)), calloc(count + 1, sizeof(double))};
    bool is_found = false;

    *ret = (struct short_tree){0};
    if (s.shorts != NULL && s.allocated != NULL) {
        double all = add_up(image, stacks, component, least, &s);

        /* Frames with more than half of it are one chain: the innermost has the highest number. */
        for (size_t i = count; all > 0 && i-- > 1 && !is_found;) {
            if (s.shorts[i] >= MOST * all) {
                is_found = true;
                ret->frame = (uint32_t)i;
                ret->inside = find_inside(image, &s, ret->frame);
                ret->share = fmin(s.shorts[i] / fmax(s.allocated[i], 1), 1);
            }
        }
    }
    free(s.shorts);
    free(s.allocated);
    if (!is_found || ret->share < least || is_start(image, ret->inside)) {
        return false;
    }
    describe(image, stacks, component, least, ret);
    return true;
}
