"""
test_loader - the library and the dynamic loader (conformance 85, 86, 89, 102)

Usage: test_loader.py LIBRARY MPALLOC [NAME PROGRAM]... The programs say what they claim; here
they are started in each way, and what the library says about it is read.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

LIBRARY, COMMAND = (os.path.realpath(path) for path in sys.argv[1:3])
PROGRAM = {name: os.path.realpath(path) for name, path in zip(sys.argv[3::2], sys.argv[4::2])}
LATE = "mpalloc: loaded too late: the program uses the malloc of "


class Loader(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mpalloc-loader-")
        self.addCleanup(self.folder.cleanup)

    def start(self, argv, preload=True, **settings):
        env = {"PATH": "/usr/bin:/bin", "MPALLOC_DIR": self.folder.name + "/regions", **settings}
        if preload:
            env["LD_PRELOAD"] = LIBRARY
        return subprocess.run([str(word) for word in argv], env=env, capture_output=True,
            text=True, timeout=120)

    def fine(self, expected, name, *words, says="", **how):
        """The program ends well, and nothing but `says` was said (its beginning)."""
        done = self.start([PROGRAM[name], *words], **how)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, expected), done.stderr)
        self.assertTrue(done.stderr.startswith(says), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1 if says else 0, done.stderr)
        return done

    # 86: RTLD_DEEPBIND

    def test_a_deepbind_plugin_uses_the_malloc_of_its_program(self):
        for name in ("opener", "opener_linked"):
            self.fine("blocks go across", name, PROGRAM["plugin"], "deepbind",
                preload=name == "opener")

    def test_deepbind_can_be_kept_and_then_crashes(self):
        """That the option does something; without this the test above could not fail."""
        done = self.start([PROGRAM["opener"], PROGRAM["plugin"], "deepbind"],
            MPALLOC_DEEPBIND="keep")
        self.assertLess(done.returncode, 0, done.stdout)

    def test_what_was_stripped_is_said_in_the_debug_log(self):
        self.fine("blocks go across", "opener", PROGRAM["plugin"], "deepbind",
            MPALLOC_LOG="debug", says="mpalloc: dlopen of " + PROGRAM["plugin"])

    def test_dlopen_knows_its_caller(self):
        for preload in (False, True):
            self.fine("the caller is known", "opener", PROGRAM["plugin"], "caller",
                preload=preload)
            self.fine("the namespace is kept", "opener", PROGRAM["plugin"], "namespace",
                preload=preload)

    def test_dlopen_leaves_no_frame(self):
        """In the machine code: whatever it calls has returned before the jump."""
        text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "--disassemble=dlopen",
            LIBRARY], capture_output=True, text=True, check=True).stdout
        code = [line.split("\t", 1)[1].strip() for line in text.splitlines() if ":\t" in line]
        code = [line for line in code if not line.startswith(("nop", "data16", "cs nop"))]
        self.assertRegex(code[-1], r"^(jmp +\*%rax|br\tx16|br +x16)$", "\n".join(code))
        self.assertFalse([line for line in code if line.startswith("ret")])

    # 85: loaded too late

    def test_late_is_said_and_nothing_is_half(self):
        done = self.fine("nothing is half", "late", LIBRARY, PROGRAM["plugin_linked"],
            preload=False, says=LATE)
        self.assertRegex(done.stderr, r"libc\.so\.6|ld-musl")
        self.assertFalse(os.path.exists(self.folder.name + "/regions"), "it made a region")

    def test_behind_the_c_library_is_late(self):
        self.fine("served before all constructors", "behind", preload=False, says=LATE)
        self.fine("served before all constructors", "behind")

    def test_late_quiet_says_nothing(self):
        self.fine("nothing is half", "late", LIBRARY, PROGRAM["plugin_linked"],
            preload=False, MPALLOC_LOG="quiet")

    def test_late_beside_an_address_in_the_plt(self):
        """Non-PIE: the address of malloc is in the program, though its malloc is libc's."""
        self.fine("nothing is half", "late_nonpie", LIBRARY, PROGRAM["plugin_linked"],
            preload=False, says=LATE)

    def test_not_late_beside_an_address_in_the_plt(self):
        self.fine("nothing is half", "late_nonpie", LIBRARY, PROGRAM["plugin_linked"])

    def test_a_malloc_of_its_own_is_no_mistake(self):
        linked = PROGRAM["plugin_linked"]
        self.fine("nothing is half", "late_own", LIBRARY, linked, preload=False)
        done = self.start([PROGRAM["late_own"], LIBRARY, linked], preload=False,
            MPALLOC_LOG="debug")
        self.assertIn("a malloc of its own: " + PROGRAM["late_own"], done.stderr)

    def test_preloaded_before_a_late_open(self):
        self.fine("nothing is half", "late", LIBRARY, PROGRAM["plugin_linked"])

    # 89: called before the constructors

    def test_served_before_all_constructors(self):
        for name in PROGRAM:
            if name.startswith("early"):
                for settings in ({}, {"LD_BIND_NOW": "1"}):
                    self.fine("served before all constructors", name, preload=name == "early",
                        **settings)

    def test_beside_an_auditing_library(self):
        for name in ("early", "early_linked"):
            self.fine("served before all constructors", name, preload=name == "early",
                LD_AUDIT=PROGRAM["audit"])

    # 102: valgrind, sanitizers

    def compile(self, text, *flags):
        source, program = (f"{self.folder.name}/program{tail}" for tail in (".c", ""))
        pathlib.Path(source).write_text(text)
        done = subprocess.run(["gcc", "-g", source, "-o", program, *flags],
            capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest("gcc " + " ".join(flags) + ": " + done.stderr[-200:])
        return program

    OVERFLOW = """
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    char *volatile p = strdup("0123456789");
    char *volatile leak = malloc(77);
    leak = NULL;
    p[argc + 10] = 'x';
    free(p);
    return 0;
}
"""

    def test_valgrind_finds_what_it_finds_without_us(self):
        if shutil.which("valgrind") is None:
            self.skipTest("valgrind is not installed")
        program = self.compile(self.OVERFLOW, "-O0")
        counts = []
        for preload in (False, True):
            done = self.start(["valgrind", "--leak-check=full", "--error-exitcode=9", program],
                preload=preload)
            self.assertEqual(done.returncode, 9, done.stderr)
            self.assertIn("Invalid write of size 1", done.stderr)
            self.assertIn("77 bytes in 1 blocks are definitely lost", done.stderr)
            self.assertNotIn("mpalloc:", done.stderr)
            counts.append(done.stderr[done.stderr.index("ERROR SUMMARY"):])
        self.assertEqual(*counts)

    def test_blocks_of_ours_are_valgrinds_under_valgrind(self):
        if shutil.which("valgrind") is None:
            self.skipTest("valgrind is not installed")
        done = self.start(["valgrind", "--error-exitcode=9", "--show-mismatched-frees=no",
            PROGRAM["late"], LIBRARY, PROGRAM["plugin_linked"]])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_under_valgrind_without_its_malloc(self):
        if shutil.which("valgrind") is None:
            self.skipTest("valgrind is not installed")
        done = self.start(["valgrind", "--soname-synonyms=somalloc=NONE", "--error-exitcode=9",
            PROGRAM["early"]])
        self.assertEqual((done.returncode, done.stdout), (0, "served before all constructors\n"),
            done.stderr)

    def test_address_sanitizer_finds_what_it_finds_without_us(self):
        """The runtime is in the program, or demands to be loaded first, and says so."""
        options = {"ASAN_OPTIONS": "detect_leaks=0"}
        program = self.compile(self.OVERFLOW, "-fsanitize=address", "-static-libasan", "-O0")
        for preload in (False, True):
            done = self.start([program], preload=preload, **options)
            self.assertIn("AddressSanitizer: heap-buffer-overflow", done.stderr)
            self.assertNotIn("mpalloc:", done.stderr)
        program = self.compile(self.OVERFLOW, "-fsanitize=address", "-O0")
        done = self.start([program], **options)
        self.assertIn("ASan runtime does not come first", done.stderr)

    # What the doctor says of it.

    def doctor(self, *words, **settings):
        done = self.start([COMMAND, "doctor", *words], preload=False,
            MPALLOC_LIBRARY=LIBRARY, **settings)
        self.assertIn(done.returncode, (0, 1, 4), done.stderr)
        return done.stdout

    def held(self, name, plugin, preload, wrapper=(), **settings):
        env = {"PATH": "/usr/bin:/bin", "MPALLOC_DIR": self.folder.name + "/regions", **settings}
        if preload:
            env["LD_PRELOAD"] = LIBRARY
        process = subprocess.Popen([*wrapper, PROGRAM[name], plugin, "hold"], env=env,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"ok open\n")
        return str(process.pid)

    def test_doctor_names_modules_that_miss_our_malloc(self):
        pid = self.held("opener", PROGRAM["plugin"], True, MPALLOC_DEEPBIND="keep")
        out = self.doctor(pid)
        self.assertRegex(out, r"1 of \d+ use another malloc: \S*libloader_plugin.so calls \w+ of "
            r"\S*libc\.so")
        self.assertIn("leave MPALLOC_DEEPBIND at strip", out)
        pid = self.held("opener", PROGRAM["plugin"], True)
        self.assertRegex(self.doctor(pid), r"ok +modules +\d+ call malloc or free, all of "
            "them ours")

    def test_doctor_explains_a_late_library(self):
        out = self.doctor(self.held("opener", LIBRARY, False))
        self.assertIn("the program does not use our malloc", out)
        self.assertIn("loaded too late", out)

    def test_doctor_explains_valgrind(self):
        if shutil.which("valgrind") is None:
            self.skipTest("valgrind is not installed")
        pid = self.held("opener", PROGRAM["plugin"], True, wrapper=("valgrind", "-q"))
        self.assertIn("it runs under valgrind", self.doctor(pid))
        self.assertIn("valgrind replaces malloc", self.doctor("/usr/bin/valgrind"))

    def test_doctor_explains_programs_with_a_malloc_of_their_own(self):
        self.assertIn("it has a malloc of its own", self.doctor(PROGRAM["late_own"]))
        for flags in ((), ("-static-libasan",)):
            program = self.compile(self.OVERFLOW, "-fsanitize=address", *flags)
            self.assertIn("built with a sanitizer", self.doctor(program))
        self.assertIn("can be preloaded", self.doctor(PROGRAM["opener"]))

    def test_doctor_tells_programs_that_open_libraries(self):
        self.assertRegex(self.doctor(PROGRAM["opener"]), "ok +dlopen .*is taken away")
        self.assertRegex(self.doctor(PROGRAM["opener"], MPALLOC_DEEPBIND="keep"),
            "warn +dlopen .*leave MPALLOC_DEEPBIND at strip")
        self.assertNotIn("RTLD_DEEPBIND", self.doctor(PROGRAM["early"]))

    def test_doctor_warns_of_keeping_deepbind(self):
        self.assertIn("MPALLOC_DEEPBIND=keep", self.doctor(MPALLOC_DEEPBIND="keep"))

    def test_doctor_survives_damaged_programs(self):
        whole = pathlib.Path(PROGRAM["late_own"]).read_bytes()
        path = pathlib.Path(self.folder.name, "damaged")
        for cut in list(range(0, 4096, 263)) + [len(whole) // 2, len(whole) - 1]:
            path.write_bytes(whole[:cut])
            path.chmod(0o755)
            self.doctor(path)
        for at in range(0, 3000, 123):
            path.write_bytes(whole[:at] + b"\xff" * 8 + whole[at + 8:])
            self.doctor(path)


unittest.main(argv=sys.argv[:1])
