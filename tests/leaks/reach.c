/*
 * reach - programs whose leaks are known, one to each name
 *
 * reach NAME makes the shape and then, in the build with mpalloc (REACH_LINKED), checks itself:
 * definitely, indirectly and possibly lost blocks must be what the table says, and all four kinds
 * together the counters, for each component and class. In other builds it just ends, so that
 * valgrind and LeakSanitizer say what they find (compare.py).
 */
#include "reach_cpp.h"
#include "scrub.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if REACH_LINKED
#    include <mpalloc.h>
#endif

#if __has_attribute(noclone)
#    define NOINLINE __attribute__((noinline, noclone))
#else
#    define NOINLINE __attribute__((noinline))
#endif

enum { SIZE = 120, COUNT = 10 };

struct node {
    struct node *next;
    struct node *other;
    char rest[SIZE - 2 * sizeof(struct node *)];
};

static void *volatile kept[64]; /* a root, in .bss */
static __thread void *volatile kept_by_thread[4];
static pthread_key_t key;
static pthread_barrier_t barrier;

static NOINLINE void *fresh(size_t bytes)
{
    void *p = calloc(1, bytes);

    if (p == NULL) {
        abort();
    }
    return p;
}

/* What it points to is not what the compiler knows, and is needed. */
static void hold(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* ---- shapes ---- */

static NOINLINE void lost_blocks(void)
{
    for (int i = 0; i < COUNT; i++) {
        void *volatile p = fresh(SIZE);

        p = NULL;
        (void)p;
    }
}

static struct node *make_list(int n)
{
    struct node *list = NULL;

    for (int i = 0; i < n; i++) {
        struct node *one = fresh(sizeof(*one));

        one->next = list;
        list = one;
    }
    return list;
}

static NOINLINE void lost_list(void)
{
    struct node *volatile list = make_list(COUNT);

    list = NULL;
    (void)list;
}

static NOINLINE struct node *make_tree(int depth)
{
    struct node *n = fresh(sizeof(*n));

    if (depth > 1) {
        n->next = make_tree(depth - 1);
        n->other = make_tree(depth - 1);
    }
    return n;
}

static NOINLINE void lost_tree(void)
{
    struct node *volatile tree = make_tree(4);

    tree = NULL;
    (void)tree;
}

static NOINLINE void cycle(void)
{
    struct node *volatile first = make_list(COUNT);
    struct node *last = first;

    while (last->next != NULL) {
        last = last->next;
    }
    last->next = first;
    hold(last);
    first = NULL;
}

/* A cycle that another leads to: one of the first is the leader of all. */
static NOINLINE void two_cycles(void)
{
    struct node *a = make_list(2);
    struct node *b = make_list(2);

    a->next->next = a;
    b->next->next = b;
    b->other = a;
    hold(b);
}

static NOINLINE void list_in_static(void)
{
    kept[0] = make_list(COUNT);
}

static NOINLINE void interior(void)
{
    kept[0] = (char *)fresh(SIZE) + 57;
}

/* What only an interior pointer leads to is possibly lost with all it leads to. */
static NOINLINE void interior_list(void)
{
    kept[0] = (char *)make_list(COUNT) + 57;
}

static NOINLINE void interior_in_block(void)
{
    struct node *n = fresh(sizeof(*n));

    n->next = (struct node *)((char *)fresh(SIZE) + 57);
    kept[0] = n;
}

/* Lost, and leads to another by its inside: that one is indirectly lost. */
static NOINLINE void interior_of_lost(void)
{
    struct node *volatile n = fresh(sizeof(*n));

    n->next = (struct node *)((char *)fresh(SIZE) + 57);
    hold(n);
    n = NULL;
}

static NOINLINE void array_cookie(void)
{
    size_t *p = fresh(SIZE);

    *p = 7;
    kept[0] = p + 1;
}

static NOINLINE void tagged(void)
{
    for (int i = 0; i < 4; i++) {
        kept[i] = (char *)fresh(SIZE) + i * 2 + 1;
    }
}

static NOINLINE void tagged_high(void)
{
    kept[0] = (void *)((uintptr_t)fresh(SIZE) | (uintptr_t)0xabcd << 48);
}

/* As the objects of CPython: a header before what pointers point to. */
static NOINLINE void behind_header(void)
{
    uintptr_t *p = fresh(SIZE);

    p[1] = UINTPTR_MAX;
    kept[0] = p + 2;
}

static NOINLINE void xor_list(void)
{
    uintptr_t *before = NULL;
    uintptr_t *at = fresh(SIZE);

    kept[0] = at;
    for (int i = 0; i < COUNT; i++) {
        uintptr_t *next = i + 1 < COUNT ? fresh(SIZE) : NULL;

        *at =
            (uintptr_t)before ^ (uintptr_t)next; /* at the ends, the neighbour itself */
        hold(at);
        before = at;
        at = next;
    }
    kept[0] = (void *)~(uintptr_t)kept[0];
}

static NOINLINE void large_and_huge(void)
{
    void *volatile p = fresh(100 * 1024);
    struct node *volatile huge = fresh(40 << 20);

    *(void **)((char *)p + 90000) = fresh(SIZE);
    hold(p);
    p = NULL;
    huge->next = fresh(SIZE);
    hold(huge);
    huge = NULL;
    kept[0] = fresh(50 << 20);
    *(void **)((char *)kept[0] + (49 << 20)) = fresh(SIZE);
}

static NOINLINE void in_mapping(void)
{
    struct node **map =
        mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    map[50000] = make_list(COUNT);
}

static NOINLINE void in_shared_mapping(void)
{
    struct node **map =
        mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    map[50000] = make_list(COUNT);
}

static NOINLINE void in_sbrk(void)
{
    struct node **more = sbrk(65536);

    more[1000] = make_list(COUNT);
}

static NOINLINE void in_tls(void)
{
    kept_by_thread[0] = make_list(COUNT);
}

static NOINLINE void in_specific(void)
{
    pthread_key_create(&key, NULL);
    for (int i = 0; i < 60; i++) { /* beyond those that need no memory of their own */
        pthread_key_create(&key, NULL);
    }
    pthread_setspecific(key, make_list(COUNT));
}

/* ---- other threads ---- */

enum { OTHERS_MAX = 8 };

/* Thread-local storage that the loader had malloc make: only its tables lead there. */
static void **plugin_tls(void)
{
    void *library = dlopen(REACH_PLUGIN, RTLD_NOW);
    void **(*of_thread)(void) = NULL;

    if (library != NULL) {
        *(void **)&of_thread = dlsym(library, "reach_plugin_of_thread");
    }
    if (of_thread == NULL) {
        abort();
    }
    return of_thread();
}

static void *wait_with_list(void *how)
{
    struct node *list = NULL;

    switch ((int)(intptr_t)how) {
    case 0: /* on the stack, below a buffer */
        list = make_list(COUNT);
        break;
    case 1:
        kept_by_thread[0] = make_list(COUNT);
        break;
    case 2:
        pthread_setspecific(key, make_list(COUNT));
        break;
    case 3:
        *plugin_tls() = make_list(COUNT);
        break;
    }
    scrub();
    pthread_barrier_wait(&barrier);
    for (;;) { /* a check interrupts it */
        pause();
        hold(list);
    }
    return NULL;
}

static void start_thread(int how)
{
    pthread_t thread;

    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, wait_with_list, (void *)(intptr_t)how) != 0) {
        abort();
    }
    pthread_barrier_wait(&barrier);
}

