/*
 * reach_cpp - containers that are lost or kept, and pointers that C++ moves from a block's start
 */
#include "reach_cpp.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace
{

constexpr int COUNT = 10;

struct counted {
    long value = 1;
    ~counted()
    {
        value = 0;
    }
};

struct first {
    virtual ~first() = default;
    long a = 1;
};

struct second {
    virtual ~second() = default;
    long b = 2;
};

struct both : first, second {
};

struct shared {
    std::shared_ptr<shared> other;
};

using map = std::map<int, std::string>;

void *volatile cpp_kept[4]; /* a root, in .bss */

[[gnu::noinline]] map *make_map()
{
    auto *all = new map;

    for (int i = 0; i < COUNT; i++) {
        all->emplace(i, std::string(100, 'x'));
    }
    return all;
}

/* So that the compiler keeps what it could see is not used. */
void hold(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

} // namespace

/* The object, and of each element a node and a string. */
void cpp_map_lost()
{
    hold(make_map());
}

void cpp_map_kept()
{
    cpp_kept[0] = make_map();
}

void cpp_vector_lost()
{
    auto *all = new std::vector<std::unique_ptr<long>>;

    for (int i = 0; i < COUNT; i++) {
        all->push_back(std::make_unique<long>(i));
    }
    hold(all);
}

/* Two that own each other: counts never come to nothing. */
void cpp_cycle()
{
    auto a = std::make_shared<shared>();
    auto b = std::make_shared<shared>();

    a->other = b;
    b->other = a;
}

/* The number of elements comes first, for delete[] to know. */
void cpp_array()
{
    cpp_kept[0] = new counted[COUNT];
}

void cpp_second_base()
{
    cpp_kept[0] = static_cast<second *>(new both);
}
