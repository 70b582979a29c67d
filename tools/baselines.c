#include "baselines.h"

#include "cli.h"
#include "history.h"
#include "must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { ATTEMPTS = 5 };
#define REGION_MAX (512ull << 20)

/* ---- bytes ---- */

struct bytes {
    unsigned char *data;
    size_t count;
    size_t room;
};

static void add_bytes(struct bytes *b, const void *data, size_t count)
{
    if (b->count + count > b->room) {
        b->room = 2 * (b->count + count);
        b->data = must(realloc(b->data, b->room));
    }
    memcpy(b->data + b->count, data, count);
    b->count += count;
}

/* Packed: how long it was, and zlib's stream. */
static struct bytes pack(const struct bytes *plain)
{
    uLongf length = compressBound(plain->count);
    uint64_t count = plain->count;
    struct bytes packed = {.data = must(malloc(sizeof(count) + length))};

    memcpy(packed.data, &count, sizeof(count));
    if (compress2(packed.data + sizeof(count), &length, plain->data, plain->count, 6)
        != Z_OK) {
        must(NULL);
    }
    packed.count = sizeof(count) + length;
    return packed;
}

/* False: it is no such thing. The data have a NUL more than count. */
static bool unpack(const void *packed, size_t bytes, struct bytes *ret)
{
    uint64_t count = 0;
    uLongf length;

    if (packed != NULL && bytes > sizeof(count)) {
        memcpy(&count, packed, sizeof(count));
    }
    if (count == 0 || count > REGION_MAX) {
        return false;
    }
    *ret = (struct bytes){.data = must(malloc(count + 1)), .count = count};
    length = count;
    if (uncompress(ret->data, &length, (const unsigned char *)packed + sizeof(count),
            bytes - sizeof(count))
            != Z_OK
        || length != count) {
        free(ret->data);
        return false;
    }
    ret->data[count] = '\0';
    return true;
}

/* ---- regions ---- */

/* A piece of the file: offset and length, then the bytes. */
static int read_pieces(int fd, struct bytes *ret)
{
    off_t end = lseek(fd, 0, SEEK_END);
    off_t at = 0;
    char buffer[65536];

    ret->count = 0;
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
        off_t hole = lseek(fd, at, SEEK_HOLE);
        uint64_t head[2] = {(uint64_t)at, (uint64_t)(hole - at)};

        if (hole <= at || ret->count + head[1] > REGION_MAX) {
            return -EFBIG;
        }
        add_bytes(ret, head, sizeof(head));
        while (at < hole) {
            ssize_t n = pread(fd, buffer,
                hole - at < (off_t)sizeof(buffer) ? (size_t)(hole - at)
                                                  : sizeof(buffer),
                at);

            if (n <= 0) {
                return n < 0 ? -errno : -EBADMSG;
            }
            add_bytes(ret, buffer, (size_t)n);
            at += n;
        }
    }
    /* Nothing at its end: so long the file is, which may end in a hole. */
    add_bytes(ret, (uint64_t[2]){(uint64_t)end, 0}, 2 * sizeof(uint64_t));
    return 0;
}

/* To a file in memory; -EBADMSG if it is none. */
static int write_pieces(const struct bytes *b, int *ret_fd)
{
    int fd = memfd_create("mpalloc-baseline", MFD_CLOEXEC);
    int code = fd >= 0 ? 0 : -errno;
    uint64_t head[2];

    for (size_t at = 0; code == 0 && at < b->count; at += head[1]) {
        if (b->count - at < sizeof(head)) {
            code = -EBADMSG;
            break;
        }
        memcpy(head, b->data + at, sizeof(head));
        at += sizeof(head);
        if (head[1] > b->count - at || head[0] > REGION_MAX) {
            code = -EBADMSG;
        } else if (head[1] == 0 ? ftruncate(fd, (off_t)head[0]) != 0
                                : pwrite(fd, b->data + at, head[1], (off_t)head[0])
                                      != (ssize_t)head[1]) {
            code = errno != 0 ? -errno : -EIO;
        }
    }
    *ret_fd = fd;
    return code;
}

static int image_of(
    const struct bytes *b, const char *name, mp_image_t **ret, struct mp_error *error)
{
    int fd = -1;
    int code = write_pieces(b, &fd);

    if (code == 0) {
        code = mp_image_read(fd, name, ret, error);
    }
    if (fd >= 0) {
        close(fd);
    }
    return code;
}

/* A copy in which nothing was just being written, if that can be had. */
static int capture(
    const char *path, struct bytes *ret, mp_image_t **ret_image, struct mp_error *error)
{
    const unsigned torn = MP_IMAGE_TORN_TOTALS | MP_IMAGE_MIXED | MP_IMAGE_TORN_SAMPLES;
    int code = 0;

    *ret_image = NULL;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0) {
            return -errno;
        }
        code = read_pieces(fd, ret);
        close(fd);
        mp_image_free(*ret_image);
        *ret_image = NULL;
        if (code == 0) {
            code = image_of(ret, path, ret_image, error);
        }
        if (code == 0 && (mp_image_flags(*ret_image) & torn) == 0) {
            break;
        }
    }
    return code;
}

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
    const mp_image_t *image, const struct bytes *region, const struct bytes *names)
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
    struct bytes plain = {0};
    mp_image_t *image;
    int code = capture(path, &plain, &image, &error);

    if (code != 0) {
        code = (int)cli_fail_as(verb, code, &error);
    } else {
        struct site_names *n = site_names_create(image);
        char *text = site_names_keep(n);
        struct bytes names = {(unsigned char *)text, strlen(text) + 1, 0};
        struct bytes region_kept = pack(&plain);
        struct bytes names_kept = pack(&names);

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
    struct bytes region = {0};
    struct bytes names = {0};
    int code = -EBADMSG;

    sqlite3_bind_int64(s, 1, b->id);
    if (s != NULL && sqlite3_step(s) == SQLITE_ROW
        && unpack(
            sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0), &region)
        && unpack(
            sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1), &names)) {
        code = image_of(&region, b->name, ret_image, &error);
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
