"""
test_exit - MPALLOC_LEAK_CHECK: what is said at the end, suppressions, what is refused

Usage: test_exit.py PROGRAM libmpalloc.so [libmpalloc_faults.so]

PROGRAM is reach.c without mpalloc, with -rdynamic.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

program, library = sys.argv[1:3]
faults = sys.argv[3] if len(sys.argv) > 3 else None
failed = []
folder = pathlib.Path(tempfile.mkdtemp())


def run(name, lib=library, **options):
    env = {**os.environ, "LD_PRELOAD": lib, "MPALLOC_LEAK_CHECK": "1", "MPALLOC_SAMPLE": "exact"}
    env.update({(key if key == "MPALLOC_FAULT" else "MPALLOC_" + key): value
                for key, value in options.items()})
    return subprocess.run([program, name], env=env, capture_output=True, text=True, timeout=60)


def expect(what, done, code, *texts):
    missing = [text for text in texts if text not in done.stderr]
    if done.returncode != code or missing:
        failed.append(what)
        print(f"{what}: exit code {done.returncode}, not {code}; missing: {missing}\n{done.stderr}")


def rules(text):
    path = folder / f"rules{len(list(folder.iterdir()))}"
    path.write_text(text)
    return str(path)


expect("a leak", run("lost_list"), 23, "definitely lost: 1 blocks of 128 bytes",
       "they lead to 9 blocks", "(main)", "indirectly 1152 in 9")
expect("no leak", run("list_in_static"), 0, "definitely lost 0 bytes in 0 blocks")
expect("possible ones are none", run("interior"), 0, "possibly 128 in 1")
expect("another code", run("lost_list", LEAK_EXIT="7"), 7)
expect("no code", run("lost_list", LEAK_EXIT="0"), 0, "definitely lost: 1 blocks")
expect("a code that is none", run("list_in_static", LEAK_EXIT="256"), 0, "MPALLOC_LEAK_EXIT=256: takes")
for what, options, code in (("quiet", {}, 23), ("quiet, no code", {"LEAK_EXIT": "0"}, 0),
                            ("quiet, suppressed", {"LEAK_SUPPRESSIONS": rules("leak:main\n")}, 0),
                            ("quiet, not suppressed", {"LEAK_SUPPRESSIONS": rules("leak:nothing\n")}, 23)):
    said = run("lost_list", LEAK_CHECK="quiet", **options)
    expect(what, said, code)
    if said.stderr:
        failed.append(f"{what}: {said.stderr}")
expect("quiet, refused", run("lost_list", LEAK_CHECK="quite"), 0, "MPALLOC_LEAK_CHECK=quite: takes")
expect("sampled", run("lost_list", SAMPLE="512k"), 23, "not all lost blocks are sampled")
expect("hardened", run("lost_list", HARDEN="1"), 23, "definitely lost 128 bytes in 1 blocks")
expect("no region", run("lost_list", REGION="off"), 23, "definitely lost 128 bytes in 1 blocks")

for what, text, code in (
        ("leak: a function", "leak:main\n", 0),
        ("leak: from the start", "# main\n\nleak:^ma*n$\n", 0),
        ("leak: a module", f"leak:{pathlib.Path(program).name}\n", 0),
        ("leak: another", "leak:^ain$\nleak:nothing\n", 23),
        ("valgrind's", "{\n a\n Memcheck:Leak\n fun:calloc\n obj:*\n ...\n fun:main\n ...\n}\n", 0),
        ("valgrind's, of this kind", "{\n a\n Memcheck:Leak\n match-leak-kinds: definite\n ...\n"
                                     " fun:mai?\n ...\n}\n", 0),
        ("valgrind's, of another kind", "{\n a\n Memcheck:Leak\n match-leak-kinds: reachable\n"
                                        " ...\n fun:main\n ...\n}\n", 23),
        ("valgrind's, of another tool", "{\n a\n Memcheck:Cond\n ...\n}\n", 23),
        ("valgrind's, not to the end", "{\n a\n Memcheck:Leak\n fun:main\n}\n", 23)):
    done = run("lost_list", LEAK_SUPPRESSIONS=rules(text))
    expect(what, done, code, *(["suppressed: 1 stacks"] if code == 0 else []))

for what, text, says in (
        ("a line", "leak:a\nlek:b\n", "line 2: expected leak:PATTERN"),
        ("an empty pattern", "leak:\n", "line 1: expected leak:PATTERN"),
        ("no kind", "{\n a\n}\n", "line 3: expected a tool and a kind"),
        ("no name", "{\n}\n", "line 2: expected the name"),
        ("no frame", "{\n a\n Memcheck:Leak\n func:x\n}\n", "line 4: expected fun:"),
        ("no end", "{\n a\n Memcheck:Leak\n fun:x\n", "line 4: expected \"}\"")):
    done = run("lost_list", LEAK_SUPPRESSIONS=rules(text))
    expect("malformed: " + what, done, 23, says)
    said = [line for line in done.stderr.splitlines() if "SUPPRESSIONS" in line]
    if len(said) != 1:
        failed.append(f"malformed: {what}: {len(said)} lines")
expect("no file", run("lost_list", LEAK_SUPPRESSIONS="/nonexistent"), 23, "cannot be read (errno 2)")

if faults:
    expect("fork refused", run("lost_list", lib=faults, MPALLOC_FAULT="clone:1+"), 0,
           "could not be made: no process could be made (errno 11)")
    for n in range(1, 13):
        for entry in ("open", "read"):
            done = run("lost_list", lib=faults, MPALLOC_FAULT=f"{entry}:{n}")
            if done.returncode not in (0, 23):
                failed.append(f"{entry}:{n}: exit code {done.returncode}")
print(f"test_exit: {len(failed)} failed {failed}")
sys.exit(bool(failed))
