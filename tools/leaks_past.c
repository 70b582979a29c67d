#include "leaks_past.h"

#include "cli.h"
#include "history.h"
#include "history_rows.h"
#include "must.h"
#include "stack_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const points[] = {
    "SELECT points.id, time_s FROM points JOIN runs ON runs.id = run WHERE run_id = ?1 "
    "AND time_s <= ?2 ORDER BY time_s DESC LIMIT 1",
    "SELECT points.id, time_s FROM points JOIN runs ON runs.id = run WHERE run_id = ?1 "
    "AND time_s > ?2 ORDER BY time_s LIMIT 1",
};

/* The last one until then, else the first one behind. False: that run has none. */
static bool find_point(
    sqlite3 *db, const mp_image_t *image, int64_t until_s, int64_t *ret, int64_t *ret_s)
{
    const struct mp_region_process *p = mp_image_process(image);
    bool is_found = false;

    for (unsigned i = 0; i < 2 && !is_found; i++) {
        sqlite3_stmt *s = history_prepare(db, points[i]);

        if (s != NULL) {
            sqlite3_bind_blob(s, 1, p->run_id, sizeof(p->run_id), SQLITE_STATIC);
            sqlite3_bind_int64(s, 2, until_s);
            is_found = sqlite3_step(s) == SQLITE_ROW;
        }
        if (is_found) {
            *ret = sqlite3_column_int64(s, 0);
            *ret_s = sqlite3_column_int64(s, 1);
        }
        sqlite3_finalize(s);
    }
    return is_found;
}

struct row {
    char key[STACK_ID_BYTES];
    double live; /* then */
};

/* The history has stacks without the way that they took inside the allocator. */
static void key_of(
    const struct leaks *l, const struct leak *k, char ret[STACK_ID_BYTES])
{
    const struct mp_verdict *v = k->verdict;

    stack_id(l->image, v->component, stack_first(l->image, v->frame), ret);
}

/* What one of them held then is that of the first with its key: others are new beside it. */
static void add_stacks(struct leaks *l, struct row *rows, size_t count, bool has_all)
{
    for (size_t i = 0; i < l->count; i++) {
        struct leak *k = &l->all[i];
        char key[STACK_ID_BYTES];
        size_t n = 0;

        key_of(l, k, key);
        while (n < count && strcmp(rows[n].key, key) != 0) {
            n++;
        }
        k->has_since = n < count || has_all;
        k->since = k->verdict->live_bytes.value - (n < count ? rows[n].live : 0);
        if (n < count) {
            rows[n].live = 0;
        }
    }
}

/* For free(). */
static struct row *read_rows(
    sqlite3 *db, int64_t point, size_t *ret_count, bool *ret_has_all)
{
    sqlite3_stmt *s = history_prepare(db, "SELECT sites FROM details WHERE point = ?");
    sqlite3_stmt *key = history_prepare(db, "SELECT key FROM stacks WHERE id = ?");
    struct history_row *packed = NULL;
    struct row *rows;
    uint64_t left_out = 1;

    *ret_count = 0;
    if (s != NULL) {
        sqlite3_bind_int64(s, 1, point);
    }
    if (s != NULL && key != NULL && sqlite3_step(s) == SQLITE_ROW) {
        packed = history_unpack(sqlite3_column_blob(s, 0),
            (size_t)sqlite3_column_bytes(s, 0), SITE_VALUES, ret_count, &left_out);
    }
    rows = must(calloc(*ret_count + 1, sizeof(*rows)));
    for (size_t i = 0; i < *ret_count; i++) {
        sqlite3_bind_int64(key, 1, packed[i].id);
        if (sqlite3_step(key) == SQLITE_ROW) {
            snprintf(rows[i].key, STACK_ID_BYTES, "%s",
                (const char *)sqlite3_column_text(key, 0));
        }
        rows[i].live = (double)packed[i].value[0];
        sqlite3_reset(key);
    }
    sqlite3_finalize(s);
    sqlite3_finalize(key);
    free(packed);
    *ret_has_all = left_out == 0;
    return rows;
}

int leaks_add_past(struct leaks *l, int64_t since_s)
{
    int64_t now_s = (int64_t)(mp_image_totals(l->image)->published_ns / 1000000000u);
    int64_t point = 0;
    sqlite3 *db = NULL;
    int code = history_open("leaks", NULL, HISTORY_READ, &db);

    if (code != EXIT_FINE) {
        return code;
    }
    if (find_point(db, l->image, now_s - since_s, &point, &l->since_s)) {
        size_t count;
        bool has_all;
        struct row *rows = read_rows(db, point, &count, &has_all);

        add_stacks(l, rows, count, has_all);
        free(rows);
    } else {
        code = cli_fail("leaks", EXIT_NO_PROCESS,
            "nothing was recorded of this run (mpalloc record); --since takes a dump, "
            "too");
    }
    history_close(db);
    return code;
}
