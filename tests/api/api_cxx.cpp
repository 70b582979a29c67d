/*
 * api_cxx - operators new and delete, what stands on them, and mpalloc.hpp
 *
 * B31 to B38. The part about mpalloc.hpp is there when the library is linked.
 */
#include "test.h"

#include <atomic>
#include <deque>
#include <forward_list>
#include <list>
#include <malloc.h>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unordered_map>
#include <vector>

namespace
{

const std::size_t TOO_MUCH = static_cast<std::size_t>(PTRDIFF_MAX);
const std::size_t MIB = 1 << 20;

bool is_aligned(const void *p, std::size_t alignment)
{
    return p != nullptr && reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

/* The compiler may take new and delete away where it sees both: not through this. */
void *opaque(void *p)
{
    return reinterpret_cast<void *>(test_opaque(reinterpret_cast<std::size_t>(p)));
}

/* ---- statics ---- */

struct with_memory {
    std::vector<std::string> lines;
    with_memory()
    {
        for (int i = 0; i < 1000; i++) {
            lines.push_back(std::string(100, 'x') + std::to_string(i));
        }
    }
    ~with_memory()
    {
        CHECK(lines[999] == std::string(100, 'x') + "999");
        lines.clear();
        lines.shrink_to_fit();
        std::map<int, std::string> late;
        late[1] = std::string(1000, 'y');
        CHECK(late.at(1).size() == 1000);
    }
};
with_memory from_before_main;

void b36_static_constructor_allocated()
{
    CHECK(from_before_main.lines.size() == 1000);
}

/* ---- operators ---- */

void b31_plain_and_nothrow()
{
    for (std::size_t n = 0; n < 100000; n = n * 5 / 4 + 1) {
        void *p[4] = {::operator new(n), ::operator new[](n),
            ::operator new(n, std::nothrow), ::operator new[](n, std::nothrow)};

        for (int i = 0; i < 4; i++) {
            CHECK(is_aligned(opaque(p[i]), 16) && malloc_usable_size(p[i]) >= n);
            test_fill(p[i], i, n);
        }
        for (int i = 0; i < 4; i++) {
            CHECK(test_is_filled(p[i], i, n));
        }
        ::operator delete(p[0]);
        ::operator delete[](p[1]);
        ::operator delete(p[2], std::nothrow);
        ::operator delete[](p[3], std::nothrow);
    }
}

void b31_sized()
{
    for (std::size_t n = 0; n < 100000; n = n * 5 / 4 + 1) {
        void *p = opaque(::operator new(n));
        void *q = opaque(::operator new[](n));

        ::operator delete(p, n);
        ::operator delete[](q, n);
    }
}

void aligned_forms(std::align_val_t a, std::size_t n)
{
    void *p[8] = {::operator new(n, a), ::operator new[](n, a),
        ::operator new(n, a, std::nothrow), ::operator new[](n, a, std::nothrow),
        ::operator new(n, a), ::operator new[](n, a), ::operator new(n, a),
        ::operator new[](n, a)};

    for (int i = 0; i < 8; i++) {
        CHECK(is_aligned(opaque(p[i]), static_cast<std::size_t>(a)));
        test_fill(p[i], i, n);
    }
    for (int i = 0; i < 8; i++) {
        CHECK(test_is_filled(p[i], i, n));
    }
    ::operator delete(p[0], a);
    ::operator delete[](p[1], a);
    ::operator delete(p[2], a, std::nothrow);
    ::operator delete[](p[3], a, std::nothrow);
    ::operator delete(p[4], n, a);
    ::operator delete[](p[5], n, a);
    ::operator delete(p[6], a);
    ::operator delete[](p[7], a);
}

void b31_aligned()
{
    for (std::size_t a = 1; a <= 65536; a *= 2) {
        for (std::size_t n : {0, 1, 40, 1000, 5000, 100000}) {
            aligned_forms(static_cast<std::align_val_t>(a), n);
        }
    }
}

void b31_delete_null()
{
    ::operator delete(opaque(nullptr));
    ::operator delete[](opaque(nullptr));
    ::operator delete (opaque(nullptr), std::size_t{8});
    ::operator delete[](opaque(nullptr), std::align_val_t{64});
    ::operator delete(opaque(nullptr), std::nothrow);
}

void b31_expressions()
{
    struct alignas(256) wide {
        char text[300];
    };
    auto *one = static_cast<wide *>(opaque(new wide));
    auto *many = static_cast<wide *>(opaque(new wide[7]));
    auto *strings = static_cast<std::string *>(opaque(new std::string[100]));

    CHECK(is_aligned(one, 256) && is_aligned(many, 256));
    strings[99] = std::string(5000, 's');
    delete one;
    delete[] many;
    delete[] strings;
}

/* ---- out of memory ---- */

template <class F> bool throws_bad_alloc(F f)
{
    try {
        opaque(f());
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

void b32_huge_throws_or_is_null()
{
    std::size_t n = test_opaque(TOO_MUCH);
    std::align_val_t a{4096};

    CHECK(std::get_new_handler() == nullptr);
    CHECK(throws_bad_alloc([&] { return ::operator new(n); }));
    CHECK(throws_bad_alloc([&] { return ::operator new[](n); }));
    CHECK(throws_bad_alloc([&] { return ::operator new(n, a); }));
    CHECK(throws_bad_alloc([&] { return ::operator new[](n, a); }));
    CHECK(throws_bad_alloc([&] { return new char[n]; }));
    CHECK(opaque(::operator new(n, std::nothrow)) == nullptr);
    CHECK(opaque(::operator new[](n, std::nothrow)) == nullptr);
    CHECK(opaque(::operator new(n, a, std::nothrow)) == nullptr);
    CHECK(opaque(::operator new[](n, a, std::nothrow)) == nullptr);
}

int handler_calls;

void gives_up_at_third_call()
{
    if (++handler_calls == 3) {
        std::set_new_handler(nullptr);
    }
}

struct special : std::bad_alloc {
};

void throws_special()
{
    handler_calls++;
    throw special();
}

void b33_handler_is_called_until_it_gives_up()
{
    std::size_t n = test_opaque(TOO_MUCH);

    for (int how = 0; how < 2; how++) {
        handler_calls = 0;
        std::set_new_handler(gives_up_at_third_call);
        CHECK(throws_bad_alloc([&] {
            return how == 0 ? ::operator new(n)
                            : ::operator new (n, std::align_val_t{64});
        }));
        CHECK(handler_calls == 3);
    }
    handler_calls = 0;
    std::set_new_handler(gives_up_at_third_call);
    CHECK(opaque(::operator new(n, std::nothrow)) == nullptr);
    CHECK(handler_calls == 3);
}

void b33_what_the_handler_throws_passes_through()
{
    bool caught = false;

    handler_calls = 0;
    std::set_new_handler(throws_special);
    try {
        opaque(::operator new(test_opaque(TOO_MUCH)));
    } catch (const special &) {
        caught = true;
    }
    std::set_new_handler(nullptr);
    CHECK(caught && handler_calls == 1);
}

void b33_nothrow_catches_what_the_handler_throws()
{
    std::size_t n = test_opaque(TOO_MUCH);

    handler_calls = 0;
    std::set_new_handler(throws_special);
    CHECK(opaque(::operator new(n, std::nothrow)) == nullptr);
    CHECK(opaque(::operator new[](n, std::nothrow)) == nullptr);
    CHECK(opaque(::operator new (n, std::align_val_t{64}, std::nothrow)) == nullptr);
    std::set_new_handler(nullptr);
    CHECK(handler_calls == 3 && std::uncaught_exceptions() == 0);
}

void b33_handler_may_terminate()
{
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        std::set_terminate([] { _exit(43); });
        std::set_new_handler(std::terminate);
        opaque(::operator new(test_opaque(TOO_MUCH)));
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 43);
}

void *reserve;

void frees_reserve()
{
    handler_calls++;
    CHECK(reserve != nullptr);
    std::free(reserve);
    reserve = nullptr;
}

/* In a child, as the limit cannot be undone. */
void b33_handler_makes_room_and_the_retry_succeeds()
{
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit limit;

        reserve = std::malloc(100 * MIB);
        CHECK(reserve != nullptr);
        limit.rlim_cur = limit.rlim_max = test_statm(0) + 40 * MIB;
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        handler_calls = 0;
        std::set_new_handler(frees_reserve);
        char *p = new char[test_opaque(90 * MIB)];
        CHECK(opaque(p) != nullptr && handler_calls == 1);
        p[90 * MIB - 1] = 1;
        delete[] p;
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* ---- the library on top ---- */

void b38_containers()
{
    std::vector<int> vector;
    std::list<std::string> list;
    std::deque<std::vector<char>> deque;
    std::map<int, std::string> map;
    std::set<std::string> set;
    std::unordered_map<std::string, int> table;
    std::forward_list<double> forward;
    std::ostringstream out;

    for (int i = 0; i < 20000; i++) {
        std::string text =
            std::to_string(i) + std::string(static_cast<std::size_t>(i % 50), '.');

        vector.push_back(i);
        list.push_back(text);
        deque.emplace_back(static_cast<std::size_t>(i % 100), 'd');
        map[i] = text;
        set.insert(text);
        table[text] = i;
        forward.push_front(i);
        out << text;
    }
    for (int i = 0; i < 20000; i += 3) {
        CHECK(table.at(map.at(i)) == i && set.count(map.at(i)) == 1);
        CHECK(vector[static_cast<std::size_t>(i)] == i);
    }
    map.erase(map.begin(), map.find(10000));
    list.sort();
    list.unique();
    CHECK(list.size() == 20000 && map.size() == 10000 && out.str().size() > 500000);
}

struct alignas(128) over_aligned {
    double value[16];
};

void b38_over_aligned_and_shared()
{
    std::vector<over_aligned> v;
    std::vector<std::shared_ptr<over_aligned>> shared;

    for (int i = 0; i < 1000; i++) {
        v.emplace_back();
        CHECK(is_aligned(&v.back(), 128));
        shared.push_back(std::make_shared<over_aligned>());
        CHECK(is_aligned(shared.back().get(), 128));
    }
}

void b38_pmr()
{
    std::pmr::unsynchronized_pool_resource pool(std::pmr::new_delete_resource());
    std::pmr::monotonic_buffer_resource buffer;
    std::pmr::vector<std::pmr::string> v(&pool);
    std::pmr::list<int> list(&buffer);

    for (int i = 0; i < 5000; i++) {
        v.emplace_back(static_cast<std::size_t>(i % 300), 'p');
        list.push_back(i);
    }
    CHECK(v[299].size() == 299 && list.size() == 5000);
}

/* ---- threads ---- */

std::atomic<int> destroyed;

struct late_allocator {
    std::vector<std::string> values =
        std::vector<std::string>(10, std::string(200, 'v'));
    ~late_allocator()
    {
        std::map<int, std::string> map;

        values.push_back(std::string(70000, 'w'));
        for (int i = 0; i < 100; i++) {
            map[i] = values.back();
        }
        CHECK(map.at(50).size() == 70000);
        destroyed++;
    }
};

thread_local late_allocator local;
thread_local std::unique_ptr<std::string> local_string;

void b37_thread_local_destructors_allocate()
{
    enum { THREADS = 40 };

    destroyed = 0;
    for (int round = 0; round < THREADS / 4; round++) {
        std::vector<std::thread> threads;

        for (int i = 0; i < 4; i++) {
            threads.emplace_back([] {
                local.values.emplace_back("used");
                local_string = std::make_unique<std::string>(1000, 'z');
            });
        }
        for (std::thread &t : threads) {
            t.join();
        }
    }
    CHECK(destroyed == THREADS);
}

void b37_exceptions_in_threads()
{
    std::vector<std::thread> threads;

    for (int i = 0; i < 4; i++) {
        threads.emplace_back([] {
            for (int k = 0; k < 500; k++) {
                bool caught = false;

                try {
                    throw std::runtime_error(std::string(300, 'e'));
                } catch (const std::runtime_error &e) {
                    caught = std::string(e.what()).size() == 300;
                }
                CHECK(caught);
            }
        });
    }
    for (std::thread &t : threads) {
        t.join();
    }
}

} /* namespace */

#ifdef TEST_LINKED

#    include <mpalloc.hpp>

namespace
{

/* Functions of mpalloc.h have the names of its structs: hence `struct`. */
struct mp_component_stats figures(const char *name)
{
    struct mp_snapshot s {
    };
    struct mp_component_stats c {
    };

    s.size = sizeof(s);
    CHECK_EQ(mp_snapshot(&s), 0);
    for (std::size_t i = 0; c.size = sizeof(c), mp_component_stats(i, &c) == 0; i++) {
        if (std::string(c.name) == name) {
            return c;
        }
    }
    c = {};
    return c;
}

bool has_counters()
{
    struct mp_snapshot s {
    };

    s.size = sizeof(s);
    return mp_snapshot(&s) == 0;
}

mp_component_t *current()
{
    mp_component_t *c = mp_enter(nullptr);

    mp_leave(c);
    return c;
}

void scope_is_left_by_exceptions()
{
    try {
        mpalloc::scope outer("cxx/outer");
        mpalloc::scope inner(mp_component("cxx/inner"));

        CHECK(current() == mp_component("cxx/inner"));
        throw std::runtime_error("out");
    } catch (const std::runtime_error &) {
        CHECK(current() == nullptr);
    }
    for (int i = 0; i < 3; i++) {
        MP_SCOPE("cxx/macro");
        CHECK(current() == mp_component("cxx/macro"));
        if (i == 1) {
            break;
        }
    }
    CHECK(current() == nullptr);
}

void scope_accounts_new()
{
    std::vector<char> *v;
    {
        MP_SCOPE("cxx/new");
        v = new std::vector<char>(100000);
    }
    if (has_counters()) {
        CHECK_EQ(figures("cxx/new").live_blocks, 2);
    }
    delete v;
    if (has_counters()) {
        CHECK_EQ(figures("cxx/new").live_blocks, 0);
        CHECK_EQ(figures("cxx/new").freed_blocks_total, 2);
    }
}

template <class T> using list_of = std::list<T, mpalloc::allocator<T>>;

void allocator_accounts_containers()
{
    mpalloc::scope elsewhere("cxx/elsewhere");
    list_of<int> list{mpalloc::allocator<int>("cxx/list")};
    list_of<int> plain;

    for (int i = 0; i < 1000; i++) {
        list.push_back(i);
        plain.push_back(i);
    }
    if (has_counters()) {
        CHECK_EQ(figures("cxx/list").live_blocks, 1000);
        CHECK_EQ(figures("cxx/elsewhere").live_blocks, 0);
    }
    list_of<int> copy(list);
    list_of<int> moved(std::move(list));
    plain.splice(plain.end(), moved);
    CHECK(copy.size() == 1000 && plain.size() == 2000);
    copy.clear();
    plain.clear();
    if (has_counters()) {
        CHECK_EQ(figures("cxx/list").live_blocks, 0);
    }
}

void allocator_aligns_and_throws()
{
    std::vector<over_aligned, mpalloc::allocator<over_aligned>> v{{"cxx/aligned"}};
    mpalloc::allocator<std::uint64_t> a("cxx/aligned");
    mpalloc::allocator<char> b(a);

    v.resize(100);
    CHECK(is_aligned(v.data(), 128));
    CHECK(a == b && !(a != b) && b.component() == mp_component("cxx/aligned"));
    CHECK(throws_bad_alloc([&] { return a.allocate(test_opaque(SIZE_MAX / 4)); }));
    CHECK(throws_bad_alloc([&] { return a.allocate(test_opaque(SIZE_MAX / 8)); }));
    CHECK(throws_bad_alloc([&] { return b.allocate(test_opaque(TOO_MUCH)); }));
}

struct point {
    int x, y;
};

void arenas_serve_containers_and_scopes()
{
    mpalloc::arena a("cxx/arena");
    mpalloc::arena_resource resource(a);
    const char *name = a.copy("kept");
    {
        std::pmr::map<int, std::pmr::string> map(&resource);

        for (int i = 0; i < 2000; i++) {
            map[i] = "a text that does not fit into the string itself";
        }
        CHECK(map.size() == 2000 && map[1999].size() > 40);
    }
    if (has_counters()) {
        CHECK(figures("cxx/arena").live_bytes > 2000 * 40);
    }
    for (int i = 0; i < 1000; i++) {
        mpalloc::arena_scope scope(a);
        point *p = a.make<point>(point{i, 2});

        CHECK(p->x == i && p->y == 2);
        CHECK(is_aligned(a.make<over_aligned>(), alignof(over_aligned)));
        a.allocate(100000);
    }
    CHECK(std::string(name) == "kept");
    CHECK(throws_bad_alloc([&] { return a.allocate(test_opaque(TOO_MUCH)); }));
    a.reset();
    a.reset();
    if (has_counters()) {
        /* One chunk: as much as a block of that length takes, which is more in hardened mode. */
        void *p = mp_malloc(mp_component("cxx/block"), 4096);

        CHECK_EQ(figures("cxx/arena").live_bytes, figures("cxx/block").live_bytes);
        std::free(p);
    }
}

struct counted {
    static int alive;
    std::string text;
    explicit counted(const char *t) : text(t)
    {
        if (text == "no") {
            throw std::runtime_error("no");
        }
        alive++;
    }
    ~counted()
    {
        alive--;
    }
};
int counted::alive;

void pools_construct_and_destroy()
{
    mpalloc::pool<counted> pool("cxx/pool", 10);
    struct mp_pool_stats s;
    counted *p = pool.make("one");
    counted *q = pool.make("two");

    CHECK(p->text == "one" && q->text == "two" && counted::alive == 2);
    try {
        pool.make("no");
        CHECK(false);
    } catch (const std::runtime_error &) {
    }
    pool.recycle(p);
    pool.recycle(q);
    pool.recycle(nullptr);
    CHECK_EQ(counted::alive, 0);
    s.size = sizeof(s);
    CHECK(mp_pool_stats(pool.get(), &s) == 0 && s.live == 0 && s.gets_total == 3);
}

void run_linked()
{
    RUN(arenas_serve_containers_and_scopes);
    RUN(pools_construct_and_destroy);
    RUN(scope_is_left_by_exceptions);
    RUN(scope_accounts_new);
    RUN(allocator_accounts_containers);
    RUN(allocator_aligns_and_throws);
}

} /* namespace */

#endif

int main()
{
    RUN(b36_static_constructor_allocated);
    RUN(b31_plain_and_nothrow);
    RUN(b31_sized);
    RUN(b31_aligned);
    RUN(b31_delete_null);
    RUN(b31_expressions);
    RUN(b32_huge_throws_or_is_null);
    RUN(b33_handler_is_called_until_it_gives_up);
    RUN(b33_what_the_handler_throws_passes_through);
    RUN(b33_nothrow_catches_what_the_handler_throws);
    RUN(b33_handler_may_terminate);
    RUN(b33_handler_makes_room_and_the_retry_succeeds);
    RUN(b38_containers);
    RUN(b38_over_aligned_and_shared);
    RUN(b38_pmr);
    RUN(b37_thread_local_destructors_allocate);
    RUN(b37_exceptions_in_threads);
#ifdef TEST_LINKED
    run_linked();
#endif
    return 0;
}
