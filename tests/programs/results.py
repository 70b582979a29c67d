"""
results - RESULTS.md from the logs of meson: which programs ran, and how they compared

Usage: results.py BUILD OUTPUT. Reads every *.json in BUILD/meson-logs; of a test that is in several,
the newest. `ninja -C BUILD results` runs it.
"""
import json
import pathlib
import re
import sys


def newest(folder):
    tests = {}
    for log in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
        for line in log.read_text(errors="replace").splitlines():
            test = json.loads(line)
            suite, _, name = test["name"].partition(" / ")
            if (re.search(r"\b(programs|slow|long)\b", suite) and test["result"] != "INTERRUPT"
                    and ": version " in test.get("stdout", "")):
                tests[name.strip()] = test
    return tests


def row(name, test):
    text = test.get("stdout", "")

    def find(pattern, otherwise=""):
        found = re.search(pattern, text)
        return found.group(1) if found else otherwise

    compared = list(dict.fromkeys(re.findall(r": ok   same ([^:\n]+)", text)))
    compared += [f"{count} tests of the program's own" for count in
                 re.findall(r"ok   tests pass: (\d+)", text)]
    compared += [f"modules of CPython's tests: {count}" for count in
                 re.findall(r"ok   modules pass: (\d+ of \d+)", text)]
    times = re.findall(r"plain ([\d.]+) s, preloaded ([\d.]+) s", text)
    sums = [f"{sum(float(pair[i]) for pair in times):.1f}" if times else "" for i in (0, 1)]
    if name.startswith("suite-") and sums[0] == "0.0":
        sums[0] = ""  # everything passed, so it did not run
    result = {"OK": "same", "SKIP": "skipped"}.get(test["result"], test["result"].lower())
    if test["result"] == "SKIP":
        compared = [find(r"skipped, (.*)")]
    if name.startswith("suite-") or name.startswith("python"):
        result = result.replace("same", "passed")
    version = find(r": version (.*)").replace("|", "/")[:60]
    shown = "; ".join(compared[:6]) + (f"; {len(compared) - 6} more" if len(compared) > 6 else "")
    return f"| {name} | {version} | {shown.replace('|', '/')} | {result} | {sums[0]} | {sums[1]} |"


build, output = map(pathlib.Path, sys.argv[1:])
tests = newest(build / "meson-logs")
fast = {n: t for n, t in tests.items() if not re.search(r"^suite-|-big$|^python-", n)}
slow = {n: t for n, t in tests.items() if n not in fast}
if not tests:
    sys.exit("no logs of the suite `programs`: run meson test --suite programs first")
head = ("| program | version | compared | result | s without | s with |\n"
        "| --- | --- | --- | --- | --: | --: |\n")
parts = ["# Real programs: results\n\n"
    "Made by `ninja -C BUILD results` from the logs of `meson test --suite programs` and\n"
    "`--suite long`; not written by hand. Each program ran without the library and with it\n"
    "preloaded; seconds are of one run on a busy machine and no measure of speed.\n"]
for title, part in (("Fast", fast), ("Slow: more to do, and the test suites of others", slow)):
    if part:
        count = sum(test["result"] == "OK" for test in part.values())
        parts.append(f"\n## {title}: {count} of {len(part)}\n\n" + head
            + "\n".join(row(name, part[name]) for name in sorted(part)) + "\n")
output.write_text("".join(parts))
print(f"{output}: {len(fast)} fast, {len(slow)} slow")
