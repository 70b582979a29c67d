/*
 * mpalloc.h - the interface of mpalloc, a malloc that profiles itself
 *
 * Linking or preloading libmpalloc is all that a program needs: malloc, free and their
 * kin then come from it. What is declared here is for programs that want to name the
 * parts of themselves (components), or to look at their own memory.
 *
 * Every function may be called from any thread at any time, before main too, unless its
 * comment says otherwise. None may be called from a signal handler.
 */
#ifndef MPALLOC_H
#define MPALLOC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MPALLOC_VERSION "0.1.0"

#if defined(__GNUC__)
#    define MP_EXPORT      __attribute__((visibility("default")))
#    define MP_MALLOC_LIKE __attribute__((malloc, warn_unused_result))
#else
#    define MP_EXPORT
#    define MP_MALLOC_LIKE
#endif

/*
 * Components: who the memory belongs to.
 *
 * A component is a name such as "extraction" or "extraction/html". The slash makes a
 * tree: what "extraction/html" holds also counts into "extraction". A block belongs to
 * the component that was current on the allocating thread (or that was named in the
 * call), for all of its life, whoever frees it.
 */
typedef struct mp_component mp_component_t;

/*
 * The component of that name, made at first use; it lives for ever.
 *
 * name: 1 to 95 bytes; longer names are cut. NULL or "" gives NULL, the untagged rest.
 * When 4,096 components exist, further names share the component "(overflow)", and each
 * refusal is counted (components_refused in mp_snapshot).
 */
MP_EXPORT mp_component_t *mp_component(const char *name);

/* The name of c; "(untagged)" for NULL. The string lives for ever. */
MP_EXPORT const char *mp_component_name(const mp_component_t *c);

/*
 * Make c (NULL: untagged) the component of this thread's allocations from now on.
 * Returns the component that was current, to be given to mp_leave.
 */
MP_EXPORT mp_component_t *mp_enter(mp_component_t *c);
MP_EXPORT void mp_leave(mp_component_t *previous);

#if defined(__GNUC__) && !defined(__cplusplus)
static inline void mp_scope_end_(mp_component_t **previous)
{
    mp_leave(*previous);
}
static inline mp_component_t *mp_scope_begin_(mp_component_t **cached, const char *name)
{
    mp_component_t *c = __atomic_load_n(cached, __ATOMIC_ACQUIRE);

    if (c == NULL) {
        c = mp_component(name);
        __atomic_store_n(cached, c, __ATOMIC_RELEASE);
    }
    return mp_enter(c);
}
#    define MP_PASTE2_(a, b) a##b
#    define MP_PASTE_(a, b)  MP_PASTE2_(a, b)
/*
 * From here to the end of the enclosing block, this thread allocates for the component
 * `name` (the same string at every pass: it is looked up once). Left on every way out of
 * the block: its end, return, break, goto, and exceptions where the file is compiled
 * with -fexceptions. longjmp out of the block does NOT leave it: save the value of
 * mp_enter yourself and give it to mp_leave after setjmp returned.
 */
#    define MP_SCOPE(name) MP_SCOPE_(name, __COUNTER__)
#    define MP_SCOPE_(name, number)                                                    \
        static mp_component_t *MP_PASTE_(mp_cached_, number);                          \
        __attribute__((cleanup(mp_scope_end_), unused)) mp_component_t *MP_PASTE_(     \
            mp_previous_, number) =                                                    \
            mp_scope_begin_(&MP_PASTE_(mp_cached_, number), name)
#endif

/*
 * malloc and kin for a named component, without switching to it. Same results and errors
 * as the functions of the C library; free with free. A block that mp_realloc moves
 * belongs to c from then on.
 */
MP_EXPORT MP_MALLOC_LIKE void *mp_malloc(mp_component_t *c, size_t size);
MP_EXPORT MP_MALLOC_LIKE void *mp_calloc(mp_component_t *c, size_t count, size_t size);
MP_EXPORT void *mp_realloc(mp_component_t *c, void *block, size_t size);
MP_EXPORT MP_MALLOC_LIKE void *mp_aligned_alloc(
    mp_component_t *c, size_t alignment, size_t size);

