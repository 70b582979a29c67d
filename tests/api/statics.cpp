/*
 * statics - objects with static storage in a program and in three libraries (B36), without
 * exceptions (B35)
 *
 * Built as the program, and three times as a library (LIBRARY is its name). Each holds an
 * object that is made before main and destroyed after it: after the library's own end.
 */
#include "test.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#ifndef LIBRARY
#    define LIBRARY program
#endif

namespace
{

struct holder {
    std::vector<std::unique_ptr<std::string>> strings;
    std::map<int, std::string> map;

    holder()
    {
        for (int i = 0; i < 500; i++) {
            strings.push_back(std::make_unique<std::string>(100 + i % 7 * 300, 's'));
            map[i] = std::string(30, 'm');
        }
    }
    ~holder()
    {
        CHECK(strings.size() == 500 && map.at(499) == std::string(30, 'm'));
        for (int i = 0; i < 300; i++) {
            strings[static_cast<std::size_t>(i)].reset(new std::string(5000, 'd'));
        }
        CHECK(*strings[299] == std::string(5000, 'd'));
    }
    holder(const holder &) = delete;
    holder &operator=(const holder &) = delete;
};

holder of_this_object;

} /* namespace */

#define NAME_OF(library) library##_strings
#define NAME(library)    NAME_OF(library)

std::size_t NAME(LIBRARY)();
std::size_t NAME(LIBRARY)()
{
    static holder of_the_first_call;

    return of_this_object.strings.size() + of_the_first_call.map.size();
}

#ifdef LIBRARY_USER

std::size_t one_strings();
std::size_t two_strings();
std::size_t three_strings();

namespace
{

__attribute__((destructor(102))) void last()
{
    test_claim("b36_static_destructors_free_after_the_library_ended");
}

void b36_static_constructors_of_three_libraries_allocated()
{
    CHECK_EQ(one_strings() + two_strings() + three_strings(), 3000);
    CHECK_EQ(NAME(LIBRARY)(), 1000);
}

} /* namespace */

int main()
{
    RUN(b36_static_constructors_of_three_libraries_allocated);
    test_claim("b35_without_exceptions");
    return 0;
}

#endif
