/*
 * cache - texts by the hash of their document, least recently used out first
 *
 * Bounded in bytes (component `cache`). Any thread may call.
 */
#ifndef DEMO_CACHE_H
#define DEMO_CACHE_H

#include "memory.h"

struct cache;

struct cache *cache_create(size_t limit_bytes);
void cache_destroy(struct cache *c);

/* Adds a copy of the text to ret_text, and makes it the most recently used. */
bool cache_find(struct cache *c, uint64_t key, struct buffer *ret_text);
void cache_insert(struct cache *c, uint64_t key, const struct buffer *text);

#endif
