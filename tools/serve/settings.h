/*
 * settings - the options of mpalloc serve: what the command line says, and the file where it does not
 *
 * Owns: the options of the verb, and the configurations that were read: texts of options point into
 * them, so each lives until the end.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "metrics.h"
#include "serve.h"

enum { SETTINGS_WORDS = 64 };

/* Of the command line; what is 0 or NULL was not given. */
struct settings {
    struct serve_options options; /* as a whole; made by settings_read */
    struct serve_options given;
    const char *hosts[SETTINGS_WORDS];
    const char *directories[SETTINGS_WORDS];
    const char *config_path;
    bool no_history;
    bool targets; /* --targets */
    struct metrics_options metrics;
    bool has_components; /* given: the file says nothing about it */
    bool has_sites;
    size_t config_count;
    struct config **configs; /* that were read, the last is in force */
    const char **all_hosts;  /* of both */
};

/* As if nothing was given. */
void settings_init(struct settings *s);

/* The same from a command line. Ends the process with a line when that is wrong. */
void settings_parse(struct settings *s, int argc, char **argv);

/*
 * Reads the file, and joins both. False: it is wrong, *code says how, and what was is as it was;
 * after a line.
 */
bool settings_read(struct settings *s, int *ret_code);
void settings_free(struct settings *s);

#endif
