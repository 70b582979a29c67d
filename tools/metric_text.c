#include "metric_text.h"

#include "must.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- text ---- */

static void put(struct metric_text *t, const char *data, size_t count)
{
    if (t->count + count > t->room) {
        t->room = 2 * (t->count + count) + 4096;
        t->data = must(realloc(t->data, t->room));
    }
    memcpy(t->data + t->count, data, count);
    t->count += count;
}

static void put_text(struct metric_text *t, const char *text)
{
    put(t, text, strlen(text));
}

/* What a program wrote, in quotes. */
static void put_quoted(struct metric_text *t, const char *text)
{
    put(t, "\"", 1);
    for (;;) {
        size_t n = strcspn(text, "\\\"\n");

        put(t, text, n);
        text += n;
        if (*text == '\0') {
            break;
        }
        put(t, *text == '\n' ? "\\n" : *text == '"' ? "\\\"" : "\\\\", 2);
        text++;
    }
    put(t, "\"", 1);
}

static void put_whole(struct metric_text *t, uint64_t value)
{
    char digits[20];
    char *end = digits + sizeof(digits);
    char *at = end;

    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put(t, at, (size_t)(end - at));
}

/* The shortest that is read as the same number. */
static void put_real(struct metric_text *t, double value)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    put_text(t, text);
}

static void put_value(struct metric_text *t, const struct metric_sample *s)
{
    if (s->type == METRIC_REAL) {
        put_real(t, s->real);
    } else if (s->type == METRIC_SIGNED && s->number < 0) {
        put(t, "-", 1);
        put_whole(t, 0 - (uint64_t)s->number);
    } else {
        put_whole(t, s->type == METRIC_SIGNED ? (uint64_t)s->number : s->whole);
    }
}

/* ---- metrics ---- */

static const char *ending(const struct metric *m)
{
    return m->kind == METRIC_COUNTER ? "_total" : m->kind == METRIC_INFO ? "_info" : "";
}

static void put_comment(
    struct metric_text *t, const char *what, const struct metric *m, const char *text)
{
    put_text(t, what);
    put_text(t, m->name);
    put_text(t, t->form == METRIC_TEXT ? ending(m) : "");
    put(t, " ", 1);
    put_text(t, text);
    put(t, "\n", 1);
}

void metric_text_head(struct metric_text *t, const struct metric *m)
{
    static const char *const types[] = {
        "gauge", "gauge", "counter", "histogram", "info"};
    bool is_info = t->form == METRIC_TEXT && m->kind == METRIC_INFO;

    put_comment(t, "# TYPE ", m, is_info ? "gauge" : types[m->kind]);
    if (t->form == METRIC_OPENMETRICS && m->unit[0] != '\0') {
        put_comment(t, "# UNIT ", m, m->unit);
    }
    put_comment(t, "# HELP ", m, m->help);
}

static void put_labels(struct metric_text *t, const struct metric_sample *s)
{
    bool is_first = t->labels[0] == '\0';

    if (is_first && s->label_count == 0) {
        return;
    }
    put(t, "{", 1);
    put_text(t, t->labels);
    for (size_t i = 0; i < s->label_count; i++) {
        if (!is_first) {
            put(t, ",", 1);
        }
        is_first = false;
        put_text(t, s->label[i].key);
        put(t, "=", 1);
        put_quoted(t, s->label[i].value);
    }
    put(t, "}", 1);
}

static void put_bucket(struct metric_text *t, const struct metric *m,
    const struct metric_sample *s, const char *bound, uint64_t count)
{
    struct metric_sample bucket = *s;

    bucket.label[bucket.label_count++] = (struct metric_label){"le", bound};
    put_text(t, m->name);
    put_text(t, "_bucket");
    put_labels(t, &bucket);
    put(t, " ", 1);
    put_whole(t, count);
    put(t, "\n", 1);
}

static void put_histogram(
    struct metric_text *t, const struct metric *m, const struct metric_sample *s)
{
    const struct metric_histogram *h = s->histogram;
    char bound[40];

