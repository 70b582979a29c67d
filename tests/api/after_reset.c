/*
 * after_reset - an object of an arena is read, or written to, after a reset
 *
 *     after_reset read|write
 *
 * Prints the byte that it read. What is said about it is for after_reset.py.
 */
#include <mpalloc.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    mp_arena_t *arena = mp_arena_create(NULL);
    volatile char *p = mp_arena_strdup(arena, "hello");

    mp_arena_alloc(arena, 100000);
    mp_arena_reset(arena);
    printf("%02x\n", (unsigned char)p[0]);
    fflush(stdout);
    if (argc == 2 && strcmp(argv[1], "write") == 0) {
        p[1] = 1;
    }
    p = mp_arena_alloc(arena, 6);
    p[5] = 0;
    mp_arena_destroy(arena);
    return 0;
}
