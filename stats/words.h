/*
 * words - figures in sentences: the evidence of verdicts and of advice
 *
 * Each writes to `to` and returns it.
 */
#ifndef WORDS_H
#define WORDS_H

#include <stddef.h>

enum { WORDS_BYTES = 32 }; /* room that is enough for each of them */

const char *words_bytes(double bytes, char to[WORDS_BYTES]);  /* "12.4 MiB" */
const char *words_time(double seconds, char to[WORDS_BYTES]); /* "3 min" */
const char *words_count(double count, char to[WORDS_BYTES]);  /* "1.3 million" */
const char *words_chance(double p, char to[WORDS_BYTES]);     /* "3e-05" */

#endif
