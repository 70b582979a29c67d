#include "exporter.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void put(struct metric_text *text, const struct metric *m,
    struct metric_sample s, const char *key, const char *value)
{
    s.label_count = key != NULL;
    s.label[0] = (struct metric_label){key, value};
    metric_text_sample(text, m, &s);
}

static void put_whole(struct metric_text *text, const struct metric *m, uint64_t value,
    const char *key, const char *label)
{
    put(text, m, (struct metric_sample){.type = METRIC_WHOLE, .whole = value}, key,
        label);
}

static void put_real(struct metric_text *text, const struct metric *m, double value)
{
    put(text, m, (struct metric_sample){.type = METRIC_REAL, .real = value}, NULL,
        NULL);
}

static const struct metric build = {"mpalloc_build", "", METRIC_INFO,
    "The exporter: its version, and the format of regions that it reads."};
static const struct metric processes = {"mpalloc_exporter_processes", "", METRIC_SUM,
    "Processes that are known: those that ended have no series of their own."};
static const struct metric ended = {"mpalloc_exporter_processes_ended", "",
    METRIC_COUNTER, "Processes that ended while they were watched."};
static const struct metric scrapes = {
    "mpalloc_exporter_scrapes", "", METRIC_COUNTER, "Times that this was written."};
static const struct metric scrape_seconds = {"mpalloc_exporter_scrape_seconds",
    "seconds", METRIC_GAUGE, "How long it took to write all this, now."};
static const struct metric errors = {"mpalloc_exporter_errors", "", METRIC_COUNTER,
    "Regions that could not be read (region), requests that were refused (refused) or "
    "failed (failed)."};
static const struct metric insights = {"mpalloc_exporter_insights", "", METRIC_COUNTER,
    "Verdicts on a process that were made."};
static const struct metric insight_seconds = {"mpalloc_exporter_insight_seconds",
    "seconds", METRIC_COUNTER, "Processor time that they took."};
static const struct metric requests = {
    "mpalloc_exporter_requests", "", METRIC_COUNTER, "Requests that were answered."};
static const struct metric request_seconds = {"mpalloc_exporter_request_seconds",
    "seconds", METRIC_COUNTER, "Time that it took to answer them."};
static const struct metric connections = {"mpalloc_exporter_connections", "",
    METRIC_COUNTER, "Connections that were accepted."};
static const struct metric cpu = {"mpalloc_exporter_cpu_seconds", "seconds",
    METRIC_COUNTER, "Processor time of the exporter, user and system."};
static const struct metric resident = {"mpalloc_exporter_resident_bytes", "bytes",
    METRIC_SUM, "Resident memory of the exporter."};

static void write_processes(const struct fleet_list *list, struct metric_text *text)
{
    uint64_t count[MP_LIFE_ELSEWHERE + 1] = {0};
    uint64_t unreadable = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (list->at[i]->image == NULL) {
            unreadable++;
        } else {
            count[list->at[i]->life]++;
        }
    }
    metric_text_head(text, &processes);
    for (unsigned i = 0; i <= MP_LIFE_ELSEWHERE; i++) {
        put_whole(text, &processes, count[i], "state", mp_life_name((enum mp_life)i));
    }
    put_whole(text, &processes, unreadable, "state", "unreadable");
}

static void write_server(const struct metrics_server *s, struct metric_text *text)
{
    metric_text_head(text, &requests);
    put_whole(text, &requests, s->requests_total, NULL, NULL);
    metric_text_head(text, &request_seconds);
    put_real(text, &request_seconds, s->request_seconds_total);
    metric_text_head(text, &connections);
    put_whole(text, &connections, s->connections_total, NULL, NULL);
}

/* ---- what is sent elsewhere ---- */

static const struct metric pushes = {"mpalloc_exporter_pushes", "", METRIC_COUNTER,
    "Messages to other servers: taken (delivered), not taken (refused), or given up "
    "for "
    "want of room or time (dropped)."};

