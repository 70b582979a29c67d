/*
 * running - a server in the foreground, until a signal ends it
 *
 * Owns: the signals, and what systemd is told.
 */
#ifndef RUNNING_H
#define RUNNING_H

#include "serve.h"

/* Before serve_start: threads are not to take the signals. */
void running_prepare(void);

/* SIGTERM and SIGINT end it, SIGHUP calls `reload`. Stops the server. */
void running_until_end(
    struct serve *s, void (*reload)(struct serve *s, void *arg), void *arg);

#endif
