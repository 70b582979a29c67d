/*
 * render_tops - who allocates most, as a table and as JSON: mpalloc report --by
 */
#ifndef RENDER_TOPS_H
#define RENDER_TOPS_H

#include "tops.h"

#include <jansson.h>
#include <stdio.h>

/* most: rows; the rest is summed up in a line. */
void render_tops(FILE *out, const mp_image_t *image, enum top_key key,
    enum profile_value by, size_t most);

/* schemas/report_by.json */
json_t *document_tops(
    const mp_image_t *image, enum top_key key, enum profile_value by, size_t most);

/* The rows alone: name, frames of sites, figures. */
json_t *document_top_rows(
    const struct profile *p, const struct tops *t, enum top_key key, size_t most);

#endif
