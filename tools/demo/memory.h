/*
 * memory - blocks and growing buffers of the demo
 *
 * Out of memory ends the program with one line: nothing here returns NULL. Blocks are
 * freed with free.
 */
#ifndef DEMO_MEMORY_H
#define DEMO_MEMORY_H

#include <mpalloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data;
    size_t length;
    size_t capacity;
};

/* Before all else, on the main thread. */
void memory_init(void);

/* Is malloc that of mpalloc, and counting? Not so when another one was preloaded. */
bool memory_is_mpalloc(void);

/* For the current component of this thread. */
void *memory_take(size_t size);
char *memory_copy(const char *text, size_t length);

/* For component c, whatever is current. */
void *memory_take_for(mp_component_t *c, size_t size);
void *memory_resize_for(mp_component_t *c, void *block, size_t size);

/* A buffer starts as {0}. Its data is terminated by a 0 that length does not count. */
void buffer_add(struct buffer *b, const void *data, size_t length);
void buffer_add_byte(struct buffer *b, char byte);
void buffer_print(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_consume(struct buffer *b, size_t length);
void buffer_fini(struct buffer *b);

uint64_t hash_bytes(const void *data, size_t length);

#endif
