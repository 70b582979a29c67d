/*
 * otlp - figures and profiles as OpenTelemetry receives them (OTLP)
 *
 * Owns: the messages (otlp.proto), what a process is called in them (resource), how metrics are
 * named, and the two encodings of OTLP/HTTP. Does not own: which metrics there are, nor how
 * messages reach a receiver (push.h).
 *
 * Names: what Prometheus calls mpalloc_component_live_bytes is mpalloc.component.live with unit By
 * here; OpenTelemetry's rules for Prometheus turn the one into the other.
 *
 * Memory: functions end the process with a line when there is none.
 */
#ifndef OTLP_H
#define OTLP_H

#include "../metric_walk.h"
#include "../profile.h"

#include <jansson.h>
#include <mpstats.h>
#include <protobuf-c/protobuf-c.h>

/* Paths below the address of a receiver. */
#define OTLP_METRICS_PATH "/v1/metrics"
#define OTLP_PROFILES_PATH                                                             \
    "/v1development/profiles" /* opentelemetry-proto 1.10, 1.11 */

struct otlp_attribute {
    const char *key;
    const char *text; /* NULL: the number */
    uint64_t number;
};

/* What is said of every process, besides what is known of it; the same key replaces that. */
struct otlp_resource {
    size_t count;
    const struct otlp_attribute *attributes;
};

struct otlp_metrics; /* one request, of any number of processes */

struct otlp_metrics *otlp_metrics_create(void);
void otlp_metrics_free(struct otlp_metrics *m);
const ProtobufCMessage *otlp_metrics_message(const struct otlp_metrics *m);
size_t otlp_metrics_points(const struct otlp_metrics *m);

/* All metrics of a process, but those that are facts (METRIC_INFO): they are its resource. */
void otlp_metrics_add(struct otlp_metrics *m, const struct metric_source *source,
    const struct otlp_resource *resource);

/* "mpalloc.component.live" and "By" of a metric. Each at most 128 bytes with its end. */
enum { OTLP_NAME_BYTES = 128 };
void otlp_name(const struct metric *metric, char *ret_name, char *ret_unit);

/*
 * The profile of a process: live and allocated bytes and blocks, four profiles with one
 * dictionary. p: export_prepare was called. Free with protobuf_c_message_free_unpacked.
 */
ProtobufCMessage *otlp_profiles(
    const struct profile *p, const struct otlp_resource *resource);

/* The bytes on the wire, and JSON; free them. */
char *otlp_protobuf(const ProtobufCMessage *m, size_t *ret_bytes);
char *otlp_json(const ProtobufCMessage *m, size_t *ret_bytes);

/*
 * How many points or profiles a receiver did not take, by its reply in either encoding; its words
 * go to ret_text, fit to print. False: the reply says nothing of it.
 */
bool otlp_rejected(const void *reply, size_t bytes, bool is_json, uint64_t *ret_count,
    char *ret_text, size_t text_size);

#endif
