/*
 * trace - a call stack as text, on file descriptor 2
 *
 * One line a frame, in the form that addr2line and kin understand:
 *
 *     #0 /usr/bin/program+0x1149
 *
 * The offset is the address in the file: of the call, not of where it returns to. By
 * write(2) alone: no allocation, no lock, in any state, on a stack of 16 KiB.
 */
#ifndef TRACE_H
#define TRACE_H

#include "unwind.h"

enum { TRACE_MOST = 64 };

/* Lines of frames that were walked. */
void trace_print(const uintptr_t *pcs, size_t count, const struct unwind_info *info);

/* Lines of this thread's stack. */
void trace_print_here(void);

#endif