static NOINLINE void on_thread_stack(void)
{
    start_thread(0);
}

static NOINLINE void in_thread_tls(void)
{
    start_thread(1);
}

static NOINLINE void in_thread_specific(void)
{
    in_specific();
    start_thread(2);
}

static volatile int is_spinning;

/* Nowhere but in a register: hidden until then, and the thread does nothing else. */
static NOINLINE void *spin_with_register(void *hidden)
{
    uintptr_t word = ~(uintptr_t)hidden;

    is_spinning = 1;
#if defined(__x86_64__)
    __asm__ volatile("mov %0, %%r11\n\t"
                     "xor %0, %0\n"
                     "1:\tpause\n\t"
                     "jmp 1b"
                     : "+r"(word)
                     :
                     : "r11", "memory");
#elif defined(__aarch64__)
    __asm__ volatile("mov x11, %0\n\t"
                     "mov %0, #0\n"
                     "1:\tyield\n\t"
                     "b 1b"
                     : "+r"(word)
                     :
                     : "x11", "memory");
#else
    for (;;) {
        __asm__ volatile("" : "+r"(word));
    }
#endif
    return NULL;
}

static NOINLINE void start_spinning(void *hidden)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, spin_with_register, hidden) != 0) {
        abort();
    }
    while (!is_spinning) {
        sched_yield();
    }
}

static NOINLINE void in_register(void)
{
    start_spinning((void *)~(uintptr_t)make_list(COUNT));
}

