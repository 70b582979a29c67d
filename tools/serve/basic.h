/*
 * basic - /healthz, /readyz
 */
#ifndef BASIC_H
#define BASIC_H

#include "http.h"

extern const struct route basic_routes[];

#endif
