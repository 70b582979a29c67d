"""trace - below a fatal message is the stack, in a form that addr2line resolves

    trace.py PROGRAM [LIBRARY-TO-PRELOAD]
"""
import os
import re
import signal
import subprocess
import sys

program = os.path.abspath(sys.argv[1])
preload = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
problems = []
claims = 0

MESSAGE = re.compile(r"^mpalloc: invalid free of 0x[0-9a-f]+ \(not a block of mpalloc\)$", re.M)
FRAME = re.compile(r"^    #(\d+) (\S+)\+0x([0-9a-f]+)$", re.M)


def run(mode):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MPALLOC_")}
    env["MPALLOC_REGION"] = "off"
    if preload:
        env["LD_PRELOAD"] = preload
    return subprocess.run([program, mode], env=env, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)


def resolve(frames):
    names = []
    for _, path, offset in frames:
        done = subprocess.run(["addr2line", "-f", "-e", path, "0x" + offset], text=True,
                              stdout=subprocess.PIPE, check=True)
        names.append(done.stdout.splitlines()[0])
    return names


def check(done, mode, what, good):
    global claims
    claims += 1
    if not good:
        problems.append(f"{mode}: {what}: code {done.returncode}, stderr:\n{done.stderr}")


def in_order(names, wanted):
    """The wanted ones follow each other directly."""
    n = len(wanted)
    return any(names[i:i + n] == wanted for i in range(len(names) - n + 1))


for mode, wanted in [("main", ["culprit", "outer", "main"]),
                     ("small_thread", ["culprit", "outer", "small_thread"]),
                     ("handler", ["culprit", "outer", "on_signal"])]:
    done = run(mode)
    frames = FRAME.findall(done.stderr)
    check(done, mode, "aborts", done.returncode == -signal.SIGABRT)
    check(done, mode, "one message", len(MESSAGE.findall(done.stderr)) == 1)
    check(done, mode, "the message comes first", MESSAGE.match(done.stderr))
    check(done, mode, "frames are numbered", [int(f[0]) for f in frames] == list(range(len(frames))))
    check(done, mode, "nothing else", len(done.stderr.splitlines()) == len(frames) + 1)
    names = resolve(frames)
    check(done, mode, f"{wanted} in {names}", in_order(names, wanted))
    check(done, mode, f"main in {names}", mode == "small_thread" or "main" in names)
for attempt in range(15):
    done = run("at_once")
    check(done, "at_once", "aborts", done.returncode == -signal.SIGABRT)
    check(done, "at_once", "one message", len(MESSAGE.findall(done.stderr)) == 1)
    frames = FRAME.findall(done.stderr)
    check(done, "at_once", "one stack", len([f for f in frames if f[0] == "0"]) == 1)
done = run("twice")
check(done, "twice", "aborts", done.returncode == -signal.SIGABRT)
check(done, "twice", "two messages", len(MESSAGE.findall(done.stderr)) == 2)
check(done, "twice", "one stack", len(re.findall("#0 ", done.stderr)) == 1)
print(f"trace: {claims} claims, {len(problems) or 'no'} problems")
print("\n".join(problems))
sys.exit(1 if problems else 0)
