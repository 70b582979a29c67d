#include "cfi_expr.h"

#include "cursor.h"

enum {
    STACK_MAX = 16,
    STEPS_MAX = 256, /* an expression may branch backwards */
};

enum {
    OP_ADDR = 0x03,
    OP_DEREF = 0x06,
    OP_CONST1U = 0x08, /* then 1s, 2u, 2s, 4u, 4s, 8u, 8s, u, s */
    OP_CONSTS = 0x11,
    OP_DUP = 0x12,
    OP_DROP = 0x13,
    OP_OVER = 0x14,
    OP_PICK = 0x15,
    OP_SWAP = 0x16,
    OP_ROT = 0x17,
    OP_ABS = 0x19,
    OP_AND = 0x1a, /* operators of two operands, but for neg and not */
    OP_DIV = 0x1b,
    OP_MINUS = 0x1c,
    OP_MOD = 0x1d,
    OP_MUL = 0x1e,
    OP_NEG = 0x1f,
    OP_NOT = 0x20,
    OP_OR = 0x21,
    OP_PLUS = 0x22,
    OP_PLUS_UCONST = 0x23,
    OP_SHL = 0x24,
    OP_SHR = 0x25,
    OP_SHRA = 0x26,
    OP_XOR = 0x27,
    OP_BRA = 0x28,
    OP_EQ = 0x29,
    OP_GE = 0x2a,
    OP_GT = 0x2b,
    OP_LE = 0x2c,
    OP_LT = 0x2d,
    OP_NE = 0x2e,
    OP_SKIP = 0x2f,
    OP_LIT0 = 0x30,
    OP_LIT31 = 0x4f,
    OP_BREG0 = 0x70,
    OP_BREG31 = 0x8f,
    OP_BREGX = 0x92,
    OP_DEREF_SIZE = 0x94,
    OP_NOP = 0x96,
};

struct evaluation {
    const struct cfi_machine *m;
    struct cursor c;
    const uint8_t *start; /* branches stay within */
    bool has_failed;
    unsigned depth;
    struct cfi_value stack[STACK_MAX];
};

static void push(struct evaluation *e, struct cfi_value v)
{
    if (e->depth == STACK_MAX) {
        e->has_failed = true;
        return;
    }
    e->stack[e->depth++] = v;
}

static void push_number(struct evaluation *e, uint64_t number)
{
    push(
        e, (struct cfi_value){.number = number, .reg = CFI_NUMBER, .is_loaded = false});
}

static struct cfi_value pop(struct evaluation *e)
{
    if (e->depth == 0) {
        e->has_failed = true;
        return (struct cfi_value){.number = 0, .reg = CFI_NUMBER, .is_loaded = false};
    }
    return e->stack[--e->depth];
}

static bool is_number(const struct cfi_value *v)
{
    return v->reg == CFI_NUMBER && !v->is_loaded;
}

/* A number; symbols will not do. */
static uint64_t pop_number(struct evaluation *e)
{
    struct cfi_value v = pop(e);

    if (!is_number(&v)) {
        e->has_failed = true;
    }
    return v.number;
}

static void push_register(struct evaluation *e, uint64_t reg, int64_t offset)
{
    if (reg >= UNWIND_REGS) {
        e->has_failed = true;
    } else if (e->m->reg != NULL) {
        push_number(e, e->m->reg[reg] + (uint64_t)offset);
    } else if (UNWIND_PC_IS_REGISTER && reg == UNWIND_RA) {
        push_number(e, e->m->pc + (uint64_t)offset);
    } else {
        push(e, (struct cfi_value){
                    .number = (uint64_t)offset, .reg = (int)reg, .is_loaded = false});
    }
}

static void deref(struct evaluation *e, unsigned bytes)
{
    struct cfi_value v = pop(e);
    uintptr_t loaded;

    if (v.is_loaded || bytes == 0 || bytes > sizeof(loaded)) {
        e->has_failed = true;
    } else if (e->m->reg == NULL) {
        v.is_loaded = true;
        e->has_failed |= bytes != sizeof(loaded);
        push(e, v);
    } else if (!e->m->load(e->m->arg, v.number, &loaded)) {
        e->has_failed = true;
    } else {
        push_number(e, loaded & (~(uint64_t)0 >> (64 - 8 * bytes)));
    }
}

