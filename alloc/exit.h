/*
 * exit - the ends of a process that the C library does not tell us of
 */
#ifndef EXIT_H
#define EXIT_H

/* What the program wrote to stdout by stdio and is not written yet, if nobody is at it. */
void exit_flush(void);

#endif
