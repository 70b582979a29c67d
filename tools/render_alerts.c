#include "render_alerts.h"

#include "format.h"
#include "report_alerts.h"
#include "view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum style style_of(const struct alert_notice *n)
{
    return n->state != MP_ALERT_FIRING           ? STYLE_DIM
           : n->severity == MP_SEVERITY_CRITICAL ? STYLE_RED
           : n->severity == MP_SEVERITY_WARNING  ? STYLE_YELLOW
                                                 : STYLE_CYAN;
}

static double since(uint64_t then_ns)
{
    uint64_t now_ns = view_now_ns();

    return now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0;
}

/* "for 6 min", "since now", "2 min ago". */
static const char *when(const struct alert_notice *n, char *ret, size_t size)
{
    if (n->state == MP_ALERT_FIRING) {
        snprintf(ret, size, "for %s", format_seconds(since(n->fired_ns)).text);
    } else if (n->state == MP_ALERT_RESOLVED) {
        snprintf(ret, size, "%s ago", format_seconds(since(n->resolved_ns)).text);
    } else if (n->state == MP_ALERT_PENDING && since(n->since_ns) < 1) {
        snprintf(ret, size, "since now");
    } else if (n->state == MP_ALERT_PENDING) {
        snprintf(ret, size, "since %s", format_seconds(since(n->since_ns)).text);
    } else {
        ret[0] = '\0';
    }
    return ret;
}

static void render_one(FILE *out, const struct alert_notice *n)
{
    char text[64];

    fprintf(out, "  %s%-8s %-8s%s  %-28s  %-14s  %s%s%s\n", format_begin(style_of(n)),
        n->state == MP_ALERT_INACTIVE ? "" : mp_severity_name(n->severity),
        mp_alert_state_name(n->state), format_end(), n->name,
        when(n, text, sizeof(text)), n->text,
        n->silenced_by[0] != '\0' ? "; silent because of " : "", n->silenced_by);
}

void render_alerts(
    FILE *out, const struct alert_notice *list, size_t count, size_t processes)
{
    size_t firing = 0;
    size_t pending = 0;

    for (size_t i = 0; i < count; i++) {
        bool is_first = true;

        firing += list[i].state == MP_ALERT_FIRING;
        pending += list[i].state == MP_ALERT_PENDING;
        for (size_t k = 0; k < i; k++) {
            is_first &= strcmp(list[k].process.id, list[i].process.id) != 0;
        }
        if (!is_first) {
            continue; /* it stands below the process already */
        }
        fprintf(out, "%s%llu %s%s\n", format_begin(STYLE_BOLD),
            (unsigned long long)list[i].process.pid, list[i].process.name,
            format_end());
        for (size_t k = i; k < count; k++) {
            if (strcmp(list[k].process.id, list[i].process.id) == 0) {
                render_one(out, &list[k]);
            }
        }
    }
    fprintf(out, "%s%zu of %zu %s fire, %zu wait\n", count > 0 ? "\n" : "", firing,
        processes, processes == 1 ? "process" : "processes", pending);
}

void render_alert_event(FILE *out, const struct alert_notice *n, uint64_t now_ns)
{
    fprintf(out, "%s  %s%-8s %-8s%s  %s  %llu %s: %s\n", format_time(now_ns).text,
        format_begin(style_of(n)), mp_severity_name(n->severity),
        mp_alert_state_name(n->state), format_end(), n->name,
        (unsigned long long)n->process.pid, n->process.name, n->text);
}

static const char *duration(double seconds, char *ret, size_t size)
{
    snprintf(ret, size, "%s", seconds > 0 ? format_seconds(seconds).text : "at once");
    return ret;
}

void render_rules(FILE *out, const struct config *config)
{
    fprintf(out, "preset %s, %s\n\n  %-28s  %-8s  %-18s  %-16s  %-10s  %s\n",
        mp_preset_name(config->preset),
        config->path != NULL ? config->path : "no configuration file", "rule",
        "severity", "fires", "clears", "for", "what it means");
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct mp_alert_rule *r = &config->rules[i];
        char threshold[64];
        char clears[64];
        char text[64];

        mp_measure_format(r->measure, r->threshold, threshold, sizeof(threshold));
        mp_measure_format(r->measure, r->clears, clears, sizeof(clears));
        fprintf(out, "  %-28s  %-8s  %s %-12s  %-16s  %-10s  %s%s\n", r->name,
            r->is_enabled ? mp_severity_name(r->severity) : "off",
            r->is_below ? "below" : "above", threshold, clears,
            duration(r->for_s, text, sizeof(text)),
            mp_alert_rule_text(r->name)[0] != '\0' ? mp_alert_rule_text(r->name)
                                                   : "of: ",
            mp_alert_rule_text(r->name)[0] != '\0' ? "" : mp_measure_text(r->measure));
    }
}

void render_report_alerts(FILE *out, const mp_image_t *image)
{
    size_t count;
    struct alert_notice *list = report_alerts_make(image, &count);

    if (count > 0) {
        fprintf(out, "\n%sAlerts%s\n", format_begin(STYLE_BOLD), format_end());
    }
    for (size_t i = 0; i < count; i++) {
        render_one(out, &list[i]);
    }
    free(list);
}
