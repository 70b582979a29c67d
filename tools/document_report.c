#include "document_report.h"

#include "document.h"
#include "document_advice.h"
#include "document_alerts.h"
#include "document_stacks.h"

json_t *document_snapshot(const mp_image_t *image)
{
    json_t *d = document_new("snapshot");

    document_add_snapshot(d, image);
    return d;
}

json_t *document_report(const mp_image_t *image, size_t stacks)
{
    json_t *d = document_new("report");

    document_add_snapshot(d, image);
    document_add_history(d, image);
    document_add_stacks(d, image, stacks);
    document_add_advice(d, image);
    document_add_alerts(d, image);
    return d;
}