/* One value for each kind of server. */
static const struct push_row {
    struct metric metric;
    size_t at; /* offset in struct metrics_push */
} push_rows[] = {
    {{"mpalloc_exporter_push_retries", "", METRIC_COUNTER,
         "Times that a message had to wait for another try."},
        offsetof(struct metrics_push, counts.retries)},
    {{"mpalloc_exporter_push_rejected", "", METRIC_COUNTER,
         "Points and profiles that a server did not take of messages that it took."},
        offsetof(struct metrics_push, counts.rejected)},
    {{"mpalloc_exporter_push_bytes", "bytes", METRIC_COUNTER,
         "Bytes of messages that were taken."},
        offsetof(struct metrics_push, counts.delivered_bytes)},
    {{"mpalloc_exporter_push_waiting", "", METRIC_SUM,
         "Messages that wait to be sent."},
        offsetof(struct metrics_push, waiting)},
};

static void put_result(struct metric_text *text, const struct metrics_push *p,
    const char *result, uint64_t value)
{
    metric_text_sample(text, &pushes,
        &(struct metric_sample){.type = METRIC_WHOLE,
            .whole = value,
            .label_count = 2,
            .label = {{"to", p->to}, {"result", result}}});
}

static void write_pushes(const struct metrics_server *s, struct metric_text *text)
{
    if (s->push_count == 0) {
        return;
    }
    metric_text_head(text, &pushes);
    for (size_t i = 0; i < s->push_count; i++) {
        const struct metrics_push *p = &s->pushes[i];

        put_result(text, p, "delivered", p->counts.delivered);
        put_result(text, p, "refused", p->counts.refused);
        put_result(text, p, "dropped", p->counts.dropped);
    }
    for (size_t n = 0; n < sizeof(push_rows) / sizeof(push_rows[0]); n++) {
        const struct push_row *row = &push_rows[n];

        metric_text_head(text, &row->metric);
        for (size_t i = 0; i < s->push_count; i++) {
            uint64_t value;

            memcpy(&value, (const char *)&s->pushes[i] + row->at, sizeof(value));
            put_whole(text, &row->metric, value, "to", s->pushes[i].to);
        }
    }
}

static void write_own_cost(struct metric_text *text)
{
    uint64_t own = mp_proc_resident((uint64_t)getpid());
    struct rusage u = {0};

    getrusage(RUSAGE_SELF, &u);
    metric_text_head(text, &cpu);
    put_real(text, &cpu,
        (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec)
            + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    if (own != MP_UNKNOWN) {
        metric_text_head(text, &resident);
        put_whole(text, &resident, own, NULL, NULL);
    }
}

static void write_build(struct metric_text *text)
{
    char format[16];

    snprintf(format, sizeof(format), "%d", MP_REGION_VERSION);
    metric_text_head(text, &build);
    metric_text_sample(text, &build,
        &(struct metric_sample){.type = METRIC_WHOLE,
            .whole = 1,
            .label_count = 2,
            .label = {{"version", CONFIG_VERSION}, {"region_version", format}}});
}

void exporter_write(const struct fleet_list *list, const struct exporter_counts *counts,
    const struct insights_ends *ends, const struct insights_cost *cost,
    const struct metrics_server *server, struct metric_text *text)
{
    write_build(text);
    write_processes(list, text);
    metric_text_head(text, &ended);
    put_whole(text, &ended, ends->exited, "state", "exited");
    put_whole(text, &ended, ends->died, "state", "died");
    put_whole(text, &ended, ends->replaced, "state", "replaced");
    metric_text_head(text, &scrapes);
    put_whole(text, &scrapes, counts->scrapes_total, NULL, NULL);
    metric_text_head(text, &scrape_seconds);
    put_real(text, &scrape_seconds, counts->scrape_seconds);
    metric_text_head(text, &errors);
    put_whole(text, &errors, counts->unreadable_total, "reason", "region");
    if (server != NULL) {
        put_whole(text, &errors, server->refused_total, "reason", "refused");
        put_whole(text, &errors, server->failed_total, "reason", "failed");
    }
    metric_text_head(text, &insights);
    put_whole(text, &insights, cost->made_total, NULL, NULL);
    metric_text_head(text, &insight_seconds);
    put_real(text, &insight_seconds, (double)cost->ns_total / 1e9);
    if (server != NULL) {
        write_server(server, text);
        write_pushes(server, text);
    }
    write_own_cost(text);
}
