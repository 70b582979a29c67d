/*
 * arch - what is of the processor: the thread register, waiting, addresses
 *
 * Owns: every `#if` that names an instruction set; nothing else in alloc/ has one
 * (tests/check_layers.py). x86-64 and aarch64 are tested; others that have
 * __builtin_thread_pointer() should work.
 */
#ifndef ARCH_H
#define ARCH_H

#include "attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX <= UINT32_MAX
#    error "mpalloc needs addresses of 64 bits"
#endif

/* What two processors must not write to side by side. Also the unit of the arena. */
#define CACHE_LINE 64

/*
 * Have the address p in a register of its own: a load from [register + constant] right after
 * a store there is forwarded faster by many processors than one with an index.
 */
#define PLAIN_ADDRESS(p) __asm__("" : "+r"(p))

/*
 * Have the address p, not what it is the sum of, in a register or on the stack from here on: a
 * leak check that the next call begins must find it.
 */
#define HELD_ADDRESS(p) __asm__ volatile("" : "+r"(p))

/*
 * Address bits of a process, the most that a kernel may give it first: 47 on x86-64 and
 * where aarch64 has 48; aarch64 with 64 KiB pages may have 42, with small ones 39.
 */
#define ARCH_ADDRESS_BITS 47, 42, 39

/* In a loop that waits for another thread. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/*
 * A counter that rises evenly on all processors, whatever they do, and may be read by
 * programs. Whether this processor has one; the kernel may know better (os.h).
 */
static inline bool arch_has_ticks(void)
{
#if defined(__x86_64__)
    uint32_t a = 0x80000000u, b, c = 0, d;

    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (a < 0x80000007u) {
        return false;
    }
    a = 0x80000007u;
    c = 0;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (d & 1u << 8) != 0; /* invariant */
#elif defined(__aarch64__)
    return true;
#else
    return false;
#endif
}

static ALWAYS_INLINE uint64_t arch_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

/*
 * Valgrind: instructions that do nothing, but for programs that run under it. Without it, or on
 * processors that are not listed, the answer is 0.
 */
static inline uintptr_t arch_ask_valgrind(uintptr_t request, uintptr_t a, uintptr_t b)
{
    volatile uintptr_t words[6] = {request, a, b, 0, 0, 0};
    uintptr_t answer = 0;

#if defined(__x86_64__)
    __asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\t"
                     "rolq $51, %%rdi\n\txchgq %%rbx, %%rbx"
                     : "+d"(answer)
                     : "a"(words)
                     : "cc", "memory");
#elif defined(__aarch64__)
    register volatile uintptr_t *x4 __asm__("x4") = words;
    register uintptr_t x3 __asm__("x3") = 0;

    __asm__ volatile("ror x12, x12, #3\n\tror x12, x12, #13\n\tror x12, x12, #51\n\t"
                     "ror x12, x12, #61\n\torr x10, x10, x10"
                     : "+r"(x3)
                     : "r"(x4)
                     : "cc", "memory");
    answer = x3;
#else
    (void)words;
#endif
    return answer;
}

static inline bool arch_is_under_valgrind(void)
{
    return arch_ask_valgrind(0x1001, 0, 0) != 0;
}

/* What its checker of memory is to think of these bytes. */
enum arch_valgrind_memory {
    ARCH_VALGRIND_NO_ACCESS = 0x4d430000,
    ARCH_VALGRIND_UNDEFINED = 0x4d430001,
    ARCH_VALGRIND_DEFINED = 0x4d430002,
};

static inline void arch_tell_valgrind(
    enum arch_valgrind_memory how, const void *p, size_t bytes)
{
    arch_ask_valgrind(how, (uintptr_t)p, bytes);
}

/*
 * The address of this thread's control block: what tells threads apart in the fast path.
 * One load from the thread register, valid from the first instruction of a thread to its
 * last, without any initialisation.
 */
static ALWAYS_INLINE uintptr_t thread_pointer(void)
{
    uintptr_t tp;

#if defined(__x86_64__)
    __asm__("mov %%fs:0, %0" : "=r"(tp));
#elif defined(__aarch64__)
    __asm__("mrs %0, tpidr_el0" : "=r"(tp));
#else
    tp = (uintptr_t)__builtin_thread_pointer();
#endif
    return tp;
}

#endif
