#include "unwind_memory.h"

#include "arch.h"
#include "os.h"

enum {
    WORD = sizeof(uintptr_t),
    PAGE = 4096, /* the least that kernels protect: larger pages are tested in parts */
    OWN_STACK_MOST = 16 << 20, /* of a stack that is tested once for all */
};

__thread struct unwind_own_stack unwind_own_stack INITIAL_EXEC;

/* Of the C library: where the stack of the first thread began. */
extern void *__libc_stack_end __attribute__((weak));

/*
 * A thread's control block is at the end of its stack, but for the first. (In a child that
 * another thread forked the answer is wrong, and so never fits: pages are tested then.)
 */
static uintptr_t find_own_end(void)
{
    /* In a sandbox nothing is asked: of the first thread what is not known stays so. */
    if (!os_is_sandboxed() && os_is_first_thread()) {
        return &__libc_stack_end != NULL ? (uintptr_t)__libc_stack_end : 0;
    }
    return bits_round_down(thread_pointer(), WORD);
}

bool unwind_are_readable(uintptr_t from, uintptr_t to)
{
    if (os_is_sandboxed()) {
        return false; /* to ask the kernel may be forbidden, at the price of the process */
    }
    for (uintptr_t page = bits_round_down(from, PAGE); page < to; page += PAGE) {
        if (!os_is_readable((const void *)page)) {
            return false;
        }
    }
    return true;
}

static bool find_own_stack(struct unwind_window *w, uintptr_t address)
{
    uintptr_t low = unwind_own_stack.low;
    uintptr_t end = low != 0 ? unwind_own_stack.end : find_own_end();

    if (address >= end || end - address > OWN_STACK_MOST) {
        return false;
    }
    if (low == 0 || address < low) {
        if (!unwind_are_readable(address, low != 0 ? low : end)) {
            return false;
        }
        low = bits_round_down(address, PAGE);
        store_relaxed(&unwind_own_stack.end, end);
        __atomic_signal_fence(__ATOMIC_RELEASE);
        store_relaxed(&unwind_own_stack.low, low);
    }
    if (end - low < WORD) {
        return false;
    }
    *w = (struct unwind_window){low, end - low - WORD};
    return true;
}

NOINLINE bool unwind_window_move(struct unwind_window *w, uintptr_t address)
{
    uintptr_t page = bits_round_down(address, PAGE);
    uintptr_t end = bits_round_down(address + WORD - 1, PAGE) + PAGE;

    if (address < PAGE || address > UINTPTR_MAX - 2 * PAGE) {
        return false;
    }
    if (find_own_stack(w, address) && address - w->lo <= w->room) {
        return true;
    }
    if (!unwind_are_readable(page, end)) {
        return false;
    }
    if (w->lo + w->room + WORD == page) { /* goes on where it ended */
        w->room = end - w->lo - WORD;
    } else {
        *w = (struct unwind_window){page, end - page - WORD};
    }
    return true;
}
