/*
 * alert_notice - an alert as it is told: a copy of all that there is to say, and its forms
 */
#ifndef ALERT_NOTICE_H
#define ALERT_NOTICE_H

#include "configuration.h"

#include <jansson.h>
#include <mpstats.h>

enum { ALERT_PROGRAM_BYTES = 128 };

/* Whose alert it is. */
struct alert_process {
    char id[MP_ALERT_PROCESS_BYTES]; /* "PID-STARTTIME", as the region is named */
    uint64_t pid;
    char name[ALERT_PROGRAM_BYTES]; /* fit to print */
    uint8_t run_id[16];
};

struct alert_notice {
    struct alert_process process;
    char name[MP_ALERT_NAME_BYTES];
    char silenced_by[MP_ALERT_NAME_BYTES]; /* "" */
    enum mp_alert_measure measure;
    enum mp_alert_state state;
    enum mp_severity severity;
    uint64_t since_ns; /* beyond the threshold; 0: it is not */
    uint64_t fired_ns;
    uint64_t resolved_ns;
    double value;
    double threshold;
    char text[MP_ALERT_TEXT_BYTES];
};

void alert_notice_make(struct alert_notice *ret, const struct mp_alert *alert,
    const struct alert_process *process);

/* Who is it: the process of an image. */
void alert_process_make(struct alert_process *ret, const mp_image_t *image);

/* An object of schemas/alerts.json. */
json_t *alert_notice_json(const struct alert_notice *n);

/* Where it is said what to do: "…/runbook.md#mpallocmemoryhigh"; "" of rules that people made. */
const char *alert_runbook(const char *rule, char *ret, size_t size);

/* One line in logfmt: time=… severity=… name=… state=… */
size_t alert_notice_logfmt(
    const struct alert_notice *n, uint64_t now_ns, char *ret, size_t size);

/* {name}, {severity}, {state}, {process}, {pid}, {program}, {value}, {text} replaced; free it. */
char *alert_notice_fill(const struct alert_notice *n, const char *pattern);

/* Of these words by number: a key and its value; false past the last. value: at least 512. */
bool alert_notice_word(const struct alert_notice *n, unsigned number,
    const char **ret_key, char *ret_value, size_t size);

#endif
