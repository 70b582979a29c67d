/*
 * presets - options of the library that belong together: for development, production, builds
 *
 * Does not own: thresholds of alerts, which have presets of their own (configuration.h).
 */
#ifndef PRESETS_H
#define PRESETS_H

#include <stdbool.h>

/* "dev", "prod", "ci"; false: there is none of that name. */
bool preset_is_known(const char *name);

/* Sets what the environment does not say already. */
void preset_apply(const char *name);

#endif
