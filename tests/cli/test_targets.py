"""What a target of the mpalloc command may be beside a PID: the file of a service, a core file.

    test_targets.py COMMAND TARGET LIBRARY
"""

import os
import pathlib
import re
import resource
import shutil
import signal
import struct
import subprocess
import unittest

from command import LIBRARY, TARGET, CommandTest, main


class PidFile(CommandTest):
    def write(self, text):
        path = self.dir / "service.pid"
        path.write_text(text)
        return path

    def test_every_verb_with_a_target_takes_it(self):
        p = self.start("busy")
        path = self.write(f"{p.pid}\n")
        for verb in ("report", "snapshot", "leaks", "options"):
            self.assertEqual(self.command(verb, "--pid-file", path).stderr, "", verb)
            d = self.document(verb, "--pid-file", path)
            if "process" in d:
                self.assertEqual(d["process"]["pid"], p.pid)
        self.document("trim", "--pid-file", path)
        self.document("sample", "--pid-file", path, "64k")
        self.assertIn("--pid-file", self.command("leaks", "--help").stdout)

    def test_blanks_and_further_lines_are_no_matter(self):
        p = self.start("quiet")
        for text in (f"{p.pid}", f" {p.pid} \r\n", f"{p.pid}\n/var/lib/x\n17\n" + "x" * 999):
            self.command("snapshot", "--pid-file", self.write(text))

    def test_the_region_of_a_dead_process(self):
        p = self.start("quiet")
        path = self.write(f"{p.pid}\n")
        p.send_signal(signal.SIGKILL)
        p.wait()
        self.assertEqual(self.document("leaks", "--pid-file", path)["process"]["state"], "died")

    def test_bad_ones_are_named_in_one_line(self):
        self.fails(4, "leaks", "--pid-file", self.dir / "none.pid",
                   says=r"^mpalloc leaks: --pid-file .*/none.pid: No such file or directory$")
        self.fails(1, "leaks", "--pid-file", self.dir, says="Is a directory")
        for text in ("", "\n", "  \n42\n"):
            self.fails(2, "leaks", "--pid-file", self.write(text), says="no process number in it")
        for text in ("nginx\n", "-5\n", "0\n", "12x\n", "4294967296\n", "\x1b[31m\n", "1 2\n"):
            self.fails(2, "leaks", "--pid-file", self.write(text),
                       says="a process number was expected, not")
        self.fails(4, "leaks", "--pid-file", self.write("4194305\n"),
                   says="service.pid: process 4194305: does not exist, and none of that number "
                   "left a region")
        mine = self.write(f"{os.getpid()}\n")
        self.fails(4, "leaks", "--pid-file", mine, says="runs, but without mpalloc")
        self.fails(2, "leaks", "--pid-file", mine, 17, says="takes 17 or --pid-file, not both")
        self.fails(2, "leaks", "--pid-file", mine, "--name", "x", says="not both")
        self.fails(2, "leaks", "--pid-file", says="needs a value")

    def test_a_queue_that_nobody_writes_to_is_not_waited_for(self):
        os.mkfifo(self.dir / "queue")
        self.fails(2, "leaks", "--pid-file", self.dir / "queue", says="no process number in it")


def makes_cores():
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    return pattern[0] not in "|/@" and resource.getrlimit(resource.RLIMIT_CORE)[1] != 0


class CoreFile(CommandTest):
    def gcore(self, p):
        subprocess.run(["gcore", "-o", self.dir / "core", str(p.pid)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self.dir / f"core.{p.pid}"

    def check(self, core, p, message=""):
        """Exact figures are those of target.c; each verb reads it."""
        d = self.document("snapshot", core)
        self.assertEqual((d["process"]["pid"], d["process"]["state"]), (p.pid, "died"))
        cart = next(c for c in d["components"] if c["name"] == "shop/cart")
        self.assertEqual((cart["live_blocks"], cart["live_bytes"]), (1000, 1008 * 1000))
        for verb in ("leaks", "report", "snapshot"):
            self.assertRegex(self.command(verb, core).stderr, f"^{message}$")
        self.document("leaks", core)

    @unittest.skipUnless(shutil.which("gcore"), "gcore is not installed")
    def test_a_memfd_is_in_it(self):
        p = self.start("quiet", MPALLOC_REGION="memfd")
        core = self.gcore(p)
        self.check(core, p)
        p.kill()
        p.wait()
        self.check(core, p)
        for verb, *words in (("trim",), ("sample", "64k"), ("leaks", "--scan"), ("top",)):
            self.fails(4, verb, core, *words, says="is a core file: this asks a process that runs")
        early = self.document("leaks", core, "--since", core)
        self.assertTrue(all(k["since_bytes"] == 0 for k in early["leaks"]))
        whole = core.read_bytes()
        for name, data in (("cut", whole[:len(whole) // 2]), ("short", whole[:2000]),
                           ("machine", whole[:5] + b"\2" + whole[6:])):
            with self.subTest(name=name):
                bad = self.dir / name
                bad.write_bytes(data)
                self.assertIn(self.command("leaks", bad, code=None).returncode, (4, 6))
                self.fails(self.command("leaks", bad, code=None).returncode, "report", bad,
                           says=name)

    @unittest.skipUnless(shutil.which("gcore"), "gcore is not installed")
    def test_a_file_of_dev_shm_is_not_but_was_left(self):
        p = self.start("quiet")
        core = self.gcore(p)
        region = self.region_of(p)
        p.kill()
        p.wait()
        self.check(core, p, f"mpalloc [a-z]+: {core}: holds no region; this is {region}, "
                   "which it left\n")
        region.unlink()
        self.fails(4, "leaks", core, says=f"holds no region, for that was a file, and {region} "
                   "is not here: .*MPALLOC_REGION=memfd")

    @unittest.skipUnless(shutil.which("gcore"), "gcore is not installed")
    def test_a_file_of_dev_shm_is_when_the_kernel_is_told_so(self):
        p = self.start("quiet")
        pathlib.Path(f"/proc/{p.pid}/coredump_filter").write_text("0x3b")
        core = self.gcore(p)
        self.region_of(p).unlink()
        self.check(core, p)

    @unittest.skipUnless(shutil.which("gcore"), "gcore is not installed")
    def test_a_process_without_mpalloc(self):
        p = subprocess.Popen(["/bin/sleep", "60"])
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.fails(4, "leaks", self.gcore(p), says=f"holds no region: process {p.pid} was not "
                   "on mpalloc, or what it shared is not in it")

    @unittest.skipUnless(makes_cores(), "core files go elsewhere, or are not allowed")
    def test_what_the_kernel_writes(self):
        folder = self.dir / "w"
        folder.mkdir()
        p = subprocess.Popen([TARGET, "quiet"], env={**self.env, "MPALLOC_REGION": "memfd"},
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, cwd=folder,
                             preexec_fn=lambda: resource.setrlimit(
                                 resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))
        self.addCleanup(self.end, p)
        p.stdout.readline()
        p.send_signal(signal.SIGQUIT)
        p.wait()
        self.check(next(folder.iterdir()), p)

    def test_files_that_only_look_so(self):
        """An ELF header of a core file, and nothing, or too much, behind it."""
        for count, more in ((0, b""), (1, b""), (3, b"\xff" * 168), (65000, b"\xff" * 999)):
            path = self.dir / f"c{count}"
            head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, 64, 0, 0, 64,
                               56, count, 0, 0, 0)
            path.write_bytes(head + more)
            with self.subTest(count=count):
                code = self.command("leaks", path, code=None).returncode
                self.assertIn(code, (4, 6))
                self.fails(code, "leaks", path, says=str(path))


main()
