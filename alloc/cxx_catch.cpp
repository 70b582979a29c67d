/*
 * cxx_catch - calls what may throw, and catches it
 *
 * The only C++ in the library. Its references to the C++ runtime are weak: a program
 * without that runtime throws nothing, and needs none of this.
 */
#include "cxx.h"

#define WEAK_REFERENCE(name) __asm__(".weak " #name)

WEAK_REFERENCE(__gxx_personality_v0);
WEAK_REFERENCE(__cxa_begin_catch);
WEAK_REFERENCE(__cxa_end_catch);
WEAK_REFERENCE(__cxa_rethrow);
WEAK_REFERENCE(_ZSt9terminatev);
WEAK_REFERENCE(_Unwind_Resume);

void *cxx_catch_new(void *(*plain)(size_t), size_t size)
{
    try {
        return plain(size);
    } catch (...) {
        return nullptr;
    }
}

void *cxx_catch_new_aligned(
    void *(*plain)(size_t, size_t), size_t size, size_t alignment)
{
    try {
        return plain(size, alignment);
    } catch (...) {
        return nullptr;
    }
}

bool cxx_catch_handler(void (*handler)(void))
{
    try {
        handler();
        return true;
    } catch (...) {
        return false;
    }
}
