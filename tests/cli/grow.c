/*
 * grow - a program that grows until it is killed, for the tests of what its region says then
 *
 *     grow FILE BYTES PAUSE_US
 *
 * Holds blocks of 1,000 bytes in grow/slow and three times as many in grow/fast, with a pause after
 * each MiB. Block bytes that are live stand in FILE (8 bytes, mapped). Where there is no more
 * memory, or BYTES are live, it kills itself.
 */
#include <mpalloc.h>

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void **held;

static __attribute__((noinline)) void *grow(mp_component_t *c)
{
    void **p = mp_malloc(c, 1000);

    if (p != NULL) {
        memset(p, 1, 1000);
        *p = (void *)held;
        held = p;
    }
    return p;
}

int main(int argc, char **argv)
{
    mp_component_t *slow = mp_component("grow/slow");
    mp_component_t *fast = mp_component("grow/fast");
    int fd = argc > 3 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
    uint64_t *live = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint64_t most = argc > 3 ? strtoull(argv[2], NULL, 10) : 0;
    useconds_t pause_us = argc > 3 ? (useconds_t)atoi(argv[3]) : 0;
    uint64_t mib = 1;
    uint64_t turn = 0;

    if (live == MAP_FAILED) {
        return 1;
    }
    while (*live < most) {
        void *p = grow(turn++ % 4 == 0 ? slow : fast);

        if (p == NULL) {
            break;
        }
        *live += malloc_usable_size(p);
        if (pause_us > 0 && *live >> 20 >= mib) {
            mib++;
            usleep(pause_us);
        }
    }
    kill(getpid(), SIGKILL);
    return 1;
}
