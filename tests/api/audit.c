/*
 * audit - a library for LD_AUDIT that allocates, in its own namespace, at every call
 */
#include <link.h>
#include <stdlib.h>

static void allocate(void)
{
    void *volatile p = malloc(500);

    free(p);
}

unsigned int la_version(unsigned int version)
{
    allocate();
    return version;
}

unsigned int la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie)
{
    (void)map, (void)lmid, (void)cookie;
    allocate();
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

void la_preinit(uintptr_t *cookie)
{
    (void)cookie;
    allocate();
}

uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned int index, uintptr_t *from,
    uintptr_t *to, unsigned int *flags, const char *name)
{
    (void)index, (void)from, (void)to, (void)flags, (void)name;
    allocate();
    return symbol->st_value;
}