/*
 * Limits: how much a component may hold, with all below it ("a" covers "a/b"; what is
 * allocated for "a/b" must fit both limits). NULL: the untagged rest alone. Bytes are live
 * block bytes, as tree_live_bytes of mp_component_stats; 0: no limit.
 *
 * soft: when it is crossed the function of mp_component_on_limit is called, once: it is
 * called again when live bytes were below 15/16 of the limit and cross it once more.
 * hard: allocations for the component that would pass it fail as where there is no memory:
 * NULL with ENOMEM, std::bad_alloc. Others are not concerned. Memory that threads hold ready
 * is handed out without asking: live bytes may pass the limit by a 64th of it and by what is
 * ready, at most a slab (64 KiB most often) of each size class and thread.
 *
 * Returns 0; -EINVAL: soft above hard; -ENOSPC: 1,024 components have limits; -ENOMEM.
 * Any thread, at any time; a forked child has the limits of its parent. Operators set them
 * without a change of the program: MPALLOC_LIMITS=cache=512m:600m,index=:1g.
 */
MP_EXPORT int mp_component_limit(mp_component_t *c, size_t soft, size_t hard);

/*
 * Have fn called with the component whose soft limit was crossed and its live bytes at that
 * time; NULL: nobody. One function for the process, the last one that was given.
 *
 * It runs in a thread that allocates (nearly always the one that crossed the limit), when
 * the allocation is done. It may allocate and free: no lock of mpalloc is held. But locks of
 * the program may be, those that the caller of malloc holds: if the program allocates under
 * one it must not be taken here. Set a flag or wake a thread that makes room. What it crosses
 * itself is told when it has returned.
 */
typedef void mp_limit_function(mp_component_t *c, size_t live, void *arg);
MP_EXPORT void mp_component_on_limit(mp_limit_function *fn, void *arg);

/*
 * Memory pressure, 0 to 1: how near the process is to having no more memory. The higher one of
 * what is used of the limit (of its control group, without file pages that can go at once; of
 * RLIMIT_AS the addresses, of RLIMIT_DATA what is resident; without any, what is resident of the
 * machine's memory) and of stalls (the share of time in which tasks
 * waited for memory, as the kernel tells it: max(some avg10, some avg60) + full avg10, of the
 * control group or else of the machine). At most a second old. NAN: neither is known, or the
 * library was built without profiling. Any thread.
 */
MP_EXPORT double mp_pressure(void);

/*
 * Have fn called when pressure rises to `level` (above 0, at most 1), so that caches can shrink;
 * again every 10 s as long as it stays there, and anew when it was 0.05 below and rises once more.
 *
 * No thread and no signal is behind it: memory is looked at once a second by whoever allocates,
 * and fn runs in such a thread, inside of malloc, realloc or free. A process that does not allocate
 * is not called. fn may allocate and free: no lock of mpalloc is held. But locks of the program may
 * be, those that the caller of malloc holds: if the program allocates under one it must not be taken
 * here. Set a flag or wake a thread that makes room. errno is kept.
 *
 * Returns 0; -EINVAL; -ENOSPC: there are 16; -ENOSYS: built without profiling. A forked child has
 * the subscriptions of its parent. Unsubscribe: -ENOENT: there is none of that fn and arg; fn may
 * still be running in another thread when it returns.
 */
typedef void mp_pressure_function(double pressure, void *arg);
MP_EXPORT int mp_pressure_subscribe(mp_pressure_function *fn, void *arg, double level);
MP_EXPORT int mp_pressure_unsubscribe(mp_pressure_function *fn, void *arg);

/*
 * What the process holds now. Bytes are block bytes (what the size class gives), not the
 * bytes asked for; blocks and bytes are exact whenever no other thread is allocating.
 */
