"""
check_libraries - what the libraries for readers export, hide and need

Usage: check_libraries.py SOURCE [NAME libNAME.so libNAME.a NEEDED... --]...

Of each library: the shared one exports what the headers declare for it, all of one symbol
version, and nothing else; the archive has no other name that a program could clash with; and it
needs no library but those named. Headers: include/mpstats.h and include/mpstats/, of which
export.h is libmpexport's.
"""
import pathlib
import re
import subprocess
import sys

DECLARED = re.compile(r"\bMPS_EXPORT\b[^;{]*?\b(mps?_[a-z0-9_]+)\s*\(", re.S)
COMMENT = re.compile(r"/\*.*?\*/", re.S)

problems = []


def read(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def headers_of(name):
    folder = pathlib.Path(sys.argv[1]) / "include"
    all_of = {"mpexport": [folder / "mpstats/export.h"],
              "mpstats": [folder / "mpstats.h", *sorted((folder / "mpstats").glob("*.h"))]}
    return [h for h in all_of[name] if name == "mpexport" or h.name != "export.h"]


def check(name, shared, archive, needed):
    declared = set()
    for header in headers_of(name):
        declared |= set(DECLARED.findall(COMMENT.sub(" ", header.read_text())))
    exported = {}
    for line in read("nm", "-D", "--defined-only", shared).splitlines():
        symbol, _, version = line.split()[-1].partition("@@")
        if line.split()[1] != "A":
            exported[symbol] = version
    for symbol in sorted(declared - set(exported)):
        problems.append(f"{shared} does not export {symbol}, which a header declares")
    for symbol, version in sorted(exported.items()):
        if symbol not in declared:
            problems.append(f"{shared} exports {symbol}, which no header declares")
        if version != f"{name.upper()}_0":
            problems.append(f"{shared}: {symbol} has the version '{version}'")
    seen = {line.split()[-1] for line in
            read("nm", "-g", "--defined-only", archive).splitlines() if len(line.split()) == 3}
    for symbol in sorted(seen ^ set(exported)):
        problems.append(f"{symbol} is public in only one of {shared} and {archive}")
    wants = set(re.findall(r"\(NEEDED\).*\[(.*?)\.so", read("readelf", "-d", shared)))
    for library in sorted(wants - set(needed) - {"libc", "libm", "ld-linux-x86-64"}):
        problems.append(f"{shared} needs {library}")
    print(f"{name}: {len(declared)} functions, needs {' '.join(sorted(wants))}")


words = sys.argv[2:]
while words:
    end = words.index("--")
    check(words[0], words[1], words[2], words[3:end])
    words = words[end + 1:]
for line in problems:
    print(line)
print(f"check_libraries: {len(problems) or 'no'} problems")
sys.exit(bool(problems))
