/*
 * verdict - the names of what mpstats.h says about leaks; the rest of it is verdict.c's
 */
#ifndef VERDICT_H
#define VERDICT_H

#include <mpstats.h>

#endif
