/*
 * mpalloc.hpp - C++ conveniences over mpalloc.h: a scope, an allocator for containers, arenas and
 * pools that end by themselves
 */
#ifndef MPALLOC_HPP
#define MPALLOC_HPP

#include "mpalloc.h"

#include <cstdlib>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>
#if __cplusplus >= 201703L && __has_include(<memory_resource>)
#    include <memory_resource>
#endif

namespace mpalloc
{

/*
 * While it lives, this thread allocates for the component. Leaves on every way out,
 * exceptions included. Scopes nest; they must end in the reverse order of their begin,
 * on the thread that began them.
 */
class scope
{
  public:
    explicit scope(mp_component_t *c) noexcept : previous_(mp_enter(c)) {}
    explicit scope(const char *name) noexcept : scope(mp_component(name)) {}
    ~scope()
    {
        mp_leave(previous_);
    }
    scope(const scope &) = delete;
    scope &operator=(const scope &) = delete;

  private:
    mp_component_t *previous_;
};

/*
 * A standard allocator whose blocks belong to one component, whatever scope is current
 * when the container grows: std::vector<int, mpalloc::allocator<int>> v{{"cache"}};
 * All allocators compare equal: any of them may free what another allocated.
 */
template <class T> class allocator
{
  public:
    using value_type = T;
    using is_always_equal = std::true_type;
    using propagate_on_container_copy_assignment = std::true_type;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;

    allocator() noexcept = default;
    allocator(mp_component_t *c) noexcept : component_(c) {}
    allocator(const char *name) noexcept : component_(mp_component(name)) {}
    template <class U>
    allocator(const allocator<U> &other) noexcept : component_(other.component())
    {
    }

    T *allocate(std::size_t n)
    {
        if (n > std::numeric_limits<std::size_t>::max() / sizeof(T)) {
            throw std::bad_alloc();
        }
        void *p = alignof(T) > 16
                      ? mp_aligned_alloc(component_, alignof(T), n * sizeof(T))
                      : mp_malloc(component_, n * sizeof(T));
        if (p == nullptr) {
            throw std::bad_alloc();
        }
        return static_cast<T *>(p);
    }
    void deallocate(T *p, std::size_t) noexcept
    {
        std::free(p);
    }
    mp_component_t *component() const noexcept
    {
        return component_;
    }

  private:
    mp_component_t *component_ = nullptr;
};

template <class T, class U>
bool operator==(const allocator<T> &, const allocator<U> &) noexcept
{
    return true;
}
template <class T, class U>
bool operator!=(const allocator<T> &, const allocator<U> &) noexcept
{
    return false;
}

/*
 * An arena that ends with its scope: see mp_arena_create. For one thread at a time. Objects have
 * no destructors run; make() takes no others.
 */
class arena
{
  public:
    explicit arena(mp_component_t *c = nullptr) : arena_(mp_arena_create(c))
    {
        if (arena_ == nullptr) {
            throw std::bad_alloc();
        }
    }
    explicit arena(const char *name) : arena(mp_component(name)) {}
    ~arena()
    {
        mp_arena_destroy(arena_);
    }
    arena(const arena &) = delete;
    arena &operator=(const arena &) = delete;

    /* Throws std::bad_alloc, as do all below. */
    void *allocate(std::size_t bytes, std::size_t alignment = 16)
    {
        void *p = alignment > 16 ? mp_arena_aligned_alloc(arena_, alignment, bytes)
                                 : mp_arena_alloc(arena_, bytes);

        if (p == nullptr) {
            throw std::bad_alloc();
        }
        return p;
    }
    template <class T, class... Args> T *make(Args &&...args)
    {
        static_assert(std::is_trivially_destructible<T>::value,
            "nobody would call its destructor");
        return ::new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
    }
    const char *copy(const char *text)
    {
        const char *p = mp_arena_strdup(arena_, text);

        if (p == nullptr) {
            throw std::bad_alloc();
        }
        return p;
    }
    void reset() noexcept
    {
        mp_arena_reset(arena_);
    }
    mp_arena_t *get() const noexcept
    {
        return arena_;
    }

  private:
    mp_arena_t *arena_;
};

/* What began in an arena while it lives ends with it. They nest like blocks. */
class arena_scope
{
  public:
    explicit arena_scope(arena &a) noexcept
        : arena_(a.get()), place_(mp_arena_save(arena_))
    {
    }
    ~arena_scope()
    {
        mp_arena_restore(arena_, place_);
    }
    arena_scope(const arena_scope &) = delete;
    arena_scope &operator=(const arena_scope &) = delete;

  private:
    mp_arena_t *arena_;
    mp_arena_place place_;
};

#if __cplusplus >= 201703L && __has_include(<memory_resource>)
/*
 * An arena for std::pmr containers; what they free stays until the arena is reset or ends, which
 * must not be before they do.
 */
class arena_resource : public std::pmr::memory_resource
{
  public:
    explicit arena_resource(arena &a) noexcept : arena_(&a) {}

  private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override
    {
        return arena_->allocate(bytes, alignment);
    }
    void do_deallocate(void *, std::size_t, std::size_t) override {}
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        return this == &other;
    }
    arena *arena_;
};
#endif

/*
 * A pool of objects of a type: make() constructs one in memory of the pool, recycle() destroys it
 * and puts the memory back. As many threads as mp_pool_create says. Objects in use when the pool
 * ends are leaked.
 */
template <class T> class pool
{
    static_assert(alignof(T) <= 16, "objects of a pool lie at multiples of 16");

  public:
    explicit pool(mp_component_t *c, std::size_t keep)
        : pool_(mp_pool_create(c, sizeof(T), keep))
    {
        if (pool_ == nullptr) {
            throw std::bad_alloc();
        }
    }
    pool(const char *name, std::size_t keep) : pool(mp_component(name), keep) {}
    ~pool()
    {
        mp_pool_destroy(pool_);
    }
    pool(const pool &) = delete;
    pool &operator=(const pool &) = delete;

    /* Throws std::bad_alloc, and what T's constructor throws. */
    template <class... Args> T *make(Args &&...args)
    {
        void *p = mp_pool_get(pool_);

        if (p == nullptr) {
            throw std::bad_alloc();
        }
        try {
            return ::new (p) T(std::forward<Args>(args)...);
        } catch (...) {
            mp_pool_put(pool_, p);
            throw;
        }
    }
    void recycle(T *object) noexcept
    {
        if (object != nullptr) {
            object->~T();
            mp_pool_put(pool_, object);
        }
    }
    mp_pool_t *get() const noexcept
    {
        return pool_;
    }

  private:
    mp_pool_t *pool_;
};

} /* namespace mpalloc */

#define MP_SCOPE_PASTE2_(a, b) a##b
#define MP_SCOPE_PASTE_(a, b)  MP_SCOPE_PASTE2_(a, b)
/* As in C: the rest of this block allocates for the component of that name. */
#define MP_SCOPE(name)                                                                 \
    static mp_component_t *const MP_SCOPE_PASTE_(mp_cached_, __LINE__) =               \
        mp_component(name);                                                            \
    ::mpalloc::scope MP_SCOPE_PASTE_(mp_scope_, __LINE__)(                             \
        MP_SCOPE_PASTE_(mp_cached_, __LINE__))

#endif
