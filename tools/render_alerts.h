/*
 * render_alerts - mpalloc alerts as text
 */
#ifndef RENDER_ALERTS_H
#define RENDER_ALERTS_H

#include "alert_notice.h"

#include <stdio.h>

/* processes: how many were looked at. */
void render_alerts(
    FILE *out, const struct alert_notice *list, size_t count, size_t processes);

/* One line of a change. */
void render_alert_event(FILE *out, const struct alert_notice *n, uint64_t now_ns);
void render_rules(FILE *out, const struct config *config);

/* The section of a report. */
void render_report_alerts(FILE *out, const mp_image_t *image);

#endif
