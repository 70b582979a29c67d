"""limits - programs in narrow places: little memory, no files, refused system calls

    limits.py WORKER STATIC-WORKER LIBRARY [TEST…]

Real mechanisms throughout: limits, mount namespaces, control groups, seccomp, chroot. What
the machine does not permit is skipped, with a line that says so; code 77 when all of it is.
Needs root for most of it.
"""
import concurrent.futures
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

WORKER, STATIC, LIBRARY = sys.argv[1:4]
MIB = 1 << 20
CALLS = """madvise munmap mprotect mremap brk openat memfd_create prctl getrandom getcpu rseq
    set_mempolicy sched_getaffinity membarrier fallocate ftruncate fcntl newfstatat readlinkat
    kill sysinfo prlimit64""".split()
NEEDED = {"madvise", "munmap"}  # memory goes back by them, there is no other way
NEEDED_BY_LOADER = {WORKER: {"mprotect", "openat", "newfstatat"}, STATIC: {"mprotect"}}


def is_root():
    return os.geteuid() == 0


def has_namespaces():
    return is_root() and shutil.which("unshare") and subprocess.run(
        ["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode == 0


class Limits(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-limits-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.regions = tempfile.mkdtemp(prefix="mpalloc-limits-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.regions, ignore_errors=True)

    def run_in(self, words, limits=(), env=None, code=0, timeout=120, **more):
        def limit():
            for what, value in limits:
                resource.setrlimit(what, (value, value))
        done = subprocess.run(words, preexec_fn=limit if limits else None, text=True,
                              timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "MPALLOC_DIR": self.regions, **(env or {})},
                              **more)
        self.assertEqual(done.returncode, code, f"{words}\n{done.stdout}\n{done.stderr}")
        return done

    def preloaded(self, words, **more):
        env = dict(more.pop("env", {}), LD_PRELOAD=LIBRARY)
        return self.run_in(words, env=env, **more)

    # ---- memory ----

    def test_c40_programs_start_under_a_limit_of_address_space(self):
        for what in resource.RLIMIT_AS, resource.RLIMIT_DATA:
            self.preloaded(["/bin/true"], limits=[(what, 64 * MIB)])
            self.preloaded(["/usr/bin/python3", "-c", "1"], limits=[(what, 64 * MIB)])
        # Less than the region alone would take, too.
        self.preloaded(["/bin/true"], limits=[(resource.RLIMIT_AS, 16 * MIB)])

    def test_c41_no_limit_makes_malloc_anything_but_null(self):
        program = """
import sys
blocks = []
try:
    while True:
        blocks.append(bytearray(100000))
except MemoryError:
    n = len(blocks)
    del blocks[n // 2:]
    blocks += [bytearray(100000) for i in range(n // 4)]
    print(n)
"""
        for what in resource.RLIMIT_AS, resource.RLIMIT_DATA:
            done = self.preloaded(["/usr/bin/python3", "-c", program], limits=[(what, 200 * MIB)],
                                  env={"PYTHONMALLOC": "malloc"})
            self.assertGreater(int(done.stdout), 1000)

    def test_c47_all_mappings_taken(self):
        print(self.run_in([WORKER, "maps"]).stdout.strip())

    def test_c51_impossible_requests(self):
        self.run_in([WORKER, "requests"])

    def test_limit_of_file_size(self):
        done = self.run_in([WORKER, "work"], limits=[(resource.RLIMIT_FSIZE, 4096)],
                           env={"MPALLOC_REPORT": str(self.dir / "report")})
        self.assertNotIn("SIGXFSZ", done.stderr)

    def test_f99_layouts_of_the_address_space(self):
        self.run_in([WORKER, "work"], limits=[(resource.RLIMIT_STACK, resource.RLIM_INFINITY)])
        if shutil.which("setarch"):
            for flag in "-R", "-L", "-RL", "-B", "-X":
                self.run_in(["setarch", flag, WORKER, "work"])

    # ---- descriptors ----

    def test_f94_messages_do_not_go_into_a_file_of_the_program(self):
        for how in ">&- 2>&- <&-", "":
            path = self.dir / "data"
            self.run_in(["sh", "-c", f'exec "$0" closed "$1" {how}', WORKER, str(path)],
                        env={"MPALLOC_ABORT": "0", "MPALLOC_LOG": "debug", "MPALLOC_KEEP": "no",
                             "MPALLOC_REPORT": "1"})
            self.assertEqual(path.read_bytes(), b"data")
            path.unlink()
        # An ordinary stderr gets them, also one that was redirected to a log.
        done = self.run_in(["sh", "-c", '"$0" closed "$1" 2>&1', WORKER, str(self.dir / "x")],
                           env={"MPALLOC_KEEP": "no", "MPALLOC_ABORT": "0"})
        self.assertIn("MPALLOC_KEEP=no", done.stdout)

    def test_f95_descriptors_are_closed_and_taken_again(self):
        for kind in "file", "memfd":
            directory = self.dir / kind
            directory.mkdir()
            self.run_in([WORKER, "reopen", str(directory)],
                        limits=[(resource.RLIMIT_NOFILE, 1024)], env={"MPALLOC_REGION": kind})
            for path in directory.iterdir():
                self.assertEqual(path.read_bytes(), b"data", path)

    # ---- files ----

    def mounted(self, options, words):
        if not has_namespaces():
            self.skipTest("no mount namespaces here")
        return self.run_in(["unshare", "-m", "sh", "-c",
                            f"mount -t tmpfs {options} none /dev/shm && exec \"$@\"", "sh", *words],
                           env={"MPALLOC_DIR": ""})

    def test_f97_shared_memory_missing_full_and_read_only(self):
        for options in ("-o size=4k", "-o size=64k", "-o size=200k", "-o ro", "-o noexec",
                        "-o nr_inodes=1", "-o mode=0"):
            done = self.mounted(options, [WORKER, "work"])
            self.assertLessEqual(len(done.stderr.splitlines()), 1, done.stderr)
        if not has_namespaces():
            self.skipTest("no mount namespaces here")
        done = self.run_in(["unshare", "-m", "sh", "-c",
                            "mount -t tmpfs none /dev && exec \"$0\" work", WORKER],
                           env={"MPALLOC_DIR": ""})
        self.assertLessEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_f97_full_while_running(self):
        """The region cannot grow any more: rows are missing, and nobody dies of SIGBUS."""
        script = ("mount -t tmpfs -o size=1m none /dev/shm && "
                  "(sleep 0.05; head -c 1m /dev/zero >/dev/shm/filler) 2>/dev/null & "
                  "\"$0\" work && \"$0\" work; s=$?; wait; exit $s")
        if not has_namespaces():
            self.skipTest("no mount namespaces here")
        self.run_in(["unshare", "-m", "sh", "-c", script, WORKER], env={"MPALLOC_DIR": ""})

    def test_f96_nothing_but_the_program(self):
        if not is_root() or STATIC == "-":
            self.skipTest("needs root and static programs")
        shutil.copy(STATIC, self.dir / "worker")
        done = self.run_in(["chroot", str(self.dir), "/worker", "work"])
        self.assertEqual(done.stderr, "")

    def test_f93_privileged_programs_ignore_the_environment(self):
        if not is_root() or STATIC == "-" or not shutil.which("strace"):
            self.skipTest("needs root, static programs and strace")
        os.chmod(self.dir, 0o755)
        program = self.dir / "worker"
        shutil.copy(STATIC, program)
        os.chown(program, 0, 0)
        os.chmod(program, 0o4755)
        open_dir = self.dir / "open"
        open_dir.mkdir()
        os.chmod(open_dir, 0o777)
        env = {"MPALLOC_DIR": str(open_dir / "regions"), "MPALLOC_REPORT": str(open_dir / "%p"),
               "MPALLOC_LOG": "debug", "MPALLOC_KEEP": "1"}
        plain = self.run_in(["strace", "-f", "-e", "trace=openat,open,memfd_create,mkdir",
                             str(STATIC), "work"], env=env)
        self.assertIn("openat", plain.stderr)  # strace sees what there is
        self.assertTrue(list(open_dir.iterdir()))
        shutil.rmtree(open_dir / "regions")
        for path in open_dir.iterdir():
            path.unlink()
        log = self.dir / "trace"
        done = self.run_in(["strace", "-u", "nobody", "-f", "-o", str(log), "-e",
                            "trace=openat,open,memfd_create,mkdir,execve,geteuid",
                            str(program), "work"], env=env)
        trace = [line for line in log.read_text().splitlines() if "+++" not in line]
        self.assertEqual([line for line in trace if "open" in line or "memfd" in line
                          or "mkdir" in line], [], trace)
        self.assertEqual(list(open_dir.iterdir()), [])
        self.assertEqual(done.stderr, "")

    # ---- refused system calls ----

    def filtered(self, job):
        words, code = job
        done = subprocess.run(words, text=True, timeout=120, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE,
                              env=dict(os.environ, MPALLOC_DIR=self.regions))
        return None if done.returncode == code else (words, done.returncode, done.stdout[-300:],
                                                     done.stderr[-300:])

    def test_f98_filters(self):
        jobs = []
        for call in CALLS:
            jobs.append(([WORKER, "filter", call, "errno"], 0))
            if call not in NEEDED:
                jobs.append(([WORKER, "filter", call, "kill"], 0))
            for program in {WORKER, STATIC} - {"-"}:
                if call not in NEEDED_BY_LOADER[program]:
                    jobs.append(([program, "filter", call, "errno", "before"], 0))
        # A filter that kills does kill here.
        jobs.append(([WORKER, "filter", "madvise", "kill"], -signal.SIGSYS))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            bad = [b for b in pool.map(self.filtered, jobs) if b]
        self.assertEqual(bad, [])

    def test_f98_sshd_lets_in(self):
        """Its child before authentication is killed for any call but a few."""
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
        if not (is_root() and sshd and shutil.which("ssh") and shutil.which("ssh-keygen")):
            self.skipTest("needs root and OpenSSH")
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        for name in "host", "user":
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                            self.dir / name], check=True)
        # One connection over its standard input and output: no port is needed.
        server = (f"{sshd} -i -e -h {self.dir}/host -o AuthorizedKeysFile={self.dir}/user.pub "
                  "-o StrictModes=no -o PidFile=none -o PermitRootLogin=yes -o UsePAM=no")
        done = subprocess.run(
            ["ssh", "-F", "none", "-i", self.dir / "user", "-o", "StrictHostKeyChecking=no",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o",
             f"ProxyCommand=sh -c 'LD_PRELOAD={LIBRARY} exec {server}'", "root@here",
             "grep -c mpalloc /proc/$PPID/maps"],
            text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(int(done.stdout), 0, done.stderr)

    # ---- a tiny program ----

    def test_g114_a_tiny_program(self):
        """What the library adds to one that does nothing: memory, mappings, calls."""
        def figures(env):
            """Not the pages of other files: which neighbours of a page that is touched the kernel
            maps with it differs from run to run, by 280 KiB of the C library on a busy machine."""
            done = self.run_in(["/bin/cat", "/proc/self/smaps"], env=env)
            resident, maps = 0, []
            for line in done.stdout.splitlines():
                words = line.split()
                if not words[0].endswith(":"):
                    path = words[5] if len(words) > 5 else ""
                    is_ours = "libmpalloc" in path or path.endswith(".mp")
                    maps += [] if "libmpalloc" in path else [path]
                elif words[0] == ("Rss:" if is_ours else "Anonymous:"):
                    resident += int(words[1])
            return resident, len(maps)
        plain, ours = figures({}), figures({"LD_PRELOAD": LIBRARY})
        print(f"{ours[0] - plain[0]} KiB resident, {ours[1] - plain[1]} mappings added")
        self.assertLessEqual(ours[0] - plain[0], 700)
        self.assertLessEqual(ours[1] - plain[1], 6)
        if shutil.which("strace"):
            log = self.dir / "trace"
            names = []
            for library in "", LIBRARY:
                self.run_in(["strace", "-f", "-o", str(log), "-E", f"LD_PRELOAD={library}",
                             "/bin/true"])
                names.append({line.split()[1].split("(")[0] for line in
                              log.read_text().splitlines() if "(" in line})
            self.assertLessEqual(names[1] - names[0], set(
                """getcwd prctl madvise mkdir openat read getdents64 kill ftruncate fallocate getpid
                getppid geteuid newfstatat sysinfo readlink unlinkat getrandom prlimit64 close fcntl
                munmap""".split()))

    # ---- control groups ----

    def group(self):
        """A new memory group and the names of its limit; None when none can be made."""
        for root, limit, events in (
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"),
                ("/sys/fs/cgroup", "memory.max", "memory.events")):
            path = pathlib.Path(root) / f"mpalloc-test-{os.getpid()}"
            try:
                path.mkdir()
            except OSError:
                continue
            self.addCleanup(path.rmdir)
            if (path / limit).exists():
                return path, limit, events
        return None

    def cycle(self, seconds):
        found = self.group()
        if found is None:
            self.skipTest("no memory control group can be made here")
        path, limit, events = found
        (path / limit).write_text(str(256 * MIB))
        done = self.run_in(["sh", "-c", f'echo $$ >"{path}/cgroup.procs" && exec "$0" cycle 200 '
                            f'{seconds}', WORKER], timeout=seconds + 120)
        self.assertGreater(int(done.stdout.split()[1]), 0)
        for line in (path / events).read_text().splitlines():
            if line.startswith("oom_kill "):
                self.assertEqual(line, "oom_kill 0")

    def test_c43_under_the_limit_of_a_group(self):
        self.cycle(2)

    def slow_c43_under_the_limit_of_a_group_for_long(self):
        self.cycle(300)


names = sys.argv[4:] or [n for n in dir(Limits) if n.startswith("test_")]
result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(Limits(n) for n in names))
if result.wasSuccessful() and len(result.skipped) == result.testsRun:
    sys.exit(77)
sys.exit(not result.wasSuccessful())
