"""benchlib - what the scripts of this folder share: allocators, processes, text

Owns: which allocators there are and the environment that a run with one of them has, a
child process that leaves nothing behind, the progress line, tables, facts about the
machine. Does not own: what is run and what is made of it.
"""
import argparse
import glob
import hashlib
import json
import math
import os
import pathlib
import platform
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
LIBRARY_FOLDERS = ("/usr/local/lib", "/usr/lib/*-linux-gnu*", "/usr/lib64", "/usr/lib")
INSTALLED = {
    "mimalloc": "libmimalloc.so.2*",
    "jemalloc": "libjemalloc.so.2*",
    "tcmalloc": "libtcmalloc_minimal.so.4*",
}
# Ours with other options: a name and the variables that make it. Sampling rates go here.
VARIANTS = {
    "mpalloc": {},
    "mpalloc-off": {"MPALLOC_REGION": "off"},
    "mpalloc-unsampled": {"MPALLOC_SAMPLE": "off"},
    "mpalloc-exact": {"MPALLOC_SAMPLE": "exact"},
}
NO_PROFILE = "mpalloc-noprofile"  # from a build folder of its own
# What would make a run differ from what its command says.
FOREIGN = re.compile(
    r"^(LD_|MPALLOC_|MIMALLOC_|MALLOC_|JEMALLOC_|TCMALLOC_|GLIBC_TUNABLES|PYTHON)")


class Failure(Exception):
    """What the user reads, in one line, when nothing more can be done."""


class RunFailure(Exception):
    """One run gave no figure; the others go on."""


