/*
 * leaks - verdicts of an image with names: what mpalloc leaks prints, in each of its forms
 *
 * Owns: the names of stacks, the numbers that stay the same from run to run, which of them were
 * acknowledged, and their order. Does not own: the verdicts (mpstats.h), how they look
 * (render_leaks.h, document_leaks.h).
 */
#ifndef LEAKS_H
#define LEAKS_H

#include "stack_names.h"

#include <mpstats.h>

enum { LEAK_ID_BYTES = 17 };

struct leak {
    const struct mp_verdict *verdict;
    /*
     * 16 digits: a hash of the component's name and, for each frame, the build id of its module
     * (or the name of its file) and the offset in it. The same in each run of a build.
     */
    char id[LEAK_ID_BYTES];
    char component[4 * MP_REGION_NAME_BYTES + 1]; /* fit to print */
    size_t depth;
    struct stack_name *frames; /* the innermost first, without mpalloc's own */
    const char *ack;           /* what was noted; NULL: not acknowledged */
    int64_t ack_until_s;
    bool has_since; /* an earlier image was given */
    double since;   /* live bytes now less then */
};

struct leaks {
    const mp_image_t *image;
    mp_verdicts_t *verdicts;
    struct symbols *symbols;
    size_t count;
    struct leak *all; /* the worst first */
    size_t of_kind[MP_VERDICTS];
    size_t acknowledged;       /* of lost and growing ones */
    const mp_image_t *earlier; /* NULL: none was given */
    int64_t since_s; /* the point of the history that `since` is of; 0: none */
    struct acks *acks;
};

/* earlier: an image of the same process before, or NULL. Ends the process without memory. */
struct leaks *leaks_create(const mp_image_t *image, const mp_image_t *earlier);
void leaks_destroy(struct leaks *l);

/* Lost ones, and growing ones if `growing`, that nobody acknowledged. */
size_t leaks_failing(const struct leaks *l, bool growing);

struct leaks_component {
    char name[4 * MP_REGION_NAME_BYTES + 1]; /* fit to print */
    enum mp_verdict_kind worst;
    size_t stacks[MP_VERDICTS];
    uint64_t live;           /* bytes, counted: also of what no stack explains */
    struct mp_estimate rate; /* bytes per hour, of lost and growing ones */
};

/* Of all that ever had a block, the worst first; free it. */
struct leaks_component *leaks_by_component(const struct leaks *l, size_t *ret_count);

/* "GET /cart", "worker-3 (97 %), main": fit to print. */
const char *leak_operation(const struct leaks *l, const struct leak *k, char ret[256]);
const char *leak_threads(const struct leaks *l, const struct leak *k, char ret[256]);

#endif
