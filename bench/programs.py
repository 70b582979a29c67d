"""programs - real programs as workloads of compare

Owns: their input, which is made anew for each comparison and the same each time, how each
is run, and that what it prints is the same with every allocator. What is not installed is
left out. The time is that of the whole program, start and exit included; of redis it is
the time of its client.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from benchlib import Failure, HERE, RunFailure, check_exit, malloc_bindings, \
    run_process, sha256_of

SCRIPTS = HERE / "programs"


def c_source(functions):
    """A C file as generated code looks: many functions of loops, switches and arrays."""
    parts = ["#include <stdint.h>\n#include <string.h>\n"]
    for n in range(functions):
        cases = "".join(f"        case {k}: sum += a[i] * {k * n % 97 + 1} ^ s->v{k % 6}; "
            f"break;\n" for k in range(12))
        parts.append(f"""
struct part{n} {{ uint32_t v0, v1, v2, v3, v4, v5; double weight[{n % 7 + 2}]; }};
uint32_t work{n}(const uint32_t *a, unsigned count, struct part{n} *s)
{{
    uint32_t sum = {n};
    for (unsigned i = 0; i < count; i++) {{
        switch ((a[i] + {n}u) % 13) {{
{cases}        default: s->weight[i % {n % 7 + 2}] += (double)sum / (i + 1); break;
        }}
        if (sum > {n * 7919 % 65521}u && i % 3 == 1) {{
            s->v{n % 6} = sum ^ a[count - 1 - i];
        }}
    }}
    return sum{f" + work{n - 1}(a, count / 2, (struct part{n - 1} *)s)" if n else ""};
}}
""")
    return "".join(parts)


def redis_commands(count):
    """The commands of a client, as the protocol has them, mostly writes."""
    out = bytearray()
    state = 1
    for n in range(count):
        state = (state * 1103515245 + 12345) & 0x7fffffff
        key, size = state >> 4, state % 300
        command = (("SET", f"key:{key % (count // 3 + 1)}", "v" * size),
            ("HSET", f"hash:{key % (count // 40 + 1)}", f"field:{key % 97}", "h" * (size % 60)),
            ("RPUSH", f"list:{key % 50}", "l" * (size % 90)),
            ("ZADD", f"set:{key % 200}", str(key % 1000), f"member:{key % 3001}"),
            ("APPEND", f"key:{key % (count // 3 + 1)}", "a" * (size % 40)),
            ("DEL", f"key:{key % (count // 3 + 1)}"))[n % 6]
        out += b"*%d\r\n" % len(command)
        for word in command:
            out += b"$%d\r\n%s\r\n" % (len(word), word.encode())
    return bytes(out)


class Program:
    """A workload that is a command. Its size is `ops`, in units of its own."""

    threads, groups = 1, ("real_programs",)

    def __init__(self, name, program, what, ops, words=(), script=None):
        self.name, self.what, self.ops = name, what, ops
        self.program, self.words, self.script = program, words, script
        self.path = shutil.which(program, path="/usr/bin:/bin:" + os.environ.get("PATH", ""))
        parts = [SCRIPTS / script] if script else []
        self.hash = hashlib.sha256("".join(map(sha256_of, [__file__, *parts])).encode()
            ).hexdigest()
        self.expected = {}  # {size: digest of what it prints}

    def prepare(self, folder):
        self.folder = pathlib.Path(folder)

    def command(self, args, seed):
        """No seed: these programs do the same in every round."""
        size = max(int(self.ops * args.scale), 1)
        script = [str(SCRIPTS / self.script)] if self.script else []
        return [self.path, *self.words, *script, str(size)]

    def environment(self, allocator, folder):
        kept = allocator.environment(folder)
        kept.pop("LD_PRELOAD", None)  # only the program gets it, not measure
        return dict(kept, PYTHONHASHSEED="0", PYTHONMALLOC="malloc", LC_ALL="C",
            PYTHONDONTWRITEBYTECODE="1")

    def digest(self, out, folder):
        if not out.strip():
            raise RunFailure("self-check: it printed nothing")
        return hashlib.sha256(out).hexdigest()

    def run(self, allocator, argv, args):
        """As run_json: figures of one run, checked against that of the first one."""
        with tempfile.TemporaryDirectory(prefix="mpalloc-bench-", dir=args.scratch) as folder:
            report = os.path.join(folder, "measured")
            code, out, said = run_process([args.measure, report, allocator.path or "-",
                *argv], self.environment(allocator, folder), args.timeout, folder)
            check_exit(code, said)
            run = json.loads(pathlib.Path(report).read_text())
            self.check(argv, self.digest(out, folder), allocator)
        return dict(run, workload=self.name, ops=self.ops)

    def check(self, argv, digest, allocator):
        first = self.expected.setdefault(argv[-1], (digest, allocator.name))
        if digest != first[0]:
            raise RunFailure(f"self-check: the output differs from that with {first[1]}")

    def check_in_use(self, allocator, args):
        """Every file of the program must take malloc from the allocator."""
        with tempfile.TemporaryDirectory(prefix="mpalloc-bench-", dir=args.scratch) as folder:
            argv = self.command(argparse.Namespace(**dict(vars(args), scale=0.001)), 1)
            env = self.environment(allocator, folder)
            wrapped = type(allocator)(allocator.name, allocator.path, env)
            found, complaint = malloc_bindings(argv, wrapped, folder)
        # A program at a fixed address gives others its own entry, which leads on.
        good = {file for file, to in found if same_library(to, allocator.path)}
        wrong = [f"{os.path.basename(file)} to {to}" for file, to in found
            if "ld-linux" not in file and file not in good and to not in good]
        if wrong or not found:
            raise Failure(f"{self.name} with {allocator.name}: malloc of "
                f"{wrong[0] if wrong else 'nothing'} is bound wrongly {complaint}".rstrip())


def same_library(path, expected):
    if expected is None:
        return os.path.basename(path).startswith("libc.")
    return os.path.realpath(path) == os.path.realpath(expected)


class Sqlite(Program):
    def command(self, args, seed):
        size = max(int(self.ops * args.scale), 100)
        script = self.folder / f"rows-{size}.sql"
        if not script.exists():
            text = (SCRIPTS / self.script).read_text().replace(":rows", str(size))
            script.write_text(text)
        return [self.path, "-batch", ":memory:", f".read {script}"]


class Compiler(Program):
    """gcc -O2 -c: nearly all of it is cc1; the object must be the same, byte by byte."""

    def command(self, args, seed):
        size = max(int(self.ops * args.scale), 2)
        source = self.folder / f"generated-{size}.c"
        if not source.exists():
            source.write_text(c_source(size))
        return [self.path, "-O2", "-c", "-o", "generated.o", str(source)]

    def digest(self, out, folder):
        return sha256_of(os.path.join(folder, "generated.o"))


class Redis(Program):
    """A server with the allocator, a client without: commands in bulk, then its digest."""

    def command(self, args, seed):
        size = max(int(self.ops * args.scale), 200)
        commands = self.folder / f"commands-{size}"
        if not commands.exists():
            commands.write_bytes(redis_commands(size))
        return [self.path, str(commands)]

    def client(self, socket, *words, stdin=subprocess.DEVNULL):
        done = subprocess.run([shutil.which("redis-cli"), "-s", socket, *words], stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.stdout.strip()

    def serve(self, allocator, commands, folder, report, args):
        """(seconds of the client, its digest); the server has ended."""
        socket = os.path.join(folder, "socket")
        # Debian's redis brings jemalloc: the system's malloc must be preloaded, too.
        library = allocator.path or system_library()
        server = subprocess.Popen([args.measure, report, library, self.path, "--port", "0",
            "--unixsocket", socket, "--save", "", "--appendonly", "no",
            "--enable-debug-command", "local", "--dir", folder],
            env=self.environment(allocator, folder), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            for _ in range(200):
                if os.path.exists(socket) or server.poll() is not None:
                    break
                time.sleep(0.02)
            maps = maps_of_child(server.pid)
            if server.poll() is None and os.path.realpath(library) not in maps:
                raise RunFailure(f"{library} is not mapped by the server")
            began = time.monotonic()
            with open(commands, "rb") as stdin:
                said = self.client(socket, "--pipe", stdin=stdin)
            seconds = time.monotonic() - began
            if "errors: 0" not in said and server.poll() is None:
                raise RunFailure(f"self-check: {said[-80:]!r}")
            digest = self.client(socket, "DEBUG", "DIGEST")
            self.client(socket, "SHUTDOWN", "NOSAVE")
            out, _ = server.communicate(timeout=args.timeout)
        except subprocess.TimeoutExpired:
            raise RunFailure("hangs: the server or its client did not end") from None
        finally:
            if server.poll() is None:
                os.killpg(server.pid, 9)
                server.communicate()
        check_exit(server.returncode, out.decode(errors="replace")
            if server.returncode else "")
        return seconds, digest

    def run(self, allocator, argv, args):
        with tempfile.TemporaryDirectory(prefix="mpalloc-bench-", dir=args.scratch) as folder:
            report = os.path.join(folder, "measured")
            seconds, digest = self.serve(allocator, argv[-1], folder, report, args)
            if len(digest) != 40:
                raise RunFailure(f"self-check: no digest but {digest[:60]!r}")
            run = json.loads(pathlib.Path(report).read_text())
            self.check(argv, digest, allocator)
        return dict(run, workload=self.name, ops=self.ops, seconds=seconds,
            wall_seconds=run["seconds"])

    def check_in_use(self, allocator, args):
        """Each run looks into the maps of the server instead."""


def maps_of_child(pid):
    """The files that the program under `measure` has mapped."""
    try:
        child = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        return pathlib.Path(f"/proc/{child}/maps").read_text()
    except (OSError, IndexError):
        return ""


def system_library():
    maps = pathlib.Path("/proc/self/maps").read_text().splitlines()
    return next(line.split()[-1] for line in maps if "/libc.so" in line or "/libc-" in line)


def find_programs():
    """Those that are installed, and the names of the others."""
    every = [
        Program("python", "python3", "objects, JSON and dictionaries, all from malloc", 32,
            words=("-S",), script="objects.py"),
        Program("lua", "lua5.4", "trees, closures and strings", 80, script="tables.lua"),
        Program("perl", "perl", "lines split, counted and substituted", 24,
            script="text.pl"),
        Sqlite("sqlite", "sqlite3", "rows in memory: insert, index, join, delete", 70000,
            script="rows.sql"),
        Compiler("cc1", "gcc", "gcc -O2 -c of a generated file", 24),
        Redis("redis", "redis-server", "commands by pipe to a server", 150000),
    ]
    return [p for p in every if p.path], [p.name for p in every if not p.path]
