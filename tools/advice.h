/*
 * advice - findings of an image with names: what a report says under "What to do"
 *
 * Owns: the names of stacks and components of findings. Does not own: the findings (mpstats.h),
 * how they look (render_advice.h, document_advice.h).
 */
#ifndef ADVICE_H
#define ADVICE_H

#include "stack_names.h"

#include <mpstats.h>

struct advice_item {
    const struct mp_finding *finding;
    char component[4 * MP_REGION_NAME_BYTES + 1]; /* fit to print; "" without one */
    size_t depth;
    struct stack_name *frames;
};

struct advice {
    const mp_image_t *image;
    mp_findings_t *findings;
    struct symbols *symbols;
    struct mp_efficiency efficiency;
    size_t count;
    struct advice_item *all; /* the largest gain first */
};

/* With leaks among it: verdicts of the image, NULL: they are made. Ends the process without memory. */
struct advice *advice_create(const mp_image_t *image, const mp_verdicts_t *verdicts);
void advice_destroy(struct advice *a);

/* "1.2 MiB (0.8 MiB to 1.5 MiB) of the peak", "up to 16 MiB", "growth of 1 GiB (…) per hour"; "" of what has no gain of its own. */
const char *advice_gain(const struct mp_finding *f, char *ret, size_t size);

#endif
