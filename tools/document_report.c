#include "document_report.h"

#include "document.h"
#include "document_advice.h"
#include "document_alerts.h"
#include "document_analysis.h"
#include "document_stacks.h"

json_t *document_snapshot(const mp_image_t *image)
{
    json_t *d = document_new("snapshot");

    document_add_snapshot(d, image);
    return d;
}

json_t *document_report(const mp_image_t *image, size_t stacks)
{
    struct profile *profile = profile_create(image);
    json_t *d = document_new("report");

    document_add_snapshot(d, image);
    document_add_history(d, image);
    document_add_stacks(d, profile, stacks);
    document_add_analysis(d, profile, stacks);
    document_add_advice(d, image);
    document_add_alerts(d, image);
    profile_destroy(profile);
    return d;
}
