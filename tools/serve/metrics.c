#include "metrics.h"

#include "../must.h"
#include "exporter.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct metrics_options metrics_usual = {
    .series = {.components = 20, .size_classes = true}};

struct metrics {
    struct metrics_options options;
    struct insights *insights;
    pthread_mutex_t lock; /* of what follows */
    struct exporter_counts counts;
};

int metrics_create(
    struct fleet *fleet, const struct metrics_options *options, struct metrics **ret)
{
    struct metrics *m = must(calloc(1, sizeof(*m)));
    int error = insights_create(fleet, &options->insights, &m->insights);

    if (error != 0) {
        free(m);
        return error;
    }
    m->options = *options;
    pthread_mutex_init(&m->lock, NULL);
    *ret = m;
    return 0;
}

void metrics_destroy(struct metrics *m)
{
    insights_destroy(m->insights);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

struct insights *metrics_insights(struct metrics *m)
{
    return m->insights;
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void metrics_note_alerts(
    struct metrics *m, const struct alert_notice *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (events[i].state == MP_ALERT_FIRING) {
            insights_note_alert(
                m->insights, events[i].process.id, events[i].name, events[i].severity);
        }
    }
}

/* ---- who is written ---- */

struct shown {
    const struct fleet_process *process;
    char labels[sizeof(((struct metric_text *)0)->labels)];
    struct metric_source source;
};

static bool is_shown(const struct fleet_process *p)
{
    return p->image != NULL
           && (p->life == MP_LIFE_RUNNING || p->life == MP_LIFE_ELSEWHERE);
}

/*
 * `pid` is the process's number: in its own namespace, so that two may have the same. Then the
 * later ones have their id, which is of one directory, and a number behind that if need be.
 */
static void add_labels(struct shown *all, size_t count, struct shown *s)
{
    const struct fleet_process *p = s->process;

    for (unsigned again = 0;; again++) {
        struct metric_text text = {.labels = ""};
        char pid[96];
        bool is_taken = false;

        if (again == 0) {
            snprintf(pid, sizeof(pid), "%llu", (unsigned long long)p->pid);
        } else if (again == 1) {
            snprintf(pid, sizeof(pid), "%s", p->id);
        } else {
            snprintf(pid, sizeof(pid), "%s/%u", p->id, again);
        }
        metric_text_label(&text, "process", p->name);
        metric_text_label(&text, "pid", pid);
        for (size_t i = 0; i < count && !is_taken; i++) {
            is_taken = all[i].process->pid == p->pid
                       && strcmp(all[i].labels, text.labels) == 0;
        }
        if (!is_taken) {
            memcpy(s->labels, text.labels, sizeof(s->labels));
            return;
        }
    }
}

static void add_source(struct metrics *m, const struct fleet_process *p,
    bool is_trusted, struct metric_source *ret)
{
    struct metric_rows *rows;
    const struct metric_insight *insight = insights_find(m->insights, p->id, &rows);

    metric_source_make(ret, p->image, &p->kernel, insight, &m->options.series, rows);
    ret->hides_functions = !is_trusted;
    memcpy(ret->id, p->id, sizeof(ret->id));
    ret->alerts = insights_find_alerts(m->insights, p->id);
    ret->pressure = &p->pressure;
}

/* ---- the whole ---- */

static void write_one(struct metrics *m, const struct fleet_process *p, bool is_trusted,
    struct metric_text *text)
{
    struct metric_source *source = must(malloc(sizeof(*source)));
    char pid[24];

    snprintf(pid, sizeof(pid), "%llu", (unsigned long long)p->pid);
    add_source(m, p, is_trusted, source);
    source->name = p->name;
    source->pid = pid;
    metric_text_one(text, source);
    free(source);
}

static void write_all(struct metrics *m, const struct fleet_list *list, bool is_trusted,
    struct metric_text *text)
{
    struct shown *all = must(calloc(list->count + 1, sizeof(*all)));
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (is_shown(list->at[i])) {
            all[count].process = list->at[i];
            add_labels(all, count, &all[count]);
            add_source(m, list->at[i], is_trusted, &all[count].source);
            count++;
        }
    }
    for (size_t n = 0; metric_at(n) != NULL; n++) {
        if (metric_is_detail(n) && !m->options.series.all) {
            continue;
        }
        metric_text_head(text, metric_at(n));
        for (size_t i = 0; i < count; i++) {
            memcpy(text->labels, all[i].labels, sizeof(text->labels));
            metric_walk_one(&all[i].source, n, metric_text_sample, text);
        }
    }
    text->labels[0] = '\0';
    free(all);
}

void metrics_write(struct metrics *m, const struct fleet_list *list,
    const struct fleet_process *only, const struct metrics_server *server,
    bool is_trusted, struct metric_text *text)
{
    double began = now_s();
    struct exporter_counts counts;
    struct insights_ends ends;
    struct insights_cost cost;

    insights_lock(m->insights, list);
    if (only != NULL) {
        write_one(m, only, is_trusted, text);
    } else {
        write_all(m, list, is_trusted, text);
    }
    ends = insights_count_ends(m->insights);
    cost = insights_find_cost(m->insights);
    insights_unlock(m->insights);

    pthread_mutex_lock(&m->lock);
    m->counts.scrapes_total++;
    m->counts.scrape_seconds = now_s() - began;
    m->counts.scrape_seconds_total += m->counts.scrape_seconds;
    for (size_t i = 0; i < list->count; i++) {
        m->counts.unreadable_total += list->at[i]->image == NULL;
    }
    counts = m->counts;
    pthread_mutex_unlock(&m->lock);
    if (only == NULL) {
        exporter_write(list, &counts, &ends, &cost, server, text);
    }
    metric_text_end(text);
}
