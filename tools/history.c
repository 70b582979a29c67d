#include "history.h"

#include "cli.h"
#include "history_schema.h"

#include <errno.h>
#include <fcntl.h>
#include <mpalloc/region.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* BEGIN_LOOKS: of a reader, 10 ms apart, at one that is being made. */
enum {
    WAIT_MS = 2000,
    BEGIN_LOOKS = 20,
    APPLICATION = 0x6d70616c /* "mpal" */
};

/* ---- the file ---- */

bool history_find_path(char *ret, size_t size)
{
    const char *path = getenv("MPALLOC_HISTORY");
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int length;

    if (path != NULL && path[0] != '\0') {
        length = snprintf(ret, size, "%s", path);
    } else if (state != NULL && state[0] == '/') {
        length = snprintf(ret, size, "%s/mpalloc/history.db", state);
    } else if (home != NULL && home[0] == '/') {
        length = snprintf(ret, size, "%s/.local/state/mpalloc/history.db", home);
    } else {
        return false;
    }
    return length > 0 && (size_t)length < size;
}

static void make_folders(char *path)
{
    for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(path, 0700); /* that it cannot be made shows when the file is */
        *at = '/';
    }
}

/*
 * It names functions and programs: for its owner alone. One that is there is not opened: the close
 * would drop every lock that this process holds on it through another connection, and the next
 * process to come would take its log away (POSIX locks belong to the process and the file).
 */
static void make_file(const char *path)
{
    bool is_there = access(path, F_OK) == 0;
    int fd = is_there ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
    }
}

/* EXIT_NOT_PERMITTED where the kernel said so. */
static enum exit_code code_of(sqlite3 *db)
{
    int kind = db != NULL ? sqlite3_errcode(db) & 0xff : SQLITE_OK;
    int system = db != NULL ? sqlite3_system_errno(db) : 0;

    return kind == SQLITE_PERM || kind == SQLITE_READONLY
                   || (kind == SQLITE_CANTOPEN && (system == EACCES || system == EPERM))
               ? EXIT_NOT_PERMITTED
               : EXIT_FAILED;
}

int history_fail(const char *verb, sqlite3 *db)
{
    return cli_fail(verb, code_of(db), "the history %s: %s",
        db != NULL ? sqlite3_db_filename(db, "main") : "",
        db != NULL ? sqlite3_errmsg(db) : "no memory");
}

bool history_is_full(int code)
{
    int kind = code & 0xff;

    return kind == SQLITE_FULL || kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN
           || kind == SQLITE_READONLY;
}

bool history_is_damaged(int code)
{
    return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

sqlite3_stmt *history_prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;

    return sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK ? s : NULL;
}

void history_close(sqlite3 *db)
{
    sqlite3_stmt *s;

    while (db != NULL && (s = sqlite3_next_stmt(db, NULL)) != NULL) {
        sqlite3_finalize(s);
    }
    sqlite3_close(db);
}

/* ---- one that is no use ---- */

/* Beside it, with the day and time in its name, and what belongs to it. */
static int move_aside(const char *verb, const char *path, const char *what)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    char from[PATH_MAX];
    char to[PATH_MAX];
    char day[32];
    time_t now = time(NULL);
    struct tm tm;

    strftime(day, sizeof(day), "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
    for (unsigned n = 0; n < 100; n++) {
        snprintf(
            to, sizeof(to), n == 0 ? "%s.%s-%s" : "%s.%s-%s.%u", path, what, day, n);
        if (access(to, F_OK) != 0) {
            break;
        }
    }
    cli_fail(verb, EXIT_FAILED,
        "the history %s is %s: moved to %s, and a new one begun", path,
        strcmp(what, "newer") == 0 ? "of a newer mpalloc" : "damaged", to);
    for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        char aside[PATH_MAX + 8];

        snprintf(from, sizeof(from), "%s%s", path, parts[i]);
        snprintf(aside, sizeof(aside), "%s%s", to, parts[i]);
        if (rename(from, aside) != 0 && i == 0) {
            return cli_fail(verb, EXIT_FAILED, "%s cannot be moved: %m", path);
        }
    }
    return EXIT_FINE;
}

