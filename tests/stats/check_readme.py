"""
check_readme - stats/README.md says of every field where it is; so does the compiler

Usage: check_readme.py COMPILER...            compare, exit 1 on a difference
       check_readme.py --print COMPILER...    the tables, as they should begin

A table belongs to the struct named in the heading above it ("### struct mp_region_x").
Its rows are | offset | bytes | field | unit | meaning |; the last two are for people, and
must not be empty.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HEADER = ROOT / "include" / "mpalloc" / "region.h"
README = ROOT / "stats" / "README.md"

STRUCT = re.compile(r"^struct (mp_region_\w+) \{(.*?)^\};", re.M | re.S)
FIELD = re.compile(r"(\w+)\s*((?:\[[^\]]+\])*)\s*;", re.S)
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def structs():
    text = COMMENT.sub("", HEADER.read_text())
    return {name: [match.group(1) for match in FIELD.finditer(body)]
            for name, body in STRUCT.findall(text)}


def measure(compiler):
    """{struct: (size, [(offset, bytes, field)])}, by a program built for it."""
    lines = ["#include <mpalloc/region.h>", "#include <stddef.h>", "#include <stdio.h>",
             "int main(void) {"]
    for name, fields in structs().items():
        lines.append(f'printf("{name} - %zu 0\\n", sizeof(struct {name}));')
        for field in fields:
            lines.append(f'printf("{name} {field} %zu %zu\\n", offsetof(struct {name}, '
                         f"{field}), sizeof(((struct {name} *)0)->{field}));")
    lines.append("return 0; }")
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "sizes.c")
        source.write_text("\n".join(lines))
        program = pathlib.Path(folder, "sizes")
        subprocess.run([*compiler, "-I", ROOT / "include", source, "-o", program], check=True)
        said = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True)
    sizes = {}
    for line in said.stdout.splitlines():
        name, field, offset, size = line.split()
        if field == "-":
            sizes[name] = (int(offset), [])
        else:
            sizes[name][1].append((int(offset), int(size), field))
    return sizes


def read_tables():
    """{struct: (size, [(offset, bytes, field, unit, meaning)])} of the README."""
    tables = {}
    name = None
    for line in README.read_text().splitlines():
        heading = re.match(r"^#+ .*?`struct (mp_region_\w+)`, ([\d,]+) bytes", line)
        if heading:
            name = heading.group(1)
            tables[name] = (int(heading.group(2).replace(",", "")), [])
        elif line.startswith("#"):
            name = None
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if name and line.startswith("|") and cells[0].isdigit():
            tables[name][1].append((int(cells[0]), int(cells[1]), cells[2].strip("`"),
                                    *cells[3:]))
    return tables


def compare_sections(sizes):
    """The table of sections: ids of the header, strides of the structs, one after another."""
    ids = {name: int(number) for name, number in
           re.findall(r"MP_SECTION_(\w+) = (\d+)", HEADER.read_text())}
    problems = []
    at = 4096
    for line in README.read_text().splitlines():
        row = re.match(r"\| (\d+) \| (\w+)[ *]* \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|"
                       r".*\| `(mp_region_\w+)`", line)
        if not row:
            continue
        offset, stride, room = (int(row[i].replace(",", "")) for i in (3, 4, 5))
        right = (ids.pop(row[2], None), at, sizes[row[6]][0])
        if right != (int(row[1]), offset, stride):
            problems.append(f"section {row[2]}: id, offset, stride should be {right}")
        at += (stride * room + 4095) // 4096 * 4096
    return problems + [f"section {name} is not in the table" for name in ids]


def compare(sizes, tables):
    problems = [f"no table of struct {name}" for name in sizes if name not in tables]
    problems += [f"a table of struct {name}, which is not" for name in tables
                 if name not in sizes]
    for name in set(sizes) & set(tables):
        if sizes[name][0] != tables[name][0]:
            problems.append(f"struct {name} has {sizes[name][0]} bytes, not {tables[name][0]}")
        for right, row in zip(sizes[name][1], tables[name][1]):
            if right != row[:3]:
                problems.append(f"struct {name}: {row[:3]} should be {right}")
            elif len(row) != 5 or "" in row:
                problems.append(f"struct {name}, {row[2]}: has no unit or no meaning")
        if len(sizes[name][1]) != len(tables[name][1]):
            problems.append(f"struct {name} has {len(sizes[name][1])} fields, the table "
                            f"{len(tables[name][1])}")
    return problems


def main():
    arguments = sys.argv[1:]
    wants_print = arguments[:1] == ["--print"]
    sizes = measure(arguments[1:] if wants_print else arguments)
    if wants_print:
        for name, (size, fields) in sizes.items():
            print(f"\n### `struct {name}`, {size:,} bytes\n")
            for offset, bytes_, field in fields:
                print(f"| {offset} | {bytes_} | `{field}` |  |  |")
        return 0
    problems = compare(sizes, read_tables()) + compare_sections(sizes)
    for line in problems:
        print(f"stats/README.md: {line}")
    fields = sum(len(table[1]) for table in sizes.values())
    print(f"check_readme: {len(sizes)} structs, {fields} fields, {len(problems) or 'no'} "
          "problems")
    return bool(problems)


sys.exit(main())
