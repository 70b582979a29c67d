"""
localize - a static library whose hidden names are local

Usage: localize.py OUTPUT ARCHIVE... -- OBJCOPY AR COMPILER...

All objects of the archives become one, in which what is not public has no name for a linker. A
program may then have functions of the same names.
"""
import os
import pathlib
import subprocess
import sys

end = sys.argv.index("--")
output, archives = sys.argv[1], sys.argv[2:end]
objcopy, ar, *compiler = sys.argv[end + 1:]
whole = output + ".o"
pathlib.Path(output).unlink(missing_ok=True)
subprocess.run([*compiler, "-r", "-nostdlib", "-o", whole, "-Wl,--whole-archive", *archives,
                "-Wl,--no-whole-archive"], check=True)
subprocess.run([objcopy, "--localize-hidden", whole], check=True)
subprocess.run([ar, "rcsD", output, whole], check=True)
os.unlink(whole)
