/*
 * edges - the unwinder where stacks end, change or are damaged
 *
 *     edges PLUGIN-A PLUGIN-B [CLAIM]
 *
 * Links the core beside the system's malloc. Each claim is made twice: of walks, and of walks as
 * samples make them. "Same" below: frame by frame as libgcc's.
 */
#include "../api/test.h"
#include "libgcc.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>

enum { PAGE = 4096 };

static struct unwind_info info;
static struct trace ours, theirs;

/* The last stack of this thread, and whether it serves: then libgcc sees what samples see. */
static __thread struct unwind_kept *kept;
static bool is_sampled;

static __attribute__((noinline)) size_t walk_kept(
    uintptr_t *pcs, struct unwind_info *ret)
{
    struct unwind_context c;
    struct unwind_meeting m;

    if (kept == NULL) {
        kept = calloc(1, sizeof(*kept)); /* lost with the thread */
        unwind_kept_init(kept);
    }
    m.kept = kept;
    unwind_capture(&c);
    return unwind_walk_surely(&c, 1, pcs, UNWIND_MOST, ret, &m);
}

/* Compares from the caller of this on; what differs goes to stdout. */
static __attribute__((noinline)) bool is_same(void)
{
    bool same;

    ours.count = is_sampled ? walk_kept(ours.pc, &info)
                            : unwind_here(ours.pc, UNWIND_MOST, &info);
    trace_by_libgcc(&theirs);
    same = ours.count == theirs.count && ours.count > 1;
    for (size_t i = 1; same && i < ours.count; i++) { /* 0 is here, twice */
        same = ours.pc[i] == theirs.pc[i];
    }
    for (size_t i = 0; !same && (i < ours.count || i < theirs.count); i++) {
        printf("%2zu %#18lx %#18lx\n", i, i < ours.count ? ours.pc[i] : 0,
            i < theirs.count ? theirs.pc[i] : 0);
    }
    fflush(stdout);
    return same;
}

static int check_same(void *arg)
{
    (void)arg;
    CHECK(is_same());
    CHECK_EQ(info.end, UNWIND_COMPLETE);
    return 0;
}

/* ---- signals ---- */

static volatile sig_atomic_t handled;
static uintptr_t interrupted;

static void handler(int number, siginfo_t *i, void *context)
{
    struct unwind_context c;
    struct unwind_info direct_info;
    uintptr_t direct[UNWIND_MOST];
    size_t n, at;

    (void)number;
    (void)i;
    CHECK(is_same());
    /* From the registers of the signal: what comes behind the restorer. */
    unwind_capture_signal(&c, context);
    n = unwind_walk(&c, 0, direct, UNWIND_MOST, &direct_info);
    at = trace_index_of(&ours, direct[0]);
    CHECK(at < ours.count && at + n == ours.count);
    for (size_t k = 0; k < n; k++) {
        CHECK_EQ(ours.pc[at + k], direct[k]);
        /* Only pcs that a signal interrupted are exact. */
        CHECK_EQ(unwind_is_exact(&direct_info, k), k == 0);
    }
    for (size_t k = 0; k < ours.count; k++) {
        CHECK_EQ(unwind_is_exact(&info, k), k == at);
    }
    interrupted = direct[0];
    handled = 1;
}

static void handle(int flags)
{
    struct sigaction act = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

    sigemptyset(&act.sa_mask);
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    handled = 0;
    raise(SIGUSR1);
    CHECK(handled);
}

static void a_handler_sees_what_it_interrupted(void)
{
    handle(0);
}

static void an_alternate_stack_leads_back_to_the_first(void)
{
    stack_t s = {.ss_size = 16 * PAGE};
    char *mapped = mmap(NULL, 18 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(mapped != MAP_FAILED);
    CHECK(mprotect(mapped + PAGE, 16 * PAGE, PROT_READ | PROT_WRITE) == 0);
    s.ss_sp = mapped + PAGE;
    CHECK(sigaltstack(&s, NULL) == 0);
    handle(SA_ONSTACK);
    s.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&s, NULL) == 0);
    CHECK(munmap(mapped, 18 * PAGE) == 0);
}

