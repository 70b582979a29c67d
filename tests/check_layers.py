"""
check_layers - every file of alloc/ includes only rungs below its own

Also: what only os_linux.c may say, and who may include whom across folders.
Run from anywhere; the repository is the folder above this file.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# The ladder, lowest rung first. A module (x.h and x.c) includes lower rungs and itself.
LADDER = [
    "config attr cursor",
    "usdt",
    "arch unwind_x86_64 unwind_aarch64",
    "unwind_arch",
    "aside bits atomic cfi poisson",
    "check",
    "fault",
    "fault_calls",
    "os options probe cfi_expr",
    "clock segv unwind_table",
    "unwind_kept",
    "unwind_memory",
    "unwind",
    "trace",
    "lock sizeclass janitor",
    "region_facts",
    "arena canary pagemap region",
    "own_memory site_peak",
    "epochs names modules",
    "sites",
    "live stacks",
    "thp",
    "component span",
    "budget",
    "track",
    "slab guard huge pool",
    "large",
    "large_cache",
    "carve hole",
    "shelf",
    "heap",
    "heap_check heap_hard heap_remote misuse",
    "counters",
    "harden",
    "harden_large",
    "thread report",
    "telling",
    "pressure",
    "limit",
    "share",
    "malloc_hard sample_note",
    "exact",
    "sample sample_large",
    "malloc_large",
    "malloc",
    "mp_arena mp_counter mp_pool_parts",
    "mp_pool",
    "mp_pool_figures",
    "housekeeper locks leak_own leak_places leak_present leak_suppress",
    "leak_park",
    "leak_heap",
    "leak_walk",
    "leak_mark",
    "leak_roots",
    "leak_child",
    "leak_check",
    "leak_exit",
    "publish",
    "fork libc api cxx exit sandbox",
    "loader libc_info cxx_nocatch",
    "init",
]

# Words of the platform, and the only file of alloc/ that may say them.
PLATFORM = re.compile(
    r"\b(__linux__|(?:mmap|munmap|mremap|madvise|mprotect|syscall|getauxval)\s*\()")
PLATFORM_FILE = "os_linux.c"
PLATFORM_PARTS = (PLATFORM_FILE, "os_linux_files.c", "os_linux_process.c")
PLATFORM_FILES = (*PLATFORM_PARTS, "fault_calls.h")  # which stands before its calls

# Words of the processor, and who may say them: an unwinder is made of registers, a jump
# that leaves no frame of instructions, the code of a fault of bits.
PROCESSOR = re.compile(
    r"\b(__x86_64__|__i386__|__aarch64__|__asm__|__builtin_(?:ia32_\w+|thread_pointer))\b")
PROCESSOR_FILES = ("arch.h", "unwind*", "loader.c", "segv.c", "usdt.h")

# Which folders' headers a folder may include with quotes, besides its own and include/.
MAY_INCLUDE = {"alloc": set(), "stats": set(), "tools": {"stats"}}

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', re.S)

rung_of = {name: rung for rung, names in enumerate(LADDER) for name in names.split()}
problems = []


def problem(path, text):
    problems.append(f"{path.relative_to(ROOT)}: {text}")


def module_of(path):
    return "os" if path.name in PLATFORM_PARTS else path.stem


def check_ladder():
    count = 0
    for path in sorted((ROOT / "alloc").glob("*.[ch]")):
        text = path.read_text()
        module = module_of(path)
        if module not in rung_of:
            problem(path, f"module {module} stands on no rung of the ladder in {__file__}")
            continue
        for quoted, system in INCLUDE.findall(text):
            name = quoted or system
            other = pathlib.PurePath(name).stem
            if system or (ROOT / "include" / name).exists() or other == module:
                continue
            count += 1
            if name.endswith(".c"):
                problem(path, f"includes {name}, a .c file")
            elif other not in rung_of:
                problem(path, f"includes {name}, which is on no rung")
            elif rung_of[other] >= rung_of[module]:
                problem(path, f"includes {name}, which is not below {module}")
        code = COMMENT.sub(" ", text)
        if not any(path.match(pattern) for pattern in PROCESSOR_FILES):
            for word in sorted(set(PROCESSOR.findall(code))):
                problem(path, f"says {word}, which belongs into {PROCESSOR_FILES[0]}")
        if path.name not in PLATFORM_FILES:
            for word in sorted(set(PLATFORM.findall(code))):
                problem(path, f"says {word.rstrip('( ')}, which belongs into {PLATFORM_FILE}")
    return count


def check_folders():
    count = 0
    for folder, allowed in MAY_INCLUDE.items():
        for path in sorted((ROOT / folder).rglob("*.[ch]*")):
            for quoted, system in INCLUDE.findall(path.read_text(errors="replace")):
                name = quoted or system
                count += 1
                for other in set(MAY_INCLUDE) - allowed - {folder}:
                    beside = quoted and (path.parent / quoted).exists()
                    mine = (ROOT / folder / name).exists() or (ROOT / "include" / name).exists()
                    named = name.startswith(other + "/") or f"../{other}/" in name
                    found = quoted and (ROOT / other / name).exists()
                    if named or (found and not beside and not mine):
                        problem(path, f"includes {name} of {other}/")
    return count


includes = check_ladder()
includes_between = check_folders()
for line in problems:
    print(line)
print(f"check_layers: {len(rung_of)} modules on {len(LADDER)} rungs, {includes} includes in "
      f"alloc/, {includes_between} in all: {len(problems) or 'no'} problems")
sys.exit(bool(problems))
