/*
 * document - makes the documents of the load, and knows what is to be extracted
 *
 * The same seed and number give the same document, in every process.
 */
#ifndef DEMO_DOCUMENT_H
#define DEMO_DOCUMENT_H

#include "memory.h"

enum document_kind { DOCUMENT_HTML, DOCUMENT_PDF, DOCUMENT_DAMAGED_PDF };

struct document {
    enum document_kind kind;
    struct buffer body;
    struct buffer text; /* what a correct server answers */
};

enum { WORD_MAX = 24 };

/* A random number for each state; moves the state on. */
uint64_t random_draw(uint64_t *state);

/* Word number `number` of the vocabulary. */
void document_word(uint32_t number, char ret[WORD_MAX]);

void document_init(struct document *d, uint64_t seed, uint32_t number);
void document_fini(struct document *d);

#endif
