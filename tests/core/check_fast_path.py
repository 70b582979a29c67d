"""The fast paths of malloc and free are as short as promised.

Follows each from its entry to its return along the branches that are not taken, in the
disassembly of the built library, and counts. Fails when one grows past its limit, calls
anything, or takes a lock prefix.

    check_fast_path.py LIBRARY OBJDUMP
"""

import re
import subprocess
import sys

LIMITS = {"malloc": 14, "free": 18}
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")


def listing(library, objdump, name):
    # By address: aliases such as __libc_malloc share it.
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                             capture_output=True, text=True).stdout
    address = next(int(line.split()[0], 16) for line in symbols.splitlines()
                   if line.split()[-1] == name)
    text = subprocess.run(
        [objdump, "-d", "--no-show-raw-insn", f"--start-address={address}",
         f"--stop-address={address + 256}", library],
        check=True, capture_output=True, text=True).stdout
    return [m.groups() for m in map(LINE.match, text.splitlines()) if m]


def fast_path(instructions):
    path = []
    for _, op, arguments in instructions:
        if op in ("nop", "endbr64"):
            continue
        path.append(f"{op} {arguments}".strip())
        if op.startswith("ret"):
            return path
        if op.startswith(("jmp", "call", "lock")):
            raise SystemExit(f"the fast path has {path[-1]!r}:\n  " + "\n  ".join(path))
    raise SystemExit("no return found:\n  " + "\n  ".join(path))


def main():
    library, objdump = sys.argv[1:]
    failed = False
    for name, limit in LIMITS.items():
        path = fast_path(listing(library, objdump, name))
        verdict = "ok" if len(path) <= limit else "TOO LONG"
        print(f"{name}: {len(path)} instructions, limit {limit}: {verdict}")
        for line in path:
            print(f"    {line}")
        failed |= len(path) > limit
    sys.exit(failed)


if __name__ == "__main__":
    main()
