/*
 * baselines - captures that were kept under a name, to compare with: a table of the history
 *
 * Owns: the table, and how a region is kept in it: what is in use of its file, and the names of its
 * stacks, for the build may be gone when it is compared. A baseline is of a name, a label (of the
 * load: "load=high") and the build id of the executable. Does not own: comparing (comparison.h).
 */
#ifndef BASELINES_H
#define BASELINES_H

#include "site_names.h"

#include <sqlite3.h>

struct baseline {
    int64_t id;
    char name[128];
    char label[128];
    char build_id[2 * MP_REGION_BUILD_ID_BYTES + 1];
    char program[256]; /* service name */
    int64_t made_s;
    uint64_t live_bytes;
    uint64_t kept_bytes; /* what it takes in the database */
};

/* Of an executable, as hexadecimal digits; "" if it has none. */
void baseline_build_id(
    const mp_image_t *image, char ret[2 * MP_REGION_BUILD_ID_BYTES + 1]);

/*
 * Keeps the region at `path` now; one of that name, label and build is replaced. EXIT_FINE, or an
 * exit code after a line.
 */
int baseline_save(const char *verb, sqlite3 *db, const char *name, const char *label,
    const char *path);

/*
 * The youngest of a name and label whose build id begins so; "": any. False: there is none. label
 * NULL: any.
 */
bool baseline_find(sqlite3 *db, const char *name, const char *label,
    const char *build_id, struct baseline *ret);

/* All of a name (NULL: all) and label (NULL: all), for free(); by name, label, age. */
struct baseline *baseline_list(
    sqlite3 *db, const char *name, const char *label, size_t *ret_count);

/* Removes them. EXIT_FINE, or EXIT_FAILED after a line. */
int baseline_remove(const char *verb, sqlite3 *db, const char *name, const char *label);

/* The image, and the names of its stacks. EXIT_FINE, or an exit code after a line. */
int baseline_load(const char *verb, sqlite3 *db, const struct baseline *b,
    mp_image_t **ret_image, struct site_names **ret_names);

#endif
