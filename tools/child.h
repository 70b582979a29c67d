/*
 * child - a program that the command runs, waits for and ends like
 *
 * Owns: the process and the signals that are passed on to it. One at a time.
 *
 * Signals of the terminal reach the group, and so the program, which is the one to answer;
 * those sent to the command alone are passed on.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
    pid_t pid;
    uint64_t start_ms;
    int status; /* as waitpid has it, after child_end */
};

/* Becomes the program; returns the exit code when that fails, after a line. */
int child_exec(const char *path, char **words);

/*
 * Starts it. With keep its region stays after a clean exit, but not those of its own
 * children. 0, or an exit code after a line.
 */
int child_start(struct child *c, const char *path, char **words, bool keep);

/*
 * Until it has ended, or for so many milliseconds after its start (0: without a limit). True:
 * it has ended, but is a zombie still, so nobody else can have its number.
 */
bool child_wait(const struct child *c, unsigned limit_ms);

/* SIGTERM, and SIGKILL when it runs on for so many milliseconds; waits for its end. */
void child_stop(const struct child *c, unsigned patience_ms);

/* Of the zombie: nothing is left of it. */
void child_end(struct child *c);

/* Dies of what it died of, without a second core file, or returns its exit code. */
int child_end_as(const struct child *c);

#endif
