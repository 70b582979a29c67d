/*
 * corpus_plugin - a library that is unloaded while what it allocated stays
 */
#include "corpus.h"

#include <string.h>

static struct node *volatile held; /* gone with the library */

struct node *grow_plugin(mp_component_t *part, size_t bytes);

NOINLINE struct node *grow_plugin(mp_component_t *part, size_t bytes)
{
    struct node *n = mp_malloc(part, bytes);

    memset(n, 0, bytes);
    n->next = held;
    held = n;
    return n;
}
