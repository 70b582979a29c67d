/*
 * cxx - a C++ program to be interrupted anywhere: exceptions, virtual calls, threads
 *
 *     unwind_cxx ROUNDS
 *
 * Stacks of up to 80 frames; landing pads, rethrowing, aligned frames, variable frames.
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{
unsigned caught;
int step(unsigned n, std::string &s);

struct node {
    virtual ~node() = default;
    virtual int go(unsigned n, std::string &s) = 0;
};

struct plain : node {
    int go(unsigned n, std::string &s) override
    {
        if (n == 0) {
            throw std::runtime_error(s);
        }
        s += 'a';
        return step(n - 1, s) + 1;
    }
};

struct rethrowing : node {
    int go(unsigned n, std::string &s) override
    {
        std::vector<int> v(n + 5);

        std::sort(v.begin(), v.end());
        if (n == 0) {
            throw std::logic_error(s);
        }
        try {
            return step(n - 1, s) + v[2];
        } catch (const std::logic_error &e) {
            caught++;
            throw std::runtime_error(e.what());
        }
    }
};

struct aligned : node {
    int go(unsigned n, std::string &s) override
    {
        alignas(64) volatile char room[192];

        room[n] = 1;
        return step(n == 0 ? 0 : n - 1, s) + room[n];
    }
};

struct variable : node {
    int go(unsigned n, std::string &s) override
    {
        volatile char *room =
            static_cast<volatile char *>(__builtin_alloca(n * 16 + 16));

        room[n] = 1;
        return step(n == 0 ? 0 : n - 1, s) + room[n];
    }
};

__attribute__((noinline)) int step(unsigned n, std::string &s)
{
    std::unique_ptr<node> at;

    switch (n % 4) {
    case 0:
        at = std::make_unique<plain>();
        break;
    case 1:
        at = std::make_unique<rethrowing>();
        break;
    case 2:
        at = std::make_unique<aligned>();
        break;
    default:
        at = std::make_unique<variable>();
        break;
    }
    return at->go(n, s);
}

void throw_deep(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        std::string s;

        try {
            step(i % 40, s);
        } catch (const std::exception &) {
            caught += static_cast<unsigned>(s.size());
        }
    }
}

void search()
{
    std::regex pattern("([a-z]+)([0-9]+)");
    std::string text;

    for (int i = 0; i < 500; i++) {
        text += "abc" + std::to_string(i) + " ";
    }
    for (std::sregex_iterator i(text.begin(), text.end(), pattern), end; i != end;
         ++i) {
        caught++;
    }
}

void sort_strings()
{
    std::map<std::string, int> m;
    std::vector<std::string> v;

    for (int i = 0; i < 20000; i++) {
        m[std::to_string(i * 7919 % 50021)] += i;
    }
    for (const auto &entry : m) {
        v.push_back(entry.first);
    }
    std::sort(v.begin(), v.end(), std::greater<>());
    caught += static_cast<unsigned>(v.size());
}
} // namespace

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 1;

    for (unsigned i = 0; i < rounds; i++) {
        std::thread other([] { sort_strings(); });

        throw_deep(800);
        search();
        other.join();
    }
    std::printf("%u\n", caught);
    return 0;
}
