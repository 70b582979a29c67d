#include "alert_store.h"

#include "history.h"

#include <math.h>
#include <string.h>

int alert_store_put(sqlite3 *db, const struct alert_process *process,
    const struct mp_alert *alert, uint64_t first_ns)
{
    sqlite3_stmt *s = history_prepare(db,
        "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    int code;

    if (s == NULL) {
        return sqlite3_errcode(db);
    }
    sqlite3_bind_blob(s, 1, process->run_id, sizeof(process->run_id), SQLITE_STATIC);
    sqlite3_bind_text(s, 2, alert->rule->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)first_ns);
    sqlite3_bind_int64(s, 4, (sqlite3_int64)alert->seen_ns);
    sqlite3_bind_text(s, 5, mp_alert_state_name(alert->state), -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 6, mp_severity_name(alert->severity), -1, SQLITE_STATIC);
    sqlite3_bind_int(s, 7, alert->is_told);
    sqlite3_bind_int64(s, 8, (sqlite3_int64)alert->fired_ns);
    sqlite3_bind_int64(s, 9, (sqlite3_int64)alert->resolved_ns);
    if (isfinite(alert->value)) {
        sqlite3_bind_double(s, 10, alert->value);
    }
    sqlite3_bind_text(s, 11, alert->text, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 12, process->id, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 13, process->name, -1, SQLITE_STATIC);
    code = sqlite3_step(s);
    sqlite3_finalize(s);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int alert_store_drop(sqlite3 *db, const struct alert_process *process, const char *name,
    uint64_t first_ns)
{
    sqlite3_stmt *s = history_prepare(
        db, "DELETE FROM alerts WHERE run_id = ? AND name = ? AND first_ns = ?");
    int code;

    if (s == NULL) {
        return sqlite3_errcode(db);
    }
    sqlite3_bind_blob(s, 1, process->run_id, sizeof(process->run_id), SQLITE_STATIC);
    sqlite3_bind_text(s, 2, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)first_ns);
    code = sqlite3_step(s);
    sqlite3_finalize(s);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static enum mp_alert_state read_state(const char *text)
{
    for (unsigned i = MP_ALERT_PENDING; i <= MP_ALERT_RESOLVED; i++) {
        if (text != NULL
            && strcmp(text, mp_alert_state_name((enum mp_alert_state)i)) == 0) {
            return (enum mp_alert_state)i;
        }
    }
    return MP_ALERT_INACTIVE;
}

static enum mp_severity read_severity(const char *text)
{
    for (unsigned i = MP_SEVERITY_WARNING; i <= MP_SEVERITY_CRITICAL; i++) {
        if (text != NULL && strcmp(text, mp_severity_name((enum mp_severity)i)) == 0) {
            return (enum mp_severity)i;
        }
    }
    return MP_SEVERITY_INFO;
}

static uint64_t read_time(sqlite3_stmt *s, int column)
{
    sqlite3_int64 value = sqlite3_column_int64(s, column);

    return value > 0 ? (uint64_t)value : 0;
}

void alert_store_restore(
    sqlite3 *db, const struct alert_process *process, mp_alerts_t *into)
{
    sqlite3_stmt *s = history_prepare(db,
        "SELECT name, max(first_ns), last_ns, state, severity, told, fired_ns, "
        "resolved_ns, value FROM alerts WHERE run_id = ? GROUP BY name");

    if (s == NULL) {
        return; /* a history that was begun before there were alerts */
    }
    sqlite3_bind_blob(s, 1, process->run_id, sizeof(process->run_id), SQLITE_STATIC);
    while (sqlite3_step(s) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        struct mp_alert was = {.seen_ns = read_time(s, 2),
            .state = read_state((const char *)sqlite3_column_text(s, 3)),
            .severity = read_severity((const char *)sqlite3_column_text(s, 4)),
            .is_told = sqlite3_column_int(s, 5) != 0,
            .fired_ns = read_time(s, 6),
            .resolved_ns = read_time(s, 7),
            .value = sqlite3_column_type(s, 8) == SQLITE_NULL
                         ? NAN
                         : sqlite3_column_double(s, 8)};

        was.since_ns = was.state == MP_ALERT_PENDING || was.state == MP_ALERT_FIRING
                           ? read_time(s, 1)
                           : 0;
        strcpy(was.process, process->id);
        /* What is over is better known from the timeline. */
        if (name != NULL && was.state != MP_ALERT_INACTIVE
            && was.state != MP_ALERT_RESOLVED) {
            mp_alerts_restore(into, name, &was);
        }
    }
    sqlite3_finalize(s);
}

int alert_store_tidy(sqlite3 *db, int64_t now_s)
{
    sqlite3_stmt *s = history_prepare(db, "DELETE FROM alerts WHERE last_ns < ?");
    int code;

    if (s == NULL) {
        return sqlite3_errcode(db);
    }
    sqlite3_bind_int64(s, 1, (now_s - 30 * 86400) * 1000000000);
    code = sqlite3_step(s);
    sqlite3_finalize(s);
    return code != SQLITE_DONE
               ? code
               : sqlite3_exec(db,
                   "DELETE FROM alerts AS a WHERE (SELECT count(*) FROM alerts AS b "
                   "WHERE b.run_id = a.run_id AND b.name = a.name AND b.first_ns > "
                   "a.first_ns) >= 100",
                   NULL, NULL, NULL);
}
