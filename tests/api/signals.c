/*
 * signals - handlers that interrupt malloc, and what they may do
 *
 *     signals [SECONDS]
 *
 * E77 to E80 and E71 under a storm of signals. Handlers that do not allocate may come at
 * any time. Those that do, or that jump out of malloc, are undefined by the C standard: the
 * process may end then, but it does not hang, and says why if it waits for itself.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

enum { CODE = 42 };

static double seconds = 1;
static volatile sig_atomic_t handled;

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void every_us(int us)
{
    struct itimerval timer = {{0, us}, {0, us}};

    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    CHECK(sigaction(number, &action, NULL) == 0);
}

/* Contents are checked: a list that a handler damaged gives a block twice. */
static void allocate_for(double most_seconds)
{
    enum { HELD = 200 };
    static unsigned char *held[HELD];
    static size_t bytes[HELD];
    uint64_t end = now_ms() + (uint64_t)(most_seconds * 1000);
    uint64_t state = 77;

    while (now_ms() < end) {
        for (int i = 0; i < 1000; i++) {
            uint64_t r = test_random(&state);
            size_t k = r % HELD;

            CHECK(held[k] == NULL || test_is_filled(held[k], (int)k, bytes[k]));
            errno = 0;
            free(held[k]);
            bytes[k] = (r >> 8) % ((r >> 32) % 64 == 0 ? 100000 : 700);
            held[k] = malloc(bytes[k]);
            CHECK(held[k] != NULL);
            CHECK_EQ(errno, 0); /* no EINTR of a call inside */
            test_fill(held[k], (int)k, bytes[k]);
        }
    }
    for (int i = 0; i < HELD; i++) {
        CHECK(held[i] == NULL || test_is_filled(held[i], i, bytes[i]));
        free(held[i]);
        held[i] = NULL;
    }
}

/* ---- E77 ---- */

static void count(int number)
{
    (void)number;
    handled++;
}

static void *allocate_in_thread(void *arg)
{
    for (int i = 0; i < 300; i++) {
        void *p[50];

        for (size_t k = 0; k < 50; k++) {
            p[k] = malloc(k * k * 20);
            CHECK(p[k] != NULL);
        }
        for (size_t k = 0; k < 50; k++) {
            free(p[k]);
        }
    }
    return arg;
}

static void e77_counting_handlers_interrupt_malloc(void)
{
    uint64_t end;

    handle(SIGALRM, count, 0); /* system calls are interrupted */
    every_us(100);
    allocate_for(seconds);
    end = now_ms()
          + 20000; /* hardened, on a machine with other work, a round takes seconds */
    for (int i = 0; i < 10 && (i < 2 || now_ms() < end); i++) {
        pthread_t thread[4];

        for (int k = 0; k < 4; k++) {
            CHECK(pthread_create(&thread[k], NULL, allocate_in_thread, NULL) == 0);
        }
        allocate_for(seconds / 20);
        malloc_trim(0);
        for (int k = 0; k < 4; k++) {
            CHECK(pthread_join(thread[k], NULL) == 0);
        }
    }
    every_us(0);
    CHECK(handled > 100);
}

/* ---- E71: fork in a handler, under a storm, of a thread that does not allocate ---- */

static volatile sig_atomic_t forked;

static void fork_in_handler(int number)
{
    int saved = errno;
    pid_t child = fork();
    int status;

    (void)number;
    if (child == 0) {
        _exit(CODE);
    }
    if (child > 0) {
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == CODE);
        forked++;
    }
    errno = saved;
}

static void *storm(void *arg)
{
    pthread_t target = *(pthread_t *)arg;
    struct timespec t = {.tv_nsec = 500000};

    /* A machine with other work forks less often: then it takes longer. */
    for (int i = 0; i < 300 || (forked <= 50 && i < 30000); i++) {
        pthread_kill(target, SIGUSR1);
        pthread_kill(target, SIGUSR2);
        nanosleep(&t, NULL);
        free(malloc(3000)); /* holds a lock now and then */
    }
    return NULL;
}

static void e71_fork_in_handlers_under_a_storm(void)
{
    pthread_t self = pthread_self(), thread;
    struct timespec t = {.tv_nsec = 1000};

    handle(SIGUSR1, fork_in_handler, 0);
    handle(SIGUSR2, count, 0);
    CHECK(pthread_create(&thread, NULL, storm, &self) == 0);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        nanosleep(&t, NULL);
    }
    CHECK(forked > 50);
}

/* ---- what is undefined, in children ---- */

static void allocate_in_handler(int number)
{
    void *p[10];

    (void)number;
    for (size_t i = 0; i < 10; i++) {
        p[i] = malloc(i * 1000);
    }
    for (size_t i = 0; i < 10; i++) {
        free(p[i]);
    }
    mallinfo2(); /* by the lock that the churn holds for long */
}

static sigjmp_buf out;

static void jump_out(int number)
{
    (void)number;
    siglongjmp(out, 1);
}

static void churn_without_a_look(void)
{
    uint64_t end = now_ms() + (uint64_t)(seconds * 500);
    uint64_t state = 5;

    while (now_ms() < end) {
        for (int i = 0; i < 100; i++) {
            free(malloc(test_random(&state) % 200000)); /* mostly under a lock */
        }
        mallinfo2();
    }
}

static void churn_and_handle(void)
{
    handle(SIGALRM, allocate_in_handler, 0);
    every_us(100);
    churn_without_a_look();
}

