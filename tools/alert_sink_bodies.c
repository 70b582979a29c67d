/*
 * alert_sink_bodies - what is sent by HTTP: to a webhook, and to Alertmanager (API v2)
 */
#include "alert_sink.h"
#include "document.h"
#include "format.h"
#include "must.h"

#include <string.h>
#include <unistd.h>

static char *print(json_t *value)
{
    char *text = must(json_dumps(value, JSON_COMPACT));

    json_decref(value);
    return text;
}

char *sink_webhook_body(const struct alert_notice *n)
{
    json_t *d = document_new("alerts");
    json_t *list = must(json_array());

    document_append(list, alert_notice_json(n));
    document_set(d, "alerts", list);
    return print(d);
}

/* ---- Alertmanager ---- */

static json_t *make_labels(const struct alert_sink *s, const struct alert_notice *n)
{
    json_t *labels = must(json_object());
    char host[256] = "";
    char pid[32];

    gethostname(host, sizeof(host) - 1);
    snprintf(pid, sizeof(pid), "%llu", (unsigned long long)n->process.pid);
    document_set_text(labels, "alertname", n->name);
    document_set_text(labels, "severity", mp_severity_name(n->severity));
    document_set_text(labels, "process", n->process.id);
    document_set_text(labels, "pid", pid);
    document_set_text(labels, "program", n->process.name);
    document_set_text(labels, "instance", host);
    for (size_t i = 0; i < s->of->labels.count; i++) {
        document_set_text(labels, s->of->labels.at[i].key, s->of->labels.at[i].value);
    }
    return labels;
}

static json_t *make_alert(
    const struct alert_sink *s, const struct sink_active *a, uint64_t now_ns)
{
    const struct alert_notice *n = &a->notice;
    json_t *o = must(json_object());
    json_t *annotations = must(json_object());
    const char *text = mp_alert_rule_text(n->name);
    char runbook[512];
    char address[512];

    document_set_text(annotations, "summary", text[0] != '\0' ? text : n->text);
    document_set_text(annotations, "description", n->text);
    alert_runbook(n->name, runbook, sizeof(runbook));
    if (runbook[0] != '\0') {
        document_set_text(annotations, "runbook", runbook);
    }
    document_set(o, "labels", make_labels(s, n));
    document_set(o, "annotations", annotations);
    document_set_time(o, "startsAt", n->fired_ns);
    /* Without a word for so long it is over, if nobody is there to say so. */
    document_set_time(o, "endsAt",
        a->is_ended ? a->ended_ns : now_ns + 4 * (uint64_t)SINK_RESEND_MS * 1000000u);
    snprintf(address, sizeof(address), "http://%s/processes/%s",
        s->config->serve.listen, n->process.id);
    document_set_text(o, "generatorURL", address);
    return o;
}

char *sink_alertmanager_body(const struct alert_sink *s,
    const struct sink_active *active, size_t count, uint64_t now_ns)
{
    json_t *list = must(json_array());

    for (size_t i = 0; i < count; i++) {
        document_append(list, make_alert(s, &active[i], now_ns));
    }
    return print(list);
}
