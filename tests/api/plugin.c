/*
 * plugin - a DSO for loader.c: allocates while it is relocated, initialised and finished
 *
 * It has thread-local storage and an IFUNC, and is built in several ways (meson.build).
 */
#include "plugin.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static char *from_constructor;
static unsigned char *from_resolver;
static __thread char *of_thread;
static __thread char room[3000];

static int is_resolved(void)
{
    return from_resolver != NULL && from_resolver[0] == 7;
}

/* F89: runs before this DSO is relocated to its end. */
__attribute__((used)) static int (*resolve(void))(void)
{
    unsigned char *p = malloc(300);

    if (p != NULL) {
        p[0] = 7;
        from_resolver = p;
    }
    return is_resolved;
}
int plugin_resolved(void) __attribute__((ifunc("resolve")));

__attribute__((constructor)) static void begin(void)
{
    from_constructor = strdup("plugin");
    free(calloc(50, 100));
}

__attribute__((destructor)) static void end(void)
{
    free(from_constructor);
    free(from_resolver);
    free(malloc(2000));
}

int plugin_is_fresh(void)
{
    int fresh = from_constructor != NULL && strcmp(from_constructor, "plugin") == 0;

    if (fresh) {
        from_constructor[0] = 'P'; /* until it is loaded anew */
    }
    return fresh;
}

char *plugin_use_thread(void)
{
    free(of_thread);
    of_thread = malloc(200);
    memset(room, 1, sizeof(room));
    return of_thread != NULL ? strdup("from the plugin") : NULL;
}

void plugin_forget_thread(void)
{
    free(of_thread);
    of_thread = NULL;
}

void *plugin_malloc(size_t bytes)
{
    return malloc(bytes);
}

void plugin_free(void *p)
{
    free(p);
}

/* Threads of the plugin's own C library, where it has one (dlmopen). */
static void *churn(void *arg)
{
    void *p[100];

    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < 100; i++) {
            p[i] = malloc(i * 30 + 1);
            if (p[i] == NULL) {
                return NULL;
            }
            memset(p[i], round, i * 30 + 1);
        }
        for (size_t i = 0; i < 100; i++) {
            free(p[i]);
        }
    }
    return arg;
}

int plugin_churn(void)
{
    return churn(room) == room;
}

const void *plugin_address_of_malloc(void)
{
    return (const void *)(size_t)&malloc;
}
