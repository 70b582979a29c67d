/*
 * document_moments - the moments of a process that the history keeps, as JSON
 */
#ifndef DOCUMENT_MOMENTS_H
#define DOCUMENT_MOMENTS_H

#include "moments.h"

#include <jansson.h>

/* Of the image's run. Ends the process without memory. */
json_t *document_moments(
    const mp_image_t *image, const struct moment *all, size_t count);

#endif
