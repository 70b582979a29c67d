/*
 * cxx.h - the operators new and delete, and what only C++ can do for them: to catch
 */
#ifndef CXX_H
#define CXX_H

#include "attr.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#else
#    include <stdbool.h>
#endif

/* Call it; NULL, or false, when it throws. What it throws is caught. */
HIDDEN void *cxx_catch_new(void *(*plain)(size_t), size_t size);
HIDDEN void *cxx_catch_new_aligned(
    void *(*plain)(size_t, size_t), size_t size, size_t alignment);
HIDDEN bool cxx_catch_handler(void (*handler)(void));

#ifdef __cplusplus
}
#else

EXPORT void *_Znwm(size_t size);
EXPORT void *_Znam(size_t size);
EXPORT void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag);
EXPORT void *_ZnamRKSt9nothrow_t(size_t size, const void *tag);
EXPORT void *_ZnwmSt11align_val_t(size_t size, size_t alignment);
EXPORT void *_ZnamSt11align_val_t(size_t size, size_t alignment);
EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(
    size_t size, size_t alignment, const void *tag);
EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(
    size_t size, size_t alignment, const void *tag);
EXPORT void _ZdlPv(void *p);
EXPORT void _ZdaPv(void *p);
EXPORT void _ZdlPvm(void *p, size_t size);
EXPORT void _ZdaPvm(void *p, size_t size);
EXPORT void _ZdlPvRKSt9nothrow_t(void *p, const void *tag);
EXPORT void _ZdaPvRKSt9nothrow_t(void *p, const void *tag);
EXPORT void _ZdlPvmRKSt9nothrow_t(void *p, size_t size, const void *tag);
EXPORT void _ZdaPvmRKSt9nothrow_t(void *p, size_t size, const void *tag);
EXPORT void _ZdlPvSt11align_val_t(void *p, size_t alignment);
EXPORT void _ZdaPvSt11align_val_t(void *p, size_t alignment);
EXPORT void _ZdlPvmSt11align_val_t(void *p, size_t size, size_t alignment);
EXPORT void _ZdaPvmSt11align_val_t(void *p, size_t size, size_t alignment);
EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(
    void *p, size_t alignment, const void *tag);
EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(
    void *p, size_t alignment, const void *tag);

#endif
#endif
