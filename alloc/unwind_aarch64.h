/*
 * unwind_aarch64 - the registers of aarch64, by their DWARF numbers
 *
 * Include unwind_arch.h, not this.
 */
#ifndef UNWIND_AARCH64_H
#define UNWIND_AARCH64_H

#if defined(__aarch64__)

#    include "attr.h"

#    include <stdbool.h>
#    include <stdint.h>
#    include <ucontext.h>

enum {
    UNWIND_FP = 29,
    UNWIND_RA = 30, /* the link register; the pc has a place of its own behind sp */
    UNWIND_SP = 31,
    UNWIND_PC = 32,
    UNWIND_REGS = 33,
    UNWIND_PC_IS_REGISTER = 0,
};

/* What a callee keeps, as it is right here, in an array by number. */
static ALWAYS_INLINE void unwind_read_registers(uintptr_t *reg)
{
    __asm__ volatile("stp x19, x20, [%0, #152]\n\t"
                     "stp x21, x22, [%0, #168]\n\t"
                     "stp x23, x24, [%0, #184]\n\t"
                     "stp x25, x26, [%0, #200]\n\t"
                     "stp x27, x28, [%0, #216]\n\t"
                     "stp x29, x30, [%0, #232]\n\t"
                     "mov x9, sp\n\t"
                     "adr x10, 1f\n"
                     "1:\tstp x9, x10, [%0, #248]"
                     :
                     : "r"(reg)
                     : "x9", "x10", "memory");
}

static inline void unwind_read_ucontext(uintptr_t *reg, const ucontext_t *u)
{
    for (unsigned i = 0; i <= UNWIND_RA; i++) {
        reg[i] = (uintptr_t)u->uc_mcontext.regs[i];
    }
    reg[UNWIND_SP] = (uintptr_t)u->uc_mcontext.sp;
    reg[UNWIND_PC] = (uintptr_t)u->uc_mcontext.pc;
}

/*
 * A signed return address without its signature: xpaclri, which older processors take for
 * a no-op. An address that was not signed stays what it is, so that the state of signing
 * in the call frame information need not be followed.
 */
static inline uintptr_t unwind_strip(uintptr_t pc)
{
    register uintptr_t lr __asm__("x30") = pc;

    __asm__("hint #7" : "+r"(lr));
    return lr;
}

/* mov x8, #139; svc #0. The ucontext lies behind a siginfo of 128 bytes. */
enum { UNWIND_SIGRETURN_BYTES = 8, UNWIND_SIGNAL_UCONTEXT = 128 };

static inline bool unwind_is_sigreturn(const uint8_t code[UNWIND_SIGRETURN_BYTES])
{
    static const uint8_t wanted[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4};

    return __builtin_memcmp(code, wanted, sizeof(wanted)) == 0;
}

/* bl, or blr and its kin that check a signature. */
enum { UNWIND_CALL_BYTES = 4 };

static inline bool unwind_is_call(const uint8_t code[UNWIND_CALL_BYTES])
{
    uint32_t word;

    __builtin_memcpy(&word, code, sizeof(word));
    return (word & 0xfc000000u) == 0x94000000u || (word & 0xfefff000u) == 0xd63f0000u;
}

#endif
#endif
