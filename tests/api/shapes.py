"""
shapes - processes as others start and watch them: loaders, debuggers, checkers, layouts

    shapes.py LIBRARY PLAIN STATIC-PLAIN API-INFO PLUGIN AUDIT [TEST]

A27, E81, F82 to F105. What needs a tool that is not there is skipped.
"""
import ctypes
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

LIBRARY, PLAIN, STATIC, API_INFO, PLUGIN, AUDIT = (
    os.path.abspath(path) for path in sys.argv[1:7])
PROFILE = "TEST_NO_COUNTERS" not in os.environ
ENVIRONMENT = {k: v for k, v in os.environ.items()
               if not k.startswith(("MPALLOC_", "LD_PRELOAD", "MALLOC_"))}
NO_RANDOMIZE, COMPAT_LAYOUT, READ_IMPLIES_EXEC = 0x0040000, 0x0200000, 0x0400000
WITH_LIBRARY = {"LD_PRELOAD": LIBRARY}

# Names of the C library that say alloc or free and are not of its heap: each takes or gives
# structures of its own, which it makes with the malloc of the process.
NOT_OF_THE_HEAP = set("""
    _IO_default_doallocate _IO_doallocbuf _IO_file_doallocate _IO_free_backup_area
    _IO_free_wbackup_area _IO_wdefault_doallocate _IO_wdoallocbuf __freelocale
    __libc_alloc_buffer_alloc_array __libc_alloc_buffer_allocate
    __libc_alloc_buffer_copy_bytes __libc_alloc_buffer_copy_string
    __libc_alloc_buffer_create_failure __libc_alloca_cutoff __libc_allocate_once_slow
    __libc_allocate_rtsig __libc_freeres
    __libc_scratch_buffer_dupfree __sched_cpualloc __sched_cpufree _obstack_allocated_p
    _obstack_free fallocate fallocate64 freeaddrinfo freeifaddrs freelocale globfree
    globfree64 if_freenameindex inet6_option_alloc obstack_free pkey_alloc pkey_free
    posix_fallocate posix_fallocate64 regfree wordfree xdr_free
    """.split())


def run(*command, layout=None, stack=None, **environment):
    def before():
        if layout is not None:
            ctypes.CDLL(None).personality(layout)
        if stack is not None:
            resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))
    return subprocess.run([str(word) for word in command], env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        timeout=120, preexec_fn=before)


