/*
 * loser [ROUNDS] - loses the only pointer to a list of two blocks in each tenth round, and keeps
 * 1,000 others; for mpalloc leaks --scan. Ends by itself after a minute.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT = 1000, ROUNDS = 60000 };

struct node {
    struct node *next;
    char data[1000];
};

static void *kept[KEPT];

static __attribute__((noinline)) struct node *make(struct node *next)
{
    struct node *n = malloc(sizeof(*n));

    memset(n->data, 1, sizeof(n->data));
    n->next = next;
    return n;
}

static __attribute__((noinline)) void lose(void)
{
    struct node *volatile list = make(make(NULL));

    list = NULL;
    (void)list;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

    for (int i = 0; i < rounds; i++) {
        free(kept[i % KEPT]);
        kept[i % KEPT] = malloc(3000);
        if (i % 10 == 0) {
            lose();
        }
        usleep(1000);
    }
    return 0;
}
