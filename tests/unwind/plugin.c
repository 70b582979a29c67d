/*
 * plugin - opened and closed by edges.c, built twice
 *
 * plugin_call has the same addresses in both, and frames of another size. plugin_outer,
 * which calls it, returns to other addresses if PLUGIN_PAD differs.
 */
#include <stddef.h>

#define SHOWN __attribute__((noinline, visibility("default")))

int plugin_call(int (*f)(void *), void *arg);
int plugin_outer(int (*f)(void *), void *arg);

SHOWN int plugin_call(int (*f)(void *), void *arg)
{
    volatile char room[PLUGIN_ROOM];
    int result;

    room[0] = 1;
    result = f(arg);
    return result + room[0] - 1;
}

SHOWN int plugin_outer(int (*f)(void *), void *arg)
{
    int result;

    __asm__ volatile(".skip %c0, 0x90" : : "i"(PLUGIN_PAD));
    result = plugin_call(f, arg);
    __asm__ volatile("" : "+r"(result)); /* no tail call */
    return result;
}

/* Inside dlopen. */
int (*plugin_hook)(void *) __attribute__((visibility("default"), weak));
__attribute__((constructor)) static void begin(void)
{
    if (plugin_hook != NULL) {
        plugin_hook(NULL);
    }
}
