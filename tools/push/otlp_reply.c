#include "otlp_parts.h"

/* Partial success: of metrics and of profiles it has the same numbers. */

static bool say(int64_t count, const char *message, uint64_t *ret_count, char *ret_text,
    size_t text_size)
{
    *ret_count = count > 0 ? (uint64_t)count : 0;
    mp_text_escape(ret_text, text_size, message, SIZE_MAX);
    return *ret_count != 0 || ret_text[0] != '\0';
}

static bool of_json(const void *reply, size_t bytes, uint64_t *ret_count,
    char *ret_text, size_t text_size)
{
    json_t *root = json_loadb(reply, bytes, 0, NULL);
    json_t *part = json_object_get(root, "partialSuccess");
    json_t *count = json_object_get(part, "rejectedDataPoints");
    const char *message = json_string_value(json_object_get(part, "errorMessage"));
    bool found;

    if (count == NULL) {
        count = json_object_get(part, "rejectedProfiles");
    }
    found = say(json_is_string(count) ? strtoll(json_string_value(count), NULL, 10)
                                      : json_integer_value(count),
        message != NULL ? message : "", ret_count, ret_text, text_size);
    json_decref(root);
    return found;
}

bool otlp_rejected(const void *reply, size_t bytes, bool is_json, uint64_t *ret_count,
    char *ret_text, size_t text_size)
{
    Mpalloc__Otlp__ExportMetricsServiceResponse *m;
    bool found = false;

    if (is_json) {
        return of_json(reply, bytes, ret_count, ret_text, text_size);
    }
    m = mpalloc__otlp__export_metrics_service_response__unpack(NULL, bytes, reply);
    if (m != NULL && m->partial_success != NULL) {
        found = say(m->partial_success->rejected_data_points,
            m->partial_success->error_message, ret_count, ret_text, text_size);
    }
    mpalloc__otlp__export_metrics_service_response__free_unpacked(m, NULL);
    return found;
}
