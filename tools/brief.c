#include "brief.h"

#include <malloc.h>

enum { PAD_BYTES = 4 << 20 };

void brief_memory(void)
{
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, -1);
    mallopt(M_TOP_PAD, PAD_BYTES);
}
