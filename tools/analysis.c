#include "analysis.h"

#include <math.h>
#include <string.h>

/* Blocks of a site are of one class: each of its samples stands for as many as the next. */
static void add_site(struct analysis_lifetimes *l, const struct mp_region_site *t)
{
    double freed = (double)t->freed_samples;
    double blocks = t->freed_blocks / freed;
    double bytes = t->freed_bytes / freed;

    if (!(blocks >= 0 && blocks < 0x1p62 && bytes >= 0 && bytes < 0x1p62)) {
        return; /* a region may say anything */
    }
    for (unsigned i = 0; i < MP_REGION_LIFETIMES; i++) {
        l->blocks[i] += blocks * t->lifetimes[i];
        l->bytes[i] += bytes * t->lifetimes[i];
        l->all_blocks += blocks * t->lifetimes[i];
        l->all_bytes += bytes * t->lifetimes[i];
    }
}

void analysis_lifetimes_make(const mp_image_t *image, struct analysis_lifetimes *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        const struct mp_region_site *t = mp_image_site(image, i);

        if (t->freed_samples != 0) {
            add_site(ret, t);
        }
    }
}

void analysis_asked(const struct profile *p, double ret[MP_REGION_CLASSES])
{
    double live[MP_REGION_CLASSES] = {0};
    double asked[MP_REGION_CLASSES] = {0};

    for (size_t i = 0; i < p->sample_count; i++) {
        const struct profile_sample *s = &p->samples[i];

        if (s->live_samples > 0 && s->class_number < MP_REGION_CLASSES) {
            live[s->class_number] += (double)s->value[PROFILE_LIVE_BYTES];
            asked[s->class_number] += (double)s->live_requested;
        }
    }
    for (size_t i = 0; i < MP_REGION_CLASSES; i++) {
        ret[i] = live[i] > 0 ? fmin(asked[i] / live[i], 1) : -1;
    }
}
