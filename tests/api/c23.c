/*
 * c23 - a program in C23 finds the functions that C23 added, with its prototypes (A29)
 *
 * memalignment looks at a pointer only and is the C library's; glibc 2.36 has none yet.
 */
#include "test.h"

void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t alignment, size_t size);

static void a29_functions_of_c23_link(void)
{
    free_sized(malloc(test_opaque(100)), 100);
    free_sized(calloc(10, test_opaque(1000)), 10000);
    free_sized(realloc(malloc(test_opaque(10)), 300000), 300000);
    free_aligned_sized(aligned_alloc(test_opaque(256), 512), 256, 512);
    free_sized(NULL, 0);
    free_aligned_sized(NULL, 0, 0);
}

int main()
{
    RUN(a29_functions_of_c23_link);
    return 0;
}
