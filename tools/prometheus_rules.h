/*
 * prometheus_rules - alert rules as Prometheus has them
 *
 * Owns: how each measure of a rule is said in PromQL, the recorded series, and the rules about the
 * exporter, which only Prometheus can see. Does not own: names, thresholds and times of rules
 * (mpstats/alerts.h, configuration.h).
 */
#ifndef PROMETHEUS_RULES_H
#define PROMETHEUS_RULES_H

#include <mpstats.h>
#include <stdio.h>

struct prometheus_options {
    const char *job; /* of the scrape configuration */
    const char
        *runbook; /* address of the page; "#name" is added. NULL: of the exporter */
    unsigned interval_s; /* of evaluation */
};

/* A whole file; those that are not enabled, or cannot be said in PromQL, are left out. */
void prometheus_rules_write(FILE *out, const struct mp_alert_rule *rules, size_t count,
    const struct prometheus_options *options);

#endif
