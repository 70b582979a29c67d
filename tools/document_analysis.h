/*
 * document_analysis - what JSON reports say of lifetimes, of functions, operations and threads
 */
#ifndef DOCUMENT_ANALYSIS_H
#define DOCUMENT_ANALYSIS_H

#include "profile.h"

#include <jansson.h>

/*
 * "lifetimes": freed blocks by how long they lived; "functions", "operations", "threads": the `most`
 * that allocate most; and into each of "size_classes" the part of its live bytes that was not asked
 * for, or null.
 */
void document_add_analysis(
    json_t *document, const struct profile *profile, size_t most);

#endif
