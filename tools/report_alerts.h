/*
 * report_alerts - the alerts of a process that a report shows: those that fire
 */
#ifndef REPORT_ALERTS_H
#define REPORT_ALERTS_H

#include "alert_notice.h"

/*
 * By the configuration and the history that are there; a configuration that is wrong is said, and
 * built-in rules are taken. Nothing is written. The worst first; free it.
 */
struct alert_notice *report_alerts_make(const mp_image_t *image, size_t *ret_count);

#endif
