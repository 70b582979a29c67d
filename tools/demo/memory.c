#include "memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_mpalloc; /* written by memory_init only */

static void *check(void *block)
{
    if (block == NULL) {
        fputs("extraction-server: out of memory\n", stderr);
        exit(1);
    }
    return block;
}

/*
 * Asks the figures whether a block of malloc is in them. What the symbols say is not
 * enough: valgrind replaces malloc and leaves the symbols as they are.
 */
void memory_init(void)
{
    struct mp_snapshot before = {.size = sizeof(before)};
    struct mp_snapshot after = {.size = sizeof(after)};
    void *volatile block;

    if (mp_snapshot(&before) == 0) {
        block = malloc(100);
        is_mpalloc = mp_snapshot(&after) == 0
                     && after.allocated_blocks_total > before.allocated_blocks_total;
        free(block);
    }
}

bool memory_is_mpalloc(void)
{
    return is_mpalloc;
}

void *memory_take(size_t size)
{
    return check(malloc(size));
}

char *memory_copy(const char *text, size_t length)
{
    char *copy = memory_take(length + 1);

    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

/* A block of mp_malloc goes to free, so malloc and mp_malloc must be of one library. */
void *memory_take_for(mp_component_t *c, size_t size)
{
    return check(is_mpalloc ? mp_malloc(c, size) : malloc(size));
}

void *memory_resize_for(mp_component_t *c, void *block, size_t size)
{
    return check(is_mpalloc ? mp_realloc(c, block, size) : realloc(block, size));
}

static void buffer_reserve(struct buffer *b, size_t more)
{
    size_t want = b->length + more + 1;

    if (want > b->capacity) {
        size_t half_more = b->capacity + b->capacity / 2;

        b->capacity = want > half_more ? want : half_more;
        b->capacity = b->capacity > 64 ? b->capacity : 64;
        b->data = check(realloc(b->data, b->capacity));
    }
}

void buffer_add(struct buffer *b, const void *data, size_t length)
{
    buffer_reserve(b, length);
    memcpy(b->data + b->length, data, length);
    b->length += length;
    b->data[b->length] = '\0';
}

void buffer_add_byte(struct buffer *b, char byte)
{
    buffer_add(b, &byte, 1);
}

void buffer_print(struct buffer *b, const char *format, ...)
{
    char line[512];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (length > 0) {
        buffer_add(
            b, line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
    }
}

void buffer_consume(struct buffer *b, size_t length)
{
    if (length != 0) {
        memmove(b->data, b->data + length, b->length - length + 1);
        b->length -= length;
    }
}

void buffer_fini(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

/* FNV-1a. */
uint64_t hash_bytes(const void *data, size_t length)
{
    const unsigned char *byte = data;
    uint64_t hash = 0xcbf29ce484222325;

    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ byte[i]) * 0x100000001b3;
    }
    return hash;
}
