/*
 * attr - the compiler attributes that the allocator uses, by one name each
 */
#ifndef ATTR_H
#define ATTR_H

#define COLD              __attribute__((cold))
#define NOINLINE          __attribute__((noinline))
#define ALWAYS_INLINE     __attribute__((always_inline)) inline
#define NORETURN          __attribute__((noreturn))
#define UNUSED            __attribute__((unused))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
/* On declarations too: code then reaches the symbol without the global offset table. */
#define HIDDEN       __attribute__((visibility("hidden")))
#define EXPORT       __attribute__((visibility("default")))
#define WEAK         __attribute__((weak))
#define ALIGNED(n)   __attribute__((aligned(n)))
#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Any address will do; nothing comes of a bad one. */
#define prefetch_for_write(p) __builtin_prefetch((p), 1)

#if defined(__SANITIZE_THREAD__)
#    define UNDER_TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define UNDER_TSAN 1
#    endif
#endif
#ifndef UNDER_TSAN
#    define UNDER_TSAN 0
#endif

/*
 * For functions that read what another thread may be writing, where any value read is
 * acceptable because it is checked afterwards. TSan cannot know that.
 */
#define RACY_READER __attribute__((no_sanitize("thread")))

#endif