struct mp_snapshot {
    size_t size;                     /* in: sizeof(struct mp_snapshot) */
    uint64_t time_ns;                /* CLOCK_REALTIME of this snapshot */
    uint64_t allocated_blocks_total; /* ever handed out */
    uint64_t freed_blocks_total;
    uint64_t allocated_bytes_total;
    uint64_t freed_bytes_total;
    uint64_t live_blocks; /* handed out and not freed */
    uint64_t live_bytes;
    uint64_t live_peak_bytes; /* highest live_bytes seen, see alloc/README.md */
    uint64_t active_bytes;    /* spans that hold at least one live block */
    uint64_t cached_bytes;    /* free blocks inside active spans */
    uint64_t dirty_bytes;     /* free spans, freed huge blocks, not yet given back */
    uint64_t retained_bytes;  /* given back, address space kept */
    uint64_t metadata_bytes;  /* the allocator's own tables */
    uint64_t mapped_bytes;    /* address space that may be written */
    uint64_t resident_bytes;  /* upper bound of what of it can be resident */
    uint64_t reserved_bytes;  /* address space, most of it inaccessible */
    uint64_t refills_total;   /* slow-path passes by kind */
    uint64_t remote_folds_total;
    uint64_t purges_total;
    uint64_t trims_total;
    uint64_t purged_bytes_total;
    uint64_t allocation_failures_total; /* NULL with ENOMEM */
    uint64_t invalid_frees_total;       /* seen and, with MPALLOC_ABORT=0, ignored */
    uint64_t components_refused_total;
    uint64_t threads; /* that hold a heap now */
    uint64_t components;
};

/*
 * Fill s for this process. s->size must be set; a program compiled against an older or
 * newer header gets the fields that both know, the rest is left as it was.
 * Returns 0, or -EINVAL when s is NULL or s->size is smaller than 16.
 * Walks all spans: about 2 ns for each 64 KiB of heap. Not in -Dprofile=false builds:
 * there it returns -ENOSYS.
 */
MP_EXPORT int mp_snapshot(struct mp_snapshot *s);

/* One component: its own figures, and those of the tree below it (itself included). */
struct mp_component_stats {
    size_t size; /* in: sizeof(struct mp_component_stats) */
    const char *name;
    uint64_t allocated_blocks_total;
    uint64_t freed_blocks_total;
    uint64_t allocated_bytes_total;
    uint64_t freed_bytes_total;
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t live_peak_bytes;
    uint64_t tree_live_bytes;
    uint64_t tree_live_peak_bytes;
    uint64_t limit_soft_bytes; /* of mp_component_limit; 0: none */
    uint64_t limit_hard_bytes;
    uint64_t limit_hits_total;    /* how often the soft one was crossed */
    uint64_t limit_refused_total; /* allocations that failed for the hard one */
};

/*
 * Figures of the component number `index`, 0 (untagged) to components - 1, as of the last
 * mp_snapshot or the last publication, whichever is later.
 * Returns 0, -ENOENT past the end, -EINVAL on a NULL or too small s.
 */
MP_EXPORT int mp_component_stats(size_t index, struct mp_component_stats *s);

/* One size class of one component, or of all. */
struct mp_class_stats {
    size_t size; /* in: sizeof(struct mp_class_stats) */
    uint64_t
        block_bytes; /* of each block; the upper bound in classes of large blocks */
    uint64_t allocated_blocks_total;
    uint64_t freed_blocks_total;
    uint64_t allocated_bytes_total;
    uint64_t freed_bytes_total;
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t live_peak_bytes;
};

/*
 * Figures of size class `index` (0 to 127) in the component number `component`, or in all
 * of them for MP_ALL_COMPONENTS (then live_peak_bytes is 0: peaks do not add up).
 * Returns 0, -ENOENT past the end, -EINVAL on a NULL or too small s.
 */
#define MP_ALL_COMPONENTS ((size_t)-1)
MP_EXPORT int mp_class_stats(size_t component, size_t index, struct mp_class_stats *s);

/*
 * Give back to the kernel, now, all free memory that this thread can reach, and ask the
 * other threads to do so with theirs when they next enter the slow path.
 * Returns the bytes given back by this call.
 */
MP_EXPORT size_t mp_trim(void);

