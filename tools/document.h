/*
 * document - the JSON documents of --json
 *
 * Keys are the metric names without the prefix; bytes are integers, times RFC 3339; what
 * is not known is null. Every document starts with "schema"; the schemas are shipped in
 * tools/schemas/. A change that a reader would notice raises the number in the name.
 */
#ifndef DOCUMENT_H
#define DOCUMENT_H

#include "stack_names.h"

#include <jansson.h>
#include <mpstats.h>
#include <stdio.h>

/* A new document "mpalloc.NAME/1" with the time it was made. Ends the process without memory. */
json_t *document_new(const char *name);

/* Setters: jansson's errors (no memory) end the process with a line. */
void document_set(json_t *object, const char *key, json_t *value);
void document_set_bytes(json_t *object, const char *key, uint64_t value);
void document_set_text(json_t *object, const char *key, const char *text);

void document_set_time(json_t *object, const char *key, uint64_t ns); /* 0: null */
void document_append(json_t *array, json_t *value);

/* Of a text that is fit to print; ends the process without memory only. */
json_t *document_string(const char *text);

/* What is infinite, or no number, is null. */
json_t *document_number(double value);

/* {"value", "low", "high"}: of numbers, and of bytes or blocks. */
json_t *document_estimate(const struct mp_estimate *e);
void document_set_range(
    json_t *object, const char *key, uint64_t value, uint64_t low, uint64_t high);

/* Of a stack, the innermost first. */
json_t *document_frames(const struct stack_name *frames, size_t depth);

json_t *document_process(const mp_image_t *image);
json_t *document_ledger(const struct mp_ledger *ledger);
json_t *document_modules(const mp_image_t *image);
json_t *document_components(const mp_image_t *image);
json_t *document_size_classes(const mp_image_t *image);
json_t *document_timeline(const mp_image_t *image, unsigned tier);

/* Totals, limits, ledger, components, size classes, options, own cost, sampling. */
void document_add_snapshot(json_t *document, const mp_image_t *image);

/* What a report has besides: timeline and modules. */
void document_add_history(json_t *document, const mp_image_t *image);

/* To a stream, in one line when `line`; frees it. 0, -EIO or -ENOMEM. */
int document_write(json_t *document, FILE *out, bool line);

/* To standard output, in one line when `line`; frees it. EXIT_FAILED when it fails. */
int document_print(json_t *document, bool line);

#endif
