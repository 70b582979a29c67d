/*
 * api_cache - answers that take long to make: each is made once at a time, and used for seconds
 *
 * Owns: the answers, at most 32 MiB of them, and how many are made at once, so that what is slow
 * leaves a processor to the rest. Any thread.
 */
#ifndef API_CACHE_H
#define API_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api_cache;

/* What is answered: status 200 and data, or another status and detail. */
struct made {
    unsigned status;
    const char *type; /* lives for ever */
    char *data;       /* of malloc */
    size_t bytes;
    char detail[512];
};

/* Fills in what is zero at first. */
typedef void make_fn(struct made *made, void *arg);

/* Ends the process without memory. */
struct api_cache *api_cache_create(void);
void api_cache_destroy(struct api_cache *c);

/*
 * What `make` makes for the key, or made for it when `version` (of what it is made from) was the
 * same or it is at most most_age_ms old. Give it back. NULL: others take too long.
 */
const struct made *api_cache_hold(struct api_cache *c, const char *key,
    uint64_t version, unsigned most_age_ms, make_fn *make, void *arg);
void api_cache_release(struct api_cache *c, const struct made *made);

/* What was made for keys that begin so is not used any more. */
void api_cache_forget(struct api_cache *c, const char *beginning);

#endif
