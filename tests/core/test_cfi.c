#include "cfi_expr.h"
#include "unwind_table.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

/*
 * A section made by hand: .eh_frame_hdr with a table of one entry, a CIE and an FDE for
 * addresses `code` to `code + 256`, all of it at the end of a buffer.
 */
enum { ROOM = 4096, CODE_BYTES = 256, WORD = 8 };

static const uintptr_t code = 0x10000000;

struct section {
    _Alignas(16) uint8_t bytes[ROOM];
    size_t used;
    size_t cie;
    size_t fde;
};

static struct section s;
static uint8_t *base = s.bytes; /* where it is looked at */

static void put(const void *data, size_t bytes)
{
    cr_assert_leq(s.used + bytes, ROOM);
    memcpy(s.bytes + s.used, data, bytes);
    s.used += bytes;
}

static void put_u8(unsigned v)
{
    uint8_t byte = (uint8_t)v;

    put(&byte, 1);
}

static void put_u32(uint32_t v)
{
    put(&v, sizeof(v));
}

static void put_u64(uint64_t v)
{
    put(&v, sizeof(v));
}

static void set_u32(size_t at, uint32_t v)
{
    memcpy(s.bytes + at, &v, sizeof(v));
}

struct parts {
    const char *augmentation; /* NULL: "zR" */
    unsigned version;         /* 0: 1 */
    const char *cie;          /* programs, with lengths */
    size_t cie_bytes;
    const char *fde;
    size_t fde_bytes;
};

static void close_entry(size_t at)
{
    while (s.used % 8 != 0) {
        put_u8(0); /* DW_CFA_nop */
    }
    set_u32(at, (uint32_t)(s.used - at - 4));
}

/* Addresses are stored whole (DW_EH_PE_absptr), so that the buffer may lie anywhere. */
static void make(struct parts p)
{
    const char *letters = p.augmentation != NULL ? p.augmentation : "zR";

    memset(&s, 0, sizeof(s));
    put("\x01\xff\x03\x3b", 4); /* no pointer to .eh_frame; udata4; datarel sdata4 */
    put_u32(1);
    put_u32((uint32_t)(code - (uintptr_t)s.bytes)); /* both are set below */
    put_u32(0);
    s.cie = s.used;
    put_u32(0);
    put_u32(0);
    put_u8(p.version != 0 ? p.version : 1);
    put(letters, strlen(letters) + 1);
    if (p.version == 4) {
        put("\x08\x00", 2);
    }
    put_u8(1);         /* code alignment */
    put_u8(0x78);      /* data alignment: -8 */
    put_u8(UNWIND_RA); /* return address */
    if (letters[0] == 'z') {
        put_u8(1);
        put_u8(0x00);
    }
    put(p.cie, p.cie_bytes);
    close_entry(s.cie);
    s.fde = s.used;
    put_u32(0);
    put_u32((uint32_t)(s.used - s.cie));
    put_u64((uintptr_t)s.bytes + code);
    put_u64(CODE_BYTES);
    if (letters[0] == 'z') {
        put_u8(0);
    }
    put(p.fde, p.fde_bytes);
    close_entry(s.fde);
    set_u32(8, (uint32_t)code);
    set_u32(12, (uint32_t)s.fde);
}

#define PROGRAM(text) (text), sizeof(text) - 1
/* CFA = sp + 8, return address below it: how every function begins */
#define BEGIN PROGRAM("\x0c\x07\x08\x90\x01")

static struct cfi_range range(void)
{
    return (struct cfi_range){base, base + s.used};
}

