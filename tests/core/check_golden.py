"""The fast paths of malloc and free are, instruction by instruction, those on record.

The paths are followed as check_fast_path.py does, addresses are replaced by the names they
stand for, and registers are numbered in the order in which they appear (so that another
choice of registers is no difference). Records: golden/COMPILER.txt, whose first line names
the compiler; another version of it may differ, and is only told so.

    check_golden.py LIBRARY OBJDUMP COMPILER VERSION [--update]
"""

import difflib
import pathlib
import re
import sys

import check_fast_path

FAMILIES = [{"r" + n + "x", "e" + n + "x", n + "x", n + "l"} for n in "abcd"]
FAMILIES += [{"r" + n, "e" + n, n, n + "l"} for n in ("si", "di", "bp", "sp")]
FAMILIES += [{f"r{n}", f"r{n}d", f"r{n}w", f"r{n}b"} for n in range(8, 16)]


def family_of(register):
    return next((i for i, family in enumerate(FAMILIES) if register in family), register)


def width_of(register):
    """8, 4, 2 or 1 bytes: a change of that is a difference."""
    if register.startswith("r"):
        return {"d": 4, "w": 2, "b": 1}.get(register[-1], 8) if register[1].isdigit() else 8
    return 4 if register.startswith("e") else 1 if register.endswith("l") else 2


def normalized(path):
    """The instructions with names for addresses and numbers for registers."""
    seen = {}

    def number(match):
        register = match[1]
        if register in ("fs", "rip"):
            return "%" + register
        index = seen.setdefault(family_of(register), len(seen))
        return f"%{index}:{width_of(register)}"

    lines = []
    for line in path:
        name = re.search(r"#.*<([^>+@]+)", line)
        line = line.split("#")[0].strip()
        if name:
            line = re.sub(r"-?0x[0-9a-f]+\(%rip\)", f"{name[1]}(%rip)", line)
        line = re.sub(r"^(j\w+) .*", r"\1 <slow>", line)
        lines.append(re.sub(r"%(\w+)", number, line))
    return lines


def main():
    library, objdump, compiler, version = sys.argv[1:5]
    record = pathlib.Path(__file__).parent / "golden" / f"{compiler}.txt"
    head = f"{compiler} {version.split('.')[0]}"
    lines = [head]
    for name in check_fast_path.LIMITS:
        path = check_fast_path.fast_path(check_fast_path.listing(library, objdump, name))
        lines += ["", f"{name}: {len(path)} instructions"]
        lines += ["    " + line for line in normalized(path)]
    if sys.argv[5:] == ["--update"]:
        record.parent.mkdir(exist_ok=True)
        record.write_text("\n".join(lines) + "\n")
        print(f"wrote {record}")
        return 0
    if not record.exists():
        print(f"no record for {compiler}")
        return 77
    known = record.read_text().splitlines()
    if known == lines:
        print(f"as on record for {head}")
        return 0
    print("\n".join(difflib.unified_diff(known, lines, "on record", "built", lineterm="")))
    print(f"\nIf this is meant: {' '.join(sys.argv[:5])} --update")
    return 77 if known[0] != head else 1


if __name__ == "__main__":
    sys.exit(main())
