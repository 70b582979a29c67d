#include "document_baselines.h"

#include "document.h"
#include "must.h"

#include <string.h>

json_t *document_baselines(
    const struct baseline *all, size_t count, const char *program)
{
    json_t *d = document_new("baseline");
    json_t *list = must(json_array());

    for (size_t i = 0; i < count; i++) {
        json_t *o;

        if (program != NULL && strcmp(all[i].program, program) != 0) {
            continue;
        }
        o = must(json_object());
        document_set_text(o, "name", all[i].name);
        document_set_text(o, "label", all[i].label);
        document_set_text(o, "build_id", all[i].build_id);
        document_set_text(o, "program", all[i].program);
        document_set_time(o, "made", (uint64_t)all[i].made_s * 1000000000u);
        document_set_bytes(o, "live_bytes", all[i].live_bytes);
        document_set_bytes(o, "kept_bytes", all[i].kept_bytes);
        document_append(list, o);
    }
    document_set(d, "baselines", list);
    return d;
}