    for (size_t i = 0; i < h->count; i++) {
        /* OpenMetrics wants numbers of buckets to be floats. */
        snprintf(bound, sizeof(bound), "%.15g", h->bound[i]);
        if (strpbrk(bound, ".e") == NULL) {
            strcat(bound, ".0");
        }
        put_bucket(t, m, s, bound, h->cumulative[i]);
    }
    put_bucket(t, m, s, "+Inf", h->total);
    put_text(t, m->name);
    put_text(t, "_sum");
    put_labels(t, s);
    put(t, " ", 1);
    put_real(t, h->sum);
    put(t, "\n", 1);
    put_text(t, m->name);
    put_text(t, "_count");
    put_labels(t, s);
    put(t, " ", 1);
    put_whole(t, h->total);
    put(t, "\n", 1);
}

void metric_text_sample(
    void *arg, const struct metric *m, const struct metric_sample *s)
{
    struct metric_text *t = arg;

    if (s->histogram != NULL) {
        put_histogram(t, m, s);
        return;
    }
    put_text(t, m->name);
    put_text(t, ending(m));
    put_labels(t, s);
    put(t, " ", 1);
    put_value(t, s);
    if (s->profile != NULL && t->form == METRIC_OPENMETRICS) {
        put_text(t, " # {profile=");
        put_quoted(t, s->profile);
        put(t, "} ", 2);
        put_value(t, s);
    }
    put(t, "\n", 1);
}

void metric_text_label(struct metric_text *t, const char *key, const char *value)
{
    struct metric_text piece = {0};
    size_t used = strlen(t->labels);

    put_text(&piece, used > 0 ? "," : "");
    put_text(&piece, key);
    put(&piece, "=", 1);
    put_quoted(&piece, value);
    if (used + piece.count < sizeof(t->labels)) {
        memcpy(t->labels + used, piece.data, piece.count);
        t->labels[used + piece.count] = '\0';
    }
    free(piece.data);
}

void metric_text_one(struct metric_text *t, const struct metric_source *source)
{
    for (size_t i = 0; metric_at(i) != NULL; i++) {
        if (source->options.all || !metric_is_detail(i)) {
            metric_text_head(t, metric_at(i));
            metric_walk_one(source, i, metric_text_sample, t);
        }
    }
}

void metric_text_end(struct metric_text *t)
{
    if (t->form == METRIC_OPENMETRICS) {
        put_text(t, "# EOF\n");
    }
}

const char *metric_text_type(enum metric_form form)
{
    return form == METRIC_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- Accept ---- */

/* The weight of one range of the header, up to its comma; 1 when it has none. */
static double weight_of(const char *range, size_t length)
{
    for (size_t i = 0; i + 2 < length; i++) {
        if (range[i] == ';') {
            size_t at = i + 1 + strspn(range + i + 1, " \t");

            if (at + 2 < length && (range[at] == 'q' || range[at] == 'Q')
                && range[at + 1] == '=') {
                return strtod(range + at + 2, NULL);
            }
        }
    }
    return 1;
}

static bool begins(const char *range, size_t length, const char *type)
{
    size_t n = strlen(type);

    return length >= n && strncasecmp(range, type, n) == 0
           && (length == n || strchr("; \t", range[n]) != NULL);
}

/* A version that we do not write: 0.0.1 is the same but for what we do not use. */
static bool has_version(const char *range, size_t length)
{
    for (size_t i = 0; i + 8 < length; i++) {
        if (strncasecmp(range + i, "version=", 8) == 0) {
            return strncmp(range + i + 8, "1.", 2) == 0
                   || strncmp(range + i + 8, "0.0.1", 5) == 0;
        }
    }
    return true;
}

enum metric_form metric_text_choose(const char *accept)
{
    double open = 0;
    double text = 0;
    double any = 0;

    while (accept != NULL && *accept != '\0') {
        size_t length;

        accept += strspn(accept, ", \t");
        length = strcspn(accept, ",");
        if (begins(accept, length, "application/openmetrics-text")
            && has_version(accept, length)) {
            double weight = weight_of(accept, length);

            open = weight > open ? weight : open;
        } else if (begins(accept, length, "text/plain")) {
            double weight = weight_of(accept, length);

            text = weight > text ? weight : text;
        } else if (begins(accept, length, "*/*") || begins(accept, length, "text/*")) {
            double weight = weight_of(accept, length);

            any = weight > any ? weight : any;
        }
        accept += length;
    }
    return open > 0 && open >= text ? METRIC_OPENMETRICS : METRIC_TEXT;
}
