#include "document_analysis.h"

#include "analysis.h"
#include "document.h"
#include "must.h"
#include "render_tops.h"
#include "view.h"

static json_t *lifetimes(const mp_image_t *image)
{
    struct analysis_lifetimes l;
    json_t *all = must(json_array());

    analysis_lifetimes_make(image, &l);
    for (unsigned i = 0; i < MP_REGION_LIFETIMES; i++) {
        json_t *o;

        if (l.blocks[i] <= 0) {
            continue;
        }
        o = must(json_object());
        document_set(
            o, "from_seconds", document_number(i > 0 ? (double)(1ull << i) / 1e6 : 0));
        document_set(o, "to_seconds",
            i + 1 < MP_REGION_LIFETIMES ? document_number((double)(2ull << i) / 1e6)
                                        : json_null());
        document_set(o, "freed_blocks", document_number(l.blocks[i]));
        document_set(o, "freed_bytes", document_number(l.bytes[i]));
        document_append(all, o);
    }
    return all;
}

static json_t *top(const struct profile *p, enum top_key key, size_t most)
{
    struct tops *t = tops_create(
        p, key, view_is_ended(p->image) ? PROFILE_PEAK_BYTES : PROFILE_LIVE_BYTES);
    json_t *rows = document_top_rows(p, t, key, most);

    tops_destroy(t);
    return rows;
}

/* Those of document_size_classes, in the same order. */
static void add_slack(json_t *classes, const struct profile *p)
{
    double asked[MP_REGION_CLASSES];
    size_t row = 0;

    analysis_asked(p, asked);
    for (size_t i = 0; i < mp_image_class_count(p->image); i++) {
        struct mp_region_cell sum;
        json_t *o;

        mp_image_class_sum(p->image, i, &sum);
        if (mp_image_class(p->image, i)->kind == MP_CLASS_UNUSED
            || sum.allocated_blocks_total == 0) {
            continue;
        }
        o = json_array_get(classes, row++);
        document_set_bytes(o, "slack_bytes",
            asked[i] < 0 ? MP_UNKNOWN
                         : (uint64_t)((double)view_live(sum.allocated_bytes_total,
                                          sum.freed_bytes_total)
                                      * (1 - asked[i])));
    }
}

void document_add_analysis(json_t *document, const struct profile *profile, size_t most)
{
    document_set(document, "lifetimes", lifetimes(profile->image));
    document_set(document, "functions", top(profile, TOP_FUNCTION, most));
    document_set(document, "operations", top(profile, TOP_OPERATION, most));
    document_set(document, "threads_by_name", top(profile, TOP_THREAD, most));
    add_slack(json_object_get(document, "size_classes"), profile);
}
