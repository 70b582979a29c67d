/*
 * cxx - the operators new and delete of C++, by their mangled names
 *
 * In C, so that the library needs nothing of libstdc++: the new handler and bad_alloc are
 * looked for when memory is out, and are there whenever a C++ program is.
 *
 * A program may replace the plain operators alone, and the standard says that the derived
 * ones go by them: new[] calls new, the sized and nothrow forms call the plain ones. So
 * the plain ones are weak here, for the linker; the library's own references to them can be
 * bound to others (cxx.list), for the loader; and the derived ones jump through those.
 */
#include "cxx.h"

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
        if (may_throw) {
            handler();
        } else if (!cxx_catch_handler(handler)) {
            return NULL;
        }
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

/* ---- the plain operators ---- */

WEAK void *_Znwm(size_t size) /* operator new(size_t) */
{
    return new_plain(size, true);
}

WEAK void *_ZnwmSt11align_val_t(size_t size, size_t alignment)
{
    return new_aligned(size, alignment, true);
}

WEAK void _ZdlPv(void *p) /* operator delete(void *) */
{
    free_fast(p);
}

WEAK void _ZdlPvSt11align_val_t(void *p, size_t UNUSED alignment)
{
    free_fast(p);
}

/* ---- new: the derived forms ---- */

WEAK void *_Znam(size_t size) /* operator new[](size_t) */
{
    return _Znwm(size);
}

WEAK void *_ZnamSt11align_val_t(size_t size, size_t alignment)
{
    return _ZnwmSt11align_val_t(size, alignment);
}

/* By names that nobody replaces. */
static void *own_new(size_t) __attribute__((alias("_Znwm")));
static void *own_new_array(size_t) __attribute__((alias("_Znam")));
static void *own_new_aligned(size_t, size_t)
    __attribute__((alias("_ZnwmSt11align_val_t")));
static void *own_new_array_aligned(size_t, size_t)
    __attribute__((alias("_ZnamSt11align_val_t")));

static bool is_own(void)
{
    return _Znwm == own_new && _Znam == own_new_array;
}

static bool is_own_aligned(void)
{
    return _ZnwmSt11align_val_t == own_new_aligned
           && _ZnamSt11align_val_t == own_new_array_aligned;
}

/* What the program has in place of the plain form may throw, whatever it throws. */
WEAK void *_ZnwmRKSt9nothrow_t(size_t size, const void UNUSED *tag)
{
    return LIKELY(is_own()) ? new_plain(size, false) : cxx_catch_new(_Znwm, size);
}

WEAK void *_ZnamRKSt9nothrow_t(size_t size, const void UNUSED *tag)
{
    return LIKELY(is_own()) ? new_plain(size, false) : cxx_catch_new(_Znam, size);
}

WEAK void *_ZnwmSt11align_val_tRKSt9nothrow_t(
    size_t size, size_t alignment, const void UNUSED *tag)
{
    return LIKELY(is_own_aligned())
               ? new_aligned(size, alignment, false)
               : cxx_catch_new_aligned(_ZnwmSt11align_val_t, size, alignment);
}

WEAK void *_ZnamSt11align_val_tRKSt9nothrow_t(
    size_t size, size_t alignment, const void UNUSED *tag)
{
    return LIKELY(is_own_aligned())
               ? new_aligned(size, alignment, false)
               : cxx_catch_new_aligned(_ZnamSt11align_val_t, size, alignment);
}

/* ---- delete: the derived forms ---- */

WEAK void _ZdaPv(void *p) /* operator delete[](void *) */
{
    _ZdlPv(p);
}

WEAK void _ZdaPvSt11align_val_t(void *p, size_t alignment)
{
    _ZdlPvSt11align_val_t(p, alignment);
}

static void own_delete(void *) __attribute__((alias("_ZdlPv")));
static void own_delete_array(void *) __attribute__((alias("_ZdaPv")));
static void own_delete_aligned(void *, size_t)
    __attribute__((alias("_ZdlPvSt11align_val_t")));
static void own_delete_array_aligned(void *, size_t)
    __attribute__((alias("_ZdaPvSt11align_val_t")));

/* By the plain form; by ours when that is ours, which compares the size. */
#define DELETE_SIZED(name, by, own, ...)                                               \
    WEAK void name(void *p, size_t size, ##__VA_ARGS__)                                \
    {                                                                                  \
        if (LIKELY(own)) {                                                             \
            free_fast_sized(p, size);                                                  \
        } else {                                                                       \
            by;                                                                        \
        }                                                                              \
    }
#define DELETE(name, by, ...)                                                          \
    WEAK void name(void *p, __VA_ARGS__)                                               \
    {                                                                                  \
        by;                                                                            \
    }
#define OWN       (_ZdlPv == own_delete)
#define OWN_ARRAY (OWN && _ZdaPv == own_delete_array)
#define OWN_ALIGNED                                                                    \
    (_ZdlPvSt11align_val_t == own_delete_aligned                                       \
        && _ZdaPvSt11align_val_t == own_delete_array_aligned)
#define A size_t UNUSED a
#define T const void UNUSED *tag

DELETE_SIZED(_ZdlPvm, _ZdlPv(p), OWN) /* (void *, size_t) */
DELETE_SIZED(_ZdaPvm, _ZdaPv(p), OWN_ARRAY)
DELETE_SIZED(_ZdlPvmRKSt9nothrow_t, _ZdlPv(p), OWN, T)
DELETE_SIZED(_ZdaPvmRKSt9nothrow_t, _ZdaPv(p), OWN_ARRAY, T)
DELETE_SIZED(_ZdlPvmSt11align_val_t, _ZdlPvSt11align_val_t(p, a), OWN_ALIGNED, A)
DELETE_SIZED(_ZdaPvmSt11align_val_t, _ZdaPvSt11align_val_t(p, a), OWN_ALIGNED, A)
DELETE(_ZdlPvRKSt9nothrow_t, _ZdlPv(p), T) /* (void *, nothrow) */
DELETE(_ZdaPvRKSt9nothrow_t, _ZdaPv(p), T)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, _ZdlPvSt11align_val_t(p, a), A, T)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, _ZdaPvSt11align_val_t(p, a), A, T)