def sha256_of(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def first_line_of(*argv):
    """What a helper says, or None: facts about the machine are never a reason to stop."""
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else None


# ---- allocators ----

class Allocator:
    """A name, the library that is preloaded (None: nothing) and variables for it."""

    def __init__(self, name, path=None, variables=None):
        self.name, self.path, self.variables = name, path, variables or {}
        self.hash = sha256_of(path) if path else None

    @classmethod
    def parse(cls, text):
        """NAME=PATH[,VARIABLE=VALUE...]"""
        name, _, rest = text.partition("=")
        path, *settings = rest.split(",")
        if not name or not path or not all("=" in s for s in settings):
            raise Failure(f"--allocator {text}: write NAME=PATH[,VARIABLE=VALUE...]")
        if not os.path.isfile(path):
            raise Failure(f"--allocator {name}: there is no file {path}")
        return cls(name, os.path.abspath(path),
            dict(s.split("=", 1) for s in settings))

    def environment(self, folder):
        kept = {k: v for k, v in os.environ.items() if not FOREIGN.match(k)}
        kept.update(self.variables, MPALLOC_DIR=folder)
        if self.path:
            kept["LD_PRELOAD"] = self.path
        return kept

    def version(self):
        """For people: the package, or the project version and build options."""
        if self.path is None:
            return " ".join(platform.libc_ver())
        real = pathlib.Path(self.path).resolve()
        info = real.parent.parent / "meson-info"
        if (info / "intro-buildoptions.json").is_file():
            options = {o["name"]: o["value"] for o in
                json.loads((info / "intro-buildoptions.json").read_text())}
            project = json.loads((info / "intro-projectinfo.json").read_text())
            shown = " ".join(f"{k}={options[k]}" for k in ("buildtype", "profile",
                "hardened", "debug_checks", "b_sanitize") if k in options)
            commit = first_line_of("git", "-C", HERE, "describe", "--always", "--dirty")
            return f"{project['version']} commit {commit} {shown}"
        for path in {str(real), self.path, str(real).removeprefix("/usr")}:
            owner = first_line_of("dpkg-query", "-S", path)
            if owner:
                package = owner.rsplit(": ", 1)[0]
                return first_line_of("dpkg-query", "-W", "-f",
                    "${Package} ${Version}\n", package)
        return real.name

    def facts(self):
        return {"path": self.path, "sha256": self.hash, "variables": self.variables,
            "version": self.version()}


def find_installed(pattern):
    for folder in LIBRARY_FOLDERS:
        found = sorted(glob.glob(f"{folder}/{pattern}"), key=len)
        if found:
            return found[0]
    return None


def find_mpalloc(build):
    found = sorted(build.glob("alloc/libmpalloc.so*"), key=lambda p: len(p.name))
    found = [p for p in found if p.is_file()]
    if not found:
        raise Failure(f"no library in {build}/alloc; run ninja -C {build}")
    return str(found[0])


def is_ours(name):
    return name.startswith("mpalloc")


def find_named(name, args, build):
    """The allocator of that name, or None when it is not installed."""
    if name == "system":
        return Allocator("system")
    if name in VARIANTS:
        return Allocator(name, find_mpalloc(build), VARIANTS[name])
    if name == NO_PROFILE and args.noprofile_build_dir:
        return Allocator(name, find_mpalloc(pathlib.Path(args.noprofile_build_dir).resolve()))
    path = find_installed(INSTALLED[name]) if name in INSTALLED else None
    return Allocator(name, path) if path else None


def find_allocators(args, build, default=None):
    """Those to run, the baseline among them; names keep the order of the user."""
    added = {a.name: a for a in map(Allocator.parse, args.allocator)}
    names = default or ["mpalloc"] + list(INSTALLED) + ["system"]
    names = names + [NO_PROFILE] * bool(args.noprofile_build_dir) + list(added)
    if args.allocators:
        names = args.allocators.split(",")
    baseline = getattr(args, "baseline", None)
    names = list(dict.fromkeys(names + [baseline] * bool(baseline)))
    known = [*VARIANTS, *INSTALLED, "system", *added]
    known += [NO_PROFILE] * bool(args.noprofile_build_dir)
    result = []
    for name in names:
        if name == NO_PROFILE and name not in known:
            raise Failure(f"{name} needs a build of its own; say --noprofile-build-dir DIR")
        if name not in known:
            raise Failure(f"no allocator {name}; there are {' '.join(dict.fromkeys(known))}, "
                f"and --allocator {name}=PATH adds it")
        found = added.get(name) or find_named(name, args, build)
        if found:
            result.append(found)
        elif name == baseline:
            raise Failure(f"the baseline {name} is not installed; install it, or choose "
                "another with --baseline system")
        else:
            print(f"{os.path.basename(sys.argv[0])}: {name} is not installed, left out",
                file=sys.stderr)
    return result


def add_allocator_options(p, default):
    p.add_argument("--build-dir", default="build", help="of meson (build)")
    p.add_argument("--noprofile-build-dir", metavar="DIR",
        help=f"a build with -Dprofile=false: adds {NO_PROFILE}")
    p.add_argument("--allocators", metavar="NAME,...", help=f"only these ({default})")
    p.add_argument("--allocator", metavar="NAME=PATH[,VAR=VALUE...]", action="append",
        default=[], help="add a library, or say where one of the names above is")


def find_binary(build, name):
    """A program of the bench folder of a build."""
    binary = build / "bench" / name
    if not (build / "build.ninja").is_file():
        raise Failure(f"no build in {build}; run 'meson setup {build} {HERE.parent}' and "
            f"'ninja -C {build}', or say --build-dir")
    if not binary.is_file():
        raise Failure(f"no {binary}; run 'ninja -C {build}'")
    return binary.resolve()


# ---- processes ----

def run_process(argv, env, limit, folder=None, stdin=subprocess.DEVNULL):
    """(exit code, stdout as bytes, stderr as text); what it started ends with it."""
    try:
        child = subprocess.Popen([str(a) for a in argv], env=env, stdin=stdin, cwd=folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        raise RunFailure(f"cannot start {argv[0]}: {error.strerror}") from None
    try:
        out, said = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise RunFailure(f"hangs: no end after {limit:g} s") from None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    return child.returncode, out, said.decode(errors="replace")


def check_exit(code, said):
    """RunFailure unless the run ended well: a crash, a failed self-check, no preload."""
    lines = said.strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    if code < 0:
        raise RunFailure(f"crashed, {signal.Signals(-code).name}{last}")
    if code != 0:
        raise RunFailure(f"failed, code {code}{last}")
    if "ld.so:" in said:
        raise RunFailure(f"the library was not preloaded: {lines[0]}")


def run_json(argv, allocator, scratch, limit):
    """The JSON that a program of ours prints, run with the allocator; or RunFailure."""
    with tempfile.TemporaryDirectory(prefix="mpalloc-bench-", dir=scratch) as folder:
        code, out, said = run_process(argv, allocator.environment(folder), limit)
    check_exit(code, said)
    try:
        run = json.loads(out)
    except ValueError:
        raise RunFailure(f"printed no result: {out[:60]!r}") from None
    if said.strip():
        run["stderr"] = said.strip().splitlines()[:20]
    return run


def malloc_bindings(argv, allocator, folder, limit=60):
    """[(file, library)]: to which library the dynamic linker bound malloc, file by file."""
    log = os.path.join(folder, "bindings")
    env = dict(allocator.environment(folder), LD_DEBUG="bindings", LD_BIND_NOW="1",
        LD_DEBUG_OUTPUT=log)
    try:
        _, _, said = run_process(argv, env, limit, folder)
    except RunFailure as failure:
        return [], str(failure)
    found = []
    for path in glob.glob(log + ".*"):
        found += re.findall(r"binding file (\S+) \[0\] to (\S+) \[0\]: "
            r"normal symbol `malloc'", pathlib.Path(path).read_text(errors="replace"))
        os.unlink(path)
    complaint = [line for line in said.splitlines() if "ERROR: ld.so" in line]
    return found, "".join(complaint[:1])


def check_in_use(allocator, binary, scratch):
    """The dynamic linker says to which library it bound the malloc of our programs."""
    with tempfile.TemporaryDirectory(prefix="mpalloc-bench-", dir=scratch) as folder:
        found, complaint = malloc_bindings([binary, "pair-8", "--ops", "1"], allocator, folder)
    bound = [to for file, to in found if file == str(binary)]
    good = bound and (bound[-1] == allocator.path if allocator.path
        else pathlib.Path(bound[-1]).name.startswith("libc."))
    if not good:
        raise Failure(f"{allocator.name}: malloc would be that of "
            f"{bound[-1] if bound else 'nobody'}, not of {allocator.path or 'libc'}"
            + (f"; {complaint}" if complaint else ""))


# ---- what people read ----

class Progress:
    """One line on a terminal that is written over; nothing in a pipe."""

    def __init__(self, total):
        self.total, self.done, self.began, self.fresh = total, 0, time.monotonic(), 0
        self.shown = sys.stderr.isatty()

    def step(self, text):
        if self.shown:
            left = ""
            if self.fresh >= 3:
                each = (time.monotonic() - self.began) / self.fresh
                left = f", {seconds_text(each * (self.total - self.done))} left"
            line = f"{self.done + 1} of {self.total}: {text}{left}"
            print(f"\r\033[K{line[:100]}", end="", file=sys.stderr, flush=True)

    def finished(self, fresh):
        self.done += 1
        self.fresh += fresh

    def clear(self):
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def rotated(items, by):
    by %= len(items)
    return items[by:] + items[:by]


def seconds_text(s):
    if s >= 120:
        return f"{s / 60:.0f} min"
    return f"{s:.2f} s" if s >= 1 else f"{s * 1e3:.3g} ms" if s >= 1e-3 \
        else f"{s * 1e6:.3g} us"


def bytes_text(n):
    for unit in ("B", "KiB", "MiB"):
        if abs(n) < 1024:
            return f"{n:.0f} {unit}" if abs(n) >= 100 else f"{n:.3g} {unit}"
        n /= 1024
    return f"{n:.3g} GiB"


def between(interval, form="{}"):
    return form.format(f"{interval[0]:.3f}-{interval[1]:.3f}") if interval else ""


def print_table(head, rows, out, left=1):
    """The first column to the left, or so many; the others to the right."""
    widths = [max(len(r[i]) for r in [head] + rows) for i in range(len(head))]
    for r in [head] + rows:
        cells = [c.ljust(n) if i < left else c.rjust(n)
            for i, (c, n) in enumerate(zip(r, widths))]
        print("  " + "  ".join(cells).rstrip(), file=out)


# ---- the machine, files ----

def machine_facts():
    cpu = memory = None
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":", 1)[1].strip() for line in f
            if line.startswith(("model name", "CPU part"))), platform.machine())
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) * 1024
    return {"cpu": cpu, "cores": os.cpu_count(), "usable_cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory, "kernel": platform.release(), "arch": platform.machine(),
        "libc": " ".join(platform.libc_ver()), "load": os.getloadavg()[0]}


def write_whole(path, text):
    """The old file or the new one, never half of it."""
    part = f"{path}.part"
    try:
        pathlib.Path(part).write_text(text)
        os.replace(part, path)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None


def at_least_one(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def scratch_folder():
    """Where mpalloc has its region by default: not on a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def run_tool(name, work, args):
    """What every script does about errors: the exit code."""
    try:
        return work(args)
    except Failure as failure:
        print(f"{name}: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        resume = getattr(args, "resume", None)
        how = shlex.join(sys.argv)
        print(f"\n{name}: interrupted" + (f"; go on with {how}" if resume else ""),
            file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
