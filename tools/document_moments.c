#include "document_moments.h"

#include "document.h"
#include "must.h"

json_t *document_moments(
    const mp_image_t *image, const struct moment *all, size_t count)
{
    json_t *d = document_new("moments");
    json_t *list = must(json_array());

    for (size_t i = 0; i < count; i++) {
        json_t *o = must(json_object());

        document_set_time(o, "time", (uint64_t)all[i].time_s * 1000000000u);
        document_set_bytes(o, "live_bytes", all[i].live_bytes);
        document_set_bytes(o, "kept_bytes", all[i].kept_bytes);
        document_append(list, o);
    }
    document_set(d, "process", document_process(image));
    document_set(d, "moments", list);
    return d;
}