def needs(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return unittest.skipIf(missing, f"not here: {' '.join(missing)}")


class Shapes(unittest.TestCase):
    def check_fine(self, done, stderr=""):
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1:], done.stderr),
            (0, ["ok fine"], stderr), done)

    def check_api(self, **how):
        done = run(API_INFO, **WITH_LIBRARY, **how)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)

    def start_waiting(self):
        process = subprocess.Popen([PLAIN, "wait"], env=ENVIRONMENT | WITH_LIBRARY,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"ok ready\n")
        return process

    # ---- names ----

    def test_a27_every_allocation_name_of_glibc_is_ours(self):
        libc = re.search(r"(/\S*libc\.so\.6)", run("ldd", PLAIN).stdout)[1]
        names = {line.split()[-1].split("@")[0] for line in
                 run("nm", "-D", "--defined-only", libc).stdout.splitlines()
                 if line.split()[-2] in "TWi"}
        ours = {line.split()[-1].split("@")[0] for line in
                run("nm", "-D", "--defined-only", LIBRARY).stdout.splitlines()}
        heap = {name for name in names
                if re.search(r"alloc|free|memalign|mallinfo|mallopt", name)}
        self.assertGreater(len(heap & ours), 20)
        self.assertEqual(heap - ours - NOT_OF_THE_HEAP, set())

    def test_a27_every_operator_of_libstdcxx_is_ours(self):
        path = run("g++", "-print-file-name=libstdc++.so.6").stdout.strip()
        if not os.path.isabs(path):
            self.skipTest("no libstdc++")
        operators = re.compile(r"\b(_Z(?:nw|na|dl|da)\w*)")
        theirs = set(operators.findall(run("nm", "-D", "--defined-only", path).stdout))
        ours = set(operators.findall(run("nm", "-D", "--defined-only", LIBRARY).stdout))
        self.assertGreaterEqual(len(theirs), 20)
        self.assertEqual(theirs - ours, set())

    # ---- the loader ----

    def test_f82_a_static_program_ignores_the_preload(self):
        self.check_fine(run(STATIC, **WITH_LIBRARY))

    def test_f85_the_library_may_be_opened_late(self):
        self.check_fine(run(PLAIN, "late", LIBRARY, PLUGIN, MPALLOC_LOG="quiet"))

    def test_f88_bound_at_the_start(self):
        self.check_api(LD_BIND_NOW="1")

    def test_f88_under_an_auditor(self):
        self.check_fine(run(PLAIN, LD_AUDIT=AUDIT, **WITH_LIBRARY))
        self.check_api(LD_AUDIT=AUDIT)

    # ---- the layout of memory ----

    def test_f99_without_randomization(self):
        self.check_api(layout=NO_RANDOMIZE)

    def test_f99_with_the_old_layout(self):
        self.check_api(layout=COMPAT_LAYOUT)
        self.check_api(stack=resource.RLIM_INFINITY)

    def test_f99_where_reading_implies_executing(self):
        self.check_api(layout=READ_IMPLIES_EXEC | NO_RANDOMIZE)

    def test_f101_the_library_is_linked_safely(self):
        segments = run("readelf", "-lW", LIBRARY).stdout
        dynamic = run("readelf", "-dW", LIBRARY).stdout
        self.assertRegex(segments, r"GNU_STACK .* RW +0x")
        self.assertIn("GNU_RELRO", segments)
        self.assertNotRegex(segments, r"LOAD .* RWE ")
        self.assertNotIn("TEXTREL", dynamic)
        self.assertRegex(dynamic, r"FLAGS_1.* NOW")
        self.assertRegex(dynamic, r"FLAGS_1.* NODELETE")
        self.assertNotRegex(dynamic, r"R(UN)?PATH")
        self.assertEqual(re.findall(r"NEEDED.*\[(.*)\]", dynamic), ["libc.so.6"])

    # ---- checkers ----

    @needs("valgrind")
    def test_f102_valgrind_takes_malloc_over_by_name(self):
        done = run("valgrind", "--soname-synonyms=somalloc=*mpalloc*", "--leak-check=full",
            "--error-exitcode=9", PLAIN, "leak", **WITH_LIBRARY)
        self.assertEqual(done.returncode, 9, done.stderr)
        self.assertRegex(done.stderr, r"1,234 bytes in 1 blocks are definitely lost")

    @needs("valgrind")
    def test_f102_valgrind_runs_the_library_itself(self):
        done = run("valgrind", "--soname-synonyms=somalloc=NONE", "-q", PLAIN,
            **WITH_LIBRARY)
        self.assertEqual((done.returncode, done.stdout), (0, "ok fine\n"), done.stderr)
        self.assertNotRegex(done.stderr, r"Invalid|uninitialised")

    @needs("clang")
    def test_f102_address_sanitizer_keeps_its_malloc(self):
        source = pathlib.Path(__file__).with_name("plain.c")
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "plain"
            built = run("clang", "-fsanitize=address", "-g", "-fno-builtin", "-D_GNU_SOURCE",
                source, "-o", program, "-pthread")
            if built.returncode != 0:
                self.skipTest("clang has no AddressSanitizer here")
            quiet = {"ASAN_OPTIONS": "detect_leaks=0"}
            self.check_fine(run(program, **WITH_LIBRARY, **quiet))
            done = run(program, "touch_freed", **WITH_LIBRARY, **quiet)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("heap-use-after-free", done.stderr)

    # ---- debuggers and tracers ----

    @needs("gdb")
    def test_e81_a_debugger_calls_malloc(self):
        done = run("gdb", "-nx", "-batch", "-ex", f"set environment LD_PRELOAD {LIBRARY}",
            "-ex", "set environment MPALLOC_HARDEN 0",
            "-ex", "set startup-with-shell off",
            "-ex", "break pause", "-ex", "run wait",
            "-ex", "print ((void *(*)(unsigned long))malloc)(10)",
            "-ex", "print ((unsigned long (*)(void *))malloc_usable_size)($1)",
            "-ex", "call ((void (*)(void *))free)($1)",
            "-ex", "print ((void *(*)(unsigned long))malloc)(1000000)",
            "-ex", "kill", PLAIN)
        if "Couldn't write extended state" in done.stderr:
            self.skipTest("gdb cannot call functions on this kernel")
        self.assertRegex(done.stdout, r"\$1 = \(void \*\) 0x[0-9a-f]+", done.stderr)
        self.assertRegex(done.stdout, r"\$2 = 16\b")
        self.assertRegex(done.stdout, r"\$3 = \(void \*\) 0x[0-9a-f]+")

    def test_f103_blocks_are_part_of_a_core_dump(self):
        process = self.start_waiting()
        smaps = pathlib.Path(f"/proc/{process.pid}/smaps").read_text()
        for area in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", smaps):
            flags = re.search(r"VmFlags:(.*)", area)[1].split()
            if re.match(r"\S+ rw-p 0+ 00:00 0 *\n", area):
                self.assertNotIn("dd", flags, area)

    @needs("gcore", "gdb")
    def test_f103_gcore_finds_what_blocks_hold(self):
        process = self.start_waiting()
        with tempfile.TemporaryDirectory() as folder:
            done = run("gcore", "-o", f"{folder}/core", process.pid)
            if "ptrace" in done.stderr:
                self.skipTest("no right to attach here")
            core = pathlib.Path(f"{folder}/core.{process.pid}").read_bytes()
        self.assertIn(b"a block of the program\0", core)

    @needs("strace")
    def test_f105_strace_follows_threads(self):
        done = run("strace", "-f", "-o", "/dev/null", "-E", f"LD_PRELOAD={LIBRARY}", PLAIN)
        if "ptrace" in done.stderr:
            self.skipTest("no right to trace here")
        self.check_fine(done)

    @needs("perf")
    def test_f105_perf_counts_and_samples(self):
        with tempfile.TemporaryDirectory() as folder:
            for how in (["stat"], ["record", "-g", "-o", f"{folder}/perf.data"]):
                done = run("perf", *how, "--", "env", f"LD_PRELOAD={LIBRARY}", PLAIN)
                if done.returncode != 0 and "ok fine" not in done.stdout:
                    self.skipTest("perf is not allowed here")
                self.assertIn("ok fine", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[7:]])
