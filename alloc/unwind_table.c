#include "unwind_table.h"

#include "atomic.h"
#include "bits.h"
#include "cfi_expr.h"
#include "os.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORD = sizeof(uintptr_t),
    FIRST_PAGE = 4096,
    MODULES_SEEN = 512,
    TABLE_BYTES = 512, /* of its tables, and of each note, that tell a module */
    NOTE_BYTES = 128,
    PROOFS = 64,
    PROOF_WAYS = 4,
    ID_BYTES = 16, /* that are looked at of a build id */
};

/* ---- modules ---- */

bool unwind_find_module(uintptr_t address, struct unwind_module *ret)
{
#if CONFIG_UNWIND
    struct dl_find_object found;

    if (_dl_find_object((void *)address, &found) != 0 || found.dlfo_link_map == NULL) {
        return false;
    }
    *ret = (struct unwind_module){.start = (uintptr_t)found.dlfo_map_start,
        .end = (uintptr_t)found.dlfo_map_end,
        .bias = found.dlfo_link_map->l_addr,
        .path = found.dlfo_link_map->l_name != NULL ? found.dlfo_link_map->l_name : "",
        .hdr = found.dlfo_eh_frame};
    return true;
#else
    (void)address;
    (void)ret;
    return false;
#endif
}

/*
 * The program headers of a module, NULL when they are not where they are found in all that
 * is built: behind the ELF header, in the first page of its mapping. A static program is
 * said to be mapped from its code on; the kernel tells where its headers are.
 */
const void *unwind_module_headers(const struct unwind_module *m, size_t *ret_n)
{
    const ElfW(Ehdr) *elf = (const ElfW(Ehdr) *)m->start;

    if (m->end - m->start < sizeof(*elf)
        || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0) {
        return m->path[0] == '\0' ? os_program_headers(ret_n) : NULL;
    }
    if (elf->e_phentsize != sizeof(ElfW(Phdr)) || elf->e_phoff > FIRST_PAGE
        || elf->e_phnum > (FIRST_PAGE - elf->e_phoff) / sizeof(ElfW(Phdr))
        || elf->e_phoff % _Alignof(ElfW(Phdr)) != 0) {
        return NULL;
    }
    *ret_n = elf->e_phnum;
    return (const ElfW(Phdr) *)(m->start + elf->e_phoff);
}

/* The bytes of the readable segment that an address of a module lies in. */
static bool find_segment(
    const struct unwind_module *m, uintptr_t address, struct cfi_range *ret)
{
    size_t n = 0;
    const ElfW(Phdr) *p = unwind_module_headers(m, &n);

    for (size_t i = 0; p != NULL && i < n; i++) {
        uintptr_t start = m->bias + p[i].p_vaddr;

        if (p[i].p_type == PT_LOAD && (p[i].p_flags & PF_R) != 0
            && address - start < p[i].p_filesz) {
            *ret = (struct cfi_range){
                (const uint8_t *)start, (const uint8_t *)start + p[i].p_filesz};
            return true;
        }
    }
    return false;
}

/* ---- which modules were seen ---- */

static struct {
    uintptr_t start;
    uintptr_t end;
    uint64_t identity; /* atomic; 0: unused */
} seen[MODULES_SEEN];
static uint32_t seen_lock; /* atomic: tried, never waited for */
uint64_t unwind_generation = 1;
void unwind_table_forget(void)
{
    __atomic_fetch_add(&unwind_generation, 1, __ATOMIC_RELEASE); /* as in note_module */
}

void unwind_table_after_fork_in_child(void)
{
    store_relaxed(&seen_lock, 0);
}

