/*
 * document_alerts - JSON of mpalloc alerts: schemas/alerts.json, schemas/alert_rules.json
 */
#ifndef DOCUMENT_ALERTS_H
#define DOCUMENT_ALERTS_H

#include "alert_notice.h"

json_t *document_alerts(const struct alert_notice *list, size_t count);
json_t *document_rules(const struct config *config);

/* {"alerts": […]} of a report: those that fire now. */
void document_add_alerts(json_t *document, const mp_image_t *image);

#endif
