/*
 * document_advice - findings as JSON
 */
#ifndef DOCUMENT_ADVICE_H
#define DOCUMENT_ADVICE_H

#include <jansson.h>
#include <mpstats.h>

/* "efficiency" and "advice"; of the report's schema. */
void document_add_advice(json_t *document, const mp_image_t *image);

#endif
