#include "cfi.h"

#include "cursor.h"

enum {
    REMEMBERED_MAX = 8,    /* rows that a program may put aside; compilers use one */
    PROGRAM_MAX = 1 << 20, /* bytes of a program */
};

/* DW_EH_PE_*: the low half says what is stored, the high half from where it counts. */
enum {
    PE_ABSPTR = 0x00,
    PE_ULEB = 0x01,
    PE_UDATA2 = 0x02,
    PE_UDATA4 = 0x03,
    PE_UDATA8 = 0x04,
    PE_SLEB = 0x09,
    PE_SDATA2 = 0x0a,
    PE_SDATA4 = 0x0b,
    PE_SDATA8 = 0x0c,
    PE_PCREL = 0x10,
    PE_DATAREL = 0x30,
    PE_INDIRECT = 0x80,
    PE_OMIT = 0xff,
};

static uint64_t take_stored(struct cursor *c, uint8_t encoding)
{
    switch (encoding & 0x0f) {
    case PE_ABSPTR:
    case PE_UDATA8:
    case PE_SDATA8:
        return cursor_take_u64(c);
    case PE_ULEB:
        return cursor_take_uleb(c);
    case PE_SLEB:
        return (uint64_t)cursor_take_sleb(c);
    case PE_UDATA2:
        return cursor_take_u16(c);
    case PE_SDATA2:
        return (uint64_t)(int64_t)(int16_t)cursor_take_u16(c);
    case PE_UDATA4:
        return cursor_take_u32(c);
    case PE_SDATA4:
        return (uint64_t)(int64_t)(int32_t)cursor_take_u32(c);
    default:
        c->is_bad = true;
        return 0;
    }
}

/* An address. Those that would have to be loaded (PE_INDIRECT) are for others to find. */
static uintptr_t take_pointer(struct cursor *c, uint8_t encoding, uintptr_t data)
{
    uintptr_t here = (uintptr_t)c->at;
    uint64_t value = take_stored(c, encoding);

    switch (encoding & 0x70) {
    case PE_ABSPTR:
        return value;
    case PE_PCREL:
        return value + here;
    case PE_DATAREL:
        return value + data;
    default:
        c->is_bad = true;
        return 0;
    }
}

/* ---- .eh_frame_hdr ---- */

struct search_entry {
    int32_t start; /* both from the start of .eh_frame_hdr */
    int32_t fde;
};

static struct search_entry search_entry_at(const uint8_t *table, size_t i)
{
    struct search_entry e;

    memcpy(&e, table + i * sizeof(e), sizeof(e));
    return e;
}

/* The last entry that starts at or before pc. */
static bool search(const uint8_t *hdr, const uint8_t *table, size_t count, uintptr_t pc,
    const uint8_t **ret_fde)
{
    int64_t wanted = (int64_t)(pc - (uintptr_t)hdr);
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (search_entry_at(table, middle).start <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return false;
    }
    *ret_fde =
        (const uint8_t *)((uintptr_t)hdr
                          + (uintptr_t)(intptr_t)search_entry_at(table, low - 1).fde);
    return true;
}

/* ---- entries ---- */

struct cie {
    uint64_t code_align;
    int64_t data_align;
    uint64_t ra_reg;
    uint8_t encoding; /* of the addresses in its FDEs */
    bool has_augmentation;
    bool is_signal;
    struct cursor program;
};

/* The contents of the entry at `at`, whose first word says where its CIE is. */
static bool open_entry(
    const struct cfi_range *range, const uint8_t *at, struct cursor *ret)
{
    uint64_t bytes;

    if ((uintptr_t)at < (uintptr_t)range->start
        || (uintptr_t)at >= (uintptr_t)range->end) {
        return false;
    }
    *ret = (struct cursor){at, range->end, false};
    bytes = cursor_take_u32(ret);
    if (bytes == UINT32_MAX) {
        bytes = cursor_take_u64(ret);
    }
    if (ret->is_bad || bytes < 4 || bytes > (uint64_t)(ret->end - ret->at)) {
        return false; /* 0 ends the section */
    }
    ret->end = ret->at + bytes;
    return true;
}

