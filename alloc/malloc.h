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
HIDDEN void *malloc_slow(size_t size);   /* size <= FAST_MAX, and its list is empty */
HIDDEN void *malloc_refill(
    size_t cls); /* the same for a class, where nothing is hardened */
HIDDEN void malloc_free_slow(
    void *p); /* not a block of this thread, or NULL, or not ours */
HIDDEN void malloc_free_slow_sized(void *p, size_t size); /* the same, with its size */

/* The next block of a class for the current component, NULL: the list is empty. */
static ALWAYS_INLINE struct block *malloc_try_pop(size_t cls)
{
    struct block **head = &thread_local_state.heap->head[cls];
    struct block *b;

    PLAIN_ADDRESS(head);
    b = *head;
    if (LIKELY(b != NULL)) {
        store_relaxed(head, b->next);
    }
    return b;
}

static ALWAYS_INLINE void *malloc_pop(size_t cls)
{
    struct block *b = malloc_try_pop(cls);

    return LIKELY(b != NULL) ? b : malloc_refill(cls);
}

/* 14 instructions with its return on x86-64 (tests/core/check_fast_path.py). */
static ALWAYS_INLINE void *malloc_fast(size_t size)
{
    struct block **head;
    struct block *b;

    if (UNLIKELY(size > FAST_MAX)) {
        return malloc_medium(size);
    }
    head = &thread_local_state.heap->head[sizeclass_of_fast(size)];
    PLAIN_ADDRESS(head);
    b = *head;
    if (UNLIKELY(b == NULL)) {
        return malloc_slow(size);
    }
    store_relaxed(head, b->next);
    return b;
}

/* The caller's size, where there is none. */
#define SIZE_UNKNOWN SIZE_MAX

static ALWAYS_INLINE void free_in_slow_path(void *p, size_t size)
{
    if (__builtin_constant_p(size) && size == SIZE_UNKNOWN) {
        malloc_free_slow(p);
    } else {
        malloc_free_slow_sized(p, size);
    }
}

/* The block was asked for with `size` bytes: only the slow path compares. */
static ALWAYS_INLINE void free_fast_sized(void *p, size_t size)
{
    uintptr_t index = pagemap_index_fast(p);
    struct block *b = p;
    struct block *first;
    struct span *s;

    if (UNLIKELY(!pagemap_has_fast(index))) {
        free_in_slow_path(p, size);
        return;
    }
    s = pagemap_entry_fast(index);
    PLAIN_ADDRESS(s); /* one register for all that follows */
    if (UNLIKELY(load_fast(&s->owner) != thread_pointer())) {
        free_in_slow_path(p, size);
        return;
    }
    first = s->local;
    if (UNLIKELY(first == b)) { /* freed twice in a row: the commonest double free */
        free_in_slow_path(p, size);
        return;
    }
    b->next = first;
    s->local = b;
    if (UNLIKELY(count_down_owned(&s->left))) {
        heap_on_left_zero(s);
    }
}

/* 18 instructions with its return. NULL and foreign pointers lie behind the frontier. */
static ALWAYS_INLINE void free_fast(void *p)
{
    free_fast_sized(p, SIZE_UNKNOWN);
}

/* As in C, for component c (NULL: the current one). */
void *malloc_alloc(struct mp_component *c, size_t size);
void *malloc_zeroed(struct mp_component *c, size_t count, size_t size);
void *malloc_calloc(size_t count, size_t size); /* for the current one, as calloc */
void *malloc_resize(struct mp_component *c, void *p, size_t size);
void *malloc_realloc(
    void *p, size_t size); /* the same for the current one, as realloc */
/* alignment: a power of two */
void *malloc_aligned(struct mp_component *c, size_t alignment, size_t size);
void *malloc_try_aligned(size_t alignment, size_t size); /* NULL: none at hand */
size_t malloc_usable(const void *p); /* 0 for NULL and what is not ours */
void malloc_free(void *p);

/* Give back all that this thread can reach, ask the others. Returns bytes. */
size_t malloc_trim_all(void);

#endif
