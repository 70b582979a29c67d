"""
check_install - what `meson install` lays down is complete and works

Usage: check_install.py MESON BUILD. Installs into a temporary DESTDIR; compiles C and C++
programs against that by pkg-config alone, dynamic and -static; runs them and the CLI. Among them
are the examples of the libraries for readers, as users build them.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

C_PROGRAM = r"""
#include <mpalloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *work(void *name)
{
    MP_SCOPE("worker");
    char *copy = strdup(name);
    void *block = malloc(100000);
    int good = copy != NULL && block != NULL;

    free(block);
    free(copy);
    return good ? name : NULL;
}

int main(void)
{
    static char name[] = "thread";
    struct mp_snapshot before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    int known = mp_snapshot(&before); /* -ENOSYS where profiling is compiled out */
    mp_component_t *cache = mp_component("install/cache");
    void *blocks[100], *result = NULL;
    int status = 1;
    pthread_t thread;

    for (int i = 0; i < 100; i++) {
        blocks[i] = mp_malloc(cache, 1000);
        memset(blocks[i], i, 1000);
    }
    mp_snapshot(&after);
    if (known == 0 && after.live_bytes - before.live_bytes < 100000) {
        printf("the blocks are not counted\n");
        return 1;
    }
    if (pthread_create(&thread, NULL, work, name) || pthread_join(thread, &result) || !result) {
        return 2;
    }
    pid_t child = fork();
    if (child == 0) {
        _exit(work(name) ? 0 : 3);
    }
    if (waitpid(child, &status, 0) != child || status != 0) {
        return 4;
    }
    for (int i = 0; i < 100; i++) {
        free(blocks[i]);
    }
    printf("C program: fine\n");
    return 0;
}
"""

CXX_PROGRAM = r"""
#include <iostream>
#include <map>
#include <memory>
#include <mpalloc.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct alignas(256) wide { char bytes[512]; };

int main()
{
    mpalloc::scope scope("install/main");
    std::vector<int, mpalloc::allocator<int>> v{mpalloc::allocator<int>("install/vector")};
    std::map<std::string, std::unique_ptr<wide>> m;
    for (int i = 0; i < 10000; ++i) {
        v.push_back(i);
        if (i % 100 == 0) m[std::to_string(i)] = std::make_unique<wide>();
    }
    for (auto &[key, value] : m) {
        if (reinterpret_cast<std::uintptr_t>(value.get()) % 256 != 0) return 1;
    }
    std::thread([&] { m.clear(); }).join();
    try {
        mpalloc::scope inner("install/inner");
        throw std::runtime_error(std::string(1000, 'x'));
    } catch (const std::exception &e) {
        if (mp_enter(mp_component("install/main")) != mp_component("install/main")) return 2;
    }
    std::cout << "C++ program: fine\n";
    return v.size() == 10000 ? 0 : 3;
}
"""

STATS_PROGRAM = r"""
#include <mpstats.h>

/* Names that the libraries have inside, too: a program may have its own. */
int must_fail(void);
int must_fail(void) { return 0; }
int text_fail(void);
int text_fail(void) { return 0; }