/* ---- each instruction of a call through the linker's stubs ---- */

#if defined(__x86_64__)
enum { TRAP_FLAG = 0x100 };
static unsigned steps, steps_unequal;
static volatile bool is_stepping;

static void on_step(int number, siginfo_t *i, void *context)
{
    ucontext_t *u = context;
    struct unwind_context c;
    struct unwind_info step_info;
    static struct trace direct;
    size_t at;

    (void)number;
    (void)i;
    unwind_capture_signal(&c, context);
    direct.count = unwind_walk(&c, 0, direct.pc, UNWIND_MOST, &step_info);
    trace_by_libgcc(&theirs);
    at = trace_index_of(&theirs, direct.pc[0]);
    steps++;
    if (at + direct.count != theirs.count
        || memcmp(direct.pc, theirs.pc + at, direct.count * sizeof(uintptr_t)) != 0) {
        if (steps_unequal++ == 0) {
            printf("differs at %p\n", (void *)direct.pc[0]);
            fflush(stdout);
        }
    }
    if (!is_stepping) {
        u->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
    }
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Linked lazily: the first call of each function goes through the linker's resolver. */
static void every_instruction_of_lazy_binding_is_the_same(void)
{
    struct sigaction act = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    int numbers[40];
    void *p;

    for (int i = 0; i < 40; i++) {
        numbers[i] = i * 37 % 40;
    }
    CHECK(sigaction(SIGTRAP, &act, NULL) == 0);
    is_stepping = true;
    __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
    qsort(numbers, 40, sizeof(numbers[0]), by_number);
    p = realloc(calloc(3, 40), 4000);
    test_opaque(strtoul("4711", NULL, 10));
    is_stepping = false;
    free(p);
    test_opaque((size_t)getppid());
    CHECK(steps > 2000);
    CHECK_EQ(steps_unequal, 0);
}
#endif

/* ---- other stacks ---- */

static ucontext_t main_context, other_context;
static enum unwind_end other_end;
static bool is_other_same;

static void coroutine(void)
{
    is_other_same = is_same();
    other_end = info.end;
    swapcontext(&other_context, &main_context);
}

/* A stack between two inaccessible pages. */
static char *map_stack(size_t bytes)
{
    char *p =
        mmap(NULL, bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(p != MAP_FAILED);
    CHECK(mprotect(p + PAGE, bytes, PROT_READ | PROT_WRITE) == 0);
    return p + PAGE;
}

static void unmap_stack(char *p, size_t bytes)
{
    CHECK(munmap(p - PAGE, bytes + 2 * PAGE) == 0);
}

static void run_coroutine(size_t bytes)
{
    char *stack = map_stack(bytes);

    CHECK(getcontext(&other_context) == 0);
    other_context.uc_stack.ss_sp = stack;
    other_context.uc_stack.ss_size = bytes;
    other_context.uc_link = &main_context;
    makecontext(&other_context, coroutine, 0);
    CHECK(swapcontext(&main_context, &other_context) == 0);
    CHECK(is_other_same);
    CHECK(other_end != UNWIND_TRUNCATED);
    unmap_stack(stack, bytes);
}

/* Many of them, one after the other where the last was: nothing stale is trusted. */
static void a_coroutine_ends_where_it_began(void)
{
    for (size_t i = 0; i < 64; i++) {
        run_coroutine((16 + i % 3 * 4) * PAGE);
    }
}

static int recurse(unsigned depth, int (*f)(void *), void *arg)
{
    volatile char room[100];
    int result;

    room[0] = (char)depth;
    result = depth == 0 ? f(arg) : recurse(depth - 1, f, arg);
    return result + (room[0] & 0);
}

static void *in_small_thread(void *arg)
{
    (void)arg;
    recurse(20, check_same, NULL);
    check_same(NULL);
    return NULL;
}

static void threads_of_16_KiB_have_room(void)
{
    long least = sysconf(_SC_THREAD_STACK_MIN); /* more on some processors */
    pthread_attr_t attr;
    pthread_t thread;

    CHECK(pthread_attr_init(&attr) == 0);
    CHECK(pthread_attr_setstacksize(&attr, least > 16384 ? (size_t)least : 16384) == 0);
    for (int i = 0; i < 20; i++) {
        CHECK(pthread_create(&thread, &attr, in_small_thread, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    pthread_attr_destroy(&attr);
}

static int fork_and_check(void *arg)
{
    pid_t child = fork();
    int status;

    (void)arg;
    if (child == 0) {
        check_same(NULL);
        _exit(7);
    }
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
    return 0;
}

static void *in_forking_thread(void *arg)
{
    recurse(5, fork_and_check, arg);
    return NULL;
}

static void forked_children_see_their_stack(void)
{
    pthread_t thread;

    recurse(3, fork_and_check, NULL);
    CHECK(pthread_create(&thread, NULL, in_forking_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static int check_truncated(void *arg)
{
    uint64_t before = unwind_counts.truncated;
    uintptr_t few[10];

    (void)arg;
    ours.count = unwind_here(ours.pc, UNWIND_MOST, &info);
    CHECK_EQ(ours.count, UNWIND_MOST);
    CHECK_EQ(info.end, UNWIND_TRUNCATED);
    CHECK_EQ(unwind_counts.truncated, before + 1);
    CHECK_EQ(unwind_here(few, 10, &info), 10);
    CHECK_EQ(info.end, UNWIND_TRUNCATED);
    CHECK(memcmp(few + 1, ours.pc + 1, 9 * sizeof(few[0])) == 0);
    return 0;
}

/* Deeper than ever, and then not: the known part of the stack grows. */
static void depth_ends_at_128_and_is_counted(void)
{
    recurse(500, check_truncated, NULL);
    recurse(20000, check_truncated, NULL);
    recurse(50, check_same, NULL);
}

static void errno_is_kept(void)
{
    errno = 4711;
    check_same(NULL);
    CHECK_EQ(errno, 4711);
}

/* ---- modules that come and go ---- */

static const char *plugin[2];
int (*plugin_hook)(void *);
static unsigned hooked;

static int hook(void *arg)
{
    hooked++;
    return check_same(arg);
}

static void *call_plugin(const char *path, const char *name)
{
    void *library = dlopen(path, RTLD_NOW);
    int (*call)(int (*)(void *), void *);

    CHECK(library != NULL);
    *(void **)&call = dlsym(library, name);
    CHECK(call != NULL);
    call(check_same, NULL);
    call(check_same, NULL);
    return library;
}

/*
 * What is cached of one is wrong for the other, which lies where the first was. Something of
 * it that is new tells; where nothing is, somebody must.
 */
static void swap_modules(const char *name, bool is_told)
{
    void *first = NULL;
    unsigned at_same_place = 0;

    for (int i = 0; i < 40; i++) {
        void *library = call_plugin(plugin[i % 2], name);
        void *symbol = dlsym(library, "plugin_call");

        at_same_place += symbol == first;
        first = first != NULL ? first : symbol;
        CHECK(dlclose(library) == 0);
        if (is_told) {
            unwind_forget();
        }
    }
#if defined(__x86_64__)
    CHECK(at_same_place > 20); /* or this has tested nothing */
#endif
}

static void modules_in_each_others_place_are_seen_as_themselves(void)
{
    swap_modules("plugin_outer", false);
}

static void what_is_told_is_forgotten(void)
{
    swap_modules("plugin_call", true);
}

static void samples_see_modules_in_each_others_place(void)
{
    bool was = is_sampled;

    is_sampled = true;
    swap_modules("plugin_outer", false);
    swap_modules("plugin_call", false);
    is_sampled = was;
}

static void inside_dlopen(const char *a)
{
    plugin_hook = hook;
    CHECK(dlclose(dlopen(a, RTLD_NOW)) == 0);
    CHECK(hooked > 0);
    plugin_hook = NULL;
}

/* ---- code without information ---- */

#if defined(__x86_64__)
static const unsigned char with_frame_pointer[] = {
    0x55,             /* push %rbp */
    0x48, 0x89, 0xe5, /* mov %rsp, %rbp */
    0xff, 0xd7,       /* call *%rdi */
    0x5d,             /* pop %rbp */
    0xc3,             /* ret */
};

static uintptr_t generated, caller;

static int past_generated_code(void)
{
    size_t at;

    ours.count = unwind_here(ours.pc, UNWIND_MOST, &info);
    CHECK_EQ(info.end, UNWIND_COMPLETE);
    at = trace_index_of(&ours, generated + 6);
    CHECK(at >= 1 && at + 2 < ours.count);
    CHECK_EQ(ours.pc[at + 2], caller); /* behind call_generated */
    return 0;
}

static __attribute__((noinline)) void call_generated(int (*code)(int (*)(void)))
{
    caller = (uintptr_t)__builtin_return_address(0);
    CHECK(code(past_generated_code) == 0);
}

static void generated_code_is_passed_by_its_frame_pointer(void)
{
    unsigned char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int (*code)(int (*)(void));

    CHECK(p != MAP_FAILED);
    memcpy(p + 64, with_frame_pointer, sizeof(with_frame_pointer));
    *(void **)&code = p + 64;
    generated = (uintptr_t)code;
    call_generated(code);
    CHECK(munmap(p, PAGE) == 0);
}
#endif

/* ---- damaged stacks ---- */

static uintptr_t random_word(uint64_t *state, char *room, size_t bytes)
{
    static const uintptr_t odd[] = {0, 1, 8, 4095, 4096, UINTPTR_MAX, UINTPTR_MAX - 7,
        UINTPTR_MAX - 4096, (uintptr_t)1 << 47, ((uintptr_t)1 << 47) - 8,
        0xffff800000000000, 0xffffffffff600000, 0x4141414141414141};
    static void *const code[] = {(void *)recurse, (void *)check_same, (void *)strtoul,
        (void *)pthread_create, (void *)dlopen, (void *)raise, (void *)qsort,
        (void *)unwind_walk, (void *)_Unwind_Backtrace};
    uint64_t r = test_random(state);

    switch (r % 8) {
    case 0:
        return odd[(r >> 8) % (sizeof(odd) / sizeof(odd[0]))];
    case 1:
        return r;
    case 2:
        return (uintptr_t)room + (r >> 8) % (bytes + 2 * PAGE) - PAGE;
    case 3:
    case 4:
        return (uintptr_t)room + (r >> 8) % bytes / 8 * 8;
    default:
        return (uintptr_t)code[(r >> 8) % (sizeof(code) / sizeof(code[0]))]
               + (r >> 32) % 200;
    }
}

enum { GARBAGE_BYTES = 4 * PAGE };

/* Registers and stacks are random; many of the words point at `near` and around it. */
static void walk_over_garbage(char *near, unsigned walks)
{
    char *room = map_stack(GARBAGE_BYTES);
    uint64_t state = 88172645463325252u;
    uint64_t found = 0;

    near = near != NULL ? near : room;
    for (unsigned i = 0; i < walks; i++) {
        struct unwind_context c;
        uintptr_t pcs[UNWIND_MOST];

        for (size_t k = 0; k < GARBAGE_BYTES / 8 && i % 16 == 0; k++) {
            ((uintptr_t *)(void *)room)[k] = random_word(&state, room, GARBAGE_BYTES);
        }
        for (size_t k = 0; k < UNWIND_REGS; k++) {
            c.reg[k] = random_word(&state, i % 2 ? near : room, GARBAGE_BYTES);
        }
        found += unwind_walk(&c, 0, pcs, UNWIND_MOST, &info);
    }
    CHECK(found > walks);
    unmap_stack(room, GARBAGE_BYTES);
}

static void walks_over_garbage_stop(void)
{
    walk_over_garbage(NULL, 60000);
}

/* Words around the end of the thread's own stack, with its guard. */
static void *in_garbage_thread(void *arg)
{
    pthread_attr_t attr;
    void *stack;
    size_t bytes;

    (void)arg;
    CHECK(pthread_getattr_np(pthread_self(), &attr) == 0);
    CHECK(pthread_attr_getstack(&attr, &stack, &bytes) == 0);
    pthread_attr_destroy(&attr);
    walk_over_garbage((char *)stack - GARBAGE_BYTES / 2, 10000);
    return NULL;
}

static void guards_of_stacks_are_not_touched(void)
{
    pthread_t thread;

    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&thread, NULL, in_garbage_thread, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

/* ---- threads share the cache ---- */

static pthread_barrier_t barrier;

static void *many_walks(void *arg)
{
    struct trace *mine = calloc(2, sizeof(*mine));

    (void)arg;
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < 3000; i++) {
        struct unwind_info own;

        mine[0].count = is_sampled ? walk_kept(mine[0].pc, &own)
                                   : unwind_here(mine[0].pc, UNWIND_MOST, &own);
        trace_by_libgcc(&mine[1]);
        CHECK_EQ(mine[0].count, mine[1].count);
        CHECK(memcmp(mine[0].pc + 1, mine[1].pc + 1,
                  (mine[0].count - 1) * sizeof(uintptr_t))
              == 0);
    }
    free(mine);
    return NULL;
}

static int walk_in_thread(void *arg)
{
    many_walks(arg);
    return 0;
}

static void *deep_walks(void *arg)
{
    recurse((unsigned)(uintptr_t)arg, walk_in_thread, NULL);
    return NULL;
}

static void threads_share_the_cache(void)
{
    enum { THREADS = 4 };
    pthread_t thread[THREADS];

    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&thread[i], NULL, deep_walks, (void *)(i * 7)) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
}

static void a_constructor_inside_dlopen_sees_its_stack(void)
{
    inside_dlopen(plugin[0]);
}

static const struct {
    const char *name;
    void (*run)(void);
} claims[] = {
#define CLAIM(name)                                                                    \
    {                                                                                  \
#        name, name                                                                    \
    }
    CLAIM(a_handler_sees_what_it_interrupted),
    CLAIM(an_alternate_stack_leads_back_to_the_first),
#if defined(__x86_64__)
    CLAIM(every_instruction_of_lazy_binding_is_the_same),
    CLAIM(generated_code_is_passed_by_its_frame_pointer),
#endif
    CLAIM(a_coroutine_ends_where_it_began),
    CLAIM(threads_of_16_KiB_have_room),
    CLAIM(forked_children_see_their_stack),
    CLAIM(depth_ends_at_128_and_is_counted),
    CLAIM(errno_is_kept),
    CLAIM(walks_over_garbage_stop),
    CLAIM(guards_of_stacks_are_not_touched),
    CLAIM(threads_share_the_cache),
    CLAIM(modules_in_each_others_place_are_seen_as_themselves),
    CLAIM(what_is_told_is_forgotten),
    CLAIM(samples_see_modules_in_each_others_place),
    CLAIM(a_constructor_inside_dlopen_sees_its_stack),
};

int main(int argc, char **argv)
{
    CHECK(argc >= 3);
    plugin[0] = argv[1];
    plugin[1] = argv[2];
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        if (argc == 3 || strcmp(argv[3], claims[i].name) == 0) {
            is_sampled = false;
            claims[i].run();
            is_sampled = true; /* the same by what is kept */
            claims[i].run();
            test_claim(claims[i].name);
        }
    }
    return 0;
}
