"""libmpexport: what a program gets from it is what the command says.

    test_library.py MPALLOC LIBRARY-TEST LIBMPALLOC
"""

import gzip
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

COMMAND, PROGRAM, LIBMPALLOC = (os.path.realpath(p) for p in sys.argv[1:4])
FORMATS = ("pprof collapsed speedscope svg html dhat massif heaptrack heap jeprof json "
           "openmetrics").split()


def without_times(text):
    """Times and ages: of when a document was made, and how long ago that was."""
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME", text)
    text = re.sub(r"\d+ min \d+ s|\d+(\.\d+)? m?s\b", "AGE", text)
    return re.sub(r"(age|seconds|time|duration)([a-z_]*[ \":]+)[0-9.e+]+", r"\1\2AGE", text)


class Library(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-library-", dir="/dev/shm"))
        cls.env = {k: v for k, v in os.environ.items() if not k.startswith("MPALLOC_")}
        cls.env.update(MPALLOC_DIR=str(cls.dir), LC_ALL="C.UTF-8", HOME=str(cls.dir),
                       XDG_CACHE_HOME=str(cls.dir / "cache"),
                       XDG_STATE_HOME=str(cls.dir / "state"),
                       XDG_CONFIG_HOME=str(cls.dir / "config"))
        cls.env.pop("DEBUGINFOD_URLS", None)
        cls.regions = []
        for sample in "4k", "exact":
            p = subprocess.Popen([PROGRAM, "hold"], text=True, stdout=subprocess.PIPE,
                                 env={**cls.env, "LD_PRELOAD": LIBMPALLOC,
                                      "MPALLOC_SAMPLE": sample})
            with p.stdout:
                assert p.stdout.readline() == "ready\n"
                p.send_signal(signal.SIGKILL)
                p.wait()
            cls.regions.append(next(cls.dir.glob(f"{p.pid}-*.mp")))
        cls.pid = p.pid

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir, ignore_errors=True)

    def run_it(self, *words, **env):
        done = subprocess.run([PROGRAM, *map(str, words)], env={**self.env, **env},
                              capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def command(self, *words):
        done = subprocess.run([COMMAND, *map(str, words)], env=self.env, capture_output=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_every_format_is_what_the_command_writes(self):
        out = self.dir / "all"
        out.mkdir()
        done = self.run_it("all", self.regions[0], out)
        self.assertEqual(done.stderr, "", "nothing is printed")
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], FORMATS)
        for name in FORMATS:
            wanted = self.command("export", "--format", name, self.regions[0])
            got = (out / name).read_bytes()
            if name == "pprof":
                wanted, got = gzip.decompress(wanted), gzip.decompress(got)
                self.assertEqual(wanted, got)
            else:
                self.assertEqual(without_times(wanted.decode()), without_times(got.decode()),
                                 name)
            self.assertGreater(len(got), 100)

    def test_reports_are_what_the_command_writes(self):
        out = self.dir / "reports"
        out.mkdir()
        self.run_it("all", self.regions[0], out)
        for name in "text", "md", "html", "json":
            wanted = self.command("report", "--format", name, self.regions[0]).decode()
            got = (out / f"report.{name}").read_text()
            self.assertEqual(without_times(wanted), without_times(got), name)
        self.assertIn("shop/sessions", got)
        self.assertEqual(json.loads(got)["schema"], "mpalloc.report/1")

    def test_threads_do_not_disturb_each_other(self):
        self.run_it("threads", *self.regions)

    def test_what_is_wrong_is_an_error(self):
        self.run_it("errors", self.regions[0])

    def test_a_process_may_be_named_by_its_number(self):
        self.run_it("names", self.pid)

    def test_names_of_stacks(self):
        said = self.run_it("names", self.regions[1]).stdout.splitlines()
        self.assertEqual(said[0], "shop/sessions")
        self.assertRegex(said[1], r"^keep_sessions \S+library\.c:\d+ \S+$")
        self.assertTrue(any(line.startswith("main ") for line in said))
        said = self.run_it("names", self.regions[1], "plain").stdout.splitlines()
        self.assertRegex(said[1], r"^\S+\+0x[0-9a-f]+ -:0 \S+$")

    def test_memory_that_ends_does_not_end_the_process(self):
        said = self.run_it("poor", self.regions[0], LD_PRELOAD=LIBMPALLOC).stdout
        self.assertRegex(said, r"^\d+ times no memory\n$")

    def locale_with_a_comma(self):
        """The environment for one; made here if there is none."""
        folder = self.dir / "locale"
        folder.mkdir()
        done = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"],
                              capture_output=True)
        return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"} if done.returncode == 0 else {}

    def test_the_process_stays_as_it_is(self):
        env = self.locale_with_a_comma() if shutil.which("localedef") else {}
        done = self.run_it("guest", self.regions[0], **env)
        self.assertNotRegex(done.stdout, r" \d+,\d", "numbers of metrics have a point")
        self.assertTrue(done.stdout.endswith("# EOF\n"))
        if env:
            self.assertEqual(done.stderr, "0,5", "and the program's own its comma")


unittest.main(argv=sys.argv[:1], verbosity=2)
