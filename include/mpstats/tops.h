/*
 * mpstats/tops.h - who holds memory: by component, size class, call stack, operation or thread
 *
 * A part of mpstats.h, which includes it; what that says of errors and threads holds here.
 */
#ifndef MPSTATS_TOPS_H
#define MPSTATS_TOPS_H

#include <mpstats.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mp_top_by {
    MP_TOP_COMPONENT,
    MP_TOP_CLASS,
    MP_TOP_SITE, /* a call stack in a component: all its classes, operations, threads */
    MP_TOP_OPERATION, /* mp_operation */
    MP_TOP_THREAD,    /* the name of the thread that allocated */
    MP_TOP_BYS
};

/* One row. The library hands it out, and a later one may add members at its end. */
struct mp_top {
    enum mp_top_by by;
    /*
     * What no stack explains, or what has none: blocks that were not sampled, (overflow), the
     * memory of no operation. The numbers below are UINT32_MAX, but for frame.
     */
    bool is_rest;
    uint32_t component; /* row in the image, of MP_TOP_COMPONENT and MP_TOP_SITE */
    uint32_t number;    /* of the class, or of the name (mp_image_name) */
    uint32_t frame;     /* of MP_TOP_SITE, for mp_image_stack; 0: none could be taken */
    /*
     * Of the component (also of a site), the operation or the thread, as the program wrote it:
     * print it through mp_text_escape. A rest is called "(overflow)", "(not sampled)", "(no
     * operation)" or "(not known)"; a class is "".
     */
    const char *name;
    /* Bytes and blocks; low and high are of 95 %, and the value where it comes from counters. */
    const struct mp_figures *figures;
};

typedef struct mp_tops mp_tops_t;

/*
 * All rows, the largest `sort` first. Components and classes are as counted: live and allocated
 * figures are exact, and the peak of a component is its own. Sites, operations and threads are
 * estimates, which add up to the counters and what is newer than those (mp_image_since); without
 * sampling they are one row, the rest. The image has to outlive it. -EINVAL: no such `by` or `sort`;
 * -ENOMEM. Cost: 50 ms for 50,000 sites.
 */
MPS_EXPORT int mp_tops_make(
    const mp_image_t *image, enum mp_top_by by, enum mp_figure sort, mp_tops_t **ret);
MPS_EXPORT void mp_tops_free(mp_tops_t *tops);
MPS_EXPORT size_t mp_tops_count(const mp_tops_t *tops);
MPS_EXPORT const struct mp_top *mp_tops_at(
    const mp_tops_t *tops, size_t number); /* NULL past the end */

/* The sum of all rows. */
MPS_EXPORT const struct mp_figures *mp_tops_total(const mp_tops_t *tops);

/* "component", "class", "site", "operation", "thread" */
MPS_EXPORT const char *mp_top_by_name(enum mp_top_by by);

/*
 * The call stack that ends in `frame`, of a site, a verdict or a finding: numbers of frames
 * (mp_image_frame), the innermost first, at most `most` of them. Frames of libmpalloc.so at its
 * inner end are left out. Returns how many there are, which may be more than `most`; 0: none.
 */
MPS_EXPORT size_t mp_image_stack(
    const mp_image_t *image, uint32_t frame, uint32_t *ret, size_t most);

#ifdef __cplusplus
}
#endif

#endif