/*
 * Sampling of call stacks. One allocation in so many bytes is sampled, on average and at
 * random: its stack, component, operation and lifetime are kept. MPALLOC_SAMPLE says what a
 * process starts with.
 *
 * From now on, in all threads: an interval of 2 bytes to 1 TiB, MP_SAMPLE_EXACT (every
 * allocation) or MP_SAMPLE_OFF. What was sampled before stays. Threads follow when they next
 * enter the slow path.
 * Returns 0; -EINVAL for another value; -ENOSYS in hardened mode, in -Dprofile=false builds,
 * and where stacks cannot be walked.
 */
#define MP_SAMPLE_EXACT ((uint64_t)1)
#define MP_SAMPLE_OFF   ((uint64_t)-1)
MP_EXPORT int mp_sample_set(uint64_t interval_bytes);

/*
 * What this thread is doing, such as "checkout": a second tag, beside the component, that
 * samples of its allocations carry from now on. NULL or "": nothing. At most 31 bytes; when
 * there are 1,023 different names of operations and threads, further ones are as NULL. The
 * string is copied. Takes a lock: for requests, not for inner loops.
 */
MP_EXPORT void mp_operation(const char *name);

/*
 * The program is back at the same state as at the last mark of this name: "request served",
 * "idle". What a call stack holds more from each such mark to the next is growth, whatever
 * happens in between: marks make verdicts about leaks quicker and surer (mpalloc leaks). The
 * last 16 marks are kept; at most 47 bytes of the name. Takes a lock: for the ends of rounds,
 * not for inner loops. Any thread; not for signal handlers.
 */
MP_EXPORT void mp_mark(const char *name);

/*
 * Leak check by reachability: which live blocks the program can still get at. The threads stand
 * still for a moment (some milliseconds for each GiB), a copy of the process looks for pointers
 * in all memory that the program can write to and in all registers, and sorts each live block:
 *
 *     definite   nothing points to it
 *     indirect   only lost blocks lead to it
 *     possible   only pointers into blocks, not to their starts, lead to it
 *     reachable  pointers to starts lead to it
 *
 * With two rounds some time apart `lost` are those of the definite that were so in both: what a
 * thread was just about to store somewhere is definite in one of them.
 *
 * What looks like a pointer counts as one: a lost block may be taken for a reachable one. A block
 * whose only pointers are hidden (combined with others, or compressed) is taken for lost;
 * MPALLOC_LEAK_POINTERS knows tags and offsets.
 */
struct mp_leak_count {
    uint64_t blocks;
    uint64_t bytes; /* block bytes */
};

/* Why figures may be wrong: bits of mp_leak_summary.partial. */
#define MP_LEAK_THREADS_MISSED                                                         \
    1u /* threads could not be stopped: their registers are missing */
#define MP_LEAK_TIME_OVER 2u /* MPALLOC_LEAK_TIMEOUT: what was not seen is possible */
#define MP_LEAK_HEAP_BUSY 4u /* parts were being changed: their blocks are reachable */
#define MP_LEAK_UNREADABLE                                                             \
    8u /* memory that could not be read: what it leads to may be lost */
#define MP_LEAK_CELLS_MISSING                                                          \
    16u /* the region has no room for the figures of some components */

struct mp_leak_summary {
    size_t size;                   /* in: sizeof(struct mp_leak_summary) */
    uint32_t rounds;               /* in: 1, or 2 (0: 2); out: how many there were */
    uint32_t wait_ms;              /* in: between them, 0: 1,000; out: the same */
    uint64_t number;               /* of the check in this process, from 1 on */
    uint64_t time_ns;              /* CLOCK_REALTIME of the last round */
    struct mp_leak_count definite; /* these four add up to all live blocks */
    struct mp_leak_count indirect;
    struct mp_leak_count possible;
    struct mp_leak_count reachable;
    struct mp_leak_count lost; /* of the definite; after two rounds */
    uint64_t partial;          /* 0: the figures are complete; MP_LEAK_ bits */
    uint64_t pause_ns;         /* how long the program stood still, the longest */
    uint64_t fork_ns;          /* part of it */
    uint64_t mark_ns;          /* how long the last round took, beside the program, */
    uint64_t mark_cpu_ns;      /* and how long of it on a processor */
    uint64_t heap_bytes;       /* of blocks, and */
    uint64_t root_bytes;       /* of other memory, that it looked at */
    uint64_t child_bytes;      /* what it needed, beside copies of pages */
    uint64_t threads;          /* that stood still, the caller included */
    uint64_t threads_missed;
};

