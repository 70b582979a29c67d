#include "baselines.h"

#include "cli.h"
#include "history.h"
#include "kept_region.h"
#include "must.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the table ---- */

void baseline_build_id(
    const mp_image_t *image, char ret[2 * MP_REGION_BUILD_ID_BYTES + 1])
{
    const struct mp_region_process *p = mp_image_process(image);

    ret[0] = '\0';
    for (unsigned i = 0; i < p->build_id_bytes && i < MP_REGION_BUILD_ID_BYTES; i++) {
        snprintf(ret + (size_t)2 * i, 3, "%02x", p->build_id[i]);
    }
}

static int insert(const char *verb, sqlite3 *db, const char *name, const char *label,
    const mp_image_t *image, const struct kept_bytes *region,
    const struct kept_bytes *names)
{
    const struct mp_region_process *p = mp_image_process(image);
    char build[2 * MP_REGION_BUILD_ID_BYTES + 1];
    char program[512];
    int code = EXIT_FINE;
    sqlite3_stmt *s = history_prepare(db,
        "INSERT OR REPLACE INTO baselines (name, label, build_id, program, made_s, "
        "live_bytes, region, names) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");

    baseline_build_id(image, build);
    mp_text_escape(program, sizeof(program), p->service, sizeof(p->service));
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, label, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 3, build, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, program, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 5, (int64_t)time(NULL));
    sqlite3_bind_int64(s, 6, (int64_t)mp_image_totals(image)->live_bytes);
    sqlite3_bind_blob64(s, 7, region->data, region->count, SQLITE_STATIC);
    sqlite3_bind_blob64(s, 8, names->data, names->count, SQLITE_STATIC);
    if (s == NULL || sqlite3_step(s) != SQLITE_DONE) {
        code = history_fail(verb, db);
    }
    sqlite3_finalize(s);
    return code;
}

int baseline_save(const char *verb, sqlite3 *db, const char *name, const char *label,
    const char *path)
{
    struct mp_error error = {""};
    struct kept_bytes plain = {0};
    mp_image_t *image;
    int code = kept_capture(path, &plain, &image, &error);

    if (code != 0) {
        code = (int)cli_fail_as(verb, code, &error);
    } else {
        struct site_names *n = site_names_create(image);
        char *text = site_names_keep(n);
        struct kept_bytes names = {(unsigned char *)text, strlen(text) + 1, 0};
        struct kept_bytes region_kept = kept_pack(&plain);
        struct kept_bytes names_kept = kept_pack(&names);

        code = insert(verb, db, name, label, image, &region_kept, &names_kept);
        free(region_kept.data);
        free(names_kept.data);
        free(text);
        site_names_destroy(n);
    }
    mp_image_free(image);
    free(plain.data);
    return code;
}

static void take_text(sqlite3_stmt *s, int column, char *ret, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(s, column);

    mp_text_escape(
        ret, size, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

static void take_row(sqlite3_stmt *s, struct baseline *b)
{
    b->id = sqlite3_column_int64(s, 0);
    take_text(s, 1, b->name, sizeof(b->name));
    take_text(s, 2, b->label, sizeof(b->label));
    take_text(s, 3, b->build_id, sizeof(b->build_id));
    take_text(s, 4, b->program, sizeof(b->program));
    b->made_s = sqlite3_column_int64(s, 5);
    b->live_bytes = (uint64_t)sqlite3_column_int64(s, 6);
    b->kept_bytes = (uint64_t)sqlite3_column_int64(s, 7);
}

#define COLUMNS                                                                        \
    "id, name, label, build_id, program, made_s, live_bytes, length(region) + "        \
    "length(names)"

/* A parameter that is NULL holds for all. Without the table there are none. */
static sqlite3_stmt *select_rows(
    sqlite3 *db, const char *sql, const char *name, const char *label)
{
    sqlite3_stmt *s = history_prepare(db, sql);

    if (s != NULL && name != NULL) {
        sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    }
    if (s != NULL && label != NULL) {
        sqlite3_bind_text(s, 2, label, -1, SQLITE_STATIC);
    }
    return s;
}

bool baseline_find(sqlite3 *db, const char *name, const char *label,
    const char *build_id, struct baseline *ret)
{
    sqlite3_stmt *s = select_rows(db,
        "SELECT " COLUMNS " FROM baselines WHERE name = ?1 AND (?2 IS NULL OR label = "
        "?2) AND substr(build_id, 1, length(?3)) = ?3 ORDER BY made_s DESC, id DESC "
        "LIMIT 1",
        name, label);
    bool is_found;

    if (s != NULL) {
        sqlite3_bind_text(s, 3, build_id, -1, SQLITE_STATIC);
    }
    is_found = s != NULL && sqlite3_step(s) == SQLITE_ROW;
    if (is_found) {
        take_row(s, ret);
    }
    sqlite3_finalize(s);
    return is_found;
}

struct baseline *baseline_list(
    sqlite3 *db, const char *name, const char *label, size_t *ret_count)
{
    sqlite3_stmt *s = select_rows(db,
        "SELECT " COLUMNS " FROM baselines WHERE (?1 IS NULL OR name = ?1) AND (?2 IS "
        "NULL OR label = ?2) ORDER BY name, label, made_s, id",
        name, label);
    struct baseline *all = must(calloc(1, sizeof(*all)));
    size_t room = 1;

    *ret_count = 0;
    while (s != NULL && sqlite3_step(s) == SQLITE_ROW) {
        all = must_grow(all, *ret_count, &room, sizeof(*all));
        take_row(s, &all[(*ret_count)++]);
    }
    sqlite3_finalize(s);
    return all;
}

int baseline_remove(const char *verb, sqlite3 *db, const char *name, const char *label)
{
    sqlite3_stmt *s = select_rows(db,
        "DELETE FROM baselines WHERE name = ?1 AND (?2 IS NULL OR label = ?2)", name,
        label);
    int code = s != NULL && sqlite3_step(s) == SQLITE_DONE ? EXIT_FINE
                                                           : history_fail(verb, db);

    sqlite3_finalize(s);
    sqlite3_exec(db, "PRAGMA incremental_vacuum", NULL, NULL, NULL);
    return code;
}

int baseline_load(const char *verb, sqlite3 *db, const struct baseline *b,
    mp_image_t **ret_image, struct site_names **ret_names)
{
    sqlite3_stmt *s =
        history_prepare(db, "SELECT region, names FROM baselines WHERE id = ?");
    struct mp_error error = {""};
    struct kept_bytes region = {0};
    struct kept_bytes names = {0};
    int code = -EBADMSG;

    sqlite3_bind_int64(s, 1, b->id);
    if (s != NULL && sqlite3_step(s) == SQLITE_ROW
        && kept_unpack(
            sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0), &region)
        && kept_unpack(
            sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1), &names)) {
        code = kept_image(&region, b->name, ret_image, &error);
    }
    sqlite3_finalize(s);
    if (code == 0) {
        *ret_names = site_names_load(*ret_image, (const char *)names.data);
    } else {
        code = cli_fail(verb, cli_code(code), "the baseline %s is damaged%s%s", b->name,
            error.text[0] != '\0' ? ": " : "", error.text);
    }
    free(region.data);
    free(names.data);
    return code;
}
