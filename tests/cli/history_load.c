/*
 * history_load - one process that changes: dumps of it, for a simulated month of history
 *
 *     history_load DIRECTORY COUNT
 *
 * 20 components, 20 call sites, and another share of memory for each in every dump.
 */
#include <mpalloc.h>

#include <stdio.h>
#include <stdlib.h>

enum { PARTS = 20, BLOCKS = 100000 };

static void *held[BLOCKS];

#define SITE(n)                                                                        \
    __attribute__((noinline)) static void *site##n(mp_component_t *c, size_t bytes)    \
    {                                                                                  \
        char *p = mp_malloc(c, bytes);                                                 \
                                                                                       \
        p[0] = (n);                                                                    \
        return p;                                                                      \
    }

SITE(0)
SITE(1)
SITE(2)
SITE(3)
SITE(4)
SITE(5)
SITE(6)
SITE(7)
SITE(8)
SITE(9)
SITE(10)
SITE(11)
SITE(12)
SITE(13)
SITE(14)
SITE(15)
SITE(16)
SITE(17)
SITE(18)
SITE(19)

static void *(*const sites[PARTS])(mp_component_t *, size_t) = {site0, site1, site2,
    site3, site4, site5, site6, site7, site8, site9, site10, site11, site12, site13,
    site14, site15, site16, site17, site18, site19};

int main(int argc, char **argv)
{
    mp_component_t *parts[PARTS];
    int dumps = argc > 2 ? atoi(argv[2]) : 0;

    for (int i = 0; i < PARTS; i++) {
        char name[32];

        snprintf(name, sizeof(name), "part/%d", i);
        parts[i] = mp_component(name);
    }
    for (int n = 0; n < dumps; n++) {
        char path[4096];

        for (int i = 0; i < BLOCKS / 4; i++) {
            int at = rand() % BLOCKS;
            int part = rand() % (1 + rand() % PARTS);

            free(held[at]);
            held[at] =
                sites[rand() % PARTS](parts[part], 100 + (size_t)(rand() % 2000));
        }
        snprintf(path, sizeof(path), "%s/%d.mp", argv[1], n);
        if (mp_dump(path) != 0) {
            perror(path);
            return 1;
        }
    }
    return 0;
}
