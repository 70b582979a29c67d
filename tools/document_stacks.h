/*
 * document_stacks - what JSON documents say about sampling and call stacks
 */
#ifndef DOCUMENT_STACKS_H
#define DOCUMENT_STACKS_H

#include "profile.h"

#include <jansson.h>

enum {
    DOCUMENT_STACKS = 1000
}; /* as many as a report holds unless all are asked for */

/* "sampling": how it goes. */
void document_add_sampling(json_t *document, const mp_image_t *image);

/*
 * "stacks": by live bytes, the `most` largest; what no stack explains has no frames. And
 * "stacks_total": how many there are. Without sampling there are none.
 */
void document_add_stacks(json_t *document, const struct profile *profile, size_t most);

#endif
