/*
 * document_diff - what changed, as JSON
 */
#ifndef DOCUMENT_DIFF_H
#define DOCUMENT_DIFF_H

#include "comparison.h"

#include <jansson.h>

/* schemas/diff.json. rows: of each list, all: also what did not change, and what is noise. */
json_t *document_diff(
    const struct comparison *c, const bool by[MP_DIFF_BYS], bool all, size_t rows);

#endif
