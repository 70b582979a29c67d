"""compare - at random points of a real program our stack is the one that libgcc sees

    compare.py PROGRAM LIBRARY BUILD-DIRECTORY [SECONDS]

Runs cxx, python, redis, compiler or rust with LIBRARY preloaded, which compares, until
there are enough points, and asks for 99.9 % of identical stacks. Exit code 77: the program
is not installed.
"""
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
POINTS = 3000
WANTED = 0.999

which, library, build = sys.argv[1:4]
seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 0
folder = tempfile.mkdtemp(prefix="unwind-")
environment = {k: v for k, v in os.environ.items()
               if not k.startswith(("MPALLOC_", "LD_PRELOAD"))}

preloaded = {**environment, "LD_PRELOAD": library, "COMPARE_OUT": folder + "/points",
             "COMPARE_US": "700"}

PYTHON = """
import json, re, zlib, random
for k in range(3):
    d = [{'a%d' % i: [i, str(i) * 5]} for i in range(1500)]
    s = json.dumps(d, indent=1)
    assert json.loads(s) == d
    re.findall(r'[0-9]+(?=5)', s)
    zlib.compress(s.encode())
    def deep(n):
        return n if n == 0 else sorted([n, deep(n - 1)], key=lambda x: -x)[0]
    deep(100)
    try:
        deep(10000)
    except RecursionError:
        pass
"""
CXX = """
#include <algorithm>
#include <map>
#include <string>
std::map<std::string, int> m;
int f(const std::string &s) { return m[s] + (int)m.size(); }
"""


def skip(why):
    print(f"compare: skipped, {why}")
    sys.exit(77)


def run(*command, **more):
    return subprocess.run(command, env=preloaded, check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, timeout=120, **more).stdout


def needs(name):
    found = shutil.which(name)
    return found or skip(f"there is no {name}")


def run_cxx():
    run(build + "/unwind_cxx", "2")


def run_python():
    run("/usr/bin/python3", "-c", PYTHON)


def run_rust():
    program = folder + "/program"
    if not os.path.exists(program):
        subprocess.run([needs("rustc"), "-O", "--edition", "2021", HERE / "program.rs", "-o",
                        program], check=True, env=environment, timeout=120)
    run(program, "2")


def run_compiler():
    source = folder + "/source.cpp"
    pathlib.Path(source).write_text(CXX)
    run(needs("g++"), "-O2", "-c", source, "-o", folder + "/source.o")


def run_redis():
    server, benchmark = needs("redis-server"), needs("redis-benchmark")
    socket = folder + "/redis.sock"
    process = subprocess.Popen([server, "--port", "0", "--unixsocket", socket, "--save", "",
                                "--dir", folder], env=preloaded, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if os.path.exists(socket):
                break
            time.sleep(0.05)
        subprocess.run([benchmark, "-s", socket, "-n", "4000", "-P", "8", "-q", "-t",
                        "set,get,lpush,lrange_100,zadd"], check=True, env=environment,
                       stdout=subprocess.DEVNULL, timeout=100)
        subprocess.run(["redis-cli", "-s", socket, "eval",
                        "local t={} for i=1,300000 do t[i%97]=i..'' end return #t", "0"],
                       check=True, env=environment, stdout=subprocess.DEVNULL, timeout=60)
        subprocess.run(["redis-cli", "-s", socket, "shutdown", "nosave"], check=False,
                       env=environment, stdout=subprocess.DEVNULL, timeout=60)
        process.wait(60)
    finally:
        process.kill()
        process.wait()


def collect():
    total, shown = {}, []
    for path in glob.glob(folder + "/points.*"):
        first, *rest = pathlib.Path(path).read_text().splitlines()
        for name, number in re.findall(r"(\w+) (\d+)", first):
            total[name] = total.get(name, 0) + int(number)
        shown += rest
        os.unlink(path)
    return total, shown


figures, differences, began = {}, [], time.monotonic()
try:
    for _ in range(2000):
        globals()["run_" + which]()
        more, shown = collect()
        figures = {k: figures.get(k, 0) + v for k, v in more.items()}
        differences += shown
        if figures.get("points", 0) >= POINTS and time.monotonic() - began >= seconds:
            break
finally:
    shutil.rmtree(folder, ignore_errors=True)
points = figures.get("points", 0)
# "missed": neither gets on, which makes libgcc crash: it happens where libgcc itself leaves
# for a landing pad. "longer": libgcc stopped at code that nothing is said about, we found a way on
same = figures.get("equal", 0) + figures.get("longer", 0)
print(which, " ".join(f"{k} {v}" for k, v in figures.items()))
print("\n".join(differences[:60]))
if points < POINTS or same < WANTED * points or figures["missed"] > points / 200:
    print(f"compare: {same} of {points} stacks are identical")
    sys.exit(1)
