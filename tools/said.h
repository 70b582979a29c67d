/*
 * said - lines for people about what went wrong: on standard error, or kept for who asks
 *
 * Owns: where they go. A verb of the command says them at once; a server, whose threads do the same
 * work for others, keeps the last one and answers with it; a library (guest.h) tells its program.
 */
#ifndef SAID_H
#define SAID_H

#include <stdarg.h>

struct said {
    char text[512]; /* the last line, without who said it; "": none */
};

/*
 * Lines of this thread go there from now on; NULL: to standard error. Returns where they went
 * before.
 */
struct said *said_keep(struct said *into);

/* "WHO: …" and the end of a line. What is kept has no WHO. */
__attribute__((format(printf, 2, 0))) void said_error(
    const char *who, const char *format, va_list args);

/* The same of what is no failure: nobody keeps it. */
__attribute__((format(printf, 2, 3))) void said_note(
    const char *who, const char *format, ...);

#endif
