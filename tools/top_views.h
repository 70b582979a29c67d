/*
 * top_views - what mpalloc top shows besides tables: the ledger, leaks, advice, alerts, as text
 *
 * Owns: when each is made anew (what rests on stacks takes long), and the rules of alerts with what
 * they remember. Does not own: where it is drawn (top_screen.c, top_plain.c).
 */
#ifndef TOP_VIEWS_H
#define TOP_VIEWS_H

#include "top.h"

struct top_views;

struct top_views *top_views_create(void);
void top_views_destroy(struct top_views *v); /* NULL: nothing */

/* A view that is text: its table is none of components and classes. */
bool top_is_text(enum top_table table);

/*
 * The text of a view, whole lines of any length; it lives until the next call. What is at most so
 * old is not made again: the ledger 1 s, what rests on stacks 5 s, and 20 times as long as it took.
 */
const char *top_views_text(
    struct top_views *v, const struct top *top, enum top_table table);

#endif