/* What the letters of the augmentation announce. */
static bool read_augmentation(
    struct cursor *c, const uint8_t *letters, size_t count, struct cie *ret)
{
    const uint8_t *end;
    uint64_t bytes;

    if (count == 0) {
        return true;
    }
    if (letters[0] != 'z') {
        return false; /* "eh" of the last century, or unknown without a length */
    }
    bytes = cursor_take_uleb(c);
    if (c->is_bad || bytes > (uint64_t)(c->end - c->at)) {
        return false;
    }
    end = c->at + bytes;
    ret->has_augmentation = true;
    for (size_t i = 1; i < count; i++) {
        if (letters[i] == 'R') {
            ret->encoding = cursor_take_u8(c);
        } else if (letters[i] == 'L') {
            cursor_take_u8(c);
        } else if (letters[i] == 'P') {
            take_stored(
                c, cursor_take_u8(c)); /* PE_ALIGNED goes bad; nobody makes it */
        } else if (letters[i] == 'S') {
            ret->is_signal = true;
        } else if (letters[i] != 'B' && letters[i] != 'G') {
            break; /* unknown: its data are skipped by the length */
        }
    }
    if (c->is_bad || c->at > end) {
        return false;
    }
    c->at = end;
    return true;
}

static bool read_cie(const struct cfi_range *range, const uint8_t *at, struct cie *ret)
{
    struct cursor c;
    const uint8_t *letters;
    uint8_t version;

    memset(ret, 0, sizeof(*ret));
    if (!open_entry(range, at, &c) || cursor_take_u32(&c) != 0) {
        return false;
    }
    version = cursor_take_u8(&c);
    if (version != 1 && version != 3 && version != 4) {
        return false;
    }
    letters = c.at;
    while (cursor_take_u8(&c) != 0) {
    }
    if (c.is_bad) {
        return false;
    }
    size_t count = (size_t)(c.at - letters) - 1;

    if (version == 4
        && (cursor_take_u8(&c) != sizeof(void *) || cursor_take_u8(&c) != 0)) {
        return false;
    }
    ret->code_align = cursor_take_uleb(&c);
    ret->data_align = cursor_take_sleb(&c);
    ret->ra_reg = version == 1 ? cursor_take_u8(&c) : cursor_take_uleb(&c);
    if (c.is_bad || !read_augmentation(&c, letters, count, ret)) {
        return false;
    }
    ret->program = c;
    return !c.is_bad && ret->ra_reg < UNWIND_REGS && c.end - c.at <= PROGRAM_MAX;
}

/* What an FDE covers; its program begins at c afterwards, but for an augmentation. */
static bool read_fde(const struct cfi_range *range, const uint8_t *at, struct cursor *c,
    struct cie *ret_cie, struct cfi_entry *ret)
{
    const uint8_t *here;
    uint32_t back;

    if (!open_entry(range, at, c)) {
        return false;
    }
    here = c->at;
    back = cursor_take_u32(c);
    if (c->is_bad || back == 0 || back > (uintptr_t)here - (uintptr_t)range->start
        || !read_cie(range, here - back, ret_cie)) {
        return false;
    }
    if ((ret_cie->encoding & PE_INDIRECT) != 0) {
        return false;
    }
    ret->fde = at;
    ret->start = take_pointer(c, ret_cie->encoding, 0);
    ret->end = ret->start + take_stored(c, ret_cie->encoding);
    return !c->is_bad && ret->start <= ret->end;
}

bool cfi_find(const struct cfi_range *range, const uint8_t *hdr, uintptr_t pc,
    struct cfi_entry *ret)
{
    struct cursor c = {hdr, range->end, false};
    struct cie cie;
    const uint8_t *fde;
    uint8_t frame_encoding, count_encoding, table_encoding;
    uint64_t count;

