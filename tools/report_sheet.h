/*
 * report_sheet - a report as a sheet: what mpalloc report writes as Markdown and HTML
 *
 * Does not own: formats (sheet.h), the report for terminals (render.h).
 */
#ifndef REPORT_SHEET_H
#define REPORT_SHEET_H

#include "sheet.h"

#include <mpstats.h>

/* rows: of tables, at most. sheet_destroy ends it. Ends the process without memory. */
struct sheet *report_sheet_create(const mp_image_t *image, size_t rows);

#endif
