/*
 * cxx - the operators new and delete of C++, by their mangled names
 *
 * In C, so that the library needs nothing of libstdc++: the new handler and bad_alloc are
 * looked for when memory is out, and are there whenever a C++ program is.
 */
#include "check.h"
#include "malloc.h"

#include <dlfcn.h>

typedef void (*new_handler)(void);

/* std::get_new_handler() and std::__throw_bad_alloc(), where libstdc++ is linked. */
extern new_handler _ZSt15get_new_handlerv(void) __attribute__((weak));
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak));

static void *find(const char *name)
{
    return dlsym(RTLD_DEFAULT, name); /* loaded after us */
}

static new_handler get_handler(void)
{
    new_handler (*get)(void) = _ZSt15get_new_handlerv;

    if (get == NULL) {
        get = (new_handler(*)(void))(uintptr_t)find("_ZSt15get_new_handlerv");
    }
    return get != NULL ? get() : NULL;
}

static void throw_bad_alloc(void)
{
    void (*throw_it)(void) = _ZSt17__throw_bad_allocv;

    if (throw_it == NULL) {
        throw_it = (void (*)(void))(uintptr_t)find("_ZSt17__throw_bad_allocv");
    }
    if (throw_it != NULL) {
        throw_it();
    }
    check_die("operator new: out of memory, and no C++ runtime to throw bad_alloc");
}

/* As the standard has it: the handler may make room, throw, or end the program. */
static COLD NOINLINE void *new_slow(size_t size, size_t alignment, bool may_throw)
{
    for (;;) {
        new_handler handler;
        void *p = malloc_aligned(NULL, alignment, size);

        if (p != NULL) {
            return p;
        }
        handler = get_handler();
        if (handler == NULL) {
            if (may_throw) {
                throw_bad_alloc();
            }
            return NULL;
        }
        handler(); /* what it throws passes through, also in nothrow forms: see README.md */
    }
}

static ALWAYS_INLINE void *new_plain(size_t size, bool may_throw)
{
    void *p = malloc_fast(size);

    return LIKELY(p != NULL) ? p : new_slow(size, BLOCK_ALIGN, may_throw);
}

static ALWAYS_INLINE void *new_aligned(size_t size, size_t alignment, bool may_throw)
{
    void *p = malloc_aligned(NULL, alignment, size);

    return LIKELY(p != NULL) ? p : new_slow(size, alignment, may_throw);
}

#define NEW(name)                                                                      \
    EXPORT void *name(size_t size);                                                    \
    EXPORT void *name(size_t size)                                                     \
    {                                                                                  \
        return new_plain(size, true);                                                  \
    }
#define NEW_NOTHROW(name)                                                              \
    EXPORT void *name(size_t size, const void *tag);                                   \
    EXPORT void *name(size_t size, const void *tag)                                    \
    {                                                                                  \
        (void)tag;                                                                     \
        return new_plain(size, false);                                                 \
    }
#define NEW_ALIGNED(name)                                                              \
    EXPORT void *name(size_t size, size_t alignment);                                  \
    EXPORT void *name(size_t size, size_t alignment)                                   \
    {                                                                                  \
        return new_aligned(size, alignment, true);                                     \
    }
#define NEW_ALIGNED_NOTHROW(name)                                                      \
    EXPORT void *name(size_t size, size_t alignment, const void *tag);                 \
    EXPORT void *name(size_t size, size_t alignment, const void *tag)                  \
    {                                                                                  \
        (void)tag;                                                                     \
        return new_aligned(size, alignment, false);                                    \
    }
#define DELETE(name, ...)                                                              \
    EXPORT void name(void *p, ##__VA_ARGS__);                                          \
    EXPORT void name(void *p, ##__VA_ARGS__)                                           \
    {                                                                                  \
        free_fast(p);                                                                  \
    }
#define DELETE_SIZED(name, ...)                                                        \
    EXPORT void name(void *p, size_t size, ##__VA_ARGS__);                             \
    EXPORT void name(void *p, size_t size, ##__VA_ARGS__)                              \
    {                                                                                  \
        free_fast_sized(p, size);                                                      \
    }
#define A size_t UNUSED a
#define T const void UNUSED *tag

NEW(_Znwm)                       /* operator new(size_t) */
NEW(_Znam)                       /* operator new[](size_t) */
NEW_NOTHROW(_ZnwmRKSt9nothrow_t) /* (size_t, nothrow) */
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED(_ZnwmSt11align_val_t) /* (size_t, align_val_t) */
NEW_ALIGNED(_ZnamSt11align_val_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)
DELETE(_ZdlPv) /* operator delete(void *) */
DELETE(_ZdaPv)
DELETE_SIZED(_ZdlPvm) /* (void *, size_t) */
DELETE_SIZED(_ZdaPvm)
DELETE(_ZdlPvRKSt9nothrow_t, T)
DELETE(_ZdaPvRKSt9nothrow_t, T)
DELETE_SIZED(_ZdlPvmRKSt9nothrow_t, T)
DELETE_SIZED(_ZdaPvmRKSt9nothrow_t, T)
DELETE(_ZdlPvSt11align_val_t, A) /* (void *, align_val_t) */
DELETE(_ZdaPvSt11align_val_t, A)
DELETE_SIZED(_ZdlPvmSt11align_val_t, A) /* (void *, size_t, align_val_t) */
DELETE_SIZED(_ZdaPvmSt11align_val_t, A)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, A, T)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, A, T)