/* What is below a stack pointer is no root. */
static NOINLINE void below_stack(void)
{
    struct node *volatile here[64];

    for (int i = 0; i < 64; i++) {
        here[i] = NULL;
    }
    here[5] = make_list(COUNT);
    (void)here[5];
}

#if REACH_LINKED
static NOINLINE void in_plugin_tls(void)
{
    *plugin_tls() = make_list(COUNT);
}

static NOINLINE void in_thread_plugin_tls(void)
{
    start_thread(3);
}

static NOINLINE void in_added_root(void)
{
    struct node **map =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    map[7] = make_list(COUNT);
    mprotect(map, 4096, PROT_READ);
    if (mp_root_add(map, 4096) != 0) {
        abort();
    }
}

static NOINLINE void in_removed_root(void)
{
    struct node **map =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    map[7] = make_list(COUNT);
    mprotect(map, 4096, PROT_READ);
    if (mp_root_add(map, 4096) != 0 || mp_root_remove(map) != 0
        || mp_root_remove(map) != -ENOENT || mp_root_add(NULL, 1) != -EINVAL) {
        abort();
    }
}
#endif

/* Free blocks hold pointers of their own, and stale ones: nobody must follow them. */
static NOINLINE void through_freed(void)
{
    struct node *list = make_list(COUNT);
    struct node *second = list->next;

    kept[0] = list;
    kept[1] = (void *)~(uintptr_t)second;
    free(list);
    list = NULL;
}

static NOINLINE void mixed_sizes(void)
{
    void *p[2000];

    for (int i = 0; i < 2000; i++) {
        p[i] = fresh((size_t)(i % 300) * 4);
    }
    for (int i = 0; i < 2000; i += 2) {
        free(p[i]);
    }
    for (int i = 1; i < 2000; i += 2) {
        p[i - 1] = NULL;
    }
    memset(p, 0, sizeof(p));
    __asm__ volatile("" ::"r"(p) : "memory");
}

/* Into the data of a library. */
static NOINLINE void *hand_to_plugin(struct node *list)
{
    void *library = dlopen(REACH_PLUGIN, RTLD_NOW);
    void (*hold_there)(void *) = NULL;

    if (library != NULL) {
        *(void **)&hold_there = dlsym(library, "reach_plugin_hold");
    }
    if (hold_there == NULL) {
        abort();
    }
    hold_there(list);
    return library;
}

static NOINLINE void in_loaded(void)
{
    hand_to_plugin(make_list(COUNT));
}

static NOINLINE void in_unloaded(void)
{
    dlclose(hand_to_plugin(make_list(COUNT)));
}

struct truth {
    const char *name;
    void (*make)(void);
    long definite, indirect, possible; /* blocks */
    bool wants_option;                 /* with MPALLOC_LEAK_POINTERS: nothing is lost */
};

static const struct truth truths[] = {
    {"lost_blocks", lost_blocks, COUNT, 0, 0, false},
    {"lost_list", lost_list, 1, COUNT - 1, 0, false},
    {"lost_tree", lost_tree, 1, 14, 0, false},
    {"cycle", cycle, 1, COUNT - 1, 0, false},
    {"two_cycles", two_cycles, 1, 3, 0, false},
    {"list_in_static", list_in_static, 0, 0, 0, false},
    {"interior", interior, 0, 0, 1, true},
    {"interior_list", interior_list, 0, 0, COUNT, true},
    {"interior_in_block", interior_in_block, 0, 0, 1, true},
    {"interior_of_lost", interior_of_lost, 1, 1, 0, false},
    {"array_cookie", array_cookie, 0, 0, 0, false},
    {"tagged", tagged, 0, 0, 4, true},
    {"tagged_high", tagged_high, 1, 0, 0, true},
    {"behind_header", behind_header, 0, 0, 1, true},
    {"xor_list", xor_list, COUNT - 2, 2, 0, false},
    {"large_and_huge", large_and_huge, 2, 2, 0, false},
    {"in_mapping", in_mapping, 0, 0, 0, false},
    {"in_shared_mapping", in_shared_mapping, 0, 0, 0, false},
    {"in_sbrk", in_sbrk, 0, 0, 0, false},
    {"in_tls", in_tls, 0, 0, 0, false},
    {"in_specific", in_specific, 0, 0, 0, false},
    {"on_thread_stack", on_thread_stack, 0, 0, 0, false},
    {"in_thread_tls", in_thread_tls, 0, 0, 0, false},
    {"in_thread_specific", in_thread_specific, 0, 0, 0, false},
    {"in_register", in_register, 0, 0, 0, false},
    {"below_stack", below_stack, 1, COUNT - 1, 0, false},
#if REACH_LINKED
    {"in_plugin_tls", in_plugin_tls, 0, 0, 0, false},
    {"in_thread_plugin_tls", in_thread_plugin_tls, 0, 0, 0, false},
    {"in_added_root", in_added_root, 0, 0, 0, false},
    {"in_removed_root", in_removed_root, 1, COUNT - 1, 0, false},
#endif
    {"through_freed", through_freed, 1, COUNT - 2, 0, false},
    {"mixed_sizes", mixed_sizes, 1000, 0, 0, false},
    {"in_loaded", in_loaded, 0, 0, 0, false},
    {"in_unloaded", in_unloaded, 1, COUNT - 1, 0, false},
    {"cpp_map_lost", cpp_map_lost, 1, 2 * COUNT, 0, false},
    {"cpp_map_kept", cpp_map_kept, 0, 0, 0, false},
    {"cpp_vector_lost", cpp_vector_lost, 1, COUNT + 1, 0, false},
    {"cpp_cycle", cpp_cycle, 1, 1, 0, false},
    {"cpp_array", cpp_array, 0, 0, 0, false},
    {"cpp_second_base", cpp_second_base, 0, 0, 0, false},
};

