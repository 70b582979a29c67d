/*
 * cursor - reading numbers from bytes that may be damaged
 */
#ifndef CURSOR_H
#define CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Reads past the end give zero and leave the cursor bad for good. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool is_bad;
};

static inline bool cursor_take(struct cursor *c, void *to, size_t bytes)
{
    if (c->is_bad || (size_t)(c->end - c->at) < bytes) {
        c->is_bad = true;
        memset(to, 0, bytes);
        return false;
    }
    memcpy(to, c->at, bytes);
    c->at += bytes;
    return true;
}

static inline void cursor_skip(struct cursor *c, uint64_t bytes)
{
    if (c->is_bad || (uint64_t)(c->end - c->at) < bytes) {
        c->is_bad = true;
    } else {
        c->at += bytes;
    }
}

static inline uint8_t cursor_take_u8(struct cursor *c)
{
    uint8_t v;

    cursor_take(c, &v, sizeof(v));
    return v;
}

static inline uint16_t cursor_take_u16(struct cursor *c)
{
    uint16_t v;

    cursor_take(c, &v, sizeof(v));
    return v;
}

static inline uint32_t cursor_take_u32(struct cursor *c)
{
    uint32_t v;

    cursor_take(c, &v, sizeof(v));
    return v;
}

static inline uint64_t cursor_take_u64(struct cursor *c)
{
    uint64_t v;

    cursor_take(c, &v, sizeof(v));
    return v;
}

static inline uint64_t cursor_take_uleb(struct cursor *c)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        byte = cursor_take_u8(c);
        if (shift < 64) {
            value |= (uint64_t)(byte & 0x7f) << shift;
        }
        shift += 7;
    } while ((byte & 0x80) != 0);
    return value;
}

static inline int64_t cursor_take_sleb(struct cursor *c)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        byte = cursor_take_u8(c);
        if (shift < 64) {
            value |= (uint64_t)(byte & 0x7f) << shift;
        }
        shift += 7;
    } while ((byte & 0x80) != 0);
    if (shift < 64 && (byte & 0x40) != 0) {
        value |= ~(uint64_t)0 << shift;
    }
    return (int64_t)value;
}

#endif
