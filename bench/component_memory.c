/*
 * component_memory - resident memory per component of a thread, beyond what its blocks are
 *
 *     component_memory [--components N] [--classes N]
 *
 * The thread enters each component once and uses some size classes in it: one block stays
 * in each. What N components add is divided by N, and the bytes of the blocks taken off.
 * Only for mpalloc, preloaded; without it the program ends with code 77.
 */
#include "bench.h"
#include "rss.h"

#include <dlfcn.h>
#include <stdio.h>

enum { COMPONENTS_MAX = 4000, CLASSES_MAX = 16 };

static void *kept[COMPONENTS_MAX][CLASSES_MAX];

/* Every component in turn; `from` lets a first few warm up what all share. */
static size_t use(void *(*component)(const char *), void *(*enter)(void *),
    unsigned from, unsigned to, unsigned classes)
{
    size_t bytes = 0;
    char name[32];

    for (unsigned i = from; i < to; i++) {
        void *previous;

        snprintf(name, sizeof(name), "part-%u", i);
        previous = enter(component(name));
        for (unsigned n = 0; n < classes; n++) {
            size_t size = 16 + 48 * n;

            kept[i][n] = malloc(size);
            if (kept[i][n] == NULL) {
                return 0;
            }
            memset(kept[i][n], 1, size);
            bytes += size;
        }
        enter(previous);
    }
    return bytes;
}

int main(int argc, char **argv)
{
    void *(*component)(const char *);
    void *(*enter)(void *);
    unsigned components = 200, classes = 10;
    size_t before, after, bytes;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--components") == 0) {
            components = (unsigned)atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--classes") == 0) {
            classes = (unsigned)atoi(argv[i + 1]);
        }
    }
    if (components == 0 || components + 10 > COMPONENTS_MAX || classes == 0
        || classes > CLASSES_MAX) {
        fprintf(stderr, "component_memory: 1 to %d components, 1 to %d classes\n",
            COMPONENTS_MAX - 10, CLASSES_MAX);
        return 2;
    }
    *(void **)&component = dlsym(RTLD_DEFAULT, "mp_component");
    *(void **)&enter = dlsym(RTLD_DEFAULT, "mp_enter");
    if (component == NULL || enter == NULL) {
        fputs("component_memory: this malloc has no components\n", stderr);
        return 77;
    }
    memset(kept, 0xff, sizeof(kept));
    use(component, enter, 0, 10, classes);
    before = rss_bytes();
    bytes = use(component, enter, 10, components + 10, classes);
    after = rss_bytes();
    printf("{\"components\": %u, \"classes\": %u, \"bytes_each\": %.0f, "
           "\"block_bytes_each\": %.0f}\n",
        components, classes,
        ((double)after - (double)before - (double)bytes) / components,
        (double)bytes / components);
    return 0;
}