static uint64_t mix(uint64_t h, const uint8_t *from, size_t bytes)
{
    for (; bytes >= sizeof(h); from += sizeof(h), bytes -= sizeof(h)) {
        uint64_t word;

        memcpy(&word, from, sizeof(word));
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

static uint64_t mix_text(uint64_t h, const char *text)
{
    size_t n = strlen(text);
    uint64_t rest = 0;

    h = mix(h ^ n, (const uint8_t *)text, n);
    memcpy(&rest, text + n - n % sizeof(rest), n % sizeof(rest));
    return mix(h, (const uint8_t *)&rest, sizeof(rest));
}

/*
 * Where it lies, from which file, and what a module that was built anew has not the same:
 * notes, tables.
 */
static uint64_t identity_of(
    const struct unwind_module *m, const struct cfi_range *range)
{
    uint64_t h = m->start * 3 + m->end * 5 + (uintptr_t)m->hdr * 7;
    size_t n = 0;
    const ElfW(Phdr) *p = unwind_module_headers(m, &n);

    h = mix_text(h, m->path);
    h = mix(h, m->hdr, bits_min(TABLE_BYTES, (size_t)(range->end - m->hdr)));
    for (size_t i = 0; p != NULL && i < n; i++) {
        struct cfi_range r;
        uintptr_t start = m->bias + p[i].p_vaddr;

        if (p[i].p_type == PT_NOTE && find_segment(m, start, &r)) {
            size_t bytes = bits_min(p[i].p_filesz, (uintptr_t)r.end - start);

            h = mix(h, (const uint8_t *)start, bits_min(bytes, NOTE_BYTES));
        }
    }
    return h | 1;
}

/*
 * A module that was not there before may lie where another was: what is cached of that must
 * go. Called when a rule was not cached, which new code makes sure of.
 */
static void note_module(const struct unwind_module *m, const struct cfi_range *range)
{
    uint64_t identity = identity_of(m, range);
    uint32_t unlocked = 0;
    size_t home = (size_t)(identity >> 32);
    size_t unused = MODULES_SEEN;

    /* Open addressing. A gap that a module left makes another seem new: slow, but right. */
    for (size_t i = 0; i < MODULES_SEEN; i++) {
        uint64_t other = load_relaxed(&seen[(home + i) % MODULES_SEEN].identity);

        if (other == identity) {
            return;
        }
        if (other == 0) {
            break;
        }
    }
    if (!cas_acquire(&seen_lock, &unlocked, 1)) {
        unwind_table_forget(); /* whoever has it may be who we interrupted */
        return;
    }
    for (size_t i = MODULES_SEEN; i-- > 0;) {
        size_t at = (home + i) % MODULES_SEEN;

        if (seen[at].identity != 0 && seen[at].start < m->end
            && seen[at].end > m->start) {
            store_relaxed(&seen[at].identity, 0);
        }
        if (seen[at].identity == 0) {
            unused = at;
        }
    }
    if (unused < MODULES_SEEN) { /* else it is new each time: slow, but right */
        seen[unused].start = m->start;
        seen[unused].end = m->end;
        store_relaxed(&seen[unused].identity, identity);
    }
    unwind_table_forget();        /* pairs with unwind_table_generation */
    store_release(&seen_lock, 0); /* pairs with the cas above */
}

/*
 * Which of them were known when they were met last, by their build ids: cheaper to look at
 * than all that tells a module. An entry that is half of one writer's and half of another's
 * proves nothing.
 */
struct proof {
    uintptr_t start; /* atomic: all of them */
    uint64_t offset; /* of the build id, in the first page */
    uint64_t check;
};
static struct proof proofs[PROOFS]; /* in sets */

static struct proof *proof_set(const struct unwind_module *m)
{
    return &proofs[(m->start >> 12) * 0x9e3779b97f4a7c15u >> 60 << 2];
}

static uint64_t proof_of(const struct unwind_module *m, uint64_t offset)
{
    uint64_t words[] = {
        m->start, m->end, (uintptr_t)m->hdr, offset, unwind_table_generation()};
    uint64_t h = mix(0, (const uint8_t *)words, sizeof(words));

    return mix(h, (const uint8_t *)m->start + offset, ID_BYTES) | 1;
}

static bool is_proven(const struct unwind_module *m)
{
    const struct proof *p = proof_set(m);

    for (unsigned i = 0; i < PROOF_WAYS; i++, p++) {
        uint64_t offset = load_relaxed(&p->offset);

        if (load_relaxed(&p->start) == m->start && offset <= FIRST_PAGE - ID_BYTES
            && load_relaxed(&p->check) == proof_of(m, offset)) {
            return true;
        }
    }
    return false;
}

/* Where in its first page the build id is, 0: nowhere. */
static uint64_t find_build_id(const struct unwind_module *m)
{
    size_t n = 0;
    const ElfW(Phdr) *p = unwind_module_headers(m, &n);

    for (size_t i = 0; p != NULL && i < n; i++) {
        uint64_t at = m->bias + p[i].p_vaddr - m->start;
        uint64_t end = at + p[i].p_filesz;

        if (p[i].p_type != PT_NOTE || at >= FIRST_PAGE || end > FIRST_PAGE) {
            continue;
        }
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            ElfW(Nhdr) note;
            uint64_t id;

            memcpy(&note, (const void *)(m->start + at), sizeof(note));
            id = at + sizeof(note) + bits_round_up((size_t)note.n_namesz, 4);
            if (note.n_type == NT_GNU_BUILD_ID && note.n_descsz >= ID_BYTES
                && id + ID_BYTES <= end) {
                return id;
            }
            at = id + bits_round_up((size_t)note.n_descsz, 4);
        }
    }
    return 0;
}

/* That of the same place goes first: of a place there is one. */
static struct proof *find_place(const struct unwind_module *m)
{
    static uint32_t turn; /* relaxed atomic; some may be lost */
    struct proof *p = proof_set(m);

    for (unsigned i = 0; i < PROOF_WAYS; i++) {
        if (load_relaxed(&p[i].start) == m->start) {
            return &p[i];
        }
    }
    store_relaxed(&turn, load_relaxed(&turn) + 1);
    return &p[load_relaxed(&turn) % PROOF_WAYS];
}

static void prove(const struct unwind_module *m)
{
    uint64_t offset = m->end - m->start >= FIRST_PAGE ? find_build_id(m) : 0;
    struct proof *p = find_place(m);

    if (offset != 0) {
        store_relaxed(&p->start, m->start);
        store_relaxed(&p->offset, offset);
        store_relaxed(&p->check, proof_of(m, offset));
    }
}

/* ---- modules that stay ---- */

enum { FIXED_PROGRAM, FIXED_US, FIXED_LIBC };

struct unwind_fixed unwind_fixed[UNWIND_FIXED];

static void fix(unsigned number, const struct unwind_module *m)
{
    struct unwind_fixed *f = &unwind_fixed[number];

    if (load_relaxed(&f->bytes) == 0) { /* whoever else writes now, writes the same */
        store_relaxed(&f->start, m->start);
        store_release(&f->bytes, m->end - m->start); /* as unwind_table_is_fixed */
    }
}

/* What we were bound to when we were loaded stays as long as we do. */
static void find_fixed(void)
{
    static uint32_t is_done; /* relaxed atomic; more than once is no harm */
    struct unwind_module m;

    if (LIKELY(load_relaxed(&is_done) != 0)) {
        return;
    }
    if (unwind_find_module((uintptr_t)&unwind_table_note, &m)) {
        fix(FIXED_US, &m);
    }
    if (unwind_find_module((uintptr_t)&abort, &m)) {
        fix(FIXED_LIBC, &m);
    }
    store_relaxed(&is_done, 1);
}

/* ---- rules ---- */

static uint64_t pack(enum unwind_rule_kind kind, int64_t cfa, int64_t fp, int64_t ra)
{
    if (cfa != (int32_t)cfa || fp != (int16_t)fp || ra < RULE_SAME_RA
        || ra > -RULE_SAME_RA - 1) {
        return RULE_FULL;
    }
    return (uint64_t)cfa << 32 | (uint64_t)(uint16_t)fp << 16
           | (uint64_t)(uint16_t)(ra * (RULE_KIND + 1)) | kind;
}

/* A register kept in memory at a fixed distance from the CFA, in words. */
static bool words_from_cfa(const struct cfi_row *row, unsigned reg, int64_t *ret)
{
    *ret = row->value[reg] / WORD;
    return row->where[reg] == CFI_AT_CFA && row->value[reg] % WORD == 0;
}

/* A register kept at a fixed distance from sp, in words: as handlers of signals return. */
static bool words_from_sp(const struct cfi_range *range, const struct cfi_row *row,
    unsigned reg, int64_t *ret)
{
    struct cfi_machine m = {.reg = NULL, .pc = 0};
    struct cfi_value v;

    if (row->where[reg] != CFI_AT_EXPR
        || !cfi_evaluate(range, row->value[reg], &m, NULL, &v) || v.is_loaded
        || v.reg != UNWIND_SP || (int64_t)v.number % WORD != 0) {
        return false;
    }
    *ret = (int64_t)v.number / WORD;
    return true;
}

static uint64_t pack_signal(
    const struct cfi_range *range, const struct cfi_row *row, int64_t cfa)
{
    int64_t sp = 0;
    int64_t fp = 0;
    int64_t ra = 0;

    /* Where returning needs more than a pc (aarch64: the link register), all is needed. */
    if (!UNWIND_PC_IS_REGISTER || !words_from_sp(range, row, UNWIND_SP, &sp)
        || sp * WORD != cfa || !words_from_sp(range, row, UNWIND_FP, &fp)
        || !words_from_sp(range, row, row->ra_reg, &ra)) {
        return RULE_FULL;
    }
    return pack(RULE_SIGNAL, cfa, fp, ra);
}

uint64_t unwind_rule_pack(
    const struct cfi_range *range, const struct cfi_row *row, uintptr_t at)
{
    struct cfi_machine m = {.reg = NULL, .pc = at};
    struct cfi_value cfa = {(uint64_t)(int64_t)row->cfa, row->cfa_reg, false};
    int64_t fp = RULE_SAME;
    int64_t ra = RULE_SAME_RA;

    if (row->where[row->ra_reg] == CFI_UNDEFINED
        || (UNWIND_PC_IS_REGISTER && row->where[row->ra_reg] == CFI_SAME)) {
        return RULE_END;
    }
    if (row->ra_reg != UNWIND_RA
        || (row->is_cfa_expr && !cfi_evaluate(range, row->cfa, &m, NULL, &cfa))) {
        return RULE_FULL;
    }
    if (cfa.reg == UNWIND_SP && cfa.is_loaded && row->is_signal) {
        return pack_signal(range, row, (int64_t)cfa.number);
    }
    if (row->is_signal || row->where[UNWIND_SP] != CFI_SAME) {
        return RULE_FULL;
    }
    if (row->where[UNWIND_FP] != CFI_SAME && row->where[UNWIND_FP] != CFI_UNDEFINED
        && !words_from_cfa(row, UNWIND_FP, &fp)) {
        return RULE_FULL;
    }
    if (row->where[UNWIND_RA] != CFI_SAME && !words_from_cfa(row, UNWIND_RA, &ra)) {
        return RULE_FULL;
    }
    if (cfa.reg == UNWIND_SP && !cfa.is_loaded) {
        return pack(RULE_SP, (int64_t)cfa.number, fp, ra);
    }
    if (cfa.reg == UNWIND_FP) {
        return pack(
            cfa.is_loaded ? RULE_LOAD_FP : RULE_FP, (int64_t)cfa.number, fp, ra);
    }
    return RULE_FULL;
}

/* ---- looking up ---- */

static bool find_row(const struct unwind_module *m, uintptr_t at,
    struct cfi_range *ret_range, struct cfi_row *ret_row)
{
    struct cfi_entry entry;

    if (m->hdr == NULL || !find_segment(m, (uintptr_t)m->hdr, ret_range)) {
        return false;
    }
    note_module(m, ret_range);
    return cfi_find(ret_range, m->hdr, at, &entry)
           && cfi_read(ret_range, &entry, at, ret_row);
}

bool unwind_table_note(uintptr_t at, struct unwind_module *ret)
{
    struct cfi_range range;

    if (!unwind_find_module(at, ret)) {
        return false;
    }
    if (ret->path[0] == '\0') { /* the program itself stays */
        fix(FIXED_PROGRAM, ret);
        return true;
    }
    find_fixed();
    if (is_proven(ret)) {
        return true;
    }
    if (ret->hdr == NULL || !find_segment(ret, (uintptr_t)ret->hdr, &range)) {
        range = (struct cfi_range){ret->hdr, ret->hdr}; /* nothing of it to read */
    }
    note_module(ret, &range);
    prove(ret);
    return true;
}

bool unwind_table_row(
    uintptr_t at, struct cfi_range *ret_range, struct cfi_row *ret_row)
{
    struct unwind_module m;

    return unwind_find_module(at, &m) && find_row(&m, at, ret_range, ret_row);
}

uint64_t unwind_table_rule(uintptr_t at)
{
    struct unwind_module m;
    struct cfi_range range;
    struct cfi_row row;

    if (!unwind_find_module(at, &m)) {
        return RULE_NONE;
    }
    if (!find_row(&m, at, &range, &row)) {
        return RULE_GUESS;
    }
    return unwind_rule_pack(&range, &row, at);
}
