/*
 * acks - which leaks somebody knows of already: a table of the history database
 *
 * Owns: that table. Does not own: the database (history.h).
 */
#ifndef ACKS_H
#define ACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is later is for ever: the year 2500, for nanoseconds of times end in 2554. */
#define ACK_UNTIL_MOST INT64_C(16725225600)

struct ack {
    char id[17];
    int64_t until_s; /* seconds of 1970; INT64_MAX: for ever */
    char note[256];  /* fit to print */
};

struct acks;
struct sqlite3;

/* All of them; none when there is no database, after a line if it is bad. */
struct acks *acks_load(void);
void acks_free(struct acks *acks);

/* Another number after one was added or changed; 0 where it cannot be told. */
int64_t acks_state(struct sqlite3 *db);

/* NULL: none that holds at that time. */
const struct ack *acks_find(const struct acks *acks, const char *id, int64_t now_s);

/* EXIT_FINE, or EXIT_FAILED after a line. An id that is there already is replaced. */
int acks_save(const char *id, int64_t until_s, const char *note);

#endif
