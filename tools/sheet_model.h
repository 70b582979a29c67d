/*
 * sheet_model - the blocks of a sheet, for the formats that write them
 */
#ifndef SHEET_MODEL_H
#define SHEET_MODEL_H

#include "sheet.h"

enum sheet_kind {
    SHEET_HEADING,
    SHEET_TITLE,
    SHEET_LINE,
    SHEET_POINT,
    SHEET_CODE,
    SHEET_FOLD,
    SHEET_UNFOLD,
    SHEET_TABLE,
    SHEET_BAR,
    SHEET_CHART
};

struct sheet_item {
    char *text; /* of a column, a cell, a part */
    char *more; /* of a part: its value */
    enum sheet_align align;
    double x; /* of a point; of a part its value */
    double y;
};

struct sheet_block {
    enum sheet_kind kind;
    char *text;
    char *most; /* of a chart */
    char *first;
    char *last;
    size_t column_count; /* of a table: the first items are columns, the rest cells */
    size_t count;
    size_t room;
    struct sheet_item *items;
};

struct sheet {
    char *title;
    size_t count;
    size_t room;
    struct sheet_block *blocks;
};

#endif