/*
 * A check now; returns when it is done: after the time between the rounds, and some 1 s for each
 * GiB of heap and round. The figures by component, class and call stack are in the region then.
 *
 * Uses, while threads stop, a real-time signal that has no handler; system calls that a signal
 * interrupts whatever its flags are (poll, nanosleep) return EINTR then. The copy of the process
 * is a child that the program's wait() does not see, and of which no signal tells.
 *
 * Returns 0 or a negative errno: -EINVAL (s, its size, or more than 2 rounds), -EBUSY (another
 * check runs, or all real-time signals are taken), -EAGAIN or -ENOMEM (no process could be made,
 * or no memory), -EPERM (the program filters its system calls), -ENOENT (/proc is not mounted),
 * -ETIMEDOUT, -ENOSYS in -Dprofile=false builds. The program goes on as if nothing had been in
 * any case.
 */
MP_EXPORT int mp_leak_check(struct mp_leak_summary *s);

/*
 * Memory that leak checks look for pointers in, and would not find: what is mapped but cannot be
 * written to, or devices. Nothing else need be added. bytes from `start` must stay readable.
 * Returns 0, -EINVAL for NULL or no bytes, -ENOSPC beyond 1,024 of them; -ENOENT: it was not
 * added.
 */
MP_EXPORT int mp_root_add(const void *start, size_t bytes);
MP_EXPORT int mp_root_remove(const void *start);

/*
 * Arenas: many small objects, of a request say, that end all at once.
 *
 * Objects lie side by side in chunks. There is no free of one; a reset or the arena's end takes
 * all of them, in time that depends on the number of chunks, not of objects. Chunks are blocks of
 * malloc of the arena's component: that is where they are counted and sampled, whole. They begin
 * with 4 KiB and double up to 256 KiB; an object above 64 KiB that does not fit has a block of
 * its own. A reset keeps the chunks that were needed since the reset before.
 *
 * An arena is for one thread at a time, which need not be always the same one: whoever hands it
 * on sees to the order, as with any object. Different arenas have nothing in common. What the library
 * calls back, of limits and of memory pressure, and handlers of signals must not touch an arena that
 * the thread they run on has in use: a call of it may be what they interrupt.
 *
 * Where mistakes are looked for (MPALLOC_HARDEN=1, -Ddebug_checks=true, in programs built with
 * AddressSanitizer, under valgrind) memory of objects that ended is filled with 0xa5, what is
 * written to it is reported as a "use after free" when the memory is used again, and those two
 * tools are told that nobody may touch it.
 */
typedef struct mp_arena mp_arena_t;

/* An arena without objects. c: whose its memory is, NULL: nobody's. NULL with ENOMEM. */
MP_EXPORT mp_arena_t *mp_arena_create(mp_component_t *c);

/* All objects end, and the arena. NULL is nothing. */
MP_EXPORT void mp_arena_destroy(mp_arena_t *arena);

/*
 * An object of `size` bytes, which may hold anything; its address is a multiple of 16, or of
 * `alignment`, any power of two. Objects of 0 bytes have an address that no other has.
 * NULL with ENOMEM: no memory, or more bytes than there can be; all that is in the arena stays as
 * it is, and smaller objects may still fit. NULL with EINVAL: no power of two.
 */
MP_EXPORT void *mp_arena_alloc(mp_arena_t *arena, size_t size);
MP_EXPORT void *mp_arena_aligned_alloc(
    mp_arena_t *arena, size_t alignment, size_t size);

/* The same for count * size bytes, all zero. */
MP_EXPORT void *mp_arena_calloc(mp_arena_t *arena, size_t count, size_t size);

/* A copy of s, of at most its first `most` bytes, and a NUL. NULL with ENOMEM. */
MP_EXPORT char *mp_arena_strdup(mp_arena_t *arena, const char *s);
MP_EXPORT char *mp_arena_strndup(mp_arena_t *arena, const char *s, size_t most);

