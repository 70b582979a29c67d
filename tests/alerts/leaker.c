/*
 * leaker - a process for the tests of alerts: holds, drops and loses memory when it is told to
 *
 * Lines of standard input, each answered by "ok" when counters are published:
 *     hold BYTES   so much more, in blocks of 64 KiB, untouched
 *     drop         all of that
 *     lose COUNT   so many blocks of 1,000 bytes that nothing points to any more
 *     check        a leak check of two rounds
 * Until the end of it, a block is allocated and freed every 10 ms.
 */
#include <mpalloc.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 65536, MOST = 65536 };

static void *held[MOST];
static size_t held_count;
void *kept[16]; /* seen from outside: it is never read */

static void hold(long bytes)
{
    mp_component_t *component = mp_component("cache");

    for (long i = 0; i < bytes / BLOCK && held_count < MOST; i++) {
        held[held_count++] = mp_malloc(component, BLOCK);
    }
}

static void keep(long bytes)
{
    static size_t count;

    kept[count++ % 16] = mp_malloc(mp_component("index"), (size_t)bytes);
}

static void drop(void)
{
    while (held_count > 0) {
        free(held[--held_count]);
        held[held_count] = NULL;
    }
}

__attribute__((noinline)) static void lose_requests(long count)
{
    for (long i = 0; i < count; i++) {
        void *volatile block = malloc(1000);

        memset(block, 0, 1000);
        block = NULL;
    }
}

/* What is left of pointers on the stack would make the last blocks reachable. */
__attribute__((noinline)) static void scrub(void)
{
    volatile char room[16384];

    memset((void *)room, 0, sizeof(room));
}

static void check(void)
{
    struct mp_leak_summary summary = {.size = sizeof(summary)};

    scrub();
    mp_leak_check(&summary);
}

int main(void)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};
    char line[100];

    setvbuf(stdin, NULL, _IONBF, 0);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        if (poll(&in, 1, 10) == 0) {
            free(malloc(300));
            continue;
        }
        if (fgets(line, sizeof(line), stdin) == NULL) {
            return 0;
        }
        if (strncmp(line, "hold ", 5) == 0) {
            hold(atol(line + 5));
        } else if (strncmp(line, "keep ", 5) == 0) {
            keep(atol(line + 5));
        } else if (strcmp(line, "drop\n") == 0) {
            drop();
        } else if (strncmp(line, "lose ", 5) == 0) {
            lose_requests(atol(line + 5));
            scrub();
        } else if (strcmp(line, "check\n") == 0) {
            check();
        }
        mp_snapshot(&(struct mp_snapshot){.size = sizeof(struct mp_snapshot)});
        printf("ok\n");
        fflush(stdout);
    }
}