/* Sums with a symbol are symbols still. */
static void add(struct evaluation *e, bool is_minus)
{
    struct cfi_value b = pop(e);
    struct cfi_value a = pop(e);

    if (a.is_loaded || b.is_loaded
        || (!is_number(&b) && (is_minus || !is_number(&a)))) {
        e->has_failed = true;
        return;
    }
    push(e, (struct cfi_value){
                .number = is_minus ? a.number - b.number : a.number + b.number,
                .reg = is_number(&a) ? b.reg : a.reg,
                .is_loaded = false});
}

static uint64_t shift(uint8_t op, uint64_t a, uint64_t by)
{
    if (by > 63) {
        return op == OP_SHRA && (int64_t)a < 0 ? ~(uint64_t)0 : 0;
    }
    if (op == OP_SHL) {
        return a << by;
    }
    return op == OP_SHR ? a >> by : (uint64_t)((int64_t)a >> by);
}

static uint64_t divide(struct evaluation *e, int64_t a, int64_t b)
{
    if (b == 0 || (a == INT64_MIN && b == -1)) {
        e->has_failed = true;
        return 0;
    }
    return (uint64_t)(a / b);
}

static void operate(struct evaluation *e, uint8_t op)
{
    uint64_t b = pop_number(e);
    uint64_t a = pop_number(e);
    int64_t sa = (int64_t)a;
    int64_t sb = (int64_t)b;

    switch (op) {
    case OP_AND:
        push_number(e, a & b);
        break;
    case OP_OR:
        push_number(e, a | b);
        break;
    case OP_XOR:
        push_number(e, a ^ b);
        break;
    case OP_MUL:
        push_number(e, a * b);
        break;
    case OP_DIV:
        push_number(e, divide(e, sa, sb));
        break;
    case OP_MOD:
        e->has_failed |= b == 0;
        push_number(e, b != 0 ? a % b : 0);
        break;
    case OP_SHL:
    case OP_SHR:
    case OP_SHRA:
        push_number(e, shift(op, a, b));
        break;
    case OP_EQ:
        push_number(e, sa == sb);
        break;
    case OP_GE:
        push_number(e, sa >= sb);
        break;
    case OP_GT:
        push_number(e, sa > sb);
        break;
    case OP_LE:
        push_number(e, sa <= sb);
        break;
    case OP_LT:
        push_number(e, sa < sb);
        break;
    case OP_NE:
        push_number(e, sa != sb);
        break;
    default:
        e->has_failed = true;
        break;
    }
}

static void unary(struct evaluation *e, uint8_t op)
{
    uint64_t a = pop_number(e);

    if (op == OP_NOT) {
        push_number(e, ~a);
    } else if (op == OP_NEG || (int64_t)a < 0) {
        push_number(e, -a);
    } else {
        push_number(e, a);
    }
}

static void pick(struct evaluation *e, unsigned index)
{
    if (index >= e->depth) {
        e->has_failed = true;
        return;
    }
    push(e, e->stack[e->depth - 1 - index]);
}

static void rotate(struct evaluation *e, unsigned count)
{
    struct cfi_value top;

    if (e->depth < count) {
        e->has_failed = true;
        return;
    }
    top = e->stack[e->depth - 1];
    for (unsigned i = 1; i < count; i++) {
        e->stack[e->depth - i] = e->stack[e->depth - i - 1];
    }
    e->stack[e->depth - count] = top;
}

static void branch(struct evaluation *e, bool is_taken)
{
    int16_t by = (int16_t)cursor_take_u16(&e->c);

    if (!is_taken || e->c.is_bad) {
        return;
    }
    if (by > e->c.end - e->c.at || -by > e->c.at - e->start) {
        e->has_failed = true;
        return;
    }
    e->c.at += by;
}

