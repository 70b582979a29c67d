#include "guest.h"

#include <stddef.h>

static _Thread_local struct guest *guest;

struct guest *guest_set(struct guest *g)
{
    struct guest *before = guest;

    guest = g;
    return before;
}

struct guest *guest_get(void)
{
    return guest;
}
