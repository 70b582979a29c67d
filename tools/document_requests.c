#include "document_requests.h"

#include "document.h"

#include <mpstats.h>

json_t *document_trim(const char *path, uint64_t bytes)
{
    json_t *d = document_new("trim");

    document_set_text(d, "region", path);
    document_set_bytes(d, "trimmed_bytes", bytes);
    return d;
}

json_t *document_sample(const char *path, uint64_t interval)
{
    json_t *d = document_new("sample");

    document_set_text(d, "region", path);
    if (interval == MP_SAMPLING_OFF) {
        document_set(d, "interval_bytes", json_null());
    } else {
        document_set_bytes(d, "interval_bytes", interval);
    }
    return d;
}
