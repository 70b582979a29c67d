#include "proglib.h"

#include <stdlib.h>

void *library_take(size_t n)
{
    char *p = malloc(n); /* line: library */

    p[0] = 3;
    return p;
}
