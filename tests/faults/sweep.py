"""sweep - the workload with every call of every kernel entry failing once

    sweep.py WORKLOAD [--more | --all] [SCENARIO [ENTRY]]

Counts how often a scenario calls each entry, then runs it for every N twice: with the Nth
call failing, and with all from the Nth on. Then under the plans of PLANS: kernels that lack
something, no more memory than so much, everything at once. Without --all a sample of the
larger N is taken, as the fast tests have little time; with --more a denser one.
"""
import concurrent.futures
import os
import subprocess
import sys
import tempfile
import time

SCENARIOS = ("blocks", "threads", "child", "region", "limits")
# The Nth call matters little where nothing but figures depend on it.
FIGURES = {"open", "mkdir", "read", "write", "stat", "readlink", "getdents", "unlink", "fcntl",
           "ftruncate", "fallocate", "memfd_create", "prctl", "getrandom", "futex"}
PLANS = {
    "no memory at all": "mmap:1+",
    "no memory but the first piece": "mmap:4+",
    "nothing goes back": "munmap:1+,dontneed:1+",
    "every hint is ignored": "hint:1+",
    "some hints are ignored": "hint:3-9",
    "hints ignored, memory short": "hint:1+,mmap:12+",
    "no MADV_POPULATE_WRITE": "populate:1+",
    "no MADV_WIPEONFORK": "wipeonfork:1+",
    "no memfd, no files": "open:1+,memfd_create:1+",
    "no memfd, a full directory": "fallocate:1+,memfd_create:1+",
    "no getrandom": "getrandom:1+",
    "no prctl": "prctl:1+",
    "no key of threads": "key:1+",
    "nobody is woken": "futex:2+",
    "a kernel of 2016": "populate:1+,wipeonfork:1+,memfd_create:1+,getrandom:1+",
    "seccomp: nothing but memory": ",".join(f"{name}:1+=1" for name in sorted(FIGURES)),
    "everything fails": ",".join(f"{name}:1+" for name in (
        "mmap munmap mremap madvise open prctl memfd_create getrandom".split())),
    **{f"no more than {n} MiB": f"budget:{n << 20}" for n in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)},
}
arguments = [a for a in sys.argv[1:] if a not in ("--more", "--all")]
everything = "--all" in sys.argv
more = "--more" in sys.argv
workload = arguments[0]
scenarios = arguments[1:2] or SCENARIOS
entries = arguments[2:3]
failures = []


def run(scenario, plan, purge="0"):
    with tempfile.TemporaryDirectory(prefix="mpalloc-faults-", dir="/dev/shm") as directory:
        env = dict(os.environ, MPALLOC_FAULT=plan, MPALLOC_DIR=directory,
                   MPALLOC_PURGE_DELAY=purge, MPALLOC_LOG="quiet",
                   MPALLOC_HOUSEKEEPER=str(int(scenario == "threads")))
        lossy = ["lossy"] if "key:" in plan else []
        return subprocess.run([workload, scenario, *lossy], env=env, text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def check(job):
    scenario, plan = job
    try:
        done = run(scenario, plan)
    except subprocess.TimeoutExpired:
        failures.append(f"MPALLOC_FAULT={plan} {workload} {scenario}: hangs")
        return
    if done.returncode != 0:
        what = [line for line in done.stdout.splitlines() if not line.startswith("calls ")]
        failures.append(f"MPALLOC_FAULT={plan} MPALLOC_PURGE_DELAY=0 {workload} {scenario}: code "
                        f"{done.returncode}: {' / '.join(what)[:300]}")


def calls_of(scenario):
    done = run(scenario, "")
    if done.returncode != 0:
        sys.exit(f"{scenario} fails by itself: {done.stdout}")
    calls = {}
    for line in done.stdout.splitlines():
        if line.startswith("calls "):
            _, name, n = line.split()
            calls[name] = max(calls.get(name, 0), int(n))
    return {name: n for name, n in calls.items() if n > 0}


def sample(n, first):
    """Which of 1 to n are tried: all, or the first, and ever fewer of the later ones."""
    if everything:
        return range(1, n + 1)
    few = list(range(1, min(n, first) + 1))
    while few[-1] < n:
        few.append(min(n, few[-1] + max(1, few[-1] // 2 if more else few[-1])))
    return few


def jobs_of(scenario):
    for name, n in calls_of(scenario).items():
        if entries and name not in entries:
            continue
        if not everything and name in FIGURES and scenario in ("threads", "blocks"):
            continue
        first = 10 if scenario in ("blocks", "region") else 3
        for i in sample(n, first if more else first // 2 + 1):
            yield scenario, f"{name}:{i}"
            if name not in FIGURES or everything:
                yield scenario, f"{name}:{i}+"
    if not entries:
        for plan in PLANS.values():
            yield scenario, plan


start = time.monotonic()
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for scenario in scenarios:
        before = len(failures)
        jobs = list(jobs_of(scenario))
        list(pool.map(check, jobs))
        print(f"{scenario}: {len(jobs)} runs, {len(failures) - before} of them failed, "
              f"{time.monotonic() - start:.1f} s since the start", flush=True)
for line in sorted(set(failures))[:40]:
    print(line)
sys.exit(bool(failures))
