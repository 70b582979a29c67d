"""
compiler - gcc and g++ -O2: the objects are byte-identical

Compiles a generated C file of some 20,000 lines, a C++ file that instantiates much of the
standard library, and the library's own sources.
"""
import os
import pathlib
import random

from harness import BIG, Session, sha256_file, sized

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ["MPALLOC_TEST_BUILD"]  # has config.h

CXX = """
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>
using value = std::variant<int, double, std::string, std::vector<std::string>>;
std::map<std::string, std::unordered_map<int, value>> table;
bool match(const std::string &s)
{
    static const std::regex e("([a-z]+)@([a-z]+)\\\\.(com|org)", std::regex::icase);
    std::smatch m;
    return std::regex_search(s, m, e) && !(table[m[1]][m[2].length()] = s).valueless_by_exception();
}
std::string work(int n)
{
    std::mt19937_64 rng(n);
    std::vector<std::function<std::string(int)>> f;
    std::ostringstream out;
    for (int i = 0; i < n; ++i) {
        f.push_back([i, &rng](int k) { return std::to_string(rng() % (i + k + 1)); });
    }
    std::stable_sort(f.begin(), f.end(), [](auto &a, auto &b) { return a(3) < b(2); });
    std::thread([&] { for (auto &g : f) out << g(n) << '\\n'; }).join();
    return out.str();
}
"""


def generated_c(functions):
    """Arithmetic, loops, switches and tables, with many live names and inlining."""
    rng = random.Random(2)
    yield "#include <stdint.h>\n#include <string.h>\n"
    for f in range(functions):
        yield f"struct s{f} {{ uint32_t a[{rng.randrange(2, 20)}]; struct s{f} *next; }};\n"
        yield f"static const uint16_t t{f}[] = {{"
        yield ", ".join(str(rng.randrange(65536)) for _ in range(rng.randrange(4, 60)))
        yield f"}};\nuint64_t f{f}(struct s{f} *p, uint64_t x, int n)\n{{\n"
        yield "    uint64_t y = x;\n    for (int i = 0; i < n; i++) {\n        switch (y & 15) {\n"
        for case in range(rng.randrange(4, 12)):
            yield f"        case {case}:\n            y = y * {rng.randrange(1, 1 << 31)}u"
            yield f" + t{f}[i % (sizeof(t{f}) / 2)] + p->a[{case % 2}];\n"
            yield f"            x ^= y >> {rng.randrange(1, 60)};\n            break;\n"
        yield "        default:\n            y += x;\n            p = p->next ? p->next : p;\n"
        yield "        }\n        memcpy(&p->a[0], &y, 4);\n    }\n"
        if f:
            other = rng.randrange(f)
            yield f"    if (n > {f}) y ^= f{other}((struct s{other} *)p, y, n - 1);\n"
        yield "    return x ^ y;\n}\n"


def compile_all(preload):
    folder = session.folder / ("preloaded" if preload else "plain")
    folder.mkdir()
    # <malloc.h> must be the C library's, not alloc/malloc.h: hence -iquote.
    include = [f"-I{SOURCE}", f"-I{SOURCE / 'include'}", f"-iquote{SOURCE / 'alloc'}",
               f"-I{BUILD}", "-D_GNU_SOURCE"]
    jobs = [("gcc", session.folder / "generated.c", ["-g"]),
            ("g++", session.folder / "library.cpp", ["-std=c++17"])]
    if not BIG:
        del jobs[1:]  # gcc-lto compiles C++, too
    jobs += [("gcc", path, [*include, "-std=gnu17"])
             for path in sorted((SOURCE / "alloc").glob("*.c" if BIG else "m*.c"))]
    facts = {}
    for compiler, source, flags in jobs:
        target = folder / (source.stem + ".o")
        process = "cc1plus" if compiler == "g++" else "cc1"
        big = source.parent == session.folder
        result = session.run([compiler, "-O2", *flags, "-c", source, "-o", target], preload,
            mapped=(process,) if preload and big else ())
        session.expect(result)
        facts[f"object of {source.name}"] = sha256_file(target) if target.exists() else None
    return facts


with Session("compiler", needs=("gcc", "g++")) as session:
    session.note_version(("gcc", "--version"))
    (session.folder / "generated.c").write_text("".join(generated_c(sized(40, 1200))))
    (session.folder / "library.cpp").write_text(CXX)
    session.both(compile_all)
