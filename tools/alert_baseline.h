/*
 * alert_baseline - the baseline that a process is judged by: what it has more, and which component
 *
 * Owns: which baseline that is: the youngest of its program, build and script that compares, kept in
 * memory as a few figures. Does not own: baselines (baselines.h), rules (mpstats/alerts.h).
 */
#ifndef ALERT_BASELINE_H
#define ALERT_BASELINE_H

#include <mpstats.h>
#include <sqlite3.h>

struct alert_baseline_component;

/* All 0: none yet. */
struct alert_baseline {
    int64_t youngest; /* id of the one that was looked at first; 0: none */
    int64_t made_s;   /* its time */
    double live;      /* bytes; 0: none compares */
    char text[MP_ALERT_DETAIL_BYTES];
    size_t count;
    struct alert_baseline_component *components;
};

/*
 * Looks whether there is another one by now. One of a run at its end says nothing of a run before
 * it, nor one script of an interpreter of another: those are passed over.
 */
void alert_baseline_find(
    struct alert_baseline *b, sqlite3 *db, const mp_image_t *image);
void alert_baseline_fini(struct alert_baseline *b);

/* Sets drift, component_drift, and their texts; nothing without a baseline. */
void alert_baseline_compare(const struct alert_baseline *b, const mp_image_t *image,
    struct mp_alert_facts *ret);

#endif
