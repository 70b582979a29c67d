/*
 * workers - threads that run the handlers of requests
 *
 * Owns: a bounded number of threads, made when they are needed, and two queues: what is answered at
 * once, and what may take long (names of functions, waiting for a process). Slow work never takes
 * all threads, so a scrape waits for no report.
 */
#ifndef WORKERS_H
#define WORKERS_H

#include <stdbool.h>
#include <stddef.h>

struct workers;
struct job {
    struct job *next;
    void (*run)(struct job *job);
};

/* Ends the process without memory. */
struct workers *workers_create(void);

/* False: there is too much to do already. */
bool workers_add(struct workers *w, struct job *job, bool is_quick);

/*
 * Around a wait within a job: others may take its place meanwhile. False: this is no worker, or too
 * many wait already; then it keeps its place, and workers_go_on must not be called.
 */
bool workers_pause(void);
void workers_go_on(void);

/* Jobs that wait or run. */
size_t workers_busy(struct workers *w);

/* After all jobs are done: ends the threads. */
void workers_destroy(struct workers *w);

#endif
