/*
 * mpalloc.hpp - C++ conveniences over mpalloc.h: a scope and an allocator for containers
 */
#ifndef MPALLOC_HPP
#define MPALLOC_HPP

#include "mpalloc.h"

#include <cstdlib>
#include <limits>
#include <new>
#include <type_traits>

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
