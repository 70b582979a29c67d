"""guard - mistakes with guarded blocks are explained, with both stacks, and end the program

    guard.py PROGRAM all|some [LIBRARY-TO-PRELOAD]

"some" is for further shapes of the same program: a mistake of each kind.
"""
import os
import re
import signal
import subprocess
import sys

program = os.path.abspath(sys.argv[1])
is_all = sys.argv[2] == "all"
preload = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
problems = []
claims = 0

# the message's kind, and the place: so many bytes into, before, behind the end of
FAULTS = {
    "use_after_free_read": ("use after free: (read|access) at", 8, "into", True),
    "use_after_free_write": ("use after free: (write|access) at", 5, "into", True),
    "overflow_read": ("overflow: (read|access) at", 0, "behind the end of", False),
    "overflow_write": ("overflow: (write|access) at", 10, "behind the end of", False),
    "underflow_write": ("underflow: (write|access) at", 1, "before", False),
    "component_named": ("use after free: (write|access) at", 0, "into", True),
    "freed_by_a_thread": ("use after free: (write|access) at", 0, "into", True),
    "two_threads_at_once": ("use after free: (write|access) at", 0, "into", True),
    "in_a_forked_child": ("use after free: (write|access) at", 0, "into", True),
    "handler_that_hands_on": ("use after free: (write|access) at", 1, "into", True),
}
ABORTS = {
    "overflow_in_page": ("overflow, found by free: write at", 3, "behind the end of", False),
    "underflow_in_page": ("underflow, found by free: write at", 2, "before", False),
    "double_free": ("double free of", 0, "into", True),
    "free_interior": ("invalid free of", 16, "into", False),
    "free_before": ("invalid free of", 16, "before", False),
    "realloc_freed": ("invalid realloc of", 0, "into", True),
}
FINE = ["no_mistake", "all_slots_live", "quarantine"]
SOME = ["use_after_free_write", "overflow_in_page", "double_free", "in_a_forked_child",
        "quarantine"]


def run(mode, size=64, **options):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MPALLOC_")}
    env.update({"MPALLOC_REGION": "off", "MPALLOC_GUARD": "64", "MPALLOC_HARDEN": "0"})
    env.update({"MPALLOC_" + k: v for k, v in options.items()})
    if preload:
        env["LD_PRELOAD"] = preload
    return subprocess.run([program, mode, str(size)], env=env, text=True, timeout=100,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)


def check(done, mode, what, good):
    global claims
    claims += 1
    if not good:
        problems.append(f"{mode}: {what}: code {done.returncode}, stdout {done.stdout!r}, "
                        f"stderr:\n{done.stderr}")


def stack(done, head):
    """The functions of this program below a line."""
    found = re.search(head + r".*\n((?:    #.*\n)+)", done.stderr)
    offsets = ["0x" + offset
               for path, offset in re.findall(r"#\d+ (\S+)\+0x([0-9a-f]+)", found[1] if found else "")
               if os.path.realpath(path) == os.path.realpath(program)]
    if not offsets:
        return []
    named = subprocess.run(["addr2line", "-f", "-e", program, *offsets], text=True,
                           stdout=subprocess.PIPE, check=True).stdout
    # the compiler may have made a clone of it: name.constprop.0
    return [name.split(".")[0] for name in named.splitlines()[::2]]


def examine(mode, expected, size, code):
    kind, distance, where, is_freed = expected
    done = run(mode, size)
    block = re.findall(r"^block (0x[0-9a-f]+)$", done.stdout, re.M)
    component = "cache/html" if mode == "component_named" else "(untagged)"
    line = re.findall(rf"^mpalloc: ({kind}) .*\((\d+) bytes ([a-z ]+) the guarded block of "
                      rf"(\d+) bytes at (0x[0-9a-f]+), component (.+)\)$", done.stderr, re.M)
    check(done, mode, f"ends with {code.name}", done.returncode == -code)
    check(done, mode, "does not continue", "continued" not in done.stdout)
    check(done, mode, "one explanation", len(line) == 1)
    if len(line) != 1 or not block:
        return
    *_, at, place, bytes_, address, name = line[0]
    check(done, mode, "the place", (int(at), place) == (distance, where))
    check(done, mode, "the block", address == block[-1] and int(bytes_) == size)
    check(done, mode, "the component", name == component)
    names = stack(done, "it was allocated by thread")
    check(done, mode, f"allocated in {names}",
          "allocating_function allocate_guarded" in " ".join(names))
    names = stack(done, "it was freed by thread")
    check(done, mode, f"freed in {names}", bool(names) == is_freed
          and (not is_freed or "freeing_function" in names))
    names = stack(done, "this is thread")
    check(done, mode, f"now in {names}", len(names) > 0)
    threads = re.findall(r"by thread (\d+)", done.stderr)
    check(done, mode, "threads", mode != "freed_by_a_thread" or threads[0] != threads[1])


for mode, expected in FAULTS.items():
    if is_all or mode in SOME:
        examine(mode, expected, 64, signal.SIGSEGV)
for mode, expected in ABORTS.items():
    if is_all or mode in SOME:
        examine(mode, expected, 64, signal.SIGABRT)
if is_all:
    examine("overflow_by_one", ("overflow, found by free: write at", 0, "behind the end of",
                                False), 21, signal.SIGABRT)
for size in (16, 1024, 3584, 4096) if is_all else ():
    examine("use_after_free_write", FAULTS["use_after_free_write"], size, signal.SIGSEGV)
    examine("overflow_write", FAULTS["overflow_write"], size, signal.SIGSEGV)
for mode in FINE if is_all else ["quarantine"]:
    done = run(mode)
    check(done, mode, "is no mistake", done.returncode == 0 and "continued" in done.stdout
          and done.stderr == "")
for mode, expected in ABORTS.items() if is_all else ():  # ignored, and nothing is damaged by that
    done = run(mode, ABORT="0")
    check(done, mode, "is ignored", done.returncode == 0 and done.stderr == "")
done = run("handler_set_later")
check(done, "handler_set_later", "the program's handler gets all three",
      done.returncode == 0 and done.stdout.count("handler\n") == 3)
check(done, "handler_set_later", "ours comes first", "use after free" in done.stderr)
done = run("handler_that_hands_on")
check(done, "handler_that_hands_on", "is called once", done.stdout.count("reporter\n") == 1)
for mode in ("signal_sent", "null_pointer"):
    done = run(mode)
    check(done, mode, "dies as without us, and silently",
          done.returncode == -signal.SIGSEGV and done.stderr == "")
done = run("null_pointer", GUARD="12x")
check(done, "GUARD=12x", "is refused", "MPALLOC_GUARD=12x: takes" in done.stderr)
print(f"guard: {claims} claims, {len(problems) or 'no'} problems")
print("\n".join(problems))
sys.exit(1 if problems else 0)
