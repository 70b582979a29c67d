#include "export.h"

#include "metric_text.h"

#include <stdlib.h>

/* OpenMetrics 1.0 text: all that the table of metrics has of one process. */

int export_openmetrics(FILE *out, const struct profile *p, enum profile_value value)
{
    const struct mp_region_process *process = mp_image_process(p->image);
    struct metric_options options = {
        .components = MP_REGION_COMPONENT_ROWS, .size_classes = true, .all = true};
    struct metric_text text = {.form = METRIC_OPENMETRICS};
    struct metric_source source;
    struct mp_proc kernel;
    char name[4 * MP_REGION_NAME_BYTES + 1];
    char pid[24];
    bool is_running = mp_image_life(p->image) == MP_LIFE_RUNNING
                      && mp_proc_read(process->pid, &kernel) == 0;

    (void)value; /* it has them all */
    mp_text_escape(name, sizeof(name), process->service, sizeof(process->service));
    snprintf(pid, sizeof(pid), "%llu", (unsigned long long)process->pid);
    metric_source_make(
        &source, p->image, is_running ? &kernel : NULL, NULL, &options, NULL);
    source.name = name;
    source.pid = pid;
    metric_text_one(&text, &source);
    metric_text_end(&text);
    fwrite(text.data, 1, text.count, out);
    free(text.data);
    return 0;
}