    if (cfi_range_bytes(range) > INT32_MAX || (uintptr_t)hdr < (uintptr_t)range->start
        || (uintptr_t)hdr >= (uintptr_t)range->end || cursor_take_u8(&c) != 1) {
        return false;
    }
    frame_encoding = cursor_take_u8(&c);
    count_encoding = cursor_take_u8(&c);
    table_encoding = cursor_take_u8(&c);
    if (c.is_bad || count_encoding == PE_OMIT
        || table_encoding != (PE_DATAREL | PE_SDATA4)) {
        return false; /* no table to search: linkers leave it out of damaged files only */
    }
    if (frame_encoding != PE_OMIT) {
        take_stored(&c, frame_encoding);
    }
    count = take_stored(&c, count_encoding);
    if (c.is_bad || count > (uint64_t)(c.end - c.at) / sizeof(struct search_entry)
        || !search(hdr, c.at, count, pc, &fde)
        || !read_fde(range, fde, &c, &cie, ret)) {
        return false;
    }
    return pc - ret->start < ret->end - ret->start;
}

/* ---- programs ---- */

enum {
    OP_ADVANCE = 0x40, /* two bits of operation, six of operand */
    OP_OFFSET = 0x80,
    OP_RESTORE = 0xc0,
    OP_NOP = 0x00,
    OP_SET_LOC = 0x01,
    OP_ADVANCE1 = 0x02,
    OP_ADVANCE2 = 0x03,
    OP_ADVANCE4 = 0x04,
    OP_OFFSET_EXTENDED = 0x05,
    OP_RESTORE_EXTENDED = 0x06,
    OP_UNDEFINED = 0x07,
    OP_SAME = 0x08,
    OP_REGISTER = 0x09,
    OP_REMEMBER = 0x0a,
    OP_RECALL = 0x0b,
    OP_CFA = 0x0c,
    OP_CFA_REGISTER = 0x0d,
    OP_CFA_OFFSET = 0x0e,
    OP_CFA_EXPR = 0x0f,
    OP_EXPR = 0x10,
    OP_OFFSET_EXTENDED_SF = 0x11,
    OP_CFA_SF = 0x12,
    OP_CFA_OFFSET_SF = 0x13,
    OP_VAL_OFFSET = 0x14,
    OP_VAL_OFFSET_SF = 0x15,
    OP_VAL_EXPR = 0x16,
    OP_WINDOW_SAVE =
        0x2d, /* on aarch64: return addresses are signed from here, or not */
    OP_ARGS_SIZE = 0x2e,
    OP_NEGATIVE_OFFSET = 0x2f,
};

struct interpreter {
    const struct cfi_range *range;
    const struct cie *cie;
    struct cursor c;
    uintptr_t at; /* the address that the row is for so far */
    uintptr_t pc;
    struct cfi_row row;
    struct cfi_row initial; /* after the CIE's program */
    unsigned remembered;
    struct cfi_row memory[REMEMBERED_MAX];
};

static int32_t narrow(struct interpreter *i, int64_t value)
{
    if (value != (int32_t)value) {
        i->c.is_bad = true;
    }
    return (int32_t)value;
}

/* In units of the CIE's alignment of data. */
static int32_t scaled(struct interpreter *i, int64_t value)
{
    int64_t product;

    if (__builtin_mul_overflow(value, i->cie->data_align, &product)) {
        i->c.is_bad = true;
        return 0;
    }
    return narrow(i, product);
}

static void advance(struct interpreter *i, uint64_t units)
{
    i->at += units * i->cie->code_align;
}

/* Registers that are not followed (vectors) are read past. */
static void set(
    struct interpreter *i, uint64_t reg, enum cfi_where where, int32_t value)
{
    if (reg < UNWIND_REGS) {
        i->row.where[reg] = (uint8_t)where;
        i->row.value[reg] = value;
    }
}

