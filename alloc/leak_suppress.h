/*
 * leak_suppress - a file of leaks that nobody wants to hear of
 *
 * Owns: the rules, read from a file in the form of LeakSanitizer or of valgrind, or both:
 *
 *     leak:PATTERN          some function or module of the stack has PATTERN in its name; * is
 *                           any text, ^ and $ stand for the ends
 *     {                     valgrind's, of the kind Leak: from the innermost frame on, function
 *        a name             names or modules, with * and ?; ... is any number of frames
 *        Memcheck:Leak
 *        match-leak-kinds: definite,possible
 *        fun:make_it
 *        obj:*lib*.so
 *        ...
 *     }
 *
 * Lines that begin with # are comments. Rules for other tools and kinds are passed over.
 */
#ifndef LEAK_SUPPRESS_H
#define LEAK_SUPPRESS_H

#include <stdbool.h>
#include <stddef.h>

/* False: it cannot be read, or not understood: one line on stderr says where and why. */
bool leak_suppress_read(const char *path);

/* A frame of a stack, as text; "": not known. */
struct leak_frame {
    const char *function;
    const char *module;
};

/* Whether definitely lost blocks of that stack, the innermost frame first, are suppressed. */
bool leak_suppress_match(const struct leak_frame *frames, size_t count);

#endif
