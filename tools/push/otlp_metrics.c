#include "otlp_parts.h"

#include <stdio.h>

#define PREFIX "mpalloc_"

typedef Mpalloc__Otlp__Metric metric_message;
typedef Mpalloc__Otlp__NumberDataPoint point_message;

struct otlp_metrics {
    Mpalloc__Otlp__ExportMetricsServiceRequest request;
    Mpalloc__Otlp__ScopeMetrics *scope; /* of the process that is being added */
    uint64_t started_ns;
    uint64_t time_ns;
    size_t points;
};

/* ---- names ---- */

/* First words that are name spaces: what is below them has a dot. */
static const char *const spaces[] = {"alerts_", "baseline_", "build_", "cgroup_",
    "component_", "exporter_", "leak_", "pool_", "process_", "profiler_", "size_class_",
    "user_"};

/* Units whose name Prometheus has at the end, and theirs for OpenTelemetry. */
static const struct {
    const char *suffix;
    const char *unit;
} units[] = {{"_bytes_per_second", "By/s"}, {"_bytes", "By"}, {"_seconds", "s"},
    {"_ratio", "1"}};

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

/* "{block}" of "component_live_blocks": what is counted is no unit, but a note. */
static void make_note(const char *name, char *ret)
{
    const char *word = strrchr(name, '_');
    size_t n;

    word = word != NULL ? word + 1 : name;
    n = strlen(word);
    n -= n > 4 && strcmp(word + n - 4, "sses") == 0 ? 2 : n > 2 && word[n - 1] == 's';
    if (word[n] == '\0') { /* not in the plural */
        word = "count";
        n = strlen(word);
    }
    snprintf(ret, OTLP_NAME_BYTES, "{%.*s}", (int)n, word);
}

void otlp_name(const struct metric *metric, char *ret_name, char *ret_unit)
{
    const char *name = metric->name + strlen(PREFIX);
    const char *below = "";
    size_t length = strlen(name);
    size_t skip = 0;

    ret_unit[0] = '\0';
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (ret_unit[0] == '\0' && ends_in(name, units[i].suffix)) {
            length -= strlen(units[i].suffix);
            strcpy(ret_unit, units[i].unit);
        }
    }
    if (ret_unit[0] == '\0') {
        make_note(name, ret_unit);
    }
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        size_t n = strlen(spaces[i]);

        if (strncmp(name, spaces[i], n) == 0 && n < length) {
            below = spaces[i];
            skip = n;
        }
    }
    snprintf(ret_name, OTLP_NAME_BYTES, "mpalloc.%.*s%s%.*s",
        skip > 0 ? (int)skip - 1 : 0, below, skip > 0 ? "." : "", (int)(length - skip),
        name + skip);
}

/* ---- messages ---- */

struct otlp_metrics *otlp_metrics_create(void)
{
    struct otlp_metrics *m = must(calloc(1, sizeof(*m)));

    mpalloc__otlp__export_metrics_service_request__init(&m->request);
    return m;
}

void otlp_metrics_free(struct otlp_metrics *m)
{
    for (size_t i = 0; i < m->request.n_resource_metrics; i++) {
        protobuf_c_message_free_unpacked(&m->request.resource_metrics[i]->base, NULL);
    }
    free(m->request.resource_metrics);
    free(m);
}

const ProtobufCMessage *otlp_metrics_message(const struct otlp_metrics *m)
{
    return &m->request.base;
}

size_t otlp_metrics_points(const struct otlp_metrics *m)
{
    return m->points;
}

/* What its points are put into. */
static void set_kind(metric_message *to, const struct metric *metric)
{
    const Mpalloc__Otlp__AggregationTemporality cumulative =
        MPALLOC__OTLP__AGGREGATION_TEMPORALITY__AGGREGATION_TEMPORALITY_CUMULATIVE;

    switch (metric->kind) {
    case METRIC_GAUGE:
    case METRIC_INFO:
        to->data_case = MPALLOC__OTLP__METRIC__DATA_GAUGE;
        to->gauge = OTLP_NEW(Gauge, gauge);
        break;
    case METRIC_SUM:
    case METRIC_COUNTER:
        to->data_case = MPALLOC__OTLP__METRIC__DATA_SUM;
        to->sum = OTLP_NEW(Sum, sum);
        to->sum->is_monotonic = metric->kind == METRIC_COUNTER;
        to->sum->aggregation_temporality = cumulative;
        break;
    case METRIC_HISTOGRAM:
        to->data_case = MPALLOC__OTLP__METRIC__DATA_HISTOGRAM;
        to->histogram = OTLP_NEW(Histogram, histogram);
        to->histogram->aggregation_temporality = cumulative;
        break;
    }
}

