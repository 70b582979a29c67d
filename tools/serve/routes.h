/*
 * routes - all that can be asked: the tables of the parts, joined
 */
#ifndef ROUTES_H
#define ROUTES_H

#include "http.h"

/* Ends with NULL; the first pattern that fits is taken. */
extern const struct route *const routes[];

#endif
