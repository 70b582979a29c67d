/*
 * index - which documents have a word: the latest 64 for each word (component `index`)
 *
 * Grows to a bound in bytes; from then on new words are not taken. Any thread may call.
 */
#ifndef DEMO_INDEX_H
#define DEMO_INDEX_H

#include "memory.h"

struct index;

struct index *index_create(size_t limit_bytes);
void index_destroy(struct index *x);

/* Every word of the text is in that document. Words end with one space. */
void index_insert(struct index *x, uint32_t document, const struct buffer *text);

/* The documents with that word, a line each, are added to ret; returns how many. */
unsigned index_find(struct index *x, const char *word, struct buffer *ret);

#endif