static void restore(struct interpreter *i, uint64_t reg)
{
    if (reg < UNWIND_REGS) {
        i->row.where[reg] = i->initial.where[reg];
        i->row.value[reg] = i->initial.value[reg];
    }
}

/* Where an expression is that follows: its length comes first. */
static int32_t take_expression(struct interpreter *i)
{
    int32_t place = narrow(i, i->c.at - i->range->start);

    cursor_skip(&i->c, cursor_take_uleb(&i->c));
    return place;
}

static void set_cfa(struct interpreter *i, uint64_t reg, int32_t offset)
{
    if (reg >= UNWIND_REGS) {
        i->c.is_bad = true;
        return;
    }
    i->row.is_cfa_expr = false;
    i->row.cfa_reg = (uint8_t)reg;
    i->row.cfa = offset;
}

static void remember(struct interpreter *i)
{
    if (i->remembered == REMEMBERED_MAX) {
        i->c.is_bad = true;
        return;
    }
    i->memory[i->remembered++] = i->row;
}

static void recall(struct interpreter *i)
{
    if (i->remembered == 0) {
        i->c.is_bad = true;
        return;
    }
    i->row = i->memory[--i->remembered];
}

static void run_cfa(struct interpreter *i, uint8_t op)
{
    uint64_t reg;

    switch (op) {
    case OP_CFA:
        reg = cursor_take_uleb(&i->c);
        set_cfa(i, reg, narrow(i, (int64_t)cursor_take_uleb(&i->c)));
        break;
    case OP_CFA_SF:
        reg = cursor_take_uleb(&i->c);
        set_cfa(i, reg, scaled(i, cursor_take_sleb(&i->c)));
        break;
    case OP_CFA_REGISTER:
        set_cfa(i, cursor_take_uleb(&i->c), i->row.cfa);
        break;
    case OP_CFA_OFFSET:
        i->row.cfa = narrow(i, (int64_t)cursor_take_uleb(&i->c));
        break;
    case OP_CFA_OFFSET_SF:
        i->row.cfa = scaled(i, cursor_take_sleb(&i->c));
        break;
    default: /* OP_CFA_EXPR */
        i->row.cfa = take_expression(i);
        i->row.is_cfa_expr = true;
        break;
    }
}

static void run_register(struct interpreter *i, uint8_t op)
{
    uint64_t reg = cursor_take_uleb(&i->c);

    switch (op) {
    case OP_OFFSET_EXTENDED:
        set(i, reg, CFI_AT_CFA, scaled(i, (int64_t)cursor_take_uleb(&i->c)));
        break;
    case OP_OFFSET_EXTENDED_SF:
        set(i, reg, CFI_AT_CFA, scaled(i, cursor_take_sleb(&i->c)));
        break;
    case OP_NEGATIVE_OFFSET:
        set(i, reg, CFI_AT_CFA, scaled(i, -(int64_t)cursor_take_uleb(&i->c)));
        break;
    case OP_VAL_OFFSET:
        set(i, reg, CFI_IS_CFA, scaled(i, (int64_t)cursor_take_uleb(&i->c)));
        break;
    case OP_VAL_OFFSET_SF:
        set(i, reg, CFI_IS_CFA, scaled(i, cursor_take_sleb(&i->c)));
        break;
    case OP_RESTORE_EXTENDED:
        restore(i, reg);
        break;
    case OP_UNDEFINED:
        set(i, reg, CFI_UNDEFINED, 0);
        break;
    case OP_SAME:
        set(i, reg, CFI_SAME, 0);
        break;
    case OP_REGISTER:
        set(i, reg, CFI_REGISTER, narrow(i, (int64_t)cursor_take_uleb(&i->c)));
        break;
    case OP_EXPR:
        set(i, reg, CFI_AT_EXPR, take_expression(i));
        break;
    default: /* OP_VAL_EXPR */
        set(i, reg, CFI_IS_EXPR, take_expression(i));
        break;
    }
}

