"""regressions - bugs that a review of the core found, those that want an environment

    regressions.py PROGRAM LIBRARY

PROGRAM is regressions.c, which checks what can be seen from inside.
"""
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

PROGRAM, LIBRARY = (os.path.abspath(path) for path in sys.argv[1:3])
profiling = unittest.skipIf("TEST_NO_COUNTERS" in os.environ, "built without profiling")


def limit_files():
    """1 MB at most; to write more is a signal, and no core."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


class Regressions(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-test-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def environment(self, **options):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith("MPALLOC_") and k != "LD_PRELOAD"}
        env["MPALLOC_DIR"] = str(self.dir)
        env.update(("MPALLOC_" + k if k != "LD_PRELOAD" else k, v)
                   for k, v in options.items())
        return env

    def finish(self, *command, prepare=None, **options):
        done = subprocess.run(command, env=self.environment(**options), text=True,
            timeout=30, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, preexec_fn=prepare)
        self.assertEqual(done.returncode, 0, (command, done.stdout, done.stderr))
        return done

    def regions(self):
        return sorted(path.name for path in self.dir.glob("*.mp"))

    def test_a_small_file_size_limit_is_no_obstacle(self):
        for region in "file", "memfd", "off":
            with self.subTest(region=region):
                done = self.finish("/bin/echo", "alive", prepare=limit_files,
                    LD_PRELOAD=LIBRARY, REGION=region)
                self.assertEqual((done.stdout, done.stderr), ("alive\n", ""))
                self.assertEqual(self.regions(), [])

    @profiling
    def test_nothing_is_purged_before_the_delay(self):
        self.finish(PROGRAM, "purge_delay", PURGE_DELAY="1h")

    @profiling
    def test_memfds_are_not_inherited(self):
        self.finish(PROGRAM, "memfds", REGION="memfd")

    @profiling
    def test_parent_and_child_report_each_under_its_name(self):
        path = self.dir / "report"
        child = re.search(r"^child (\d+)$",
            self.finish(PROGRAM, "reports", REPORT=str(path)).stdout, re.M)[1]
        theirs = self.dir / f"report.{child}"
        self.assertEqual(sorted(self.dir.iterdir()), [path, theirs])
        self.assertRegex(theirs.read_text(), rf"\bpid {child}\b")
        self.assertRegex(path.read_text(), r"\bpid \d+\b")
        self.assertNotRegex(path.read_text(), rf"\bpid {child}\b")

    @profiling
    def test__exit_is_an_end(self):
        for mode in "_exit", "_Exit":
            with self.subTest(mode=mode):
                self.assertIn("had a region", self.finish(PROGRAM, mode).stdout)
                self.assertEqual(self.regions(), [])

    @profiling
    def test__exit_of_a_preloaded_shell_is_an_end(self):
        self.finish("/bin/sh", "-c", "ls $MPALLOC_DIR >/dev/null; (exit 0); exit 0",
            LD_PRELOAD=LIBRARY)
        self.assertEqual(self.regions(), [])

    @profiling
    def test__exit_in_a_vfork_child_leaves_the_parents_region(self):
        self.finish(PROGRAM, "vfork")
        self.assertEqual(self.regions(), [])

    def kill_one(self):
        """Start a process, kill it; its region's name. It is the oldest of all to come."""
        p = subprocess.Popen(["/bin/sleep", "100"],
            env=self.environment(LD_PRELOAD=LIBRARY))
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        end = time.monotonic() + 10
        while not self.regions() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.05)
        p.send_signal(signal.SIGKILL)
        p.wait()
        name, = self.regions()
        past = time.time() - 60
        os.utime(self.dir / name, (past, past))
        return name

    def check_spared(self, name):
        self.finish("/bin/true", LD_PRELOAD=LIBRARY)  # cleans up when it starts
        self.assertIn(name, self.regions())
        self.assertLess(len(self.regions()), 40)

    @profiling
    def test_the_janitor_spares_what_was_killed_when_forty_called__exit(self):
        name = self.kill_one()
        for _ in range(40):
            self.finish(PROGRAM, "_exit")
        self.check_spared(name)

    @profiling
    def test_the_janitor_spares_what_was_killed_when_forty_are_kept(self):
        name = self.kill_one()
        for _ in range(40):
            self.finish("/bin/true", LD_PRELOAD=LIBRARY, KEEP="1")
        self.check_spared(name)

    @profiling
    def test_the_janitor_spares_what_was_killed_when_forty_forked_children_died(self):
        name = self.kill_one()
        self.finish(PROGRAM, "dying_children")
        self.check_spared(name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
