/*
 * check - what must hold, and how a violation is said
 *
 * Messages go to file descriptor 2 by write(2), from a buffer on the stack: no
 * allocation, no stdio, no lock. Callable in any state of the allocator.
 */
#ifndef CHECK_H
#define CHECK_H

#include "attr.h"
#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A tiny formatter for messages and small texts: %s %c %d %u %zu %lu %p %x %% only (no
 * width, no precision). Always terminates; returns the length that was written.
 */
size_t check_format(char *buffer, size_t size, const char *format, ...)
    PRINTF_LIKE(3, 4);

/*
 * From the constructor: what file descriptor 2 is now. A program that closes it may find a
 * file of its own there later, into which no message must go.
 */
void check_remember_stderr(void);
/* Text on file descriptor 2, as it is. Keeps errno. */
void check_write(const char *text, size_t bytes) COLD;

/* One line on file descriptor 2, "mpalloc: " before and a newline behind it. */
void check_say(const char *format, ...) PRINTF_LIKE(1, 2) COLD;

/*
 * The same, then the call stack, then abort(). Of threads that die at once the first one
 * speaks.
 */
NORETURN void check_die(const char *format, ...) PRINTF_LIKE(1, 2) COLD;

/*
 * For whoever says more than one line before the end. True: this thread is the first to die,
 * and may speak. A second one waits here, as the process is about to end; then false.
 */
bool check_begin_death(void);

/* The call stack, and abort(). */
NORETURN void check_end(void) COLD;

/* What check_die says below its message: from above, trace.c. */
void check_explain(void);

NORETURN void check_failed(const char *what, const char *file, int line) COLD;

/* Always on: heap corruption and misuse. */
#define CHECK(x) (LIKELY(x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))

/* One target of the tests is built checked whatever the options are. */
#ifdef ALLOC_CHECKED
#    define DEBUG_CHECKS 1
#else
#    define DEBUG_CHECKS CONFIG_DEBUG
#endif

/* Only with -Ddebug_checks=true, compiled in every build. */
#define ASSERT(x)                                                                      \
    ((!DEBUG_CHECKS || LIKELY(x)) ? (void)0 : check_failed(#x, __FILE__, __LINE__))

#endif
