"""after_reset - who looks for mistakes finds those with arenas

Usage: after_reset.py PROGRAM [PROGRAM_WITH_ADDRESS_SANITIZER]
"""
import os
import shutil
import subprocess
import sys

program, *with_asan = sys.argv[1:]


def run(*words, **env):
    done = subprocess.run(words, env={**os.environ, **env}, capture_output=True, text=True,
                          timeout=100)
    return done.returncode, done.stdout.strip(), done.stderr


def expect(what, condition, seen):
    if not condition:
        sys.exit(f"after_reset: {what}: {seen}")
    print(f"ok {what}")


plain = run(program, "write", MPALLOC_HARDEN="0")
if os.environ.get("LOOKS") == "1":
    expect("a build with checks looks", plain[0] == -6 and "use after free" in plain[2], plain)
else:
    expect("nobody looks: it goes unnoticed", plain[0] == 0 and plain[2] == "", plain)
read = run(program, "read", MPALLOC_HARDEN="1")
expect("hardened: what ended is filled", read[:2] == (0, "a5"), read)
write = run(program, "write", MPALLOC_HARDEN="1")
expect("hardened: writing is found", write[0] == -6 and "mpalloc: use after free of 0x"
       in write[2] and "an arena's memory" in write[2], write)
if shutil.which("valgrind"):
    found = run("valgrind", "--error-exitcode=9", program, "read", MPALLOC_HARDEN="0")
    expect("valgrind: reading is found", found[0] == 9 and "Invalid read of size 1" in found[2]
           and "ERROR SUMMARY: 1 errors" in found[2], found)
for path in with_asan:
    found = run(path, "read", MPALLOC_HARDEN="0")
    expect("AddressSanitizer: reading is found", found[0] != 0
           and "use-after-poison" in found[2], found)
