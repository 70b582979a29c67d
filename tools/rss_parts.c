#include "rss_parts.h"

#include "must.h"
#include "parts.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    const char *label;
    const char *keys; /* of the ledger */
} parts[RSS_PARTS] = {
    [RSS_REQUESTED] = {"requested", "live: asked for", " requested live "},
    [RSS_SLACK] = {"slack", "live: slack in blocks", " slack "},
    [RSS_CACHED] = {"cached", "free in slabs", " cached "},
    [RSS_DIRTY] = {"dirty", "free, not yet given back", " dirty "},
    [RSS_METADATA] = {"metadata", "metadata", " metadata_span metadata_heap "},
    [RSS_PROFILER] = {"profiler", "profiler", " region "},
    [RSS_DIFFERENCE] = {"difference", "of these never touched, or newer",
        " untouched unexplained "},
    [RSS_OTHER] = {"other", "not mpalloc: files, stacks, other mappings",
        " other_anon stack brk file_data files shared special "},
};

const char *rss_part_name(enum rss_part part)
{
    return part < RSS_PARTS ? parts[part].name : NULL;
}

const char *rss_part_label(enum rss_part part)
{
    return part < RSS_PARTS ? parts[part].label : NULL;
}

static enum rss_part part_of(const char *key)
{
    char word[64];

    snprintf(word, sizeof(word), " %s ", key);
    for (unsigned i = 0; i < RSS_OTHER; i++) {
        if (strstr(parts[i].keys, word) != NULL) {
            return (enum rss_part)i;
        }
    }
    return RSS_OTHER; /* also what a later ledger has */
}

static void clear(struct rss_parts *p)
{
    for (unsigned i = 0; i < RSS_PARTS; i++) {
        p->bytes[i] = RSS_UNKNOWN;
    }
    p->requested_low = MP_UNKNOWN;
    p->requested_high = MP_UNKNOWN;
}

void rss_parts_take(const mp_image_t *image, struct rss_parts *ret)
{
    struct mp_ledger l;
    struct mp_efficiency e;

    clear(ret);
    mp_ledger_make_quick(image, &l);
    for (size_t i = 0; i < l.count; i++) {
        enum rss_part part = part_of(l.part[i].name);

        ret->bytes[part] =
            (ret->bytes[part] == RSS_UNKNOWN ? 0 : ret->bytes[part]) + l.part[i].bytes;
    }
    if (mp_efficiency_make(image, &e) != 0) {
        must(NULL);
    }
    if (ret->bytes[RSS_SLACK] != RSS_UNKNOWN) {
        ret->requested_low = (uint64_t)e.requested.low;
        ret->requested_high = (uint64_t)e.requested.high;
    }
}

void rss_parts_of_moment(const struct mp_region_moment *m, struct rss_parts *ret)
{
    static const enum rss_part from[PARTS] = {[PART_LIVE] = RSS_REQUESTED,
        [PART_CACHED] = RSS_CACHED,
        [PART_DIRTY] = RSS_DIRTY,
        [PART_METADATA] = RSS_METADATA,
        [PART_PROFILER] = RSS_PROFILER};
    double values[PARTS];

    clear(ret);
    parts_of(m, values);
    for (unsigned i = 0; i < PARTS; i++) {
        ret->bytes[from[i]] = (int64_t)values[i];
    }
}

int64_t rss_parts_total(const struct rss_parts *p)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < RSS_PARTS; i++) {
        sum += p->bytes[i] != RSS_UNKNOWN ? p->bytes[i] : 0;
    }
    return sum;
}

struct mp_estimate rss_parts_efficiency(const struct rss_parts *p, uint64_t heap_bytes)
{
    double heap = (double)heap_bytes;

    if (p->bytes[RSS_SLACK] == RSS_UNKNOWN || p->requested_low == MP_UNKNOWN
        || heap_bytes == 0 || heap_bytes == MP_UNKNOWN) {
        return (struct mp_estimate){NAN, NAN, NAN};
    }
    return (struct mp_estimate){(double)p->bytes[RSS_REQUESTED] / heap,
        (double)p->requested_low / heap, (double)p->requested_high / heap};
}
