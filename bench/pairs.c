/*
 * pairs - the loops whose calls `instructions` counts; nothing but malloc and free
 *
 *     pairs SIZE BATCH COUNT [shuffled] [threaded]
 *
 * `threaded`: a second thread sleeps meanwhile.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH_MAX = 512 };

static void *block[BATCH_MAX];
static unsigned order[BATCH_MAX];

static void shuffle(unsigned n)
{
    unsigned random = 1;

    for (unsigned i = n - 1; i > 0; i--) {
        unsigned j, t;

        random = random * 1664525u + 1013904223u;
        j = (random >> 16) % (i + 1);
        t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

static void *sleep_on(void *arg)
{
    for (;;) {
        pause();
    }
    return arg;
}

int main(int argc, char **argv)
{
    size_t size;
    unsigned batch;
    unsigned long count;

    if (argc < 4) {
        fputs("usage: pairs SIZE BATCH COUNT [shuffled] [threaded]\n", stderr);
        return 2;
    }
    size = strtoul(argv[1], NULL, 10);
    batch = (unsigned)strtoul(argv[2], NULL, 10);
    count = strtoul(argv[3], NULL, 10);
    if (batch == 0 || batch > BATCH_MAX) {
        return 2;
    }
    for (unsigned i = 0; i < batch; i++) {
        order[i] = i;
    }
    for (int i = 4; i < argc; i++) {
        pthread_t thread;

        if (strcmp(argv[i], "shuffled") == 0) {
            shuffle(batch);
        } else if (strcmp(argv[i], "threaded") == 0) {
            pthread_create(&thread, NULL, sleep_on, NULL);
        }
    }
    for (unsigned long done = 0; done < count; done += batch) {
        for (unsigned i = 0; i < batch; i++) {
            block[i] = malloc(size);
        }
        for (unsigned i = 0; i < batch; i++) {
            free(block[order[i]]);
        }
    }
    return 0;
}
