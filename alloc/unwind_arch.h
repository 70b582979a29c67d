/*
 * unwind_arch - what the unwinder must know of the processor
 *
 * Each processor has a header with: the numbers of its registers, reading them here and
 * from a signal's context, how a return address is cleaned, what a call and a return from
 * a signal look like.
 */
#ifndef UNWIND_ARCH_H
#define UNWIND_ARCH_H

#if defined(__x86_64__)
#    include "unwind_x86_64.h"
#    define UNWIND_PC UNWIND_RA
#elif defined(__aarch64__)
#    include "unwind_aarch64.h"
#else
#    error "the unwinder knows x86-64 and aarch64"
#endif

#endif