static void run_one(struct interpreter *i)
{
    uint8_t op = cursor_take_u8(&i->c);
    uint8_t low = op & 0x3f;

    switch (op & 0xc0) {
    case OP_ADVANCE:
        advance(i, low);
        return;
    case OP_OFFSET:
        set(i, low, CFI_AT_CFA, scaled(i, (int64_t)cursor_take_uleb(&i->c)));
        return;
    case OP_RESTORE:
        restore(i, low);
        return;
    default:
        break;
    }
    switch (op) {
    case OP_NOP:
    case OP_WINDOW_SAVE:
        break;
    case OP_SET_LOC:
        i->at = take_pointer(&i->c, i->cie->encoding, 0);
        break;
    case OP_ADVANCE1:
        advance(i, cursor_take_u8(&i->c));
        break;
    case OP_ADVANCE2:
        advance(i, cursor_take_u16(&i->c));
        break;
    case OP_ADVANCE4:
        advance(i, cursor_take_u32(&i->c));
        break;
    case OP_REMEMBER:
        remember(i);
        break;
    case OP_RECALL:
        recall(i);
        break;
    case OP_CFA:
    case OP_CFA_REGISTER:
    case OP_CFA_OFFSET:
    case OP_CFA_EXPR:
    case OP_CFA_SF:
    case OP_CFA_OFFSET_SF:
        run_cfa(i, op);
        break;
    case OP_ARGS_SIZE:
        cursor_take_uleb(&i->c);
        break;
    case OP_OFFSET_EXTENDED:
    case OP_RESTORE_EXTENDED:
    case OP_UNDEFINED:
    case OP_SAME:
    case OP_REGISTER:
    case OP_EXPR:
    case OP_OFFSET_EXTENDED_SF:
    case OP_VAL_OFFSET:
    case OP_VAL_OFFSET_SF:
    case OP_VAL_EXPR:
    case OP_NEGATIVE_OFFSET:
        run_register(i, op);
        break;
    default:
        i->c.is_bad = true;
        break;
    }
}

/* Rows are in order of address: the first that lies behind pc ends the search. */
static bool run(struct interpreter *i, struct cursor program)
{
    i->c = program;
    while (i->c.at < i->c.end) {
        struct cursor before = i->c;
        uint8_t op = *before.at;
        bool is_move =
            (op & 0xc0) == OP_ADVANCE || (op >= OP_SET_LOC && op <= OP_ADVANCE4);

        run_one(i);
        if (i->c.is_bad) {
            return false;
        }
        if (is_move && i->at > i->pc) {
            return true;
        }
    }
    return true;
}

bool cfi_read(const struct cfi_range *range, const struct cfi_entry *e, uintptr_t pc,
    struct cfi_row *ret)
{
    struct interpreter i;
    struct cfi_entry again;
    struct cie cie;
    struct cursor c;

    if (cfi_range_bytes(range) > INT32_MAX
        || !read_fde(range, e->fde, &c, &cie, &again)) {
        return false;
    }
    if (cie.has_augmentation) {
        cursor_skip(&c, cursor_take_uleb(&c));
    }
    if (c.is_bad || c.end - c.at > PROGRAM_MAX) {
        return false;
    }
    i.range = range;
    i.cie = &cie;
    i.remembered = 0;
    memset(&i.row, 0, sizeof(i.row));
    i.row.cfa_reg = UINT8_MAX; /* none yet */
    i.row.ra_reg = (uint8_t)cie.ra_reg;
    i.row.is_signal = cie.is_signal;
    i.initial = i.row;
    i.at = 0;
    i.pc = UINTPTR_MAX; /* a CIE's program has no addresses */
    if (!run(&i, cie.program)) {
        return false;
    }
    i.initial = i.row;
    i.remembered = 0;
    i.at = again.start;
    i.pc = pc;
    if (!run(&i, c)) {
        return false;
    }
    *ret = i.row;
    return ret->is_cfa_expr || ret->cfa_reg < UNWIND_REGS;
}