static void constant(struct evaluation *e, uint8_t op)
{
    switch (op - OP_CONST1U) {
    case 0:
        push_number(e, cursor_take_u8(&e->c));
        break;
    case 1:
        push_number(e, (uint64_t)(int64_t)(int8_t)cursor_take_u8(&e->c));
        break;
    case 2:
        push_number(e, cursor_take_u16(&e->c));
        break;
    case 3:
        push_number(e, (uint64_t)(int64_t)(int16_t)cursor_take_u16(&e->c));
        break;
    case 4:
        push_number(e, cursor_take_u32(&e->c));
        break;
    case 5:
        push_number(e, (uint64_t)(int64_t)(int32_t)cursor_take_u32(&e->c));
        break;
    case 6:
    case 7:
        push_number(e, cursor_take_u64(&e->c));
        break;
    case 8:
        push_number(e, cursor_take_uleb(&e->c));
        break;
    default:
        push_number(e, (uint64_t)cursor_take_sleb(&e->c));
        break;
    }
}

static void arrange(struct evaluation *e, uint8_t op)
{
    switch (op) {
    case OP_DUP:
        pick(e, 0);
        break;
    case OP_DROP:
        pop(e);
        break;
    case OP_OVER:
        pick(e, 1);
        break;
    case OP_PICK:
        pick(e, cursor_take_u8(&e->c));
        break;
    case OP_SWAP:
        rotate(e, 2);
        break;
    default: /* OP_ROT */
        rotate(e, 3);
        break;
    }
}

static void step(struct evaluation *e)
{
    uint8_t op = cursor_take_u8(&e->c);
    uint64_t reg;

    if (op >= OP_LIT0 && op <= OP_LIT31) {
        push_number(e, op - OP_LIT0);
    } else if (op >= OP_BREG0 && op <= OP_BREG31) {
        push_register(e, op - OP_BREG0, cursor_take_sleb(&e->c));
    } else if (op == OP_BREGX) {
        reg = cursor_take_uleb(&e->c);
        push_register(e, reg, cursor_take_sleb(&e->c));
    } else if (op == OP_ADDR) {
        push_number(e, cursor_take_u64(&e->c));
    } else if (op >= OP_CONST1U && op <= OP_CONSTS) {
        constant(e, op);
    } else if (op >= OP_DUP && op <= OP_ROT) {
        arrange(e, op);
    } else if (op == OP_DEREF) {
        deref(e, sizeof(uintptr_t));
    } else if (op == OP_DEREF_SIZE) {
        deref(e, cursor_take_u8(&e->c));
    } else if (op == OP_PLUS_UCONST) {
        push_number(e, cursor_take_uleb(&e->c));
        add(e, false);
    } else if (op == OP_PLUS || op == OP_MINUS) {
        add(e, op == OP_MINUS);
    } else if (op == OP_ABS || op == OP_NEG || op == OP_NOT) {
        unary(e, op);
    } else if (op == OP_SKIP) {
        branch(e, true);
    } else if (op == OP_BRA) {
        branch(e, pop_number(e) != 0);
    } else if (op >= OP_AND && op <= OP_NE) {
        operate(e, op);
    } else if (op != OP_NOP) {
        e->has_failed = true;
    }
}

bool cfi_evaluate(const struct cfi_range *range, int32_t place,
    const struct cfi_machine *m, const uintptr_t *cfa, struct cfi_value *ret)
{
    struct evaluation e = {.m = m, .has_failed = false, .depth = 0};
    uint64_t bytes;

    if (place < 0 || (size_t)place >= cfi_range_bytes(range)) {
        return false;
    }
    e.c = (struct cursor){range->start + place, range->end, false};
    bytes = cursor_take_uleb(&e.c);
    if (e.c.is_bad || bytes > (uint64_t)(e.c.end - e.c.at)) {
        return false;
    }
    e.start = e.c.at;
    e.c.end = e.c.at + bytes;
    if (cfa != NULL) {
        push_number(&e, *cfa);
    }
    for (unsigned steps = 0; e.c.at < e.c.end; steps++) {
        if (steps == STEPS_MAX) {
            return false;
        }
        step(&e);
        if (e.has_failed || e.c.is_bad) {
            return false;
        }
    }
    *ret = pop(&e);
    return !e.has_failed;
}
