/*
 * document_baselines - captures that were kept: mpalloc baseline --json
 */
#ifndef DOCUMENT_BASELINES_H
#define DOCUMENT_BASELINES_H

#include "baselines.h"

#include <jansson.h>

/* schemas/baseline.json; program: of that service name alone, NULL: of all. */
json_t *document_baselines(
    const struct baseline *all, size_t count, const char *program);

#endif
