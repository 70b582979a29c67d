/*
 * unwind_x86_64 - the registers of x86-64, by their DWARF numbers
 *
 * Include unwind_arch.h, not this.
 */
#ifndef UNWIND_X86_64_H
#define UNWIND_X86_64_H

#if defined(__x86_64__)

#    include "attr.h"

#    include <stdbool.h>
#    include <stdint.h>
#    include <ucontext.h>

enum {
    UNWIND_FP = 6,  /* rbp */
    UNWIND_SP = 7,  /* rsp */
    UNWIND_RA = 16, /* where the return address is; as a register, the pc */
    UNWIND_REGS = 17,
    UNWIND_PC_IS_REGISTER = 1, /* expressions may ask for register 16 */
};

/* What a callee keeps, as it is right here, in an array by number. */
static ALWAYS_INLINE void unwind_read_registers(uintptr_t *reg)
{
    __asm__ volatile("movq %%rbx, 24(%0)\n\t"
                     "movq %%rbp, 48(%0)\n\t"
                     "movq %%rsp, 56(%0)\n\t"
                     "movq %%r12, 96(%0)\n\t"
                     "movq %%r13, 104(%0)\n\t"
                     "movq %%r14, 112(%0)\n\t"
                     "movq %%r15, 120(%0)\n\t"
                     "leaq 1f(%%rip), %%rax\n"
                     "1:\tmovq %%rax, 128(%0)"
                     :
                     : "r"(reg)
                     : "rax", "memory");
}

static inline void unwind_read_ucontext(uintptr_t *reg, const ucontext_t *u)
{
    static const uint8_t from[UNWIND_REGS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX,
        REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12,
        REG_R13, REG_R14, REG_R15, REG_RIP};

    for (unsigned i = 0; i < UNWIND_REGS; i++) {
        reg[i] = (uintptr_t)u->uc_mcontext.gregs[from[i]];
    }
}

static inline uintptr_t unwind_strip(uintptr_t pc)
{
    return pc;
}

/*
 * Bytes of code that return from a signal, for those who have no call frame information
 * for it: mov $15, %eax (or %rax); syscall. The ucontext lies at the stack pointer.
 */
enum { UNWIND_SIGRETURN_BYTES = 9, UNWIND_SIGNAL_UCONTEXT = 0 };

static inline bool unwind_is_sigreturn(const uint8_t code[UNWIND_SIGRETURN_BYTES])
{
    static const uint8_t by_rax[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    static const uint8_t by_eax[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};

    return __builtin_memcmp(code, by_rax, sizeof(by_rax)) == 0
           || __builtin_memcmp(code, by_eax, sizeof(by_eax)) == 0;
}

/* What comes before a return address: a call, direct or not. */
enum { UNWIND_CALL_BYTES = 7 };

static inline bool unwind_is_call(const uint8_t code[UNWIND_CALL_BYTES])
{
    static const uint8_t lengths[] = {2, 3, 4, 6, 7};

    if (code[2] == 0xe8) {
        return true;
    }
    for (unsigned i = 0; i < sizeof(lengths); i++) {
        const uint8_t *at = code + UNWIND_CALL_BYTES - lengths[i];

        /* ff /2, with a prefix perhaps: then it is seen at the next length */
        if (at[0] == 0xff && (at[1] & 0x38) == 0x10) {
            return true;
        }
    }
    return false;
}

#endif
#endif
