/*
 * cfi - call frame information (.eh_frame) as bytes: from an address to a row of rules
 *
 * Pure functions over ranges of memory. Nothing outside the range that is given is read,
 * whatever the bytes say; damaged information is "no row". Does not know how it was found
 * (unwind_table.h), nor how a stack is walked with it (unwind.h).
 *
 * A row says for one instruction where the frame's canonical address (CFA: the stack
 * pointer before the call) is, and where each register of the caller was kept.
 */
#ifndef CFI_H
#define CFI_H

#include "unwind_arch.h"

#include <stddef.h>

struct cfi_range {
    const uint8_t *start;
    const uint8_t *end;
};

static inline size_t cfi_range_bytes(const struct cfi_range *r)
{
    return (size_t)(r->end - r->start);
}

enum cfi_where {
    CFI_SAME,      /* still in the register */
    CFI_UNDEFINED, /* lost; of the return address: there is no caller */
    CFI_AT_CFA,    /* in memory, at CFA + value */
    CFI_IS_CFA,    /* CFA + value */
    CFI_REGISTER,  /* in the register of that number */
    CFI_AT_EXPR,   /* in memory, where the expression at `value` says */
    CFI_IS_EXPR,   /* what the expression at `value` says */
};

struct cfi_row {
    bool is_cfa_expr;
    bool is_signal; /* a signal interrupted the caller: its pc is no return address */
    uint8_t cfa_reg;
    uint8_t ra_reg;
    int32_t cfa; /* offset from the register, or the place of an expression */
    uint8_t where[UNWIND_REGS];
    int32_t value[UNWIND_REGS];
};

/* What an entry of .eh_frame covers. */
struct cfi_entry {
    const uint8_t *fde; /* the entry */
    uintptr_t start;
    uintptr_t end;
};

/*
 * The entry for pc by the search table of .eh_frame_hdr, which begins at hdr. Both that and
 * .eh_frame lie in the range, 2 GiB at most. False: none, or damaged.
 */
bool cfi_find(const struct cfi_range *range, const uint8_t *hdr, uintptr_t pc,
    struct cfi_entry *ret);

/* What the entry says for pc. False: damaged, or beyond what we understand. */
bool cfi_read(const struct cfi_range *range, const struct cfi_entry *e, uintptr_t pc,
    struct cfi_row *ret);

#endif
