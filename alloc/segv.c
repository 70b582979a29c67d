#include "segv.h"

#include "atomic.h"
#include "os.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>

/* One of us for each handler of the program that we came before. */
enum { LEVELS = 8 };

static segv_explainer *explainer;
static uint32_t arming;                 /* atomic: tried, never waited for */
static struct sigaction others[LEVELS]; /* what was set when we came */
static unsigned levels;                 /* in use; under arming */

static const char *access_of(const ucontext_t *u)
{
#if defined(__x86_64__)
    /* the page fault's error code: bit 1 is set for a write */
    return (u->uc_mcontext.gregs[REG_ERR] & 2) != 0 ? "write" : "read";
#else
    (void)u;
    return "access";
#endif
}

/* The standard action of the signal, for whoever sent it. */
static void give_up(int number, const siginfo_t *info)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};

    sigaction(number, &standard, NULL);
    if (info->si_code <= 0) {
        os_raise(number); /* was sent; a fault happens again by itself */
    }
}

static bool is_standard(const struct sigaction *act)
{
    return (act->sa_flags & SA_SIGINFO) == 0 && act->sa_handler == SIG_DFL;
}

/* As the kernel would have done without us. */
static void hand_on(unsigned level, int number, siginfo_t *info, void *context)
{
    struct sigaction act = others[level];

    if (is_standard(&act)) {
        give_up(number, info);
        return;
    }
    if ((act.sa_flags & SA_SIGINFO) == 0 && act.sa_handler == SIG_IGN) {
        if (info->si_code > 0) {
            give_up(number, info); /* a fault cannot be ignored */
        }
        return;
    }
    if ((act.sa_flags & (int)SA_RESETHAND) != 0) {
        others[level] = (struct sigaction){.sa_handler = SIG_DFL};
    }
    if ((act.sa_flags & SA_SIGINFO) != 0) {
        act.sa_sigaction(number, info, context);
    } else {
        act.sa_handler(number);
    }
}

static void handle(unsigned level, int number, siginfo_t *info, void *context)
{
    if (info->si_code > 0) {
        struct segv f = {(uintptr_t)info->si_addr, context, access_of(context)};

        explainer(&f);
    }
    hand_on(level, number, info, context);
}

#define LEVEL(n)                                                                       \
    static void handler##n(int number, siginfo_t *info, void *context)                 \
    {                                                                                  \
        handle(n, number, info, context);                                              \
    }
LEVEL(0)
LEVEL(1)
LEVEL(2)
LEVEL(3)
LEVEL(4)
LEVEL(5)
LEVEL(6)
LEVEL(7)

static void (*const handlers[LEVELS])(int, siginfo_t *, void *) = {
    handler0, handler1, handler2, handler3, handler4, handler5, handler6, handler7};

static bool is_ours(const struct sigaction *act)
{
    for (unsigned i = 0; (act->sa_flags & SA_SIGINFO) != 0 && i < LEVELS; i++) {
        if (act->sa_sigaction == handlers[i]) {
            return true;
        }
    }
    return false;
}

static bool is_same(const struct sigaction *a, const struct sigaction *b)
{
    return a->sa_flags == b->sa_flags && a->sa_handler == b->sa_handler;
}

/* The one of us that comes before this handler; LEVELS when there are no more of us. */
static unsigned find_level(const struct sigaction *now)
{
    unsigned i = 0;

    while (i < levels && !is_same(&others[i], now)) {
        i++;
    }
    if (i == levels && levels < LEVELS) {
        levels++;
    }
    return i;
}

void segv_arm(segv_explainer *explain)
{
    struct sigaction now;
    struct sigaction ours;
    uint32_t unlocked = 0;
    unsigned level;

    /* Its padding too: what is left there of some pointer is half of one, to a leak check. */
    memset(&now, 0, sizeof(now));
    if (sigaction(SIGSEGV, NULL, &now) != 0 || is_ours(&now)
        || !cas_acquire(&arming, &unlocked, 1)) {
        return;
    }
    level = find_level(&now);
    if (level < LEVELS) {
        explainer = explain;
        others[level] = now;
        ours = now;
        ours.sa_sigaction = handlers[level];
        ours.sa_flags =
            SA_SIGINFO | SA_ONSTACK | (now.sa_flags & (SA_NODEFER | SA_RESTART));
        sigaction(SIGSEGV, &ours, NULL);
    }
    store_release(&arming, 0);
}
