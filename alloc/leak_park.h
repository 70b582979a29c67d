/*
 * leak_park - the threads of the process stand still for a moment, and show their registers
 *
 * Owns: finding them (/proc/self/task), the signal that stops them, what is known of each.
 *
 * A thread that gets the signal leaves its registers in its slot and waits on a futex in the
 * handler, until it is let go. Threads that were made meanwhile are found by looking again, until
 * there is none that is not parked. Those that cannot be had in time go on and are counted: all
 * signals blocked, in a system call that nothing interrupts, or no processor for them. The signal
 * is a real-time one that the program does not use; afterwards it is what it was.
 *
 * Between begin and end the caller must wait for nothing that another thread may hold.
 */
#ifndef LEAK_PARK_H
#define LEAK_PARK_H

#include "unwind.h"

#include <stdbool.h>

struct leak_thread {
    uint64_t id;
    uint32_t state;    /* atomic; leak_park.c */
    uint32_t refusals; /* how often it was seen that it cannot come */
    uint32_t deep;     /* and that nothing wakes it */
    uint64_t
        cpu_ns; /* that it had when it first was seen to run and not to come; 0: never */
    uintptr_t pointer; /* thread_pointer() */
    uintptr_t frame;   /* where the handler's data begins on some stack; 0: none */
    uintptr_t stack;   /* what it used: from here on, to the end of the mapping */
    uintptr_t reg[UNWIND_REGS];
};

/*
 * All but the caller, whose registers were `here` when it began. most_ms: to wait, in all.
 * 0: they stand, but for leak_park_missed of them. Else a negative errno, and none does.
 */
int leak_park_begin(const struct unwind_context *here, uint32_t most_ms);
void leak_park_end(void);

/* Those that stand, and the caller. */
size_t leak_park_count(void);
const struct leak_thread *leak_park_thread(size_t i); /* NULL: it does not stand */
size_t leak_park_missed(void);

/* The memory of all this. */
const void *leak_park_memory(size_t *ret_bytes);

#endif
