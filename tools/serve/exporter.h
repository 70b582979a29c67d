/*
 * exporter - the figures of mpalloc serve itself, beside those of the processes
 */
#ifndef EXPORTER_H
#define EXPORTER_H

#include "metrics.h"

struct exporter_counts {
    uint64_t scrapes_total;
    uint64_t unreadable_total; /* regions, at each scrape */
    double scrape_seconds;     /* of the last one: this one */
    double scrape_seconds_total;
};

/* Everything but the list may be NULL where it is not known. */
void exporter_write(const struct fleet_list *list, const struct exporter_counts *counts,
    const struct insights_ends *ends, const struct insights_cost *cost,
    const struct metrics_server *server, struct metric_text *text);

#endif
