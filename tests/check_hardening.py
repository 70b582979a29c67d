"""
check_hardening - what the built library lets an attacker, and the kernel, do

Usage: check_hardening.py libmpalloc.so libmpalloc.a [--landing-pads]

Of the library: no executable stack, no segment that is writable and executable, all
relocations read-only after start, none in the code, no search path; on x86-64 it says that
it works with shadow stacks. Of each object in the archive with code: the same. With
--landing-pads every exported function, too, begins with endbr64 (bti c on aarch64): a build
with -fcf-protection=full (-mbranch-protection=standard).
"""
import re
import subprocess
import sys

PAGE_MAX = 64 << 10  # of any aarch64 kernel; segments must not share one
LANDING = {"X86-64": ("endbr64",), "AArch64": ("bti", "paciasp")}
problems = []


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True,
                          env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout


def segments(library):
    """(type, flags, alignment) of each program header."""
    for line in output("readelf", "-lW", library).splitlines():
        m = re.match(r"\s+([A-Z_]+)\s+(?:0x[0-9a-f]+\s+){5}([RWE ]{3})\s+(0x[0-9a-f]+)", line)
        if m:
            yield m[1], m[2], int(m[3], 16)


def check_segments(library, machine):
    found = list(segments(library))
    stack = [flags for kind, flags, _ in found if kind == "GNU_STACK"]
    if not found or not stack or any("E" in flags for flags in stack):
        problems.append(f"the stack is executable: {stack or 'no GNU_STACK'}")
    if not any(kind == "GNU_RELRO" for kind, _, _ in found):
        problems.append("nothing is read-only after relocation: no GNU_RELRO")
    for kind, flags, alignment in found:
        if "W" in flags and "E" in flags:
            problems.append(f"segment {kind} is writable and executable")
        if kind == "LOAD" and machine == "AArch64" and alignment < PAGE_MAX:
            problems.append(f"segment aligned to {alignment:#x}: kernels have larger pages")
    return len(found)


def check_dynamic(library):
    text = output("readelf", "-dW", library)
    tags = re.findall(r"\(([A-Z_0-9]+)\)", text)
    flags = " ".join(re.findall(r"\(FLAGS(?:_1)?\)\s+(.*)", text))
    for tag in "TEXTREL", "RPATH", "RUNPATH":
        if tag in tags or tag in flags:
            problems.append(f"the library has {tag}")
    if "BIND_NOW" not in flags and "NOW" not in flags:
        problems.append("functions are bound late, so that their table stays writable")


def check_notes(library, archive, machine):
    if machine != "X86-64":
        return
    if "SHSTK" not in output("readelf", "-nW", library):
        problems.append("the library does not say that it works with shadow stacks")
    # With clang's LTO there are no objects yet, but bitcode.
    objects = subprocess.run(["readelf", "-nW", archive], capture_output=True, text=True)
    for part in objects.stdout.split("\nFile: ")[1:]:
        if "SHSTK" not in part and objects.returncode == 0:
            problems.append(f"{part.splitlines()[0]} does not say that it works with "
                            "shadow stacks")


def check_landing_pads(library, machine, objdump):
    names = {}
    for line in output("nm", "-D", "--defined-only", library).splitlines():
        address, kind, name = line.split()[:3]
        if kind in "TtWi":
            names.setdefault(int(address, 16), name)
    code = dict(re.findall(r"^\s*([0-9a-f]+):\t(\S+)", output(objdump, "-d",
                "--no-show-raw-insn", library), re.M))
    for address, name in sorted(names.items()):
        first = code.get(f"{address:x}", "nothing")
        if first not in LANDING[machine]:
            problems.append(f"{name} begins with {first}, no landing pad")
    return len(names)


library, archive = sys.argv[1:3]
machine = next(name for name in LANDING if name in output("readelf", "-h", library))
count = check_segments(library, machine)
check_dynamic(library)
check_notes(library, archive, machine)
pads = 0
if "--landing-pads" in sys.argv:
    pads = check_landing_pads(library, machine,
        "objdump" if machine == "X86-64" else "aarch64-linux-gnu-objdump")
for line in problems:
    print(line)
print(f"check_hardening: {count} segments, {pads} landing pads, {len(problems) or 'no'} problems")
sys.exit(bool(problems))
