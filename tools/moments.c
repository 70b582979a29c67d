#include "moments.h"

#include "cli.h"
#include "history.h"
#include "kept_region.h"
#include "must.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    GAP_LEAST_S = 60,
    GAP_MOST_S = 600,
    GAP_SHARE = 4, /* of the time since the first one */
    RUN_BYTES = 12 << 20,
    MOST_BYTES = 256 << 20,
};

/* Of what is older than keep_s the last of each step is kept; after the last nothing is. */
static const struct {
    int64_t keep_s;
    int64_t step_s;
} tiers[] = {{7200, 3600}, {86400, 86400}, {30 * 86400, 0}};

enum { TIERS = sizeof(tiers) / sizeof(tiers[0]) };

/* Of a history of before there were moments: NULL. */
static sqlite3_stmt *select_of_run(
    sqlite3 *db, const mp_image_t *image, const char *sql)
{
    sqlite3_stmt *s = history_prepare(db, sql);

    if (s != NULL) {
        sqlite3_bind_blob(s, 1, mp_image_process(image)->run_id,
            sizeof(mp_image_process(image)->run_id), SQLITE_STATIC);
    }
    return s;
}

bool moment_is_due(sqlite3 *db, const mp_image_t *image, int64_t now_s)
{
    sqlite3_stmt *s = select_of_run(db, image,
        "SELECT min(time_s), max(time_s) FROM moments WHERE run_id = ? AND "
        "time_s <= ?"); /* later ones: the clock was set back */
    bool is_due = false;

    if (s != NULL) {
        sqlite3_bind_int64(s, 2, now_s);
    }
    if (s != NULL && sqlite3_step(s) == SQLITE_ROW) {
        int64_t first = sqlite3_column_int64(s, 0);
        int64_t last = sqlite3_column_int64(s, 1);
        int64_t gap = (now_s - first) / GAP_SHARE;

        gap = gap < GAP_LEAST_S ? GAP_LEAST_S : gap > GAP_MOST_S ? GAP_MOST_S : gap;
        is_due = sqlite3_column_type(s, 0) == SQLITE_NULL || now_s - last >= gap;
    }
    sqlite3_finalize(s);
    return is_due;
}

static int insert(sqlite3 *db, const mp_image_t *image, int64_t now_s,
    const struct kept_bytes *region)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    sqlite3_stmt *s = select_of_run(db, image,
        "INSERT INTO moments (run_id, time_s, live_bytes, kept_bytes, region) VALUES "
        "(?, ?, ?, ?, ?)");

    if (s == NULL) {
        return sqlite3_errcode(db);
    }
    sqlite3_bind_int64(s, 2, now_s);
    sqlite3_bind_int64(s, 3, (int64_t)(t->live_bytes & INT64_MAX));
    sqlite3_bind_int64(s, 4, (int64_t)region->count);
    sqlite3_bind_blob64(s, 5, region->data, region->count, SQLITE_STATIC);
    sqlite3_step(s);
    return sqlite3_finalize(s);
}

/* Another process may have taken its number, and the path, meanwhile. */
static bool is_same_run(const mp_image_t *a, const mp_image_t *b)
{
    return memcmp(mp_image_process(a)->run_id, mp_image_process(b)->run_id,
               sizeof(mp_image_process(a)->run_id))
           == 0;
}

int moment_add(sqlite3 *db, const mp_image_t *image, int64_t now_s)
{
    struct mp_error error = {""};
    struct kept_bytes plain = {0};
    mp_image_t *now = NULL;
    int code = SQLITE_OK;

    if (kept_capture(mp_image_path(image), &plain, &now, &error) == 0
        && is_same_run(now, image)) {
        struct kept_bytes packed = kept_pack(&plain);

        code = insert(db, now, now_s, &packed);
        free(packed.data);
    }
    mp_image_free(now);
    free(plain.data);
    return code;
}

/* ---- what goes ---- */

static int run(sqlite3 *db, const char *sql, int64_t a, int64_t b, int64_t c)
{
    sqlite3_stmt *s = history_prepare(db, sql);

    if (s == NULL) {
        return sqlite3_errcode(db);
    }
    sqlite3_bind_int64(s, 1, a);
    sqlite3_bind_int64(s, 2, b);
    sqlite3_bind_int64(s, 3, c);
    sqlite3_step(s);
    return sqlite3_finalize(s);
}