int main(void)
{
    struct mp_error error = {""};
    mp_image_t *image;

    return mp_attach("/nowhere.mp", &image, &error) != 0 && error.text[0] != 0 ? 0 : 1;
}
"""
EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "tools/demo"

meson, build = sys.argv[1], pathlib.Path(sys.argv[2])
profile = "CONFIG_PROFILE 1" in (build / "config.h").read_text()
failures = 0


def run(what, argv, env=None, expect=None):
    global failures
    done = subprocess.run([str(word) for word in argv], env=env, capture_output=True, text=True)
    good = done.returncode == 0 and (expect is None or expect in done.stdout)
    print(f"{'ok  ' if good else 'FAIL'} {what}")
    if not good:
        failures += 1
        print(f"     exit code {done.returncode} from {' '.join(map(str, argv))}")
        print(done.stdout + done.stderr)
    return done.stdout.split() if good else None


def present(root, *patterns):
    global failures
    for pattern in patterns:
        found = list(root.glob(pattern))
        print(f"{'ok  ' if found else 'FAIL'} {pattern} is installed")
        failures += not found


def compile_and_run(folder, lib, env, name, source, compiler, package, expect, *words):
    global failures
    path = folder / name
    path.write_text(source)
    for kind, flags, asked in (("dynamic", [], []), ("static", ["-static"], ["--static"])):
        options = run(f"pkg-config {' '.join(asked)} {package}",
            ["pkg-config", "--cflags", "--libs", *asked, *package.split()], env)
        program = folder / f"{path.stem}-{kind}"
        if options is None or run(f"{name} compiles, {kind}",
                [*compiler.split(), *flags, "-Wall", "-Wextra", "-Werror", path, *options, "-o",
                 program]) is None:
            continue
        if not profile and "mpexport" in package:
            continue    # there is no region to look at
        before = set(folder.glob("regions/*.mp"))
        run(f"{name} runs, {kind}", [program, *words],
            {**os.environ, "LD_LIBRARY_PATH": str(lib), "MPALLOC_DIR": str(folder / "regions"),
             "MPALLOC_KEEP": "1", "MPALLOC_SAMPLE": "off" if name == "c.c" else "512k"}, expect)
        if package.startswith("mpalloc") and profile:
            left = set(folder.glob("regions/*.mp")) - before
            print(f"{'ok  ' if left else 'FAIL'} {name} left a region, {kind}")
            failures += not left


with tempfile.TemporaryDirectory(prefix="mpalloc-install-") as temporary:
    folder = pathlib.Path(temporary)
    destination = folder / "root"
    run("meson install", [meson, "install", "-C", build, "--no-rebuild", "--quiet",
                          "--destdir", destination])
    present(destination, "**/lib*/**/libmpalloc.so", "**/lib*/**/libmpalloc.a",
        "**/lib*/**/libmpstats.so", "**/lib*/**/libmpstats.a", "**/pkgconfig/mpalloc.pc",
        "**/pkgconfig/mpstats.pc", "**/include/mpalloc.h", "**/include/mpalloc.hpp",
        "**/include/mpstats.h", "**/include/mpstats/alerts.h",
        "**/include/mpstats/insight.h", "**/include/mpstats/pressure.h",
        "**/include/mpstats/tops.h", "**/include/mpstats/export.h", "**/lib*/**/libmpexport.so",
        "**/lib*/**/libmpexport.a", "**/pkgconfig/mpexport.pc",
        "**/include/mpalloc/region.h", "**/bin/mpalloc", "**/mpalloc/mpalloc-whole.so")
    config = next(destination.glob("**/pkgconfig"), folder)
    env = {**os.environ, "PKG_CONFIG_PATH": str(config),
           "PKG_CONFIG_SYSROOT_DIR": str(destination)}
    lib = config.parent
    compile_and_run(folder, lib, env, "c.c", C_PROGRAM, "gcc", "mpalloc", "fine")
    compile_and_run(folder, lib, env, "cxx.cpp", CXX_PROGRAM, "g++", "mpalloc", "fine")
    compile_and_run(folder, lib, env, "stats.c", STATS_PROGRAM, "gcc", "mpstats", "")
    watch, inspect = ((EXAMPLES / name).read_text() for name in ("self_watch.c", "inspect.c"))
    compile_and_run(folder, lib, env, "watch.c", watch, "gcc", "mpalloc mpexport",
        "Where resident memory", "1")
    # The first has no stacks, the last has.
    regions = sorted(folder.glob("regions/*.mp"), key=lambda f: f.stat().st_mtime) or [folder]
    for name, compiler, region in (("inspect.c", "gcc", regions[0]),
                                   ("inspect.cpp", "g++ -std=c++17", regions[-1])):
        compile_and_run(folder, lib, env, name, inspect, compiler, "mpexport",
            "live bytes by component", region, folder / (name + ".pb.gz"))
    for command in destination.glob("**/bin/mpalloc"):
        run("the installed mpalloc runs", [command, "version"],
            {**os.environ, "LD_LIBRARY_PATH": str(lib)}, "0.")
        run("the installed mpalloc finds its other verbs", [command, "help", "serve"], None,
            "--allow-actions")
print(f"check_install: {failures or 'no'} problems")
sys.exit(bool(failures))
