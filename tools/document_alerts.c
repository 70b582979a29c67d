#include "document_alerts.h"

#include "document.h"
#include "must.h"
#include "report_alerts.h"

json_t *document_alerts(const struct alert_notice *list, size_t count)
{
    json_t *d = document_new("alerts");
    json_t *all = must(json_array());

    for (size_t i = 0; i < count; i++) {
        document_append(all, alert_notice_json(&list[i]));
    }
    document_set(d, "alerts", all);
    return d;
}

static json_t *make_rule(const struct mp_alert_rule *r)
{
    json_t *o = must(json_object());
    char runbook[512];

    document_set_text(o, "name", r->name);
    document_set_text(o, "measure", mp_measure_name(r->measure));
    document_set_text(o, "fires", r->is_below ? "below" : "above");
    document_set(o, "threshold", document_number(r->threshold));
    document_set(o, "clears", document_number(r->clears));
    document_set(o, "for_seconds", document_number(r->for_s));
    document_set(o, "over_seconds",
        mp_measure_has_window(r->measure) ? document_number(r->over_s) : json_null());
    document_set(o, "minimum_bytes", document_number(r->minimum));
    document_set_text(o, "severity", mp_severity_name(r->severity));
    document_set(o, "enabled", json_boolean(r->is_enabled));
    document_set_text(o, "text", mp_alert_rule_text(r->name));
    alert_runbook(r->name, runbook, sizeof(runbook));
    document_set(o, "runbook", runbook[0] != '\0' ? json_string(runbook) : json_null());
    return o;
}

json_t *document_rules(const struct config *config)
{
    json_t *d = document_new("alert_rules");
    json_t *all = must(json_array());

    document_set_text(d, "preset", mp_preset_name(config->preset));
    document_set(
        d, "config", config->path != NULL ? json_string(config->path) : json_null());
    for (size_t i = 0; i < config->rule_count; i++) {
        document_append(all, make_rule(&config->rules[i]));
    }
    document_set(d, "rules", all);
    return d;
}

void document_add_alerts(json_t *document, const mp_image_t *image)
{
    size_t count;
    struct alert_notice *list = report_alerts_make(image, &count);
    json_t *all = must(json_array());

    for (size_t i = 0; i < count; i++) {
        document_append(all, alert_notice_json(&list[i]));
    }
    document_set(document, "alerts", all);
    free(list);
}
