/*
 * unwind_table - from an address in some module to the rule of its frame
 *
 * Owns: finding the module and its tables (_dl_find_object: no lock, no allocation, safe in
 * handlers and inside dlopen); bringing rows of call frame information (cfi.h) into rules
 * of 64 bits; noticing that other modules lie where known ones did.
 *
 * What is read of a module is bounds-checked against its segments.
 */
#ifndef UNWIND_TABLE_H
#define UNWIND_TABLE_H

#include "atomic.h"
#include "attr.h"
#include "cfi.h"

struct unwind_module {
    uintptr_t start; /* of its mapping */
    uintptr_t end;
    uintptr_t bias;     /* address in memory less address in the file */
    const char *path;   /* "": the program itself */
    const uint8_t *hdr; /* .eh_frame_hdr; NULL: none */
};

/* The module that an address lies in. False: none. */
bool unwind_find_module(uintptr_t address, struct unwind_module *ret);

/* Its ELF program headers in memory; NULL: they are not where they are looked for. */
const void *unwind_module_headers(const struct unwind_module *m, size_t *ret_count);

/*
 * A rule says how to get from a frame to its caller's with the stack pointer and the frame
 * pointer alone, which is enough for nearly all code:
 *
 *     bits 0-2    kind
 *     bits 3-15   return address, in words from the CFA; RULE_SAME: in the link register
 *     bits 16-31  frame pointer of the caller, the same way; RULE_SAME: unchanged
 *     bits 32-63  CFA, from what the kind says
 */
enum unwind_rule_kind {
    RULE_NONE,    /* nothing is known */
    RULE_SP,      /* CFA = sp + offset */
    RULE_FP,      /* CFA = fp + offset */
    RULE_LOAD_FP, /* CFA = word at fp + offset: a frame that was aligned */
    RULE_SIGNAL,  /* CFA = word at sp + offset; the others are from sp, too */
    RULE_END,     /* nobody called this */
    RULE_FULL,    /* all registers are needed */
    RULE_GUESS,   /* in a module that says nothing about it */
};

enum { RULE_KIND = 7, RULE_SAME_RA = -4096, RULE_SAME = INT16_MIN };

static inline unsigned unwind_rule_kind(uint64_t rule)
{
    return (unsigned)rule & RULE_KIND;
}

static inline intptr_t unwind_rule_cfa(uint64_t rule)
{
    return (intptr_t)((int64_t)rule >> 32);
}

static inline intptr_t unwind_rule_fp(uint64_t rule)
{
    return (int16_t)(rule >> 16);
}

static inline intptr_t unwind_rule_ra(uint64_t rule)
{
    return (int16_t)rule >> 3;
}

/* The row in 64 bits; RULE_FULL or RULE_END when that is what there is to say. */
uint64_t unwind_rule_pack(
    const struct cfi_range *range, const struct cfi_row *row, uintptr_t at);

/* The rule for code at an address, RULE_NONE when it is in no module. */
uint64_t unwind_table_rule(uintptr_t at);

/* The row it comes from; its expressions lie in ret_range. */
bool unwind_table_row(
    uintptr_t at, struct cfi_range *ret_range, struct cfi_row *ret_row);

/*
 * Rises when a module shows up that was not there before: rules of an earlier generation
 * may be those of modules that were closed.
 */
extern HIDDEN uint64_t unwind_generation; /* atomic */

static inline uint64_t unwind_table_generation(void)
{
    return load_acquire(&unwind_generation); /* pairs with note_module */
}

void unwind_table_forget(void); /* raise it */

/* Raise it if the module that an address lies in was not seen before. False: in none. */
bool unwind_table_note(uintptr_t at, struct unwind_module *ret);

/*
 * The module that an address lies in never goes: it is the program, this library, or the C
 * library, which this one needs. False: perhaps not. Such need not be noted.
 */
struct unwind_fixed {
    uintptr_t start; /* atomic, both; bytes is 0 until start is known */
    uintptr_t bytes;
};
enum { UNWIND_FIXED = 3 };
extern HIDDEN struct unwind_fixed unwind_fixed[UNWIND_FIXED];

static inline bool unwind_table_is_fixed(uintptr_t at)
{
    for (unsigned i = 0; i < UNWIND_FIXED; i++) {
        uintptr_t bytes = load_acquire(&unwind_fixed[i].bytes); /* pairs with fix */

        if (at - load_relaxed(&unwind_fixed[i].start) < bytes) {
            return true;
        }
    }
    return false;
}

/* In a forked child: whoever was noting a module is gone. */
void unwind_table_after_fork_in_child(void);

#endif
