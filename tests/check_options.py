"""check_options - the table of options in alloc/README.md says what include/mpalloc/options.def says"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPTION = re.compile(
    r'OPTION\(\s*\w+,\s*"(\w+)",\s*(\w+),\s*"([^"]*)",\s*"([^"]*)",\s*((?:"[^"]*"\s*)+)\)')
ROW = re.compile(r"^\| `MPALLOC_(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", re.M)


def from_table(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for name, _, default, values, help_text in OPTION.findall(text):
        joined = "".join(re.findall(r'"([^"]*)"', help_text))
        yield name, (f"`{default}`" if default else "empty", values, joined)


table = dict(from_table((ROOT / "include/mpalloc/options.def").read_text()))
readme = {row[0]: row[1:] for row in ROW.findall((ROOT / "alloc/README.md").read_text())}
problems = []
for name in sorted(table.keys() | readme.keys()):
    if table.get(name) != readme.get(name):
        row = table.get(name)
        shown = f"| `MPALLOC_{name}` | " + " | ".join(row) + " |" if row else "no such option"
        problems.append(f"alloc/README.md about MPALLOC_{name} should say: {shown}")
for line in problems:
    print(line)
print(f"check_options: {len(table)} options, {len(problems) or 'no'} problems")
sys.exit(bool(problems) or not table)
