/*
 * document_requests - what processes did that were asked to: mpalloc trim and sample, --json
 */
#ifndef DOCUMENT_REQUESTS_H
#define DOCUMENT_REQUESTS_H

#include <jansson.h>
#include <stdint.h>

/* schemas/trim.json; path: of the region. */
json_t *document_trim(const char *path, uint64_t bytes);

/* schemas/sample.json */
json_t *document_sample(const char *path, uint64_t interval);

#endif
