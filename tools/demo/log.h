/*
 * log - the last 1,024 lines, in memory (component `log`)
 *
 * Any thread may call.
 */
#ifndef DEMO_LOG_H
#define DEMO_LOG_H

struct log;

struct log *log_create(void);
void log_add(struct log *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void log_destroy(struct log *l);

#endif
