"""check_format - all C and C++ files are formatted as .clang-format says"""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("alloc", "stats", "include", "bench", "tests", "tools")
NAMES = {".c", ".h", ".cpp", ".hpp"}

if shutil.which("clang-format") is None:
    print("check_format: skipped, clang-format is not installed")
    sys.exit(77)
files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))
         if path.suffix in NAMES and path.is_file()]
done = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], stderr=subprocess.PIPE,
    text=True)
bad = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "error:" in line})
for name in bad:
    print(f"{pathlib.Path(name).relative_to(ROOT)}: not formatted; run clang-format -i on it")
print(f"check_format: {len(files)} files, {len(bad) or 'no'} problems")
sys.exit(done.returncode)
