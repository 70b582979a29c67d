/*
 * budgets_cxx - what operators new and containers do at a hard limit
 */
#include "test.h"

#include <mpalloc.h>

#include <new>
#include <vector>

namespace
{

const std::size_t MIB = 1 << 20;

void *opaque(void *p)
{
    return reinterpret_cast<void *>(test_opaque(reinterpret_cast<std::size_t>(p)));
}

template <typename F> bool throws(F f)
{
    try {
        f();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

void operators_throw_at_the_limit()
{
    mp_component_t *c = mp_component("new");
    mp_component_t *before = mp_enter(c);

    CHECK_EQ(mp_component_limit(c, 0, 4 * MIB), 0);
    CHECK(throws([] { opaque(new char[test_opaque(5 * MIB)]); }));
    CHECK(throws([] { opaque(::operator new(test_opaque(5 * MIB))); }));
    CHECK(throws(
        [] { opaque(::operator new(test_opaque(5 * MIB), std::align_val_t(64))); }));
    CHECK(opaque(new (std::nothrow) char[test_opaque(5 * MIB)]) == nullptr);
    mp_leave(before);
}

void containers_end_and_are_whole()
{
    mp_component_t *c = mp_component("vector");
    mp_component_t *before = mp_enter(c);
    std::vector<std::vector<int>> all;

    all.reserve(100000);
    CHECK_EQ(mp_component_limit(c, 0, 16 * MIB), 0);
    CHECK(throws([&] {
        for (;;) {
            all.emplace_back(250, 7);
        }
    }));
    CHECK(all.size() > 10000 && all.size() < 16000);
    for (const auto &v : all) {
        CHECK(v.size() == 250 && v[0] == 7 && v[249] == 7);
    }
    all.clear();
    all.emplace_back(250000, 7);
    CHECK(all[0].size() == 250000);
    mp_leave(before);
}

/* As cxx handlers do: the limit goes, and operator new has another look. */
mp_component_t *handled;

void the_handler_may_make_room()
{
    handled = mp_component("handled");
    mp_component_t *before = mp_enter(handled);

    CHECK_EQ(mp_component_limit(handled, 0, 4 * MIB), 0);
    std::set_new_handler([] {
        std::set_new_handler(nullptr);
        CHECK_EQ(mp_component_limit(handled, 0, 8 * MIB), 0);
    });
    char *p = new char[test_opaque(5 * MIB)];
    CHECK(opaque(p) != nullptr);
    delete[] p;
    mp_leave(before);
}

} // namespace

int main()
{
    RUN(operators_throw_at_the_limit);
    RUN(containers_end_and_are_whole);
    RUN(the_handler_may_make_room);
    return 0;
}
