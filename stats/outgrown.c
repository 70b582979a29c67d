#include "outgrown.h"

#include <math.h>
#include <string.h>

#define FAR       8 /* times the usual: three doublings, what a growing array may be at */
#define FEW_SHARE 0.25 /* of the blocks: else it is what is usual */
#define HELD      0.5  /* of the stack's live bytes */
#define OLD_SHARE                                                                      \
    0.5 /* of the time since the stack began: since then it has not grown */

static double mean_of(const struct mp_figures *f)
{
    double blocks = (double)f->value[MP_LIVE_BLOCKS];

    return blocks > 0 ? (double)f->value[MP_LIVE_BYTES] / blocks : 0;
}

/* Classes of a stack stand by number, shorter blocks first. */
static double usual(const struct stack_sum *s)
{
    double half = s->value[MP_LIVE_BLOCKS].value / 2;
    double blocks = 0;

    for (size_t i = 0; i < s->class_count; i++) {
        blocks += (double)s->classes[i].figures->value[MP_LIVE_BLOCKS];
        if (blocks >= half) {
            return mean_of(s->classes[i].figures);
        }
    }
    return 0;
}

static void add_class(struct outgrown *r, const struct mp_figures *f)
{
    struct mp_estimate *e = &r->gain;
    double value = (double)f->value[MP_LIVE_BYTES];
    double down = hypot(e->value - e->low, value - (double)f->low[MP_LIVE_BYTES]);
    double up = mp_figures_spread(e->high - e->value,
        (double)f->high[MP_LIVE_BYTES] - value, (f->cut & 1u << MP_LIVE_BYTES) != 0);

    e->value += value;
    e->low = fmax(e->value - down, 0);
    e->high = e->value + up;
    r->blocks += (double)f->value[MP_LIVE_BLOCKS];
}

static double began_s_ago(const mp_image_t *image, const struct stack_sum *s)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < s->class_count; i++) {
        uint64_t at = s->classes[i].figures->first_ns;

        first = at != 0 && at < first ? at : first;
    }
    return first < t->published_ns ? (double)(t->published_ns - first) / 1e9 : 0;
}

/* Of the bytes of long blocks that were sampled, the part that is old; the youngest's age. */
static double old_part(const mp_image_t *image, const struct stack_sum *s, double least,
    double old_s, double *ret_idle_s)
{
    uint64_t now = mp_image_totals(image)->published_mono_ns;
    double all = 0;
    double old = 0;

    *ret_idle_s = INFINITY;
    for (size_t i = 0; i < mp_image_sample_count(image); i++) {
        const struct mp_region_sample *k = mp_image_sample(image, i);
        const struct mp_region_site *t = mp_image_site(image, k->site);
        double age = k->born_ns < now ? (double)(now - k->born_ns) / 1e9 : 0;

        if (t == NULL || t->component != s->component || (double)k->bytes < least
            || stack_sum_frame(image, t->frame) != s->frame) {
            continue;
        }
        all += (double)k->bytes;
        if (age >= old_s) {
            old += (double)k->bytes;
            *ret_idle_s = fmin(*ret_idle_s, age);
        }
    }
    return all > 0 ? old / all : 0;
}

/*
 * Whether some of it grew: realloc moved it, or it went through the sizes between, which large
 * blocks do in place.
 */
static bool has_grown(const struct stack_sum *s, const struct outgrown *r)
{
    for (size_t i = 0; i < s->class_count; i++) {
        const struct mp_figures *f = s->classes[i].figures;
        double all = (double)f->value[MP_ALLOCATED_BLOCKS];
        double mean = all > 0 ? (double)f->value[MP_ALLOCATED_BYTES] / all : 0;

        if (mean >= 2 * r->usual_bytes && 2 * mean <= r->block_bytes
            && 2 * all >= r->blocks && 2 * (double)f->value[MP_LIVE_BLOCKS] <= all) {
            return true;
        }
    }
    return s->moved_samples > 0;
}

bool outgrown_find(
    const mp_image_t *image, const struct stack_sum *s, struct outgrown *ret)
{
    double part;

    memset(ret, 0, sizeof(*ret));
    ret->usual_bytes = usual(s);
    ret->all_blocks = s->value[MP_LIVE_BLOCKS].value;
    if (ret->usual_bytes <= 0) {
        return false;
    }
    for (size_t i = 0; i < s->class_count; i++) {
        if (mean_of(s->classes[i].figures) >= FAR * ret->usual_bytes) {
            add_class(ret, s->classes[i].figures);
        }
    }
    if (ret->blocks < 1 || ret->blocks > FEW_SHARE * ret->all_blocks
        || ret->gain.value < HELD * s->value[MP_LIVE_BYTES].value) {
        return false;
    }
    ret->block_bytes = ret->gain.value / ret->blocks;
    if (!has_grown(s, ret)) {
        return false;
    }
    part = old_part(image, s, FAR * ret->usual_bytes, OLD_SHARE * began_s_ago(image, s),
        &ret->idle_s);
    ret->blocks *= part;
    part *= 1 - ret->usual_bytes / ret->block_bytes;
    ret->gain.value *= part;
    ret->gain.low *= part;
    ret->gain.high *= part;
    return part > 0;
}