#if REACH_LINKED
static bool is_so(const char *what, uint64_t is, uint64_t should_be)
{
    if (is != should_be) {
        printf("%s: %llu, should be %llu\n", what, (unsigned long long)is,
            (unsigned long long)should_be);
    }
    return is == should_be;
}

static bool check(const struct truth *t, unsigned rounds)
{
    bool takes_option = getenv("MPALLOC_LEAK_POINTERS") != NULL && t->wants_option;
    struct mp_leak_summary s = {.size = sizeof(s), .rounds = rounds, .wait_ms = 50};
    struct mp_snapshot now = {.size = sizeof(now)};
    int code = mp_leak_check(&s);
    bool is_right;

    /* On a machine that is busy a thread may not run for so long that it is given up. */
    for (int i = 0; i < 5 && code == 0 && s.partial == MP_LEAK_THREADS_MISSED; i++) {
        s = (struct mp_leak_summary){
            .size = sizeof(s), .rounds = rounds, .wait_ms = 50};
        code = mp_leak_check(&s);
    }
    is_right = is_so("code", (uint64_t)code, 0);

    if (code != 0) {
        printf("mp_leak_check: %s\n", strerror(-code));
        return false;
    }
    mp_snapshot(&now);
    is_right &= is_so("partial", s.partial, 0);
    is_right &= is_so("rounds", s.rounds, rounds);
    is_right &=
        is_so("definite", s.definite.blocks, takes_option ? 0 : (uint64_t)t->definite);
    is_right &=
        is_so("indirect", s.indirect.blocks, takes_option ? 0 : (uint64_t)t->indirect);
    is_right &=
        is_so("possible", s.possible.blocks, takes_option ? 0 : (uint64_t)t->possible);
    is_right &= is_so("lost", s.lost.blocks, rounds == 2 ? s.definite.blocks : 0);
    is_right &= is_so("all blocks",
        s.definite.blocks + s.indirect.blocks + s.possible.blocks + s.reachable.blocks,
        now.live_blocks);
    is_right &= is_so("all bytes",
        s.definite.bytes + s.indirect.bytes + s.possible.bytes + s.reachable.bytes,
        now.live_bytes);
    printf(
        "%s: %llu definite, %llu indirect, %llu possible, %llu reachable; stood still "
        "%.2f ms, marked in %.2f ms\n",
        t->name, (unsigned long long)s.definite.blocks,
        (unsigned long long)s.indirect.blocks, (unsigned long long)s.possible.blocks,
        (unsigned long long)s.reachable.blocks, (double)s.pause_ns / 1e6,
        (double)s.mark_ns / 1e6);
    return is_right;
}
#endif

int main(int argc, char **argv)
{
    int failed = 0;

    for (size_t i = 0; i < sizeof(truths) / sizeof(truths[0]); i++) {
        const struct truth *t = &truths[i];

        if (argc < 2) {
            printf("%s %ld %ld %ld\n", t->name, t->definite, t->indirect, t->possible);
        } else if (strcmp(argv[1], t->name) == 0) {
            t->make();
            scrub();
#if REACH_LINKED
            failed |= !check(t, 1) || !check(t, 2);
#endif
            fflush(stdout);
            if (argc > 2) { /* with its threads, and no destructor */
                _exit(failed);
            }
            return failed;
        }
    }
    return argc >= 2 ? 2 : 0;
}
