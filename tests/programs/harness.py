"""
harness - runs a real program without and with the library preloaded, and compares

Owns: the temporary directory, every process that a test starts, the verdict.
Does not own: what is compared; each test says so through same() and check().

The library is $MPALLOC_TEST_LIB. That it was preloaded is read from /proc/PID/maps of the
running processes, because a wrong path in LD_PRELOAD is no more than a warning.
"""
import contextlib
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SKIPPED = 77
BIG = sys.argv[-1:] == ["big"]  # the version of a test for the suite `slow`
SCAN_SECONDS = 0.02
SCAN_LATER_SECONDS = 0.5


def sized(small, big):
    return big if BIG else small


class Result:
    """How a process ended. `mapped` names the processes seen with the library in them."""

    def __init__(self, argv, code, out, err, seconds, mapped):
        self.argv, self.code, self.out, self.err = argv, code, out, err
        self.seconds, self.mapped = seconds, mapped

    @property
    def text(self):
        return self.out.decode(errors="replace")


def sha256(data):
    return hashlib.sha256(data).hexdigest()[:16]


def sha256_file(path):
    return sha256(pathlib.Path(path).read_bytes())


def sha256_tree(folder):
    """Names, modes and contents of every file below the folder."""
    total = hashlib.sha256()
    for path in sorted(pathlib.Path(folder).rglob("*")):
        total.update(f"{path.relative_to(folder)} {path.lstat().st_mode:o}\n".encode())
        if path.is_file() and not path.is_symlink():
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def processes_of(session):
    """Process ids whose session is `session`."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                stat = pathlib.Path("/proc", entry, "stat").read_text()
                if int(stat.rpartition(")")[2].split()[3]) == session:
                    yield int(entry)


class Watch(threading.Thread):
    """Looks at the maps of a process and its descendants until all names were seen."""

    def __init__(self, session, wanted, names):
        super().__init__(daemon=True)
        self.session, self.wanted, self.names = session, wanted, set(names)
        self.mapped = set()
        self.ended = threading.Event()

    def look(self, pid):
        with contextlib.suppress(OSError):
            if self.wanted in pathlib.Path("/proc", str(pid), "maps").read_text():
                name = pathlib.Path("/proc", str(pid), "comm").read_text().strip()
                self.mapped.add(name)

    def run(self):
        began = time.monotonic()
        while not self.ended.is_set() and not self.names <= self.mapped:
            self.look(self.session)
            if self.names <= self.mapped:
                break
            for pid in processes_of(self.session):
                self.look(pid)
            young = time.monotonic() - began < 3
            self.ended.wait(SCAN_SECONDS if young else SCAN_LATER_SECONDS)

    def finish(self):
        self.ended.set()
        self.join()
        return self.mapped


class Session:
    """One test. Use as a context manager; leaving it ends the test with its exit code."""

    def __init__(self, name, needs=(), user=None, packages=None):
        self.name, self.user = name, user
        self.failures = 0
        self.started = []
        for program in needs:
            if shutil.which(program, path=self.search_path()) is None:
                print(f"{name}: skipped, {program} is not installed (package "
                      f"{packages or program})")
                sys.exit(SKIPPED)
        self.library = self.find_library()

    @staticmethod
    def search_path():
        servers = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        return os.pathsep.join(
            [str(folder) for folder in servers[-1:]]
            + ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        )

    @staticmethod
    def find_library():
        path = os.environ.get("MPALLOC_TEST_LIB", "")
        if not os.path.isfile(path):
            sys.exit("set MPALLOC_TEST_LIB to the library to test, an existing file")
        return os.path.realpath(path)

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"mpalloc-{self.name}-"))
        if self.user is not None:
            # The build folder may be closed to that user: a copy lies beside the data.
            self.library = shutil.copy(self.library, self.folder)
            shutil.chown(self.folder, self.user)
            os.chmod(self.library, 0o755)
        # In memory, as they are by default: on disk they would be what is measured.
        self.regions = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-regions-",
            dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        if self.user is not None:
            shutil.chown(self.regions, self.user)
        return self

    def __exit__(self, kind, value, trace):
        for process in self.started:
            self.end_group(process)
        if kind is not None and not issubclass(kind, (AssertionError, SystemExit)):
            print(f"{self.name}: {kind.__name__}: {value}")
            self.failures += 1
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.regions, ignore_errors=True)
        if kind is None or not issubclass(kind, SystemExit):
            sys.stdout.flush()
            os._exit(1 if self.failures or kind is not None else 0)

    @staticmethod
    def end_group(process):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)

    # What a test says.

    def say(self, text):
        print(f"{self.name}: {text}", flush=True)

    def check(self, what, good, detail=""):
        self.say(f"{'ok  ' if good else 'FAIL'} {what}{': ' if detail else ''}{detail}")
        self.failures += not good

    def same(self, what, plain, preloaded):
        """Hold one fact of the plain run against that of the preloaded run."""
        if plain == preloaded:
            self.check(f"same {what}", True, str(plain)[:200] or "none")
        else:
            self.check(f"same {what}", False, f"plain {plain!r}, preloaded {preloaded!r}")

    def fact_by_fact(self, plain, preloaded):
        for what in plain:
            self.same(what, plain[what], preloaded.get(what))

    def note_version(self, command):
        """For RESULTS.md: the first line of the output that has a number."""
        done = subprocess.run([str(word) for word in command], env=self.environment(False),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=self.folder, timeout=60)
        lines = done.stdout.decode(errors="replace").splitlines()
        self.say("version " + next((line.strip() for line in lines if re.search(r"\d", line)), "?"))

    # What a test runs.

    def environment(self, preload, extra=None):
        kept = ("TERM", "LANG", "USER", "LOGNAME")
        env = {name: os.environ[name] for name in kept if name in os.environ}
        env.update(
            PATH=self.search_path(), HOME=str(self.folder), TMPDIR=str(self.folder),
            LC_ALL="C.UTF-8", TZ="UTC",
        )
        if preload:
            env.update(LD_PRELOAD=self.library, MPALLOC_DIR=str(self.regions))
            settings = {n: v for n, v in os.environ.items() if n.startswith("MPALLOC_")}
            env.update({n: v for n, v in settings.items() if "_TEST_" not in n})
        env.update(extra or {})
        return env

    def start(self, argv, preload, env=None, **more):
        """A process in a session of its own, ended with the test at the latest."""
        if self.user is not None:
            more.update(user=self.user, group=self.user, extra_groups=[])
        process = subprocess.Popen(
            [str(word) for word in argv], env=self.environment(preload, env),
            cwd=more.pop("cwd", self.folder), start_new_session=True,
            stdin=more.pop("stdin", subprocess.DEVNULL), **more,
        )
        self.started.append(process)
        return process

    def run(self, argv, preload, mapped=(), env=None, text=None, timeout=240, quiet=False,
            **more):
        """
        Run to the end and return the Result. With preload, every name in `mapped` must be
        seen as a process that has the library in its maps.
        """
        began = time.monotonic()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with tempfile.TemporaryFile() as given:
                given.write((text or "").encode())
                given.seek(0)
                process = self.start(
                    argv, preload, env, stdin=given, stdout=out, stderr=err, **more
                )
            watch = Watch(process.pid, os.path.basename(self.library), mapped)
            if preload:
                watch.start()
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.check(f"{argv[0]} ends within {timeout} s", False)
                self.end_group(process)
                code = process.wait()
            seconds = time.monotonic() - began
            seen = watch.finish() if preload else set()
            self.end_group(process)
            self.started.remove(process)
            out.seek(0)
            err.seek(0)
            result = Result(argv, code, out.read(), err.read(), seconds, seen)
        if preload:
            self.judge_preload(result, mapped, quiet)
        return result

    def judge_preload(self, result, mapped, quiet):
        name = os.path.basename(self.library)
        for wanted in mapped:
            self.check(f"{name} is mapped in {wanted}", wanted in result.mapped)
        complaints = [
            line for line in result.err.decode(errors="replace").splitlines()
            if line.startswith("mpalloc:") or "cannot be preloaded" in line
        ]
        if complaints and not quiet:
            self.check("the library complains of nothing", False, complaints[0])

    def expect(self, result, code=0):
        """The process ended with `code`; otherwise say how, and how to repeat it."""
        if result.code == code:
            return
        shown = shlex.join(str(word) for word in result.argv)
        self.check(f"exit code {code}", False, f"{result.code} from {shown}")
        for stream in (result.out, result.err):
            for line in stream.decode(errors="replace").splitlines()[-15:]:
                self.say(f"  | {line}")

    def until(self, what, test, timeout=60):
        """Wait for test() to be true."""
        limit = time.monotonic() + timeout
        while time.monotonic() < limit:
            if test():
                return
            time.sleep(0.05)
        raise AssertionError(self.check(f"{what} within {timeout} s", False))

    def has_library(self, pid):
        return os.path.basename(self.library) in pathlib.Path(f"/proc/{pid}/maps").read_text()

    def both(self, action):
        """action(preload) for plain and preloaded; compares the facts that it returns."""
        facts, seconds = [], []
        for preload in (False, True):
            began = time.monotonic()
            facts.append(action(preload))
            seconds.append(time.monotonic() - began)
        self.fact_by_fact(*facts)
        self.say(f"plain {seconds[0]:.1f} s, preloaded {seconds[1]:.1f} s")
