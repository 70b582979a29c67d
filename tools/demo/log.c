#include "log.h"

#include "memory.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 1024 };

struct log {
    pthread_mutex_t lock;
    unsigned count; /* ever added */
    char *line[LINES];
};

struct log *log_create(void)
{
    MP_SCOPE("log");
    struct log *l = memory_take(sizeof(*l));

    memset(l, 0, sizeof(*l));
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void log_add(struct log *l, const char *format, ...)
{
    MP_SCOPE("log");
    char *line = NULL;
    char **slot;
    va_list args;

    va_start(args, format);
    if (vasprintf(&line, format, args) < 0) {
        line = NULL;
    }
    va_end(args);
    pthread_mutex_lock(&l->lock);
    slot = &l->line[l->count++ % LINES];
    free(*slot);
    *slot = line;
    pthread_mutex_unlock(&l->lock);
}

void log_destroy(struct log *l)
{
    for (unsigned i = 0; i < LINES; i++) {
        free(l->line[i]);
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}