/* The message of that metric; mostly it is the last one. */
static metric_message *metric_of(struct otlp_metrics *m, const struct metric *metric)
{
    char name[OTLP_NAME_BYTES];
    char unit[OTLP_NAME_BYTES];
    metric_message *fresh;

    otlp_name(metric, name, unit);
    for (size_t i = m->scope->n_metrics; i > 0; i--) {
        if (strcmp(m->scope->metrics[i - 1]->name, name) == 0) {
            return m->scope->metrics[i - 1];
        }
    }
    fresh = OTLP_NEW(Metric, metric);
    fresh->name = must(strdup(name));
    fresh->unit = must(strdup(unit));
    fresh->description = must(strdup(metric->help));
    set_kind(fresh, metric);
    OTLP_APPEND(m->scope, metrics, fresh);
    return fresh;
}

static Mpalloc__Otlp__KeyValue *make_label(const struct metric_label *label)
{
    struct otlp_attribute a = {label->key, label->value, 0};

    return otlp_key_value(&a);
}

static void add_number(struct otlp_metrics *m, metric_message *to,
    const struct metric *metric, const struct metric_sample *sample)
{
    point_message *p = OTLP_NEW(NumberDataPoint, number_data_point);

    p->time_unix_nano = m->time_ns;
    if (sample->type == METRIC_REAL) {
        p->value_case = MPALLOC__OTLP__NUMBER_DATA_POINT__VALUE_AS_DOUBLE;
        p->as_double = sample->real;
    } else {
        p->value_case = MPALLOC__OTLP__NUMBER_DATA_POINT__VALUE_AS_INT;
        p->as_int = sample->type == METRIC_SIGNED ? sample->number
                    : sample->whole > INT64_MAX   ? INT64_MAX
                                                  : (int64_t)sample->whole;
    }
    for (size_t i = 0; i < sample->label_count; i++) {
        OTLP_APPEND(p, attributes, make_label(&sample->label[i]));
    }
    if (metric->kind == METRIC_GAUGE) {
        OTLP_APPEND(to->gauge, data_points, p);
    } else {
        p->start_time_unix_nano = m->started_ns;
        OTLP_APPEND(to->sum, data_points, p);
    }
}

/* Buckets here are not cumulative, and there is one for what is above all bounds. */
static void add_histogram(
    struct otlp_metrics *m, metric_message *to, const struct metric_sample *sample)
{
    const struct metric_histogram *h = sample->histogram;
    Mpalloc__Otlp__HistogramDataPoint *p =
        OTLP_NEW(HistogramDataPoint, histogram_data_point);
    uint64_t before = 0;

    p->start_time_unix_nano = m->started_ns;
    p->time_unix_nano = m->time_ns;
    p->count = h->total;
    p->sum = h->sum;
    p->n_bucket_counts = h->count + 1;
    p->bucket_counts = must(calloc(h->count + 1, sizeof(*p->bucket_counts)));
    p->n_explicit_bounds = h->count;
    p->explicit_bounds = must(calloc(h->count + 1, sizeof(*p->explicit_bounds)));
    for (size_t i = 0; i <= h->count; i++) {
        uint64_t up_to = i < h->count ? h->cumulative[i] : h->total;

        p->bucket_counts[i] = up_to - before;
        before = up_to;
        if (i < h->count) {
            p->explicit_bounds[i] = h->bound[i];
        }
    }
    for (size_t i = 0; i < sample->label_count; i++) {
        OTLP_APPEND(p, attributes, make_label(&sample->label[i]));
    }
    OTLP_APPEND(to->histogram, data_points, p);
}

static void add_sample(
    void *arg, const struct metric *metric, const struct metric_sample *sample)
{
    struct otlp_metrics *m = arg;

    if (metric->kind == METRIC_INFO) {
        return;
    }
    if (sample->histogram != NULL) {
        add_histogram(m, metric_of(m, metric), sample);
    } else {
        add_number(m, metric_of(m, metric), metric, sample);
    }
    m->points++;
}

void otlp_metrics_add(struct otlp_metrics *m, const struct metric_source *source,
    const struct otlp_resource *resource)
{
    Mpalloc__Otlp__ResourceMetrics *r = OTLP_NEW(ResourceMetrics, resource_metrics);

    r->resource = otlp_resource_make(source->image, resource);
    m->scope = OTLP_NEW(ScopeMetrics, scope_metrics);
    m->scope->scope = otlp_scope();
    OTLP_APPEND(r, scope_metrics, m->scope);
    OTLP_APPEND(&m->request, resource_metrics, r);
    m->started_ns = mp_image_process(source->image)->started_ns;
    m->time_ns = mp_image_totals(source->image)->published_ns;
    metric_walk(source, add_sample, m);
}
