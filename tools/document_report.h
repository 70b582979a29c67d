/*
 * document_report - what one image is, whole: mpalloc snapshot --json, mpalloc report --json
 */
#ifndef DOCUMENT_REPORT_H
#define DOCUMENT_REPORT_H

#include <jansson.h>
#include <mpstats.h>

/* schemas/snapshot.json */
json_t *document_snapshot(const mp_image_t *image);

/* schemas/report.json; stacks: as many of the largest. */
json_t *document_report(const mp_image_t *image, size_t stacks);

#endif
