/*
 * guard - one mistake with a guarded block, by name; guard.py says what must come of it
 *
 *     guard MODE [SIZE]
 *
 * Started with MPALLOC_GUARD=64: many a block is guarded. A guarded block is recognised by
 * its place alone: its page's neighbours are inaccessible. Prints "block ADDRESS" before the
 * mistake and "continued" when it comes that far.
 */
#include "test.h"

#include <errno.h>
#include <malloc.h>
#include <mpalloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { PAGE = 4096, TRIES = 100000 };

static size_t size = 64;

/* Not through the library: the kernel says whether a page can be read. */
static int is_readable(uintptr_t address)
{
    syscall(SYS_rt_sigprocmask, ~0, address, NULL, 8);
    return errno == EINVAL;
}

static int is_guarded(const void *p)
{
    uintptr_t page = (uintptr_t)p & ~(uintptr_t)(PAGE - 1);
    int saved = errno;
    int guarded = !is_readable(page - PAGE) && !is_readable(page + PAGE);

    errno = saved;
    return guarded;
}

static void say(const char *what, const void *p)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "%s 0x%lx\n", what, (unsigned long)p);

    test_write(text, (size_t)n);
}

void *allocating_function(size_t bytes);
void freeing_function(void *p);
void *allocate_guarded(int at_end);

__attribute__((noinline)) void *allocating_function(size_t bytes)
{
    char *p = malloc(bytes);

    __asm__ volatile("" : "+r"(p));
    return p;
}

__attribute__((noinline)) void freeing_function(void *p)
{
    free(p);
    test_opaque(0);
}

/* A guarded block, at the end of its page or at the start; others are left as they are. */
__attribute__((noinline)) void *allocate_guarded(int at_end)
{
    for (unsigned i = 0; i < TRIES; i++) {
        char *p = allocating_function(size);
        size_t usable = malloc_usable_size(p);
        uintptr_t end = (uintptr_t)p + (usable + 15) / 16 * 16;

        CHECK(p != NULL && (uintptr_t)p % 16 == 0);
        if (is_guarded(p) && (at_end ? end : (uintptr_t)p) % PAGE == 0) {
            say("block", p);
            return p;
        }
        free(p);
    }
    test_fail("no block was guarded", __FILE__, __LINE__);
}

static volatile char *guarded(int at_end)
{
    return allocate_guarded(at_end);
}