/* Look at a copy that ends where an inaccessible page begins. */
static void move_to_the_edge(void)
{
    static uint8_t *room;
    uint64_t start = 0;

    if (room == NULL) {
        room = mmap(NULL, (size_t)2 * ROOM, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(room, MAP_FAILED);
        cr_assert_eq(mprotect(room + ROOM, ROOM, PROT_NONE), 0);
    }
    base = room + ROOM - s.used;
    memcpy(base, s.bytes, s.used);
    if (s.used >= s.fde + 16) { /* the one address in it */
        memcpy(&start, base + s.fde + 8, sizeof(start));
        start += (uintptr_t)base - (uintptr_t)s.bytes;
        memcpy(base + s.fde + 8, &start, sizeof(start));
    }
}

static bool find_row(uintptr_t offset, struct cfi_row *ret)
{
    struct cfi_range r = range();
    struct cfi_entry e;
    uintptr_t pc = (uintptr_t)base + code + offset;

    return cfi_find(&r, base, pc, &e) && cfi_read(&r, &e, pc, ret);
}

static uint64_t find_rule(uintptr_t offset)
{
    struct cfi_range r = range();
    struct cfi_row row;

    cr_assert(find_row(offset, &row));
    return unwind_rule_pack(&r, &row, (uintptr_t)s.bytes + code + offset);
}

__attribute__((unused)) static void expect_rule(
    uint64_t rule, unsigned kind, intptr_t cfa, intptr_t fp)
{
    cr_assert_eq(unwind_rule_kind(rule), kind);
    cr_assert_eq(unwind_rule_cfa(rule), cfa);
    cr_assert_eq(unwind_rule_fp(rule), fp);
}

#if defined(__x86_64__)

Test(cfi, rows_follow_the_code)
{
    /* push %rbp; mov %rsp, %rbp; ...; pop; ret: as gcc writes it */
    make((struct parts){.cie = BEGIN,
        .fde = PROGRAM("\x41\x0e\x10\x86\x02\x43\x0d\x06\x02\x60\x0c\x07\x08\xc6")});
    expect_rule(find_rule(0), RULE_SP, 8, RULE_SAME);
    expect_rule(find_rule(1), RULE_SP, 16, -2);
    expect_rule(find_rule(3), RULE_SP, 16, -2);
    expect_rule(find_rule(4), RULE_FP, 16, -2);
    expect_rule(find_rule(99), RULE_FP, 16, -2);
    expect_rule(find_rule(100), RULE_SP, 8, RULE_SAME);
    expect_rule(find_rule(255), RULE_SP, 8, RULE_SAME);
    cr_assert_eq(unwind_rule_ra(find_rule(4)), -1);
}

Test(cfi, only_addresses_of_an_entry_are_found)
{
    struct cfi_row row;

    make((struct parts){.cie = BEGIN});
    cr_assert(find_row(0, &row));
    cr_assert(find_row(CODE_BYTES - 1, &row));
    cr_assert_not(find_row(CODE_BYTES, &row));
    cr_assert_not(find_row((uintptr_t)-1, &row));
}

Test(cfi, remembered_rows_come_back_with_their_cfa)
{
    make((struct parts){
        .cie = BEGIN, .fde = PROGRAM("\x41\x0e\x20\x0a\x41\x0e\x08\x41\x0b")});
    expect_rule(find_rule(1), RULE_SP, 32, RULE_SAME);
    expect_rule(find_rule(2), RULE_SP, 8, RULE_SAME);
    expect_rule(find_rule(3), RULE_SP, 32, RULE_SAME);
}

Test(cfi, more_remembered_rows_than_there_is_room_for_are_no_row)
{
    struct cfi_row row;

    make((struct parts){
        .cie = BEGIN, .fde = PROGRAM("\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a")});
    cr_assert(find_row(0, &row));
    make((struct parts){
        .cie = BEGIN, .fde = PROGRAM("\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a")});
    cr_assert_not(find_row(0, &row));
    make((struct parts){.cie = BEGIN, .fde = PROGRAM("\x0b")});
    cr_assert_not(find_row(0, &row));
}

Test(cfi, every_way_to_say_an_offset_says_the_same)
{
    static const struct {
        const char *program;
        size_t bytes;
    } ways[] = {
        {PROGRAM("\x0e\x20\x86\x02")},     /* def_cfa_offset, offset */
        {PROGRAM("\x13\x7c\x05\x06\x02")}, /* their _sf, _extended forms */
        {PROGRAM("\x12\x07\x7c\x11\x06\x02")},
        {PROGRAM("\x0c\x07\x20\x2f\x06\x7e")},     /* a negative unsigned offset */
        {PROGRAM("\x0e\x20\x86\x82\x80\x80\x00")}, /* numbers longer than need be */
    };

    for (size_t i = 0; i + 2 < sizeof(ways) / sizeof(ways[0]); i++) {
        make((struct parts){
            .cie = BEGIN, .fde = ways[i].program, .fde_bytes = ways[i].bytes});
        expect_rule(find_rule(0), RULE_SP, 32, -2);
    }
    make((struct parts){
        .cie = BEGIN, .fde = ways[4].program, .fde_bytes = ways[4].bytes});
    expect_rule(find_rule(0), RULE_SP, 32, -2);
}

Test(cfi, versions_and_augmentations_of_a_cie)
{
    struct cfi_row row;

    make((struct parts){.version = 3, .cie = BEGIN});
    cr_assert(find_row(0, &row));
    make((struct parts){.version = 4, .cie = BEGIN});
    cr_assert(find_row(0, &row));
    make((struct parts){.augmentation = "", .cie = BEGIN});
    cr_assert(find_row(0, &row));
    make((struct parts){.version = 2, .cie = BEGIN});
    cr_assert_not(find_row(0, &row));
    make((struct parts){.augmentation = "eh", .cie = BEGIN});
    cr_assert_not(find_row(0, &row));
    make((struct parts){.augmentation = "zRS", .cie = BEGIN});
    cr_assert(find_row(0, &row));
    cr_assert(row.is_signal);
}

Test(cfi, the_end_of_the_stack_is_said_by_an_undefined_return_address)
{
    make((struct parts){.cie = BEGIN, .fde = PROGRAM("\x07\x10")});
    cr_assert_eq(find_rule(0), RULE_END);
}

/* .plt: DW_OP_breg7 8; breg16 0; lit15; and; lit11; ge; lit3; shl; plus */
Test(cfi, the_expression_of_stubs_is_known_for_each_address)
{
    make((struct parts){.cie = BEGIN,
        .fde = PROGRAM("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22")});
    for (uintptr_t at = 0; at < 64; at++) {
        uintptr_t pc = (uintptr_t)s.bytes + code + at;

        expect_rule(find_rule(at), RULE_SP, (pc & 15) >= 11 ? 16 : 8, RULE_SAME);
    }
}

/* and $-32, %rsp; push -8(%r10); push %rbp; ...: DW_OP_breg6 -8; deref */
Test(cfi, aligned_frames_load_their_cfa)
{
    make((struct parts){
        .cie = BEGIN, .fde = PROGRAM("\x0f\x03\x76\x78\x06\x10\x06\x02\x76\x00")});
    cr_assert_eq(find_rule(0), RULE_FULL, "the frame pointer needs an expression");
    make((struct parts){.cie = BEGIN, .fde = PROGRAM("\x0f\x03\x76\x78\x06")});
    expect_rule(find_rule(0), RULE_LOAD_FP, -8, RULE_SAME);
}

Test(cfi, other_registers_need_the_full_walk)
{
    struct cfi_row row;

    make((struct parts){.cie = BEGIN, .fde = PROGRAM("\x0c\x0a\x00")}); /* r10 */
    cr_assert_eq(find_rule(0), RULE_FULL);
    make((struct parts){.cie = BEGIN, .fde = PROGRAM("\x09\x06\x03")}); /* rbp in rbx */
    cr_assert_eq(find_rule(0), RULE_FULL);
    make((struct parts){.cie = BEGIN, .fde = PROGRAM("\x0e\x80\x80\x80\x80\x78")});
    cr_assert_not(find_row(0, &row), "an offset of more than 32 bits");
}

/* The return from a handler: CFA, rsp, rbp and rip each where an expression says. */
Test(cfi, frames_of_signals_are_short_rules)
{
    make((struct parts){.augmentation = "zRS",
        .cie = PROGRAM(""),
        .fde = PROGRAM("\x0f\x04\x77\xa0\x01\x06\x10\x07\x03\x77\xa0\x01"
                       "\x10\x06\x03\x77\xf8\x00\x10\x10\x03\x77\xa8\x01")});
    expect_rule(find_rule(0), RULE_SIGNAL, 160, 15);
    cr_assert_eq(unwind_rule_ra(find_rule(0)), 21);
}

#endif

/* ---- damage ---- */

/* Whatever one byte is changed to, and wherever the section is cut: no read outside. */
Test(cfi, no_damaged_byte_leads_outside)
{
    struct cfi_row row;
    size_t used;

    make((struct parts){.cie = BEGIN,
        .fde =
            PROGRAM("\x41\x0e\x10\x86\x02\x43\x0d\x06\x0f\x0b\x77\x08\x80\x00\x3f\x1a"
                    "\x3b\x2a\x33\x24\x22\x0a\x41\x0b\x02\x60\x0c\x07\x08\xc6")});
    used = s.used;
    move_to_the_edge();
    cr_assert(find_row(4, &row));
    for (size_t at = 0; at < used; at++) {
        uint8_t before = base[at];

        for (unsigned v = 0; v < 256; v++) {
            base[at] = (uint8_t)v;
            for (uintptr_t offset = 0; offset < 110; offset += 27) {
                if (find_row(offset, &row)) {
                    struct cfi_range r = range();

                    unwind_rule_pack(&r, &row, code);
                }
            }
        }
        base[at] = before;
    }
    for (s.used = 0; s.used < used; s.used++) {
        move_to_the_edge();
        find_row(4, &row);
    }
}

Test(cfi, a_table_longer_than_the_section_is_refused)
{
    struct cfi_row row;

    make((struct parts){.cie = BEGIN});
    set_u32(4, UINT32_MAX);
    cr_assert_not(find_row(0, &row));
    set_u32(4, 0);
    cr_assert_not(find_row(0, &row));
}

Test(cfi, lengths_beyond_the_section_are_refused)
{
    struct cfi_row row;

    make((struct parts){.cie = BEGIN});
    set_u32(s.fde, 0x7fffffff);
    cr_assert_not(find_row(0, &row));
    make((struct parts){.cie = BEGIN});
    set_u32(s.cie, (uint32_t)s.used);
    cr_assert_not(find_row(0, &row));
    make((struct parts){.cie = BEGIN});
    set_u32(s.fde + 4, (uint32_t)s.fde + 400); /* the CIE before the section */
    cr_assert_not(find_row(0, &row));
    make((struct parts){.cie = BEGIN});
    set_u32(s.fde + 4, 0); /* a CIE where an FDE should be */
    cr_assert_not(find_row(0, &row));
}

/* ---- expressions ---- */

static bool no_load(void *arg, uintptr_t address, uintptr_t *ret)
{
    (void)arg;
    *ret = address * 2;
    return address != 0xdead;
}

static bool evaluate(
    const char *expression, size_t bytes, bool with_registers, uint64_t *ret)
{
    static uint8_t room[256];
    struct cfi_range r = {room, room + bytes + 1};
    uintptr_t reg[UNWIND_REGS] = {0};
    struct cfi_machine m = {with_registers ? reg : NULL, 0x1234, no_load, NULL};
    struct cfi_value v;

    for (unsigned i = 0; i < UNWIND_REGS; i++) {
        reg[i] = i * 1000;
    }
    room[0] = (uint8_t)bytes;
    memcpy(room + 1, expression, bytes);
    if (!cfi_evaluate(&r, 0, &m, NULL, &v)) {
        return false;
    }
    *ret = v.number;
    return true;
}

Test(cfi, expressions_compute)
{
    static const struct {
        const char *text;
        size_t bytes;
        uint64_t result;
    } cases[] = {
        {PROGRAM("\x34\x32\x1c"), 2},                    /* 4 - 2 */
        {PROGRAM("\x34\x32\x16\x1c"), (uint64_t)-2},     /* swap */
        {PROGRAM("\x33\x12\x1e"), 9},                    /* dup, mul */
        {PROGRAM("\x31\x32\x33\x17\x1c"), (uint64_t)-1}, /* rot: 3 1 2; minus */
        {PROGRAM("\x31\x32\x15\x01"), 1},                /* pick */
        {PROGRAM("\x73\x05"), 3005},                     /* breg3 + 5 */
        {PROGRAM("\x92\x03\x7f"), 2999},                 /* bregx */
        {PROGRAM("\x73\x00\x06"), 6000},                 /* deref */
        {PROGRAM("\x73\x00\x94\x01"), 6000 % 256},       /* deref_size */
        {PROGRAM("\x0a\x00\x10\x0b\xff\xff\x22"), 0xfff},
        {PROGRAM("\x30\x28\x01\x00\x35"), 5},     /* a branch that is not taken */
        {PROGRAM("\x35\x31\x28\x01\x00\x36"), 5}, /* one that is */
        {PROGRAM("\x0d\xf0\xff\xff\xff\x32\x26"), (uint64_t)-4}, /* shra */
        {PROGRAM("\x09\xf6\x19"), 10},                           /* abs */
        {PROGRAM("\x09\xf6\x33\x1b"), (uint64_t)-3},             /* div, signed */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t result = 0;

        cr_assert(
            evaluate(cases[i].text, cases[i].bytes, true, &result), "case %zu", i);
        cr_assert_eq(result, cases[i].result, "case %zu: %lx", i, result);
    }
}

Test(cfi, senseless_expressions_give_nothing)
{
    uint64_t result;

    cr_assert_not(evaluate(PROGRAM(""), true, &result), "nothing on the stack");
    cr_assert_not(evaluate(PROGRAM("\x22"), true, &result));
    cr_assert_not(evaluate(PROGRAM("\x31\x30\x1b"), true, &result), "division by zero");
    cr_assert_not(evaluate(PROGRAM("\x31\x30\x1d"), true, &result));
    cr_assert_not(evaluate(PROGRAM("\x2f\xfd\xff"), true, &result), "for ever");
    cr_assert_not(evaluate(PROGRAM("\x2f\x10\x00"), true, &result), "branch outside");
    cr_assert_not(evaluate(PROGRAM("\x2f\xf0\xff"), true, &result));
    cr_assert_not(evaluate(PROGRAM("\x0a\xad\xde\x06"), true, &result), "load fails");
    cr_assert_not(evaluate(PROGRAM("\xff"), true, &result));
    cr_assert_not(
        evaluate(PROGRAM("\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31"
                         "\x31\x31\x31\x31"),
            true, &result),
        "17 on the stack");
    cr_assert_not(
        evaluate(PROGRAM("\x71\x00\x72\x00\x22"), false, &result), "two symbols");
    cr_assert_not(evaluate(PROGRAM("\x71\x00\x06\x31\x22"), false, &result));
    cr_assert(evaluate(PROGRAM("\x71\x00\x31\x22"), false, &result));
}

/* ---- the tables of this program ---- */

Test(cfi, the_modules_of_this_process_are_found)
{
    struct unwind_module m;
    struct cfi_range r;
    struct cfi_row row;
    void *here = (void *)find_rule;
    void *there = (void *)memcpy;

    cr_assert(unwind_find_module((uintptr_t)here, &m));
    cr_assert_leq(m.start, (uintptr_t)here);
    cr_assert_gt(m.end, (uintptr_t)here);
    cr_assert(unwind_table_row((uintptr_t)here, &r, &row));
    cr_assert_gt(cfi_range_bytes(&r), 0);
    cr_assert(unwind_table_row((uintptr_t)there, &r, &row));
    cr_assert_not(unwind_find_module((uintptr_t)&m, &m), "the stack is no module");
    cr_assert_eq(unwind_table_rule((uintptr_t)&m), RULE_NONE);
    cr_assert_eq(unwind_table_rule(0), RULE_NONE);
}