int moments_tidy(sqlite3 *db, int64_t now_s)
{
    int code = run(db, "DELETE FROM moments WHERE time_s < ?",
        now_s - tiers[TIERS - 1].keep_s, 0, 0);

    /* Steps that are not over yet wait. */
    for (unsigned i = 0; i + 1 < TIERS && code == SQLITE_OK; i++) {
        int64_t step = tiers[i].step_s;

        code = run(db,
            "DELETE FROM moments WHERE time_s < ?2 AND EXISTS (SELECT 1 FROM moments "
            "AS o "
            "WHERE o.run_id = moments.run_id AND o.time_s / ?1 = moments.time_s / ?1 "
            "AND "
            "(o.time_s, o.id) > (moments.time_s, moments.id))",
            step, (now_s - tiers[i].keep_s) / step * step, 0);
    }
    if (code
        == SQLITE_OK) { /* of each run; the last, and the last of each hour, go last */
        code = run(db,
            "DELETE FROM moments WHERE id IN (SELECT id FROM (SELECT id, kept_bytes, "
            "sum(kept_bytes) OVER (PARTITION BY run_id ORDER BY is_last DESC, time_s "
            "DESC, id DESC) AS so_far FROM (SELECT id, run_id, time_s, kept_bytes, "
            "time_s = max(time_s) OVER (PARTITION BY run_id, time_s / 3600) AS is_last "
            "FROM moments)) WHERE so_far > ? AND so_far > kept_bytes)",
            RUN_BYTES, 0, 0);
    }
    if (code == SQLITE_OK) {
        code = run(db,
            "DELETE FROM moments WHERE id IN (SELECT id FROM (SELECT id, "
            "sum(kept_bytes) "
            "OVER (ORDER BY time_s DESC, id DESC) AS so_far FROM moments) WHERE so_far "
            "> ?)",
            MOST_BYTES, 0, 0);
    }
    return code;
}

/* ---- what there is ---- */

#define COLUMNS                                                                        \
    "SELECT id, time_s, live_bytes, kept_bytes FROM moments WHERE run_id = ?1 "

static struct moment take_row(sqlite3_stmt *s)
{
    return (struct moment){
        .id = sqlite3_column_int64(s, 0),
        .time_s = sqlite3_column_int64(s, 1),
        .live_bytes = (uint64_t)sqlite3_column_int64(s, 2),
        .kept_bytes = (uint64_t)sqlite3_column_int64(s, 3),
    };
}

struct moment *moment_list(sqlite3 *db, const mp_image_t *image, size_t *ret_count)
{
    sqlite3_stmt *s = select_of_run(db, image, COLUMNS "ORDER BY time_s, id");
    struct moment *all = must(calloc(1, sizeof(*all)));
    size_t room = 1;

    *ret_count = 0;
    while (s != NULL && sqlite3_step(s) == SQLITE_ROW) {
        all = must_grow(all, *ret_count, &room, sizeof(*all));
        all[(*ret_count)++] = take_row(s);
    }
    sqlite3_finalize(s);
    return all;
}

bool moment_find(
    sqlite3 *db, const mp_image_t *image, int64_t time_s, struct moment *ret)
{
    sqlite3_stmt *s = select_of_run(
        db, image, COLUMNS "ORDER BY abs(time_s - ?2), time_s DESC LIMIT 1");
    bool is_found;

    if (s != NULL) {
        sqlite3_bind_int64(s, 2, time_s);
    }
    is_found = s != NULL && sqlite3_step(s) == SQLITE_ROW;
    if (is_found) {
        *ret = take_row(s);
    }
    sqlite3_finalize(s);
    return is_found;
}

int moment_load(const char *verb, sqlite3 *db, const struct moment *m, mp_image_t **ret)
{
    sqlite3_stmt *s = history_prepare(db, "SELECT region FROM moments WHERE id = ?");
    struct mp_error error = {""};
    struct kept_bytes region = {0};
    int code = -EBADMSG;

    sqlite3_bind_int64(s, 1, m->id);
    if (s != NULL && sqlite3_step(s) == SQLITE_ROW
        && kept_unpack(
            sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0), &region)) {
        code = kept_image(&region, "moment", ret, &error);
    }
    sqlite3_finalize(s);
    free(region.data);
    return code == 0 ? EXIT_FINE
                     : cli_fail(verb, cli_code(code),
                         "a moment of the history is damaged%s%s",
                         error.text[0] != '\0' ? ": " : "", error.text);
}
