/*
 * plugin - a library that programs dlopen: uses malloc, and opens another by its RUNPATH
 *
 * With PLUGIN_LINKED it is linked with libmpalloc, which nobody else in its program is.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#ifdef PLUGIN_LINKED
#    include <mpalloc.h>
#endif

void *plugin_malloc(size_t size);
void plugin_free(void *p);
char *plugin_copy(const char *text);
void *plugin_open_leaf(int mode);
void *plugin_mp_malloc(size_t size);

void *plugin_malloc(size_t size)
{
    return malloc(size);
}

void plugin_free(void *p)
{
    free(p);
}

/* The C library allocates, whoever frees. */
char *plugin_copy(const char *text)
{
    return strdup(text);
}

/* Found by the RUNPATH of this library alone, if dlopen knows who calls. */
void *plugin_open_leaf(int mode)
{
    void *leaf = dlopen("libloader_leaf.so", mode);

    __asm__ volatile(""
                     : "+r"(leaf)); /* no tail call: then another would be the caller */
    return leaf;
}

#ifdef PLUGIN_LINKED
void *plugin_mp_malloc(size_t size)
{
    return mp_malloc(mp_component("plugin"), size);
}
#endif