int history_put_aside(const char *verb, const char *path, sqlite3 *db)
{
    history_close(db);
    return move_aside(verb, path, "damaged");
}

bool history_has_moved(sqlite3 *db)
{
    int has_moved = 0;

    return sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved)
               == SQLITE_OK
           && has_moved != 0;
}

bool history_is_there(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_size > 0;
}

/* EMPTY: nobody made tables in it yet. */
enum state { USABLE, OLDER, DAMAGED, NEWER, FOREIGN, EMPTY, UNREADABLE };

static bool is_whole(sqlite3 *db)
{
    sqlite3_stmt *s = history_prepare(db, "PRAGMA quick_check(1)");
    int step = s != NULL ? sqlite3_step(s) : sqlite3_errcode(db);
    const char *text =
        step == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    bool is_ok = step == SQLITE_ROW ? text != NULL && strcmp(text, "ok") == 0
                                    : !history_is_damaged(step); /* or it is busy */

    sqlite3_finalize(s);
    return is_ok;
}

static enum state look_at(sqlite3 *db, enum history_mode mode)
{
    uint64_t tables = 0;
    sqlite3_stmt *s = history_prepare(db, "PRAGMA user_version");
    int step = s != NULL ? sqlite3_step(s) : sqlite3_errcode(db);
    int version = step == SQLITE_ROW ? sqlite3_column_int(s, 0) : -1;
    bool is_foreign = false;

    sqlite3_finalize(s);
    if (step == SQLITE_ROW) {
        s = history_prepare(db, "SELECT count(*), total(name IN ('acks', 'runs')) "
                                "FROM sqlite_master WHERE type = 'table'");
        step = s != NULL ? sqlite3_step(s) : sqlite3_errcode(db);
        tables = step == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
        is_foreign = tables > 0 && sqlite3_column_int(s, 1) == 0;
        sqlite3_finalize(s);
    }
    if (step != SQLITE_ROW) {
        return history_is_damaged(step) ? DAMAGED : UNREADABLE;
    }
    if (is_foreign) {
        return FOREIGN;
    }
    if (mode == HISTORY_READ && tables == 0) {
        return EMPTY;
    }
    return version > HISTORY_VERSION                ? NEWER
           : mode == HISTORY_CHECK && !is_whole(db) ? DAMAGED
           : version == 1                           ? OLDER
                                                    : USABLE;
}

/* ---- opening ---- */

static int open_file(const char *path, enum history_mode mode, sqlite3 **ret)
{
    int code = sqlite3_open_v2(path, ret,
        mode == HISTORY_READ ? SQLITE_OPEN_READONLY
                             : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
        NULL);

    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(*ret, 1);
        sqlite3_busy_timeout(*ret, WAIT_MS);
    }
    return code;
}

