/*
 * libgcc.h - the stack as libgcc sees it, to compare with
 *
 * Its <unwind.h> has the name of ours, so that the few declarations stand here.
 */
#ifndef TESTS_LIBGCC_H
#define TESTS_LIBGCC_H

#include "unwind.h"

struct _Unwind_Context;
int _Unwind_Backtrace(int (*each)(struct _Unwind_Context *, void *), void *arg);
uintptr_t _Unwind_GetIP(struct _Unwind_Context *c);
struct libgcc_bases {
    void *text, *data, *function;
};
const void *_Unwind_Find_FDE(void *pc, struct libgcc_bases *bases);
enum { LIBGCC_GO_ON = 0, LIBGCC_STOP = 5 };

struct trace {
    uintptr_t pc[UNWIND_MOST];
    size_t count;
    bool is_cut; /* there was more */
};

static int libgcc_each(struct _Unwind_Context *c, void *arg)
{
    struct trace *t = arg;

    if (t->count == UNWIND_MOST) {
        t->is_cut = true;
        return LIBGCC_STOP;
    }
    t->pc[t->count++] = _Unwind_GetIP(c);
    return LIBGCC_GO_ON;
}

/* From the function that calls this. */
static __attribute__((noinline, unused)) void trace_by_libgcc(struct trace *t)
{
    t->count = 0;
    t->is_cut = false;
    _Unwind_Backtrace(libgcc_each, t);
    while (t->count > 0 && t->pc[t->count - 1] == 0) {
        t->count--; /* at the end it shows a frame that is none */
    }
    for (size_t i = 1; i < t->count; i++) {
        t->pc[i - 1] = t->pc[i];
    }
    t->count -= t->count > 0;
}

static inline size_t trace_index_of(const struct trace *t, uintptr_t pc)
{
    size_t i = 0;

    while (i < t->count && t->pc[i] != pc) {
        i++;
    }
    return i;
}

#endif
