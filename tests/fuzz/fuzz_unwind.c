/*
 * fuzz_unwind - libFuzzer against the reading of call frame information
 *
 * The input is an address (32 bits, from the start of what follows), then what should be
 * .eh_frame_hdr and .eh_frame. It is looked up by the table, and once more taking each of
 * its first bytes for the start of an entry; all expressions are evaluated.
 */
#include "cfi_expr.h"
#include "check.h"
#include "unwind_table.h"

#include <stdlib.h>
#include <string.h>

enum { TRIES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of trace.c, which nothing here comes to. */
void check_explain(void) {}

static bool load(void *arg, uintptr_t address, uintptr_t *ret)
{
    (void)arg;
    *ret = address * 0x9e3779b97f4a7c15u;
    return address % 5 != 0;
}

static void evaluate(const struct cfi_range *range, int32_t place, uintptr_t pc)
{
    uintptr_t reg[UNWIND_REGS];
    struct cfi_machine full = {reg, pc, load, NULL};
    struct cfi_machine symbols = {NULL, pc, NULL, NULL};
    struct cfi_value v;

    for (unsigned i = 0; i < UNWIND_REGS; i++) {
        reg[i] = pc * (i + 1);
    }
    cfi_evaluate(range, place, &full, &pc, &v);
    cfi_evaluate(range, place, &symbols, NULL, &v);
}

static void use(const struct cfi_range *range, const struct cfi_entry *e, uintptr_t pc)
{
    struct cfi_row row;

    if (!cfi_read(range, e, pc, &row)) {
        return;
    }
    if (!row.is_cfa_expr && row.cfa_reg >= UNWIND_REGS) {
        abort();
    }
    if (row.is_cfa_expr) {
        evaluate(range, row.cfa, pc);
    }
    for (unsigned i = 0; i < UNWIND_REGS; i++) {
        if (row.where[i] == CFI_AT_EXPR || row.where[i] == CFI_IS_EXPR) {
            evaluate(range, row.value[i], pc);
        }
    }
    if (unwind_rule_kind(unwind_rule_pack(range, &row, pc)) == RULE_NONE) {
        abort(); /* what was found is something */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cfi_range range;
    struct cfi_entry e;
    uint8_t *copy;
    uintptr_t pc;
    int32_t offset;

    if (size < sizeof(offset) + 1) {
        return 0;
    }
    memcpy(&offset, data, sizeof(offset));
    data += sizeof(offset);
    size -= sizeof(offset);
    copy = malloc(size); /* of exactly this size: a byte too far is seen */
    memcpy(copy, data, size);
    range = (struct cfi_range){copy, copy + size};
    pc = (uintptr_t)copy + (uintptr_t)(intptr_t)offset;
    if (cfi_find(&range, copy, pc, &e)) {
        if (pc - e.start >= e.end - e.start) {
            abort();
        }
        use(&range, &e, pc);
    }
    for (size_t i = 0; i < size && i < TRIES; i++) {
        e.fde = copy + i;
        use(&range, &e, pc);
    }
    evaluate(&range, 0, pc);
    free(copy);
    return 0;
}
