"""abuse - every misuse ends with the right message, or is ignored and counted

    abuse.py PROGRAM [LIBRARY-TO-PRELOAD]

By default the program must be aborted and stderr hold one line:
    mpalloc: invalid free of 0x7f... (why)
with the address that was misused. With MPALLOC_ABORT=0 it must go on to a clean end, say
nothing, and have counted one invalid free; with MPALLOC_LOG=debug too, say what it ignored.
"""
import os
import re
import signal
import subprocess
import sys

FREE, TWICE, REALLOC = "invalid free", "double free", "invalid realloc"
ANY = f"{FREE}|{TWICE}|{REALLOC}"

# mode, what the message says, a part of its reason
DETECTED = [
    ("large_interior", FREE, ""),
    ("large_unaligned", FREE, "inside a large block"),
    ("large_second_line", FREE, "inside a large block"),
    ("huge_interior", FREE, "not a block of mpalloc"),
    ("stack_address", FREE, "not a block of mpalloc"),
    ("data_address", FREE, "not a block of mpalloc"),
    ("tiny_address", FREE, "not a block of mpalloc"),
    ("noncanonical_address", FREE, "not a block of mpalloc"),
    ("mapped_address", FREE, "not a block of mpalloc"),
    ("large_twice", TWICE, ""),
    ("large_twice_in_merged_run", ANY, ""),
    ("large_twice_after_trim", TWICE, ""),
    ("large_twice_inside_next", ANY, ""),
    ("large_twice_in_thread", TWICE, ""),
    ("huge_twice", TWICE, "huge block"),
    ("huge_twice_after_move", TWICE, "huge block"),
    ("small_twice", TWICE, "class 112"),
    ("small_twice_after_its_span_is_free", ANY, ""),
    ("small_interior_in_thread", FREE, "class 64"),
    ("small_unaligned_in_thread", FREE, "class 64"),
    ("realloc_freed_large", ANY, ""),
    ("realloc_freed_huge", ANY, ""),
    ("realloc_interior", ANY, ""),
    ("realloc_stack_address", ANY, "not a block of mpalloc"),
    ("realloc_zero_stack_address", FREE, "not a block of mpalloc"),
]
# No way to go on: the slab's lists are damaged by then.
FATAL = [("small_many_times_in_thread", TWICE, "class 64")]
# alloc/README.md, Known limits: found late, or not before the end.
MAY_PASS = ["small_twice_with_another_between"]
INNOCENT = ["usable_size_of_wild_pointers"]

program = os.path.abspath(sys.argv[1])
preload = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
wrapper = os.environ.get("MESON_EXE_WRAPPER", "").split() # of a machine that is not ours
problems = []
claims = 0


def without_stack(done):
    """Below a fatal message are the frames; what they say is tests/api/trace.py's to check."""
    done.stderr = re.sub(r"^    (#\d+ .+|and more)\n", "", done.stderr, flags=re.M)
    return done


def run(mode, **options):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MPALLOC_")}
    env["MPALLOC_REGION"] = "off"  # the aborted would leave theirs behind
    env["MPALLOC_HARDEN"] = "0"  # what the default mode says, in a hardened build, too
    env.update({"MPALLOC_" + k: v for k, v in options.items()})
    if preload:
        env["LD_PRELOAD"] = preload
    return without_stack(subprocess.run([*wrapper, program, mode], env=env, text=True, timeout=20,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: os.chdir("/tmp")))


def check(done, mode, what, good):
    global claims
    claims += 1
    if not good:
        problems.append(f"{mode}: {what}: code {done.returncode}, stdout {done.stdout!r}, "
                        f"stderr {done.stderr!r}")


def message(done, kinds, reason, tail=""):
    """Whether stderr is the one line it should be, with the address that was used."""
    address = re.match(r"address (0x[0-9a-f]+)\n", done.stdout)
    line = re.fullmatch(rf"mpalloc: ({kinds}) of (0x[0-9a-f]+) \((.+)\){tail}\n",
        done.stderr)
    return bool(address and line and line[2] == address[1] and reason in line[3])


def is_continued(done, count):
    return done.returncode == 0 and re.search(rf"^continued ({count}|-)$", done.stdout, re.M)


for mode, kinds, reason in DETECTED + FATAL:
    done = run(mode)
    check(done, mode, "aborts", done.returncode == -signal.SIGABRT
        and "continued" not in done.stdout)
    check(done, mode, "says why", message(done, kinds, reason))
for mode, kinds, reason in DETECTED:
    done = run(mode, ABORT="0")
    check(done, mode, "is ignored, counted once", is_continued(done, 1))
    check(done, mode, "is quiet", done.stderr == "")
for mode, kinds, reason in DETECTED[::6]:
    done = run(mode, ABORT="0", LOG="debug")
    check(done, mode, "goes on", is_continued(done, 1))
    ignored = "".join(line for line in done.stderr.splitlines(True) if "ignored" in line)
    done.stderr = ignored
    check(done, mode, "says what it ignores", message(done, kinds, reason, "; ignored"))
for mode in MAY_PASS:
    done = run(mode)
    check(done, mode, "passes or is found", is_continued(done, 0)
        or done.returncode == -signal.SIGABRT and done.stderr.startswith("mpalloc: "))
for mode in INNOCENT:
    for abort in "01":
        done = run(mode, ABORT=abort)
        check(done, mode, "is no misuse", is_continued(done, 0) and done.stderr == "")
print(f"abuse: {claims} claims, {len(problems) or 'no'} problems")
print("\n".join(problems))
sys.exit(1 if problems else 0)
