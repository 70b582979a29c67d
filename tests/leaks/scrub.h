/*
 * scrub - the stack below is cleared: what functions that returned left of pointers
 */
#ifndef SCRUB_H
#define SCRUB_H

#include <stddef.h>

static __attribute__((noinline)) void scrub(void)
{
    volatile char room[64 * 1024];

    for (size_t i = 0; i < sizeof(room); i++) {
        room[i] = 0;
    }
}

#endif
