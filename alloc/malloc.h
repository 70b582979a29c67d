/*
 * malloc - the allocator as functions: what libc.c gives the names of the C library
 *
 * The fast paths come first and are inline, so that malloc and free contain them. They
 * count nothing and ask nothing about profiling: refill (heap.h) does both.
 *
 * Out of memory is NULL; setting errno is done here, in the slow paths. free keeps errno.
 */
#ifndef MALLOC_H
#define MALLOC_H

#include "arch.h"
#include "counters.h"
#include "thread.h"

HIDDEN void *malloc_medium(size_t size); /* size > FAST_MAX */
HIDDEN void *malloc_slow(size_t cls);    /* the list of a class is empty */
HIDDEN void malloc_free_slow(
    void *p); /* not a block of this thread, or NULL, or not ours */

/* The next block of a class for the current component. */
static ALWAYS_INLINE void *malloc_pop(size_t cls)
{
    struct block **head = &thread_local_state.heap->head[cls];
    struct block *b;

    PLAIN_ADDRESS(head);
    b = *head;
    if (UNLIKELY(b == NULL)) {
        return malloc_slow(cls);
    }
    store_relaxed(head, b->next);
    return b;
}

/* 14 instructions with its return on x86-64 (tests/core/check_fast_path.py). */
static ALWAYS_INLINE void *malloc_fast(size_t size)
{
    if (UNLIKELY(size > FAST_MAX)) {
        return malloc_medium(size);
    }
    return malloc_pop(sizeclass_of_fast(size));
}

/* 18 instructions with its return. NULL and foreign pointers lie behind the frontier. */
static ALWAYS_INLINE void free_fast(void *p)
{
    uintptr_t index = pagemap_index_fast(p);
    struct block *b = p;
    struct block *first;
    struct span *s;

    if (UNLIKELY(!pagemap_has_fast(index))) {
        malloc_free_slow(p);
        return;
    }
    s = pagemap_entry_fast(index);
    PLAIN_ADDRESS(s); /* one register for all that follows */
    if (UNLIKELY(load_fast(&s->owner) != thread_pointer())) {
        malloc_free_slow(p);
        return;
    }
    first = s->local;
    if (UNLIKELY(first == b)) { /* freed twice in a row: the commonest double free */
        malloc_free_slow(p);
        return;
    }
    b->next = first;
    s->local = b;
    if (UNLIKELY(count_down_owned(&s->left))) {
        heap_on_left_zero(s);
    }
}

/* As in C, for component c (NULL: the current one). */
void *malloc_alloc(struct mp_component *c, size_t size);
void *malloc_zeroed(struct mp_component *c, size_t count, size_t size);
void *malloc_resize(struct mp_component *c, void *p, size_t size);
/* alignment: a power of two */
void *malloc_aligned(struct mp_component *c, size_t alignment, size_t size);
size_t malloc_usable(const void *p); /* 0 for NULL and what is not ours */
void malloc_free(void *p);

/* Give back all that this thread can reach, ask the others. Returns bytes. */
size_t malloc_trim_all(void);

#endif
