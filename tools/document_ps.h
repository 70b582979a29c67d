/*
 * document_ps - processes in a row each: mpalloc ps --json
 */
#ifndef DOCUMENT_PS_H
#define DOCUMENT_PS_H

#include <jansson.h>
#include <mpstats.h>

/* resident_bytes: what the kernel says, or MP_UNKNOWN. */
json_t *document_ps_row(const mp_image_t *image, uint64_t resident_bytes);

/* Of a region that cannot be read. */
json_t *document_ps_damaged(const char *path, const char *error);

#endif
