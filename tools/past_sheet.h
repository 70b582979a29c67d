/*
 * past_sheet - what a process was for some time, as a sheet: mpalloc report --since, md and html
 */
#ifndef PAST_SHEET_H
#define PAST_SHEET_H

#include "past.h"
#include "sheet.h"

/* For sheet_destroy. Of a past with points. Ends the tool without memory. */
struct sheet *past_sheet_create(const struct past *p);

#endif
