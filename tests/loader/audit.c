/* audit - an auditing library: works in a namespace of its own, before everything else */
#include <link.h>
#include <stdlib.h>
#include <string.h>

static char *names[64];
static unsigned count;

unsigned la_version(unsigned version)
{
    free(malloc(100));
    return version;
}

unsigned la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie)
{
    (void)lmid;
    (void)cookie;
    if (count < 64) {
        names[count++] = strdup(map->l_name);
    }
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

void la_preinit(uintptr_t *cookie)
{
    (void)cookie;
    while (count > 0) {
        free(names[--count]);
    }
}
