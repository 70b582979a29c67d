/*
 * plugin - built twice, as different plugins with the same code at the same places
 *
 * PLUGIN_WORK names the function that allocates.
 */
#include <stdlib.h>

void *run(size_t size);

static __attribute__((noinline)) void *PLUGIN_WORK(size_t size)
{
    void *p = malloc(size);

    __asm__ volatile("" ::: "memory");
    return p;
}

__attribute__((visibility("default"))) void *run(size_t size)
{
    void *p = PLUGIN_WORK(size);

    __asm__ volatile("" ::: "memory");
    return p;
}
