"""Where documents go: whole files or none, and what is no file stays what it is.

    test_outfile.py COMMAND TARGET LIBRARY
"""

import os
import pathlib
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

COMMAND, TARGET, LIBRARY = (os.path.realpath(p) for p in sys.argv[1:4])
JOB = "import json; x = [json.loads(json.dumps([str(i)] * 900)) for i in range(300)]"


class Outfile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-outfile-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.env = {k: v for k, v in os.environ.items()
                   if not k.startswith(("MPALLOC_", "LD_PRELOAD", "DEBUGINFOD"))}
        cls.env.update(MPALLOC_DIR=str(cls.dir / "regions"), LC_ALL="C.UTF-8",
                       MPALLOC_LIBRARY=LIBRARY, MPALLOC_SYMBOL_CACHE="off")
        subprocess.run([sys.executable, "-c", JOB], check=True,
                       env={**cls.env, "LD_PRELOAD": LIBRARY, "MPALLOC_KEEP": "1",
                            "MPALLOC_SAMPLE": "4k"})
        cls.region, = (cls.dir / "regions").glob("*.mp")

    def setUp(self):
        self.out = self.dir / self._testMethodName
        self.out.mkdir()

    def mpalloc(self, *words, **more):
        return subprocess.run([COMMAND, *map(str, words)], env=self.env, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, **more)

    def export(self, path, form="collapsed"):
        return self.mpalloc("export", "--format", form, "--value", "allocated-bytes", "-o",
                            path, self.region)

    def fine(self, done):
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def failed(self, done, words):
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rf"^mpalloc \w+: .*{words}\n$")

    def names(self):
        return sorted(path.name for path in self.out.iterdir())

    def test_a_file_is_new_or_replaced(self):
        path = self.out / "x"
        for _ in range(2):
            self.fine(self.export(path))
            self.assertIn("json", path.read_text())
            self.assertEqual(path.stat().st_mode & 0o777, 0o644)
            path.write_text("before")
        self.assertEqual(self.names(), ["x"])
        self.fine(subprocess.run([COMMAND, "flame", "-o", "page.html", self.region],
                                 cwd=self.out, env=self.env, capture_output=True, text=True))
        self.assertEqual(self.names(), ["page.html", "x"])

    def test_what_a_link_leads_to_is_replaced(self):
        (self.out / "there").write_text("before")
        (self.out / "link").symlink_to("there")
        self.fine(self.export(self.out / "link"))
        self.assertTrue((self.out / "link").is_symlink())
        self.assertIn("json", (self.out / "there").read_text())
        self.assertEqual(self.names(), ["link", "there"])

    def test_a_pipe_and_a_device_stay(self):
        pipe = self.out / "pipe"
        os.mkfifo(pipe)
        with open(self.dir / "read", "w+") as file:
            with subprocess.Popen(["cat", pipe], stdout=file):
                self.fine(self.export(pipe))
            self.assertIn("json", (self.dir / "read").read_text())
        self.assertTrue(stat.S_ISFIFO(pipe.stat().st_mode))
        done = self.export("/dev/stdout")
        self.fine(done)
        self.assertIn("json", done.stdout)
        self.assertTrue(pathlib.Path("/dev/stdout").is_symlink())
        for number, name in (3, "null"), (7, "full"):
            device = self.out / name
            try:  # never those of the machine
                os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, number))
                device.open("w").close()
            except OSError as e:
                self.skipTest(f"no devices of one's own: {e}")
            done = self.export(device, "html")
            if name == "null":
                self.fine(done)
            else:
                self.failed(done, "full cannot be written: No space left on device")
            self.assertTrue(stat.S_ISCHR(device.stat().st_mode))
            done = self.mpalloc("run", f"--report={device}", "--", "/bin/true")
            self.assertEqual("cannot be written" in done.stderr, name == "full")
            self.assertTrue(stat.S_ISCHR(device.stat().st_mode))
        self.assertEqual(self.names(), ["full", "null", "pipe"])

    def test_standard_output_says_why(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([COMMAND, "export", "--format", "html", self.region],
                                  env=self.env, stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual((done.returncode, done.stderr), (
            1, "mpalloc: standard output cannot be written: No space left on device\n"))

    def test_nowhere(self):
        self.failed(self.export(self.out / "no" / "x"), "x cannot be written: No such file.*")
        self.failed(self.export(self.out), "cannot be written: Is a directory")
        self.failed(self.export("/proc/x"), "/proc/x cannot be written: .*")
        for option in "--report=/proc/x", "--output=/proc/x":
            words = ("--format", "html") if "output" in option else ()
            done = self.mpalloc("run", option, *words, "--", "/bin/touch", self.out / "ran")
            self.failed(done, "cannot be written to /proc/x: .*")
        self.assertEqual(self.names(), [])

    @unittest.skipUnless(os.geteuid() == 0, "mounts a small tmpfs")
    def test_a_full_disk_keeps_what_was_there(self):
        script = ('mount -t tmpfs -o size=16k tmpfs "$1" && cd "$1" && echo before >x || exit 99\n'
                  '"$2" export --format html -o x "$3"; echo $?; '
                  '"$2" flame -o new "$3"; echo $?; '
                  '"$2" run --sample 4k --format json -o new -- "$4" -c "$5"; echo $?; ls -A; cat x')
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", self.out, COMMAND,
                               self.region, sys.executable, JOB], env=self.env,
                              capture_output=True, text=True, timeout=60)
        if done.returncode == 99 or "unshare" in done.stderr:
            self.skipTest("no tmpfs can be mounted")
        self.assertEqual(done.stdout, "1\n1\n1\nx\nbefore\n", done.stderr)
        self.assertEqual([line.split(" cannot")[1] for line in done.stderr.splitlines()],
                         [" be written: No space left on device"] * 3)

    def test_a_command_that_is_killed_leaves_nothing(self):
        rng = random.Random(5)
        start = time.monotonic()
        self.fine(self.export(self.out / "x", "html"))
        took = time.monotonic() - start
        whole = (self.out / "x").read_bytes()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL) * 12:
            (self.out / "x").write_text("before")
            p = subprocess.Popen([COMMAND, "export", "--format", "html", "--value",
                                  "allocated-bytes", "-o", self.out / "x", self.region],
                                 env=self.env, stderr=subprocess.DEVNULL)
            time.sleep(rng.random() * took)
            p.send_signal(number)
            code = p.wait()
            text = (self.out / "x").read_bytes()
            self.assertTrue(text == b"before" or len(text) == len(whole), (code, text[:80]))
            self.assertEqual(self.names(), ["x"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
