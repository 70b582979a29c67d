/*
 * cfi_expr - expressions in call frame information
 *
 * With registers and a way to load from memory an expression gives a number. Without, the
 * registers stay symbols, and what comes out may be "register 6 less 8": enough to keep the
 * common ones as short rules (unwind_table.c).
 */
#ifndef CFI_EXPR_H
#define CFI_EXPR_H

#include "cfi.h"

/* A number, or a register's value plus a number; is_loaded: what lies there in memory. */
struct cfi_value {
    uint64_t number;
    int reg; /* CFI_NUMBER: none */
    bool is_loaded;
};
enum { CFI_NUMBER = -1 };

struct cfi_machine {
    const uintptr_t *reg; /* NULL: they stay symbols */
    uintptr_t pc;         /* where there are no registers, and it is one */
    bool (*load)(
        void *arg, uintptr_t address, uintptr_t *ret); /* with registers only */
    void *arg;
};

/*
 * The value of the expression at a place that a row gave; cfa is on its stack beforehand
 * (NULL: nothing is). False: damaged, not computable, or a load failed.
 */
bool cfi_evaluate(const struct cfi_range *range, int32_t place,
    const struct cfi_machine *m, const uintptr_t *cfa, struct cfi_value *ret);

#endif
