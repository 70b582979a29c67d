/*
 * report_analysis - what a report says of waste, churn, moves, lifetimes and large blocks
 *
 * The same tables stand in a report as text, Markdown and HTML. Does not own: the figures
 * (analysis.h, stacks.h, tops.h), formats (sheet.h).
 */
#ifndef REPORT_ANALYSIS_H
#define REPORT_ANALYSIS_H

#include "sheet.h"
#include "stacks.h"

/* Size classes: live, slack in blocks, free blocks, allocated. */
void report_analysis_classes(struct sheet *s, const struct profile *p, size_t rows);

/*
 * Of stacks: waste with its reason, churn, short-lived blocks, what realloc moves, large blocks;
 * of all: how long blocks lived. Each where there is anything to say.
 */
void report_analysis_stacks(
    struct sheet *s, const struct profile *p, const struct stacks *stacks, size_t rows);

/* The functions, operations and threads that allocate most; the last two where there are some. */
void report_analysis_tops(struct sheet *s, const struct profile *p, size_t rows);

/* One cell, in words: "malloc_it ← parse ← main", at most four functions. */
void report_analysis_stack_cell(
    struct sheet *s, const struct profile *p, const struct stack *k);

#endif
