#include "document_ps.h"

#include "document.h"
#include "must.h"

json_t *document_ps_row(const mp_image_t *image, uint64_t resident_bytes)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    json_t *o = document_process(image);

    document_set_bytes(o, "live_bytes", t->live_bytes);
    document_set_bytes(o, "live_blocks", t->live_blocks);
    document_set_bytes(o, "live_peak_bytes", t->live_peak_bytes);
    document_set_bytes(o, "rss_bytes", resident_bytes);
    document_set_bytes(o, "threads", t->threads);
    return o;
}

json_t *document_ps_damaged(const char *path, const char *error)
{
    json_t *o = must(json_object());

    document_set_text(o, "state", "damaged");
    document_set_text(o, "region", path);
    document_set_text(o, "error", error);
    return o;
}
