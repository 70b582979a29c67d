"""
check_headers - every header compiles alone, as the first thing of a file

Usage: check_headers.py BUILD (the build folder, which has config.h). With each compiler
found: all headers as C17; the public ones also as C23, C++17 and C++20, pedantic.
"""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1])
WARNINGS = ["-Wall", "-Wextra", "-Wundef", "-Werror"]
PUBLIC = sorted((ROOT / "include").rglob("*.h"))
INTERNAL = [path for folder in ("alloc", "stats", "tools", "tools/demo", "tools/push", "tools/serve", "bench", "tests/stats", "tests/api", "tests/faults") for path in sorted((ROOT / folder).glob("*.h"))]


def jobs():
    """(compiler, language, standard, flags, header)"""
    for c, cxx in (("gcc", "g++"), ("clang", "clang++")):
        if shutil.which(c):
            for path in INTERNAL:
                own = ["-D_GNU_SOURCE", f"-I{ROOT}", f"-iquote{path.parent}"]
                yield c, "c", "gnu17", own, path
            for path in PUBLIC:
                for standard in ("c17", "c2x"):
                    yield c, "c", standard, ["-pedantic"], path
        if shutil.which(cxx):
            for path in [*PUBLIC, *sorted((ROOT / "include").rglob("*.hpp"))]:
                for standard in ("c++17", "c++20"):
                    yield cxx, "c++", standard, ["-pedantic"], path


failures = count = 0
for compiler, language, standard, flags, path in jobs():
    count += 1
    done = subprocess.run(
        [compiler, f"-x{language}", f"-std={standard}", *WARNINGS, *flags,
         f"-I{ROOT / 'include'}", f"-I{BUILD}", "-fsyntax-only", "-"],
        input=f'#include "{path}"\nstatic const int used __attribute__((unused)) = 0;\n',
        capture_output=True, text=True)
    if done.returncode != 0:
        failures += 1
        print(f"{path.relative_to(ROOT)} as {standard} by {compiler}:\n{done.stderr}")
print(f"check_headers: {count} compilations, {failures or 'no'} failures")
sys.exit(bool(failures))
