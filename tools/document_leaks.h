/*
 * document_leaks - verdicts as JSON, as SARIF for code hosts, as JUnit for builds
 */
#ifndef DOCUMENT_LEAKS_H
#define DOCUMENT_LEAKS_H

#include "leaks.h"

#include <jansson.h>
#include <stdio.h>

/* schemas/leaks.json; as many verdicts as that, `all`: also what is cache-like or fine. */
json_t *document_leaks(const struct leaks *l, size_t rows, bool all);

/* SARIF 2.1.0: lost and growing ones are errors, suspects are warnings. */
json_t *document_leaks_sarif(const struct leaks *l);

/* XML: one test case for each lost, growing and suspect one; the first two failed. */
void document_leaks_junit(FILE *out, const struct leaks *l);

#endif
