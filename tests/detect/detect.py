"""detect - how many of 116 mistakes an allocator catches

    detect.py PROGRAM PROGRAM-CXX [--library SO] [--hardened] [--least N] [--all]
    detect.py PROGRAM PROGRAM-CXX --library SO --table

The first form runs every case with SO preloaded and fails when fewer than N were caught, or
when a case of MUST was not: those are promises. --all prints each case. The second prints
the table of README.md: ours, ours hardened, and what is installed of others.

Caught: the program was killed (by a message and abort, or by a fault), or saw that the
allocator prevented the mistake (exit status 3). Printed by case, 8 B / 4 KiB / 256 KiB.
"""
import argparse
import ctypes.util
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys

SIZES = (8, 4096, 262144)
LIMIT_S = 60
# What the default mode promises for blocks of the first slabs, and hardened mode always.
MUST = ("double_free", "double_free_delayed", "double_free_interleaved", "double_free_reuse",
        "double_free_single_reuse", "invalid_free_alloca", "invalid_free_stack",
        "invalid_free_mapped", "invalid_free_far", "invalid_free_unaligned",
        "invalid_free_interior", "executable_heap", "impossibly_large_malloc")
MUST_HARDENED = MUST + (
    "one_byte_overflow", "one_byte_memcpy_overflow", "thirty_two_bytes_overflow",
    "thirty_two_bytes_memcpy_overflow", "one_mbyte_overflow", "one_mbyte_memcpy_overflow",
    "malloc_reuse", "read_zero_size", "read_zero_size_free", "write_zero_size",
    "write_zero_size_free", "write_after_free", "write_after_free_reuse",
    "zero_after_free", "zero_on_malloc", "delete_type_size_mismatch")
PEERS = (("mimalloc", "libmimalloc.so.2.0"), ("jemalloc", "libjemalloc.so.2"),
         ("tcmalloc", "libtcmalloc.so.4"))


def names(program):
    return subprocess.run([program, "--list"], text=True, check=True,
        stdout=subprocess.PIPE).stdout.split()


def run(arguments, library, variables):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("MPALLOC_", "MALLOC_"))}
    env.update(MPALLOC_REGION="off", **variables)
    if library:
        env["LD_PRELOAD"] = str(library)
    try:
        done = subprocess.run(arguments, env=env, timeout=LIMIT_S, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    except subprocess.TimeoutExpired:
        return "hangs", ""
    if done.returncode in (2, 99):
        sys.exit(f"detect: {arguments} could not run: {done.stderr}")
    return done.returncode, done.stderr


def is_caught(code):
    return code not in (0, 1, "hangs")


def measure(args, library, variables):
    """Case -> one of + and - for each size."""
    found, messages = {}, []
    for name in names(args.program):
        results = [run([args.program, name, str(size)], library, variables)
                   for size in SIZES]
        found[name] = "".join("+" if is_caught(code) else "-" for code, _ in results)
        messages += [(name, code, text) for code, text in results]
    for name in names(args.program_cxx):
        code, text = run([args.program_cxx, name], library, variables)
        found[name] = "+" if is_caught(code) else "-"
        messages.append((name, code, text))
    return found, messages


def total(found):
    return sum(marks.count("+") for marks in found.values())


def check_messages(messages):
    """Whoever is aborted by us says one line that names the address."""
    wrong = []
    for name, code, text in messages:
        lines = [line for line in text.splitlines() if line.startswith("mpalloc: ")]
        if code == -signal.SIGABRT and not (lines and re.fullmatch(
                r"mpalloc: [a-z ]+ (of|found in slab) 0x[0-9a-f]+ \(.+\)", lines[0])):
            if "mpalloc: a free list" not in text and "munmap_chunk" not in text:
                wrong.append(f"{name}: aborted with {text!r}")
    return wrong


def find_library(name):
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"):
        if (pathlib.Path(folder) / name).exists():
            return pathlib.Path(folder) / name
    return None


def print_table(args):
    columns = [("mpalloc", measure(args, args.library, {"MPALLOC_HARDEN": "0"})[0]),
               ("hardened", measure(args, args.library, {"MPALLOC_HARDEN": "1"})[0]),
               ("glibc", measure(args, None, {})[0])]
    for name, file in PEERS:
        library = find_library(file)
        if library:
            columns.append((name, measure(args, library, {})[0]))
    print("| mistake | " + " | ".join(name for name, _ in columns) + " |")
    print("| --- |" + " --- |" * len(columns))
    for case in columns[0][1]:
        cells = [f"`{found[case]}`" for _, found in columns]
        print(f"| {case.replace('_', ' ')} | " + " | ".join(cells) + " |")
    print("| **caught of 116** | " + " | ".join(
        f"**{total(found)}**" for _, found in columns) + " |")


parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("program_cxx")
parser.add_argument("--library", type=pathlib.Path)
parser.add_argument("--hardened", action="store_true")
parser.add_argument("--least", type=int, default=0)
parser.add_argument("--all", action="store_true")
parser.add_argument("--table", action="store_true")
args = parser.parse_args()
if args.table:
    print_table(args)
    sys.exit(0)
found, messages = measure(args, args.library, {"MPALLOC_HARDEN": str(int(args.hardened))})
problems = check_messages(messages)
for name in MUST_HARDENED if args.hardened else MUST:
    if "-" in found[name]:
        problems.append(f"{name}: {found[name]}, must be caught at each size")
count = total(found)
if count < args.least:
    problems.append(f"{count} caught, at least {args.least} are promised")
if args.all or problems:
    for name, marks in found.items():
        print(f"{marks:4} {name}")
print(f"detect: {count} of {sum(map(len, found.values()))} caught, "
      f"{len(problems) or 'no'} problems")
print("\n".join(problems))
sys.exit(bool(problems))
