/*
 * corpus - what the parts of the program of known truth share
 *
 * corpus.c has the shapes; corpus_plugin.c is a library that one of them loads, corpus_container.cpp
 * is in C++, corpus_park.c keeps a word in a register.
 */
#ifndef CORPUS_H
#define CORPUS_H

#include <mpalloc.h>

#include <stddef.h>
#include <stdint.h>

#define NOINLINE __attribute__((noinline))

#ifdef __cplusplus
extern "C" {
#endif

struct node {
    struct node *next;
    struct node *other;
    char text[1];
};

/* A string of so many bytes under that key, in a map that is never emptied. */
void grow_container(mp_component_t *part, uint64_t key, size_t bytes);

/* A thread takes the word over into a register, where nobody else has it; *word is cleared. */
void park(uintptr_t *word);

#ifdef __cplusplus
}
#endif

#endif