/*
 * All objects end; the arena is as new, with memory at hand. Blocks of single objects, and chunks
 * that were not needed since the reset before, are freed.
 */
MP_EXPORT void mp_arena_reset(mp_arena_t *arena);

/*
 * Nesting: objects that began after mp_arena_save end with mp_arena_restore, those before stay.
 * Places may be saved within places; restoring one ends those saved later, a reset all. What is in
 * the struct is the library's business.
 */
struct mp_arena_place {
    void *chunk_;
    void *at_;
    void *single_;
};
MP_EXPORT struct mp_arena_place mp_arena_save(const mp_arena_t *arena);
MP_EXPORT void mp_arena_restore(mp_arena_t *arena, struct mp_arena_place place);

struct mp_arena_stats {
    size_t size;           /* in: sizeof(struct mp_arena_stats) */
    uint64_t used_bytes;   /* of objects, with what alignment takes */
    uint64_t held_bytes;   /* asked of malloc, with the arena itself */
    uint64_t chunks;       /* that they are in, blocks of single objects included */
    uint64_t resets_total; /* since it was created */
};

/*
 * The figures of an arena now, in time by the number of chunks; of the thread that has it.
 * Returns 0, -EINVAL on a NULL or too small s.
 */
MP_EXPORT int mp_arena_stats(const mp_arena_t *arena, struct mp_arena_stats *s);

/*
 * Pools: objects of one size that are used again, faster than malloc and free.
 *
 * Any thread may get, and any may put, also what another thread got. A thread has up to 64
 * objects at hand (fewer of more than 2 KiB; never more than `keep`), which it gets and puts
 * without a lock; what is more all threads share, and move 32 at a time. One thread keeps at most
 * `keep` objects; each further one may keep what it has at hand. What is over is freed. What a
 * thread that ends has at hand is for the others, and so it is with what fork's other threads had,
 * in the child.
 *
 * Objects are blocks of malloc of the pool's component. There, in samples and in leak checks, one
 * that is kept counts as live: it is the pool's. With MPALLOC_HARDEN=1 a pool keeps nothing, so
 * that malloc looks at each object as at any block. The first 255 pools that exist at a time have
 * all this; further ones work, but take a lock each time.
 */
typedef struct mp_pool mp_pool_t;

/*
 * A pool of objects of `object` bytes, at addresses that are multiples of 16.
 * c: whose they are, NULL: nobody's. keep: how many that are not in use stay for the next get;
 * 0: none, SIZE_MAX: all. NULL with ENOMEM.
 */
MP_EXPORT mp_pool_t *mp_pool_create(mp_component_t *c, size_t object, size_t keep);

/*
 * Free what is kept, and the pool; NULL is nothing. No thread may be using it, or do so later.
 * Objects that are in use stay valid, and are to be freed by free.
 */
MP_EXPORT void mp_pool_destroy(mp_pool_t *pool);

/* An object, which may hold anything. NULL with ENOMEM. */
MP_EXPORT void *mp_pool_get(mp_pool_t *pool);

/* An object that came from this pool is not in use any more. NULL is nothing. */
MP_EXPORT void mp_pool_put(mp_pool_t *pool, void *object);

/*
 * Free what is kept now, but for what other threads have at hand. Returns its bytes. For any
 * thread, beside others that use the pool.
 */
MP_EXPORT size_t mp_pool_trim(mp_pool_t *pool);

struct mp_pool_stats {
    size_t size;           /* in: sizeof(struct mp_pool_stats) */
    uint64_t object_bytes; /* of each */
    uint64_t keep;
    uint64_t gets_total;   /* that got an object: hits and misses */
    uint64_t hits_total;   /* one that was kept */
    uint64_t misses_total; /* one of malloc */
    uint64_t freed_total;  /* objects that were over */
    uint64_t kept;         /* objects */
    uint64_t live;         /* in use */
    uint64_t peak;         /* most objects that there were, in use or kept */
};

/*
 * The figures of a pool now; exact while no other thread gets or puts. Any thread. Returns 0,
 * -EINVAL on a NULL or a too small s.
 */
MP_EXPORT int mp_pool_stats(mp_pool_t *pool, struct mp_pool_stats *s);

