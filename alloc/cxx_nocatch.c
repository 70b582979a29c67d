/*
 * cxx_nocatch - in place of cxx_catch.cpp, where the library is built without a C++ compiler
 *
 * What is thrown passes through.
 */
#include "cxx.h"

void *cxx_catch_new(void *(*plain)(size_t), size_t size)
{
    return plain(size);
}

void *cxx_catch_new_aligned(
    void *(*plain)(size_t, size_t), size_t size, size_t alignment)
{
    return plain(size, alignment);
}

bool cxx_catch_handler(void (*handler)(void))
{
    handler();
    return true;
}