/* auto_vacuum has to be set before the first table, or takes a VACUUM. */
static int prepare(sqlite3 *db)
{
    sqlite3_stmt *s = history_prepare(db, "PRAGMA auto_vacuum");
    bool is_set =
        s != NULL && sqlite3_step(s) == SQLITE_ROW && sqlite3_column_int(s, 0) == 2;
    int code;

    sqlite3_finalize(s);
    code = is_set
               ? SQLITE_OK
               : sqlite3_exec(db, "PRAGMA auto_vacuum = 2; VACUUM;", NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_exec(db, "PRAGMA application_id = 1836081516", NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_exec(db,
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
            "PRAGMA journal_size_limit = 4194304; PRAGMA foreign_keys = OFF;",
            NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = history_upgrade(db);
    }
    return code == SQLITE_OK ? history_make_tables(db) : code;
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/*
 * Whether a file that SQLite cannot use was a history: by its header, which says whose it is. One
 * of before histories did has a version alone. All else was named by mistake, such as a region:
 * somebody wants to keep it where it is.
 */
static bool was_history(const char *path)
{
    enum { HEADER = 100, VERSION_AT = 60, APPLICATION_AT = 68 };
    static const char magic[] = "SQLite format 3";
    unsigned char header[HEADER];
    FILE *f = fopen(path, "re");
    bool is_read = f != NULL && fread(header, sizeof(header), 1, f) == 1;
    uint32_t application;

    if (f != NULL) {
        fclose(f);
    }
    if (!is_read || memcmp(header, magic, sizeof(magic)) != 0) {
        return false;
    }
    application = big_endian(header + APPLICATION_AT);
    return application == APPLICATION
           || (application == 0 && big_endian(header + VERSION_AT) != 0);
}

static bool is_region(const char *path)
{
    uint64_t magic = 0;
    FILE *f = fopen(path, "re");
    bool is_read = f != NULL && fread(&magic, sizeof(magic), 1, f) == 1;

    if (f != NULL) {
        fclose(f);
    }
    return is_read && magic == MP_REGION_MAGIC;
}

static int open_writer(const char *verb, const char *path, enum history_mode mode,
    enum state state, sqlite3 *db, sqlite3 **ret)
{
    int code;

    if (state == DAMAGED || state == NEWER) {
        sqlite3_close(db);
        if (!was_history(path)) {
            return cli_fail(verb, EXIT_FAILED,
                "%s is %sno history, and stays as it is: name another file", path,
                is_region(path) ? "a region, " : "");
        }
        code = move_aside(verb, path, state == NEWER ? "newer" : "damaged");
        if (code != EXIT_FINE) {
            return code;
        }
        make_file(path);
        db = NULL;
        if (open_file(path, mode, &db) != SQLITE_OK) {
            state = UNREADABLE;
        }
    }
    if (state == UNREADABLE || prepare(db) != SQLITE_OK) {
        code = history_fail(verb, db);
        sqlite3_close(db);
        return code;
    }
    *ret = db;
    return EXIT_FINE;
}

int history_open(
    const char *verb, const char *path, enum history_mode mode, sqlite3 **ret)
{
    char usual[PATH_MAX];
    char copy[PATH_MAX];
    sqlite3 *db = NULL;
    enum state state;

    *ret = NULL;
    if (path == NULL && !history_find_path(usual, sizeof(usual))) {
        return cli_fail(verb, EXIT_FAILED,
            "there is no place for the history: set MPALLOC_HISTORY to a file");
    }
    path = path != NULL ? path : usual;
    if (mode == HISTORY_READ && access(path, F_OK) != 0) {
        return cli_fail(verb, EXIT_NO_PROCESS,
            "there is no history at %s (mpalloc record begins one)", path);
    }
    if (mode != HISTORY_READ) {
        snprintf(copy, sizeof(copy), "%s", path);
        make_folders(copy);
        make_file(path);
    }
    if (open_file(path, mode, &db) != SQLITE_OK) {
        int code = cli_fail(verb, code_of(db), "the history %s: %s", path,
            db != NULL ? sqlite3_errmsg(db) : "no memory");

        sqlite3_close(db);
        return code;
    }
    state = look_at(db, mode);
    for (unsigned i = 0; i < BEGIN_LOOKS && state == EMPTY; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        state = look_at(db, mode);
    }
    if (state == EMPTY) {
        sqlite3_close(db);
        return cli_fail(verb, EXIT_NO_PROCESS,
            "there is no history in %s yet (mpalloc record begins one)", path);
    }
    if (state == FOREIGN) {
        sqlite3_close(db);
        return cli_fail(verb, EXIT_FAILED,
            "%s is a database of something else, no history: name another file", path);
    }
    if (mode != HISTORY_READ) {
        return open_writer(verb, path, mode, state, db, ret);
    }
    if (state == OLDER) { /* a writer makes it as it is now */
        int code;

        sqlite3_close(db);
        code = history_open(verb, path, HISTORY_WRITE, &db);
        history_close(db);
        return code == EXIT_FINE ? history_open(verb, path, HISTORY_READ, ret) : code;
    }
    if (state == UNREADABLE) { /* locked, say */
        int code = history_fail(verb, db);

        sqlite3_close(db);
        return code;
    }
    if (state != USABLE) {
        sqlite3_close(db);
        return cli_fail(verb, EXIT_DAMAGED, "the history %s is %s", path,
            state == NEWER ? "of a newer mpalloc" : "damaged");
    }
    *ret = db;
    return EXIT_FINE;
}
