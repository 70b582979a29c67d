#include "must.h"

#include "guest.h"

void must_fail(void)
{
    struct guest *g = guest_get();

    if (g != NULL) {
        longjmp(g->no_memory, 1);
    }
    fputs("mpalloc: no memory\n", stderr);
    exit(1);
}
