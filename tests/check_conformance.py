"""
check_conformance - CONFORMANCE.md has a row for every number, and its tests exist

Usage: check_conformance.py BUILD. What stands in backquotes in the second column is the name
of a test of the build, or of a case in a file below tests/.
"""
import json
import pathlib
import re
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent
BUILD = sys.argv[1]
NUMBERS = range(1, 136)
SOURCES = {".c", ".cpp", ".py"}

introspected = subprocess.run(["meson", "introspect", "--tests", BUILD], check=True,
    capture_output=True, text=True).stdout
known = {test["name"] for test in json.loads(introspected)}
for path in TESTS.rglob("*"):
    if path.suffix in SOURCES and path.name != pathlib.Path(__file__).name:
        known |= set(re.findall(r"\w+", path.read_text()))

problems = []
seen = []
named = 0
for line in (TESTS / "CONFORMANCE.md").read_text().splitlines():
    row = re.fullmatch(r"\| (\d+) \| (.*) \| (.*) \|", line)
    if not row:
        continue
    number, tests, text = int(row[1]), row[2], row[3]
    seen.append(number)
    names = re.findall(r"`([^`]+)`", tests)
    named += len(names)
    if not names and not text:
        problems.append(f"{number}: neither a test nor a reason")
    for name in names:
        if name not in known:
            problems.append(f"{number}: there is no test or case {name!r}")
if seen != list(NUMBERS):
    problems.append(f"numbers missing, twice or in disorder: "
                    f"{sorted(set(NUMBERS).symmetric_difference(seen)) or seen}")
for problem in problems:
    print(problem)
print(f"check_conformance: {len(seen)} rows name {named} tests, {len(problems) or 'no'} problems")
sys.exit(bool(problems))