static void churn_and_jump(void)
{
    volatile int jumps = 0;

    handle(SIGALRM, jump_out, SA_NODEFER);
    if (sigsetjmp(out, 1) != 0 && ++jumps >= 200) {
        every_us(0);
        return;
    }
    every_us(300);
    churn_without_a_look();
    every_us(0);
}

/*
 * Ends well, by a signal or with a message, in time. The watchdog is another process, as a
 * timer is in use.
 */
static int is_told; /* how often the message was the one about the lock */

/* What is in a file of /proc of the child, to standard error. */
static void show(pid_t child, const char *name)
{
    char path[64];
    char text[600];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/%s", (long)child, name);
    fd = open(path, O_RDONLY);
    n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    fprintf(stderr, "%s: %s\n", path, text);
}

/* How the child ended. The alarm of a child is its own business: it may use that timer. */
static int wait_for(pid_t child)
{
    uint64_t end = now_ms() + 20000;
    int status;

    while (waitpid(child, &status, WNOHANG) == 0) {
        if (now_ms() > end) {
            show(child, "status");
            show(child, "syscall");
            show(child, "wchan");
            kill(child, SIGKILL);
            test_fail("the process hangs", __FILE__, __LINE__);
        }
        usleep(1000);
    }
    return status;
}

static void run_undefined(void (*run)(void))
{
    char text[2000];
    size_t n = 0;
    pid_t child;
    int ends[2];
    int status;

    CHECK(pipe(ends) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        run();
        _exit(CODE);
    }
    close(ends[1]);
    status = wait_for(child);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    while (n < sizeof(text) - 1) {
        ssize_t got = read(ends[0], text + n, sizeof(text) - 1 - n);

        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    text[n] = '\0';
    close(ends[0]);
    if (WIFEXITED(status)) {
        CHECK_EQ(WEXITSTATUS(status), CODE);
        return;
    }
    CHECK(WIFSIGNALED(status));
    if (strncmp(text, "mpalloc: ", 9) == 0) {
        /* Debug builds may find the ranks of the locks in disorder first. */
        is_told += strstr(text, "waits for a lock that it holds") != NULL
                   || strstr(text, "internal check failed") != NULL;
    }
}

static void e78_allocating_handlers_do_not_hang(void)
{
    is_told = 0;
    for (int i = 0; i < 5 || (i < 200 && is_told == 0); i++) {
        run_undefined(churn_and_handle);
    }
    CHECK(is_told > 0); /* a handler meets a lock sooner or later */
}

static void e80_jumps_out_of_malloc_do_not_hang(void)
{
    is_told = 0;
    for (int i = 0; i < 5 || (i < 200 && is_told == 0); i++) {
        run_undefined(churn_and_jump);
    }
    CHECK(is_told > 0); /* a handler meets a lock sooner or later */
}

/* ---- E79: the program's handler of SIGABRT allocates after our message ---- */

static void allocate_and_leave(int number)
{
    void *p = malloc(100000);

    CHECK(p != NULL && number == SIGABRT);
    free(p);
    free(malloc(300));
    _exit(CODE);
}

/* On the alternate stack, and for SIGSEGV: a handler that allocates may not come twice. */
static void leave_on_fault(int number)
{
    static volatile sig_atomic_t times;

    (void)number;
    CHECK(++times == 1);
    free(malloc(100000));
    _exit(CODE + 1);
}

static void expect_child(void (*run)(void), int code)
{
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, STDERR_FILENO);
        run();
        _exit(1);
    }
    CHECK_EQ(wait_for(child), code << 8);
}

static void misuse(void)
{
    handle(SIGABRT, allocate_and_leave, 0);
    free((void *)test_opaque((size_t)&handled)); /* our message, then abort() */
}

static void fault(void)
{
    static char alternate[65536];
    stack_t s = {.ss_sp = alternate, .ss_size = sizeof(alternate)};

    CHECK(sigaltstack(&s, NULL) == 0);
    handle(SIGSEGV, leave_on_fault, SA_ONSTACK);
    free(malloc(5000));
    *(volatile char *)test_opaque(16) = 1;
}

static void e79_handlers_of_the_end_may_allocate(void)
{
    expect_child(misuse, CODE);
    expect_child(fault, CODE + 1);
}

/* As apache's children: exit, with its destructors, in a handler of SIGTERM. */
static void exit_in_handler(int number)
{
    (void)number;
    exit(CODE);
}

static void churn_large(void)
{
    every_us(50 + (int)(now_ms() * 37 % 400));
    handle(SIGALRM, exit_in_handler, 0);
    for (;;) {
        free(malloc(100000));
        mallinfo2(); /* which holds a lock for long */
    }
}

static void e78_exit_in_handlers_ends(void)
{
    for (uint64_t end = now_ms() + (uint64_t)(seconds * 1000); now_ms() < end;) {
        expect_child(churn_large, CODE);
    }
}

int main(int argc, char **argv)
{
    seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    RUN(e77_counting_handlers_interrupt_malloc);
    RUN(e71_fork_in_handlers_under_a_storm);
    RUN(e78_allocating_handlers_do_not_hang);
    RUN(e80_jumps_out_of_malloc_do_not_hang);
    RUN(e78_exit_in_handlers_ends);
    RUN(e79_handlers_of_the_end_may_allocate);
    return 0;
}
