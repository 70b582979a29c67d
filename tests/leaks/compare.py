"""
compare - reach.c under mpalloc, valgrind and LeakSanitizer: the same kinds and counts

Usage: compare.py PROGRAM PROGRAM_LSAN libmpalloc.so

PROGRAM is reach.c without mpalloc, run under valgrind and with the library preloaded; PROGRAM_LSAN
the same with -fsanitize=leak. Prints a table; fails where something differs that README.md of this
folder does not explain (EXPLAINED). Skips (77) what is not installed.
"""
import os
import re
import shutil
import subprocess
import sys

program, lsan, library = sys.argv[1:4]

# What of a shape differs, by tool, with its kinds there: README.md says why.
EXPLAINED = {
    ("cycle", "lsan"): (0, 10, None),
    ("two_cycles", "lsan"): (0, 4, None),
    ("cpp_map_lost", "lsan"): (0, 21, None),
    ("cpp_cycle", "lsan"): (0, 2, None),
    ("two_cycles", "valgrind"): (2, 2, 0),
    ("in_mapping", "lsan"): (1, 9, None),
    ("in_shared_mapping", "lsan"): (1, 9, None),
    ("in_sbrk", "lsan"): (1, 9, None),
    ("large_and_huge", "valgrind"): (None, None, None),
    ("on_thread_stack", "valgrind"): (0, 0, 1),
    ("in_thread_tls", "valgrind"): (0, 0, 1),
    ("in_thread_specific", "valgrind"): (0, 0, 1),
    ("in_register", "valgrind"): (0, 0, 1),
}


def by_mpalloc(name):
    env = {**os.environ, "LD_PRELOAD": library, "MPALLOC_LEAK_CHECK": "1"}
    done = subprocess.run([program, name], env=env, capture_output=True, text=True, timeout=60)
    found = re.search(r"lost \d+ bytes in (\d+) blocks, indirectly \d+ in (\d+), possibly \d+ in (\d+)",
                      done.stderr)
    return tuple(int(n) for n in found.groups()) if found else done.stderr


def by_valgrind(name):
    done = subprocess.run(["valgrind", "--leak-check=full", "--show-leak-kinds=all", program, name],
                          capture_output=True, text=True, timeout=120)
    kinds = []
    for kind in ("definitely", "indirectly", "possibly"):
        found = re.search(kind + r" lost: [\d,]+ bytes in ([\d,]+) blocks", done.stderr)
        kinds.append(int(found[1].replace(",", "")) if found else 0)
    return tuple(kinds)


def by_lsan(name):
    env = {**os.environ, "LSAN_OPTIONS": "max_leaks=0"}
    done = subprocess.run([lsan, name], env=env, capture_output=True, text=True, timeout=120)
    kinds = {"Direct": 0, "Indirect": 0}
    for kind, count in re.findall(r"^(Direct|Indirect) leak of \d+ byte\(s\) in (\d+) object",
                                  done.stderr, re.M):
        kinds[kind] += int(count)
    if "LeakSanitizer has encountered a fatal error" in done.stderr:
        return "cannot run here"
    return (kinds["Direct"], kinds["Indirect"], None)


tools = {"valgrind": by_valgrind if shutil.which("valgrind") else None, "lsan": by_lsan}
names = [line.split()[0] for line in
         subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()]
truth = {line.split()[0]: tuple(int(n) for n in line.split()[1:4]) for line in
         subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()}
problems = []
print(f"{'shape':22}{'truth':>16}{'mpalloc':>16}{'valgrind':>16}{'lsan':>16}")
for name in names:
    row = {"mpalloc": by_mpalloc(name)}
    row.update({tool: run(name) for tool, run in tools.items() if run})
    print(f"{name:22}{str(truth[name]):>16}" +
          "".join(f"{str(row.get(tool, '')):>16}" for tool in ("mpalloc", "valgrind", "lsan")))
    for tool, found in row.items():
        wanted = EXPLAINED.get((name, tool), truth[name])
        same = isinstance(found, tuple) and all(
            a == b for a, b in zip(found, wanted) if a is not None and b is not None)
        if not same and found != "cannot run here":
            problems.append(f"{name}: {tool} says {found}, not {wanted}")
for line in problems:
    print(line)
sys.exit(bool(problems))