static void use_after_free_read(void)
{
    volatile char *p = guarded(1);

    freeing_function((void *)p);
    test_opaque((size_t)p[8]);
}
static void use_after_free_write(void)
{
    volatile char *p = guarded(0);

    freeing_function((void *)p);
    p[5] = 1;
}
static void overflow_read(void)
{
    volatile char *p = guarded(1);

    test_opaque((size_t)p[malloc_usable_size((void *)p)]);
}
static void overflow_write(void)
{
    volatile char *p = guarded(1);

    p[malloc_usable_size((void *)p) + 10] = 1;
}
static void underflow_write(void)
{
    volatile char *p = guarded(0);

    p[-1] = 1;
}
static void overflow_by_one(void)
{
    volatile char *p = guarded(1);

    p[size] = 1;
    freeing_function((void *)p);
}
static void overflow_in_page(void)
{
    volatile char *p = guarded(0);

    p[malloc_usable_size((void *)p) + 3] = 1;
    freeing_function((void *)p);
}
static void underflow_in_page(void)
{
    volatile char *p = guarded(1);

    p[-2] = 1;
    freeing_function((void *)p);
}
static void double_free(void)
{
    volatile char *p = guarded(1);

    freeing_function((void *)p);
    free((void *)test_opaque((size_t)p));
}
static void free_interior(void)
{
    volatile char *p = guarded(1);

    free((void *)test_opaque((size_t)p + 16));
}
static void free_before(void)
{
    volatile char *p = guarded(0);

    free((void *)test_opaque((size_t)p - 16));
}
static void realloc_freed(void)
{
    volatile char *p = guarded(1);

    freeing_function((void *)p);
    CHECK(realloc((void *)test_opaque((size_t)p), 200) == NULL);
}
#ifdef TEST_LINKED
static void component_named(void)
{
    volatile char *p;
    mp_component_t *before = mp_enter(mp_component("cache/html"));

    p = guarded(1);
    mp_enter(before);
    freeing_function((void *)p);
    p[0] = 1;
}
#endif
static void *thread_frees(void *p)
{
    freeing_function(p);
    return NULL;
}
static void freed_by_a_thread(void)
{
    pthread_t thread;
    volatile char *p = guarded(1);

    CHECK(pthread_create(&thread, NULL, thread_frees, (void *)p) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    p[0] = 1;
}
static pthread_barrier_t barrier;
static void *thread_writes(void *p)
{
    pthread_barrier_wait(&barrier);
    *(volatile char *)p = 1;
    return NULL;
}
static void two_threads_at_once(void)
{
    pthread_t thread[4];
    volatile char *p = guarded(1);

    freeing_function((void *)p);
    CHECK(pthread_barrier_init(&barrier, NULL, 4) == 0);
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&thread[i], NULL, thread_writes, (void *)p) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
    }
}
static void in_a_forked_child(void)
{
    volatile char *p = guarded(1);
    int status;
    pid_t child = fork();

    if (child == 0) {
        freeing_function((void *)p);
        p[0] = 1;
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGSEGV);
    test_fill((void *)p, 7, size); /* the parent's is as it was */
    free((void *)p);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

/* ---- handlers of the program ---- */

static sigjmp_buf back;
static void *expected_address;

static void chained(int number, siginfo_t *i, void *context)
{
    static const char text[] = "handler\n";

    (void)context;
    CHECK_EQ(number, SIGSEGV);
    CHECK(i->si_code <= 0 || i->si_addr == expected_address);
    test_write(text, sizeof(text) - 1);
    if (i->si_code > 0 && expected_address != NULL) {
        siglongjmp(back, 1);
    }
}

static void set_handler(int flags)
{
    struct sigaction act = {.sa_sigaction = chained, .sa_flags = SA_SIGINFO | flags};

    CHECK(sigaction(SIGSEGV, &act, NULL) == 0);
}

/* A fault of its own, a signal that is sent, a fault of ours: it gets them all. */
static void handler_set_later(void)
{
    char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile char *p;

    set_handler(0);
    p = guarded(1); /* we are before it from now on */
    expected_address = none;
    if (sigsetjmp(back, 1) == 0) {
        *(volatile char *)none = 1;
    }
    raise(SIGSEGV);
    freeing_function((void *)p);
    expected_address = (void *)(p + 1);
    if (sigsetjmp(back, 1) == 0) {
        p[1] = 1;
    }
    test_claim("continued");
}

/* It hands on to whom it found, as crash reporters do: that ends. */
static struct sigaction found;
static void reporter(int number, siginfo_t *i, void *context)
{
    static const char text[] = "reporter\n";

    test_write(text, sizeof(text) - 1);
    if ((found.sa_flags & SA_SIGINFO) != 0) {
        found.sa_sigaction(number, i, context);
    } else {
        sigaction(SIGSEGV, &found, NULL);
    }
}
static void handler_that_hands_on(void)
{
    struct sigaction act = {.sa_sigaction = reporter, .sa_flags = SA_SIGINFO};
    volatile char *p = guarded(1);

    CHECK(sigaction(SIGSEGV, &act, &found) == 0);
    p = guarded(1);
    freeing_function((void *)p);
    p[1] = 1;
}
static void signal_sent(void)
{
    guarded(1);
    raise(SIGSEGV);
}
static void null_pointer(void)
{
    guarded(1);
    *(volatile char *)test_opaque(16) = 1;
}

/* ---- no mistakes ---- */

static void *many_blocks(void *seed)
{
    enum { KEPT = 64 };
    uint64_t state = (uintptr_t)seed * 7919 + 1;
    unsigned char *kept[KEPT] = {0};
    size_t bytes[KEPT] = {0};

    for (unsigned i = 0; i < 15000; i++) {
        uint64_t r = test_random(&state);
        unsigned k = r % KEPT;

        CHECK(kept[k] == NULL || test_is_filled(kept[k], (int)k, bytes[k]));
        switch (kept[k] == NULL ? 0 : r >> 8 & 3) {
        case 0:
            free(kept[k]);
            bytes[k] = (r >> 16) % 5000;
            kept[k] = r >> 60 & 1 ? calloc(1, bytes[k]) : malloc(bytes[k]);
            CHECK(!(r >> 60 & 1) || test_is_filled(kept[k], 0, bytes[k]));
            break;
        case 1:
            bytes[k] = (r >> 16) % 5000 + 1;
            kept[k] = realloc(kept[k], bytes[k]);
            break;
        default:
            CHECK(malloc_usable_size(kept[k]) >= bytes[k]);
            bytes[k] = malloc_usable_size(kept[k]);
            break;
        }
        CHECK(kept[k] != NULL);
        test_fill(kept[k], (int)k, bytes[k]);
    }
    for (unsigned k = 0; k < KEPT; k++) {
        free(kept[k]);
    }
    return NULL;
}
static void no_mistake(void)
{
    pthread_t thread[4];

    for (uintptr_t i = 0; i < 4; i++) {
        CHECK(pthread_create(&thread[i], NULL, many_blocks, (void *)i) == 0);
    }
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            many_blocks((void *)(uintptr_t)(i + 100));
            _exit(3);
        }
        CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);
        i += 9;
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    test_claim("continued");
}
/* More live ones than there are slots. */
static void all_slots_live(void)
{
    enum { COUNT = 40000 };
    static void *p[COUNT];
    unsigned guards = 0;

    for (unsigned i = 0; i < COUNT; i++) {
        p[i] = malloc(size);
        CHECK(p[i] != NULL);
        guards += i % 16 == 0 && is_guarded(p[i]);
    }
    CHECK(guards > 0);
    for (unsigned i = 0; i < COUNT; i++) {
        free(p[i]);
    }
    test_claim("continued");
}
/* A freed slot is not used again before a thousand others were. */
static void quarantine(void)
{
    char *first = allocate_guarded(1);
    unsigned others = 0;

    free(first);
    for (unsigned i = 0; i < TRIES * 10; i++) {
        char *p = malloc(size);
        int is_one = is_guarded(p);

        CHECK(!is_one || others > 900 || ((uintptr_t)p ^ (uintptr_t)first) >= PAGE);
        if (is_one && ((uintptr_t)p ^ (uintptr_t)first) < PAGE) {
            test_claim("continued");
            return;
        }
        others += (unsigned)is_one;
        free(p);
    }
    test_fail("the slot was never used again", __FILE__, __LINE__);
}

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {
#define MODE(name)                                                                     \
    {                                                                                  \
#        name, name                                                                    \
    }
    MODE(use_after_free_read),
    MODE(use_after_free_write),
    MODE(overflow_read),
    MODE(overflow_write),
    MODE(underflow_write),
    MODE(overflow_by_one),
    MODE(overflow_in_page),
    MODE(underflow_in_page),
    MODE(double_free),
    MODE(free_interior),
    MODE(free_before),
    MODE(realloc_freed),
#ifdef TEST_LINKED
    MODE(component_named),
#endif
    MODE(freed_by_a_thread),
    MODE(two_threads_at_once),
    MODE(in_a_forked_child),
    MODE(handler_set_later),
    MODE(handler_that_hands_on),
    MODE(signal_sent),
    MODE(null_pointer),
    MODE(no_mistake),
    MODE(all_slots_live),
    MODE(quarantine),
};

int main(int argc, char **argv)
{
    size = argc > 2 ? strtoul(argv[2], NULL, 10) : size;
    for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].name, argv[1]) == 0) {
            modes[i].run();
            return 0;
        }
    }
    return 2;
}
