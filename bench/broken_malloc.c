/*
 * broken_malloc - a malloc that fails as BROKEN says, so that compare can be tested
 *
 * For blocks of 2,000 bytes: `crash` writes to address 0, `hang` sleeps for ever, `twice`
 * hands out one block to all. Everything else is the C library's.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *malloc(size_t size);
void free(void *p);
void __libc_free(void *p);

static void *one; /* the block that all get */

void *malloc(size_t size)
{
    const char *how = size == 2000 ? getenv("BROKEN") : NULL;

    if (how != NULL && strcmp(how, "crash") == 0) {
        *(volatile int *)NULL = 1;
    }
    while (how != NULL && strcmp(how, "hang") == 0) {
        pause();
    }
    if (how != NULL && strcmp(how, "twice") == 0) {
        one = one != NULL ? one : __libc_malloc(size);
        return one;
    }
    return __libc_malloc(size);
}

void free(void *p)
{
    if (p != one || p == NULL) {
        __libc_free(p);
    }
}
