/*
 * load - clients that send documents to the server and check what comes back
 *
 * Owns the client threads, their connections and the figures (component `load`).
 * What request number n is, depends on the seed and n only.
 */
#ifndef DEMO_LOAD_H
#define DEMO_LOAD_H

#include "server.h"

struct load;

struct load_plan {
    unsigned threads;
    uint64_t seed;
    uint64_t requests; /* 0: no limit */
    uint64_t rate;     /* per second; 0: as many as it can */
    double seconds;    /* 0: no limit */
};

struct load_figures {
    uint64_t requests;
    uint64_t sent_bytes;      /* documents */
    uint64_t extracted_bytes; /* texts */
    uint64_t mismatches;
    uint64_t checksum; /* over all texts, in any order */
    double seconds;
    char first_mismatch[160];
};

/* NULL, errno set, when a thread or a connection is not to be had. */
struct load *load_create(const struct server *server, const struct load_plan *plan);

/* Has it ended? Waits for that, but not longer than `seconds`. */
bool load_wait(struct load *l, double seconds);

/* Ask it to end soon. */
void load_stop(struct load *l);

void load_figures(struct load *l, struct load_figures *ret);

/* Waits for the end. */
void load_destroy(struct load *l);

#endif
