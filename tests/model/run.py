#!/usr/bin/env python3
"""run.py - checks remote_free.pml with Spin, and that its broken variants are found

Usage: run.py [--small | NAME...]     (all of them by default; --small: without LARGE)

Every search is exhaustive: one that ends early, or for lack of memory, fails. Prints what was
covered. Exit code 77 when spin or a C compiler is missing.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

MODEL = pathlib.Path(__file__).resolve().parent / "remote_free.pml"
AT_ONCE = 2  # searches side by side
MEMORY_MB = 900  # of one search, at most
TIMEOUT_S = 300  # 20 on a quiet machine
DEPTH = 2000  # room; how deep it went is printed

# name, sizes, what Spin must find ("": nothing). Long ones first.
SEARCHES = [
    ("three", "FREERS=3 BLOCKS=3 ROUNDS=0", ""),
    ("reuse", "OWNERS=3 SLABS=2 BLOCKS=1 ROUNDS=0", ""),
    ("again", "MALLOCS=1 FREES=2 ABSORBS=0 SPLIT_CAS", ""),
    ("cycles", "ROUNDS=0 LATE CYCLES", ""),
    ("rounds", "FREES=2 LATE", ""),
    ("passing", "OWNERS=3 BLOCKS=1", ""),
    ("broken_1", "BROKEN_1", "!(in_queue["),
    ("broken_2", "BROKEN_2", "(pending[0]==0)"),
    ("broken_3", "BROKEN_3", "!(queued["),
    ("broken_4", "BROKEN_4", "(heap[s]==h)"),
    ("broken_5", "BROKEN_5", "(pending[0]==0)"),
    ("broken_6", "BROKEN_6", "(n<=used["),
    ("broken_7", "BROKEN_7 OWNERS=3 ROUNDS=0", "(heap_owner[h]==me)"),
    ("broken_8", "BROKEN_8 OWNERS=3 ROUNDS=0", "(locked[0]!=me)"),
    ("broken_9", "BROKEN_9 CYCLES ROUNDS=0", "non-progress cycle"),
]
LARGE = ("three", "reuse")  # 13 and 12 million states: half of the time of all


def find_compiler():
    return next(filter(None, map(shutil.which, ("gcc", "cc"))), None)


def run(command, folder):
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False)


def figure(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1) if found else "?"


def search(name, sizes, wanted):
    """Returns whether all is as it should be, and a line about it."""
    words = sizes.split()
    cycles = "CYCLES" in words
    with tempfile.TemporaryDirectory(prefix="mpalloc-model-") as folder:
        made = run(["spin", "-a", *("-D" + w for w in words), str(MODEL)], folder)
        if made.returncode == 0:
            made = run([find_compiler(), "-O0" if wanted else "-O1", "-w",
                        "-DCOLLAPSE", "-DVECTORSZ=512", f"-DMEMLIM={MEMORY_MB}",
                        "-DNP" if cycles else "-DSAFETY",
                        "-o", "pan", "pan.c"], folder)
        if made.returncode != 0:
            return False, f"{name}: not built\n{made.stdout}"
        out = run(["./pan", f"-m{DEPTH}", *(["-l"] if cycles else [])], folder).stdout
        found = figure(r"^pan:1: (.*?) \(at depth", out)
        line = (f"{name:9} {figure(r'^ *([0-9]+) states, stored', out):>9} states, depth "
                f"{figure(r'depth reached ([0-9]+)', out):>3}, "
                f"{figure(r'^ *([0-9]+)[.0-9]*	total actual', out):>3} MB, "
                f"{figure(r'elapsed time ([0-9.]+)', out):>5} s  {sizes}")
        if wanted == "":
            cut_short = ("not completed", "MEMLIM", "max search depth too small")
            if "errors: 0" in out and not any(sign in out for sign in cut_short):
                return True, line
            trail = run(["spin", "-k", f"{MODEL.name}.trail", "-p",
                         *("-D" + w for w in words), str(MODEL)], folder)
            return False, f"{line}\n{out[:2000]}\n{trail.stdout[-20000:]}"
        if wanted in found:
            return True, f"{line}: found, as it must be"
        return False, f"{line}: found {found}, not {wanted}\n{out[:2000]}"


def main():
    if shutil.which("spin") is None or find_compiler() is None:
        print("spin or a C compiler is missing")
        return 77
    names = sys.argv[1:] or [s[0] for s in SEARCHES]
    if names == ["--small"]:
        names = [s[0] for s in SEARCHES if s[0] not in LARGE]
    chosen = [s for s in SEARCHES if s[0] in names]
    if not chosen:
        print(__doc__)
        return 2
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        for done, line in pool.map(lambda s: search(*s), chosen):
            failures += not done
            print("ok  " if done else "FAIL", line, flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
