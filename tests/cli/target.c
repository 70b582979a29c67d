/*
 * target - a process for the tests of the command: known memory, then quiet or busy
 *
 *     target busy|quiet|garbage|exit CODE|crash|echo
 *     target pools              busy, with a pool and a counter of its own
 *     target quiet COMPONENT    also 100 blocks of 3,000 bytes in that one
 *
 * Holds 1,000 blocks of 1,000 bytes in shop/cart, 10 of 100,000 in shop, and freed 500
 * more of 200 in shop/cart. Prints "ready", then ends when its standard input does.
 */
#include <mpalloc.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *held[1010];
static void *held_more[100];

static void hold_more(const char *name)
{
    mp_component_t *component = mp_component(name);

    for (int i = 0; i < 100; i++) {
        held_more[i] = mp_malloc(component, 3000);
    }
}

static void hold(void)
{
    mp_component_t *cart = mp_component("shop/cart");
    mp_component_t *shop = mp_component("shop");

    for (int i = 0; i < 1000; i++) {
        held[i] = mp_malloc(cart, 1000);
    }
    for (int i = 1000; i < 1010; i++) {
        held[i] = mp_malloc(shop, 100000);
        memset(held[i], 1, 100000);
    }
    for (int i = 0; i < 500; i++) {
        free(mp_malloc(cart, 200));
    }
}

/* 30 objects of 600 bytes in use and 70 kept, of 250 gets; and a number of its own. */
static void use_pool(void)
{
    static void *object[100];
    static mp_pool_t *pool;

    pool = mp_pool_create(mp_component("shop/pool"), 600, 1000);
    for (int i = 0; i < 100; i++) {
        object[i] = mp_pool_get(pool);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 75; i++) {
            mp_pool_put(pool, object[i]);
        }
        for (int i = 0; i < 75; i++) {
            object[i] = mp_pool_get(pool);
        }
    }
    for (int i = 0; i < 70; i++) {
        mp_pool_put(pool, object[i]);
    }
    mp_counter_set(mp_counter("headers_inline"), -12);
}

static int is_over(int wait_ms)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};
    char byte;

    return poll(&in, 1, wait_ms) > 0 && read(0, &byte, 1) == 0;
}

static void garbage(void)
{
    enum { COUNT = 20000 };
    static void *block[COUNT];

    for (int i = 0; i < COUNT; i++) {
        block[i] = malloc(2000);
        memset(block[i], 1, 2000);
    }
    for (int i = 0; i < COUNT; i++) {
        free(block[i]);
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "quiet";

    if (strcmp(mode, "exit") == 0) {
        return argc > 2 ? atoi(argv[2]) : 0;
    }
    if (strcmp(mode, "crash") == 0) {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
    if (strcmp(mode, "echo") == 0) {
        char line[100];

        printf("%s", fgets(line, sizeof(line), stdin) != NULL ? line : "nothing\n");
        return 0;
    }
    hold();
    if (argc > 2) {
        hold_more(argv[2]);
    }
    if (strcmp(mode, "garbage") == 0) {
        garbage();
    }
    if (strcmp(mode, "pools") == 0) {
        use_pool();
    }
    mp_snapshot(&(struct mp_snapshot){.size = sizeof(struct mp_snapshot)});
    printf("ready\n");
    fflush(stdout);
    while (!is_over(10)) {
        if (strcmp(mode, "quiet") != 0) {
            free(malloc(300));
        }
    }
    return 0;
}
