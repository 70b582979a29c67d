/*
 * cxx_foreign - a program that replaces some operators new and delete, and not the others
 *
 * B31: the standard lets a program replace the plain forms alone; the derived ones (new[],
 * nothrow, sized) go by them then. Here new and delete come from a pool of the program:
 * should the library's own delete get such a block, it ends the process.
 * FOREIGN_ARRAYS: new[] and delete[] are replaced, and not new and delete.
 */
#include "test.h"

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

alignas(4096) char pool[1 << 20];
std::size_t used;
int news, deletes, aligned_news, aligned_deletes;

bool is_of_pool(const void *p)
{
    return p >= pool && p < pool + sizeof(pool);
}

void *take(std::size_t size, std::size_t alignment)
{
    std::size_t at = (used + alignment - 1) & ~(alignment - 1);

    if (size > sizeof(pool) - at) {
        throw std::length_error(
            "the pool is empty"); /* no bad_alloc: derived forms catch */
    }
    used = at + size;
    return pool + at;
}

void put(const void *p)
{
    CHECK(p == nullptr || is_of_pool(p));
}

} /* namespace */

#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic ignored                                                     \
        "-Wsized-deallocation" /* the very thing to be tested */
#endif
#ifdef FOREIGN_ARRAYS
#    define NEW    operator new[]
#    define DELETE operator delete[]
#else
#    define NEW    operator new
#    define DELETE operator delete
#endif

void *NEW(std::size_t size)
{
    news++;
    return take(size, 16);
}
void DELETE(void *p) noexcept
{
    deletes++;
    put(p);
}
void *NEW(std::size_t size, std::align_val_t alignment)
{
    aligned_news++;
    return take(size, static_cast<std::size_t>(alignment));
}
void DELETE(void *p, std::align_val_t) noexcept
{
    aligned_deletes++;
    put(p);
}

namespace
{

const std::align_val_t A{256};

void *opaque(void *p)
{
    return reinterpret_cast<void *>(test_opaque(reinterpret_cast<std::size_t>(p)));
}

void *from_pool(void *p)
{
    p = opaque(p);
    CHECK(is_of_pool(p));
    return p;
}

void expect(int n, int d, int an, int ad)
{
    CHECK_EQ(news, n);
    CHECK_EQ(deletes, d);
    CHECK_EQ(aligned_news, an);
    CHECK_EQ(aligned_deletes, ad);
    news = deletes = aligned_news = aligned_deletes = 0;
}

void b31_array_forms_go_by_the_programs()
{
    void *p = from_pool(::operator new[](100));
    ::operator delete[](p);
    expect(1, 1, 0, 0);
    p = from_pool(::operator new[](100, A));
    ::operator delete[](p, A);
    expect(0, 0, 1, 1);
}

void b31_sized_forms_go_by_the_programs()
{
    void *p = from_pool(::operator new[](100));
    ::operator delete[](p, std::size_t{100});
    expect(1, 1, 0, 0);
    p = from_pool(::operator new[](100, A));
    ::operator delete[](p, std::size_t{100}, A);
    expect(0, 0, 1, 1);
#ifndef FOREIGN_ARRAYS
    p = from_pool(::operator new(100));
    ::operator delete (p, std::size_t{100});
    expect(1, 1, 0, 0);
    p = from_pool(::operator new(100, A));
    ::operator delete (p, std::size_t{100}, A);
    expect(0, 0, 1, 1);
#endif
}

void b31_nothrow_forms_go_by_the_programs()
{
    void *p = from_pool(::operator new[](100, std::nothrow));
    ::operator delete[](p, std::nothrow);
    expect(1, 1, 0, 0);
    p = from_pool(::operator new[](100, A, std::nothrow));
    ::operator delete[](p, A, std::nothrow);
    expect(0, 0, 1, 1);
#ifndef FOREIGN_ARRAYS
    p = from_pool(::operator new(100, std::nothrow));
    ::operator delete(p, std::nothrow);
    expect(1, 1, 0, 0);
    p = from_pool(::operator new(100, A, std::nothrow));
    ::operator delete(p, A, std::nothrow);
    expect(0, 0, 1, 1);
#endif
}

void b31_nothrow_forms_catch_what_the_programs_throw()
{
    std::size_t huge = test_opaque(sizeof(pool));
    bool caught = false;

    CHECK(opaque(::operator new[](huge, std::nothrow)) == nullptr);
    CHECK(opaque(::operator new[](huge, A, std::nothrow)) == nullptr);
#ifndef FOREIGN_ARRAYS
    CHECK(opaque(::operator new(huge, std::nothrow)) == nullptr);
    CHECK(opaque(::operator new(huge, A, std::nothrow)) == nullptr);
#endif
    CHECK(!std::uncaught_exceptions());
    try {
        opaque(::operator new[](huge));
    } catch (const std::length_error &) {
        caught = true;
    }
    CHECK(caught);
    news = deletes = aligned_news = aligned_deletes = 0;
}

/* Unlike the others, the malloc of the same program is still the library's. */
void b31_the_rest_is_as_ever()
{
    void *p = malloc(test_opaque(100));

    CHECK(p != nullptr && !is_of_pool(p));
    free(p);
#ifdef FOREIGN_ARRAYS
    p = opaque(::operator new(100));
    CHECK(!is_of_pool(p));
    ::operator delete (p, std::size_t{100});
    p = opaque(::operator new(100, A, std::nothrow));
    CHECK(!is_of_pool(p));
    ::operator delete(p, A);
    CHECK(news + deletes + aligned_news + aligned_deletes == 0);
#else
    std::vector<std::string> v;

    for (int i = 0; i < 100; i++) {
        v.push_back(std::string(100, 'v'));
    }
    CHECK(is_of_pool(v.data()) && is_of_pool(v.back().data()));
#endif
}

} /* namespace */

int main()
{
    used = news = deletes = 0; /* the C++ library has begun before */
    RUN(b31_array_forms_go_by_the_programs);
    RUN(b31_sized_forms_go_by_the_programs);
    RUN(b31_nothrow_forms_go_by_the_programs);
    RUN(b31_nothrow_forms_catch_what_the_programs_throw);
    RUN(b31_the_rest_is_as_ever);
    return 0;
}
