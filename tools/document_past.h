/*
 * document_past - what a process was: mpalloc report --since --json
 */
#ifndef DOCUMENT_PAST_H
#define DOCUMENT_PAST_H

#include "past.h"

#include <jansson.h>

/* schemas/history.json */
json_t *document_past(const struct past *p);

#endif
