/*
 * thread - what each thread keeps: its heaps, its component
 *
 * Owns: the thread-local variables; the registry of threads; the hand-over at exit.
 *
 * A thread starts on heap_empty and gets a structure at its first slow path. At its end a
 * pthread key's destructor hands its heaps on, in each of the rounds that the C library
 * makes, for destructors of others may allocate. What still allocates after the last is
 * served from the component's shared heap.
 */
#ifndef THREAD_H
#define THREAD_H

#include "heap.h"

struct unwind_kept;
struct share;

enum { DIRECTORY_SHIFT = 6, DIRECTORY_PAGE = 1 << DIRECTORY_SHIFT };

struct thread {
    uintptr_t pointer; /* thread_pointer() of it */
    struct heap **directory[(COMPONENT_ROWS >> DIRECTORY_SHIFT) + 1]; /* its thread */
    struct thread *next; /* threads_lock: bucket, or unused */
    struct thread *previous;
    uint32_t trims_seen; /* its thread */
    uint32_t flushed_ms;
    unsigned rounds; /* of destructors that passed */
    bool is_digging; /* its thread: free pages inside slabs are left to give back */
    bool is_armed;   /* its end will be heard of */
    bool is_gone;    /* of a thread that did not survive fork */
    bool is_telling; /* its thread, as the next: in a callback of limit.c */
    const struct mp_component *lender; /* whose block is about to be freed; limit.h */
    size_t lent;
    struct large_cache large_cache;
    /* Its thread, for samples: */
    int64_t sample_gap; /* bytes of large blocks to the next; below 0: look */
    uint32_t sample_epoch;
    uint64_t sample_interval; /* that the gap was drawn with */
    uint32_t named_ms;        /* when the name was asked for */
    uint16_t name;            /* its number */
    uint16_t operation;       /* the same of what it does */
    uint64_t thread_id;       /* 0: not asked yet */
    uint64_t random;
    struct unwind_kept *kept; /* stack of the last sample; stays with the structure */
    struct share *share;      /* where all is sampled: share.h; stays, too */
    bool has_sampled;
    char *
        trays; /* its thread: mp_pool.c; NULL: none yet. Zeros when the thread has ended */
};

/* A table of trays: places for pools, the first of which stays empty. */
enum { TRAY_BYTES = 64, TRAYS_BYTES = 256 * TRAY_BYTES };

/* 24 bytes of static TLS, and 8 for thread_trays, so that dlopen of the library finds room. */
struct thread_local_state {
    struct heap *heap;              /* of the current component; never NULL */
    struct mp_component *component; /* NULL: untagged */
    struct thread *thread;
};
extern HIDDEN __thread struct thread_local_state thread_local_state INITIAL_EXEC;

/*
 * This thread's table of trays. Never NULL: until there are any, all zeros and not to be written
 * to. Programs know it by another name, mp_trays_; ours is ours whoever else has that one.
 */
extern HIDDEN __thread char *thread_trays INITIAL_EXEC;

extern struct lock threads_lock;

/*
 * Before the loader initialises the first thread's storage, all of which is zero so long:
 * have it serve. What the thread has by then it has again when it starts anew.
 */
HIDDEN void thread_prepare_early(void);

/* The component that this thread allocates for. Never NULL. */
struct mp_component *thread_component(void);

/*
 * This thread's heap for a component, made if need be. NULL: it can have none, use
 * heap_alloc_shared (or there is no memory, then that fails too).
 */
struct heap *thread_heap(struct mp_component *c);

/* The heap of the current component, installed for the fast path. NULL: as above. */
struct heap *thread_install_heap(void);

/* Whether this thread has trays, made if need be; c: for whom it will allocate. */
bool thread_has_trays(struct mp_component *c);

/* Make c (NULL: untagged) current; returns the one before. */
struct mp_component *thread_enter(struct mp_component *c);

/*
 * Give back what idles in this thread's heaps (0: all that is free). Publish lock held.
 */
void thread_flush_locked(uint32_t now_ms, uint32_t idle_ms);

/* Go on with what a flush left to do; little at a time. Publish lock held. */
void thread_dig_locked(void);

/* Ask every thread to flush at its next tick; whether this one was asked. */
void thread_request_trim(void);
bool thread_take_trim_request(void);
bool thread_is_flush_due(uint32_t now_ms, uint32_t idle_ms);

size_t thread_count(void);
size_t thread_peak(void);
size_t thread_total(void);

/* In a forked child: the others are gone. */
void thread_after_fork_in_child(void);

#endif