/*
 * Write a copy of the region (include/mpalloc/region.h), up to date, to a new file.
 * Returns 0 or a negative errno: -EEXIST when the file exists, -ENODATA when this process
 * has no region. Opens files: not for signal handlers or seccomp'd threads.
 */
MP_EXPORT int mp_dump(const char *path);

/*
 * Numbers of the program's own, such as "headers_inline" and "cache_entries", which tools show
 * with those of the library, by name.
 *
 * mp_counter: the counter of that name, made at first use with value 0; it lives for ever. At most
 * 47 bytes of the name. NULL with ENOMEM when there are 256 already, with EINVAL for no name; the
 * others take NULL and do nothing. Takes a lock: keep what it returns. They are one atomic
 * instruction each, and wrap around.
 */
typedef struct mp_counter mp_counter_t;
MP_EXPORT mp_counter_t *mp_counter(const char *name);
MP_EXPORT void mp_counter_add(mp_counter_t *counter, int64_t n); /* n may be below 0 */
MP_EXPORT void mp_counter_set(mp_counter_t *counter, int64_t value);
MP_EXPORT int64_t mp_counter_value(const mp_counter_t *counter);

/* What arenas, pools and threads begin with: for the functions that are inline (below). */
struct mp_arena_head_ {
    char *at;  /* where the next object begins */
    char *end; /* of what may be had without a closer look */
};
struct mp_pool_head_ {
    size_t place; /* of its tray in a thread's table, in bytes */
};
struct mp_tray_ {
    void **got;  /* behind the object that is got next */
    void **base; /* where the last of them is */
    void **put;  /* where the next is put */
    void **end;  /* behind the last room for one */
};
#if defined(__GNUC__)
extern MP_EXPORT __thread char *mp_trays_ __attribute__((tls_model("initial-exec")));
#endif

#if defined(__GNUC__) && !defined(MP_NO_INLINE)
/*
 * The common case of mp_arena_alloc, mp_pool_get and mp_pool_put without a call. What this knows
 * of the library stays so for its soname; none of the names is for programs. Macros, for clang
 * does not inline a function that calls one of its own name; (mp_pool_get)(pool) is a call.
 */
#    define MP_INLINE_  static __inline__ __attribute__((__always_inline__, __unused__))
#    define MP_RARE_(x) __builtin_expect(!!(x), 0)

MP_INLINE_ void *mp_arena_alloc_(mp_arena_t *arena, size_t size)
{
    struct mp_arena_head_ *a = (struct mp_arena_head_ *)arena;
    char *p = a->at;

    if (MP_RARE_(size - 1 >= (size_t)(a->end - p))) {
        return mp_arena_alloc(arena, size);
    }
    a->at = p + ((size + 15) & ~(size_t)15);
    return p;
}
#    define mp_arena_alloc(...) mp_arena_alloc_(__VA_ARGS__)

MP_INLINE_ void *mp_pool_get_(mp_pool_t *pool)
{
    struct mp_tray_ *t =
        (struct mp_tray_ *)(mp_trays_ + ((const struct mp_pool_head_ *)pool)->place);
    void **got = t->got;
    void *object;

    if (MP_RARE_(got == t->base)) {
        return mp_pool_get(pool);
    }
    object = *--got;
    __atomic_store_n(got, (void *)0, __ATOMIC_RELAXED);
    __atomic_store_n(&t->got, got, __ATOMIC_RELAXED);
    return object;
}
#    define mp_pool_get(...) mp_pool_get_(__VA_ARGS__)

MP_INLINE_ void mp_pool_put_(mp_pool_t *pool, void *object)
{
    struct mp_tray_ *t =
        (struct mp_tray_ *)(mp_trays_ + ((const struct mp_pool_head_ *)pool)->place);
    void **put = t->put;

    if (MP_RARE_(object == (void *)0 || put == t->end)) {
        mp_pool_put(pool, object);
        return;
    }
    __atomic_store_n(put, object, __ATOMIC_RELAXED);
    __atomic_store_n(&t->put, put + 1, __ATOMIC_RELAXED);
}
#    define mp_pool_put(...) mp_pool_put_(__VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif

#endif
