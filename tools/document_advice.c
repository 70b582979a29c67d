#include "document_advice.h"

#include "advice.h"
#include "document.h"
#include "must.h"

static json_t *item(const struct advice_item *i)
{
    const struct mp_finding *f = i->finding;
    json_t *o = must(json_object());
    json_t *evidence = must(json_array());

    document_set(o, "code", document_string(mp_finding_name(f->code)));
    document_set(o, "text", document_string(mp_finding_text(f->code)));
    document_set(o, "unit", document_string(mp_gain_unit_name(f->unit)));
    document_set(
        o, "gain", f->unit != MP_GAIN_NONE ? document_estimate(&f->gain) : json_null());
    /* A growth is a share of nothing: its order comes from what it is in a day. */
    document_set(o, "share",
        f->unit != MP_GAIN_BYTES_PER_HOUR ? document_number(f->share) : json_null());
    document_set(
        o, "component", f->has_component ? document_string(i->component) : json_null());
    for (unsigned k = 0; k < f->line_count; k++) {
        document_append(evidence, document_string(f->line[k]));
    }
    document_set(o, "evidence", evidence);
    document_set(o, "frames", document_frames(i->frames, i->depth));
    return o;
}

static json_t *efficiency(const struct mp_efficiency *e)
{
    json_t *o = must(json_object());

    document_set(o, "ratio", document_number(e->ratio));
    document_set(o, "requested_bytes", document_estimate(&e->requested));
    document_set(o, "slack_bytes", document_estimate(&e->slack));
    document_set_bytes(o, "free_bytes", e->free_bytes);
    document_set_bytes(o, "metadata_bytes", e->metadata_bytes);
    document_set_bytes(o, "heap_bytes", e->heap_bytes);
    return o;
}

void document_add_advice(json_t *document, const mp_image_t *image)
{
    struct advice *a = advice_create(image, NULL);
    json_t *all = must(json_array());

    for (size_t i = 0; i < a->count; i++) {
        document_append(all, item(&a->all[i]));
    }
    document_set(document, "efficiency", efficiency(&a->efficiency));
    document_set(document, "advice", all);
    advice_destroy(a);
}
