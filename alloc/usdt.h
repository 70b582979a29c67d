/*
 * usdt - static probes: places where a tracer may stop by, and cost nothing otherwise
 *
 * The notes that SystemTap's format wants (section .note.stapsdt; readelf -n shows them), and
 * a counter for each probe that whoever listens raises: nobody computes what nobody reads.
 * The names and arguments are those of OpenTelemetry's profiler for memory:
 *
 *     otel_memory:alloc  (block, bytes, weighted bytes)   a sampled allocation
 *     otel_memory:free   (block)                          the same block is freed
 *
 * weighted / bytes is how many blocks the sample stands for.
 */
#ifndef USDT_H
#define USDT_H

#include "attr.h"

#include <stdint.h>

#if defined(__ELF__) && (defined(__x86_64__) || defined(__aarch64__))
#    define USDT 1
#else
#    define USDT 0
#endif

#if USDT

extern HIDDEN uint16_t usdt_alloc_listeners;
extern HIDDEN uint16_t usdt_free_listeners;

/* A nop, and the note that says where it is and where its arguments are. */
#    define USDT_PROBE(name, listeners, arguments, ...)                                \
        __asm__ volatile("990: nop\n"                                                  \
                         ".pushsection .note.stapsdt, \"\", \"note\"\n"                \
                         ".balign 4\n"                                                 \
                         ".4byte 992f - 991f, 994f - 993f, 3\n"                        \
                         "991: .asciz \"stapsdt\"\n"                                   \
                         "992: .balign 4\n"                                            \
                         "993: .8byte 990b\n"                                          \
                         ".8byte _.stapsdt.base\n"                                     \
                         ".8byte " listeners "\n"                                      \
                         ".asciz \"otel_memory\"\n"                                    \
                         ".asciz \"" name "\"\n"                                       \
                         ".asciz \"" arguments "\"\n"                                  \
                         "994: .balign 4\n"                                            \
                         ".popsection\n"                                               \
                         ".ifndef _.stapsdt.base\n"                                    \
                         ".pushsection .stapsdt.base, \"aG\", \"progbits\", "          \
                         ".stapsdt.base, comdat\n"                                     \
                         ".weak _.stapsdt.base\n"                                      \
                         ".hidden _.stapsdt.base\n"                                    \
                         "_.stapsdt.base: .space 1\n"                                  \
                         ".size _.stapsdt.base, 1\n"                                   \
                         ".popsection\n"                                               \
                         ".endif\n"                                                    \
                         :                                                             \
                         : __VA_ARGS__)

static inline void usdt_alloc(const void *block, uint64_t bytes, double weight)
{
    if (UNLIKELY(*(volatile uint16_t *)&usdt_alloc_listeners != 0)) {
        uint64_t weighted = (uint64_t)((double)bytes * weight);

        USDT_PROBE("alloc", "usdt_alloc_listeners", "8@%0 8@%1 8@%2", "r"(block),
            "r"(bytes), "r"(weighted));
    }
}

static inline void usdt_free(const void *block)
{
    if (UNLIKELY(*(volatile uint16_t *)&usdt_free_listeners != 0)) {
        USDT_PROBE("free", "usdt_free_listeners", "8@%0", "r"(block));
    }
}

#else

static inline void usdt_alloc(const void *block, uint64_t bytes, double weight)
{
    (void)block;
    (void)bytes;
    (void)weight;
}

static inline void usdt_free(const void *block)
{
    (void)block;
}

#endif

#endif
