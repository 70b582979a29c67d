"""The library in a process, looked at from outside.

    test_process.py WORKER LIBRARY [TEST]

Memory goes back after the delay; a region survives SIGKILL and is fresh until then; a
child that lives gets its own; somebody who writes over the region does no harm; a
directory that is full, missing or not ours costs the region and nothing else. All tests
wait most of their time: without TEST they run beside each other, each in a process.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

WORKER, LIBRARY = sys.argv[1:3]
AT_ONCE = 4
TOTALS_SECTION = 2
PAGE = 4096


def section(data, wanted):
    count, = struct.unpack_from("<I", data, 24)
    for i in range(count):
        ident, _, offset, stride, rows = struct.unpack_from("<IIQQQ", data, 32 + 32 * i)
        if ident == wanted:
            return offset, stride, rows
    raise KeyError(wanted)


def published_ns(path):
    with open(path, "rb") as f:
        data = f.read(PAGE)
        f.seek(section(data, TOTALS_SECTION)[0])
        return struct.unpack("<QQ", f.read(16))[1]


class Process(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-test-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def start(self, *arguments, **environment):
        env = dict(os.environ, LD_PRELOAD=LIBRARY, MPALLOC_DIR=str(self.dir), **environment)
        p = subprocess.Popen([WORKER, *arguments], env=env, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        self.addCleanup(self.end, p)
        return p

    def end(self, p):
        p.kill()
        p.wait()
        for pipe in (p.stdin, p.stdout, p.stderr):
            pipe.close()

    def finish(self, *arguments, **environment):
        p = self.start(*arguments, **environment)
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0, err)
        return out, err

    def regions(self):
        return sorted(self.dir.glob("*.mp"))

    def wait_for_region(self, seconds=5):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.regions():
                return self.regions()[0]
            time.sleep(0.02)
        self.fail("no region appeared")

    def figures(self, out):
        return {k: int(v) for k, v in re.findall(r"(\w+) (\d+)", out)}

    def test_free_memory_goes_back_after_the_delay(self):
        f = self.figures(self.finish("purge", MPALLOC_PURGE_DELAY="1s")[0])
        self.assertGreater(f["peak"], 190_000)
        self.assertGreater(f["freed"], 0.9 * f["peak"], "not before the delay")
        self.assertLess(f["later"], 0.15 * f["peak"])

    def test_free_memory_stays_when_told_so(self):
        f = self.figures(self.finish("purge", MPALLOC_PURGE_DELAY="never")[0])
        self.assertGreater(f["later"], 0.9 * f["peak"])

    def test_a_clean_exit_removes_the_region_unless_kept(self):
        self.finish("purge", MPALLOC_PURGE_DELAY="0")
        self.assertEqual(self.regions(), [])
        self.finish("purge", MPALLOC_PURGE_DELAY="0", MPALLOC_KEEP="1")
        self.assertEqual(len(self.regions()), 1)

    def test_region_is_private(self):
        p = self.start("steady")
        self.assertEqual(self.wait_for_region().stat().st_mode & 0o777, 0o600)
        p.kill()

    def test_figures_are_at_most_a_second_old_and_survive_sigkill(self):
        p = self.start("steady")
        region = self.wait_for_region()
        time.sleep(2)
        ages = []
        for _ in range(10):
            time.sleep(0.13)
            ages.append((time.time_ns() - published_ns(region)) / 1e9)
        self.assertLess(max(ages), 1.0, ages)
        p.send_signal(signal.SIGKILL)
        p.wait()
        self.assertTrue(region.exists())
        self.assertGreater(published_ns(region), 0)

    def test_after_a_burst_figures_are_at_most_two_seconds_old(self):
        p = self.start("burst")
        self.assertEqual(p.stdout.readline(), "burst over\n")
        region = self.wait_for_region()
        time.sleep(2)
        ages = []
        for _ in range(30):
            time.sleep(0.1)
            ages.append((time.time_ns() - published_ns(region)) / 1e9)
        self.assertLess(max(ages), 2.0, ages)

    def test_calloc_touches_no_fresh_pages(self):
        f = self.figures(self.finish("calloc")[0])
        self.assertLess(f["after"] - f["before"], 24_000) # a page for each of 5,000 blocks

    def test_a_child_that_lives_gets_its_own_region(self):
        p = self.start("fork")
        child = int(re.match(r"child (\d+)", p.stdout.readline())[1])
        owners = {int(r.name.split("-")[0]) for r in self.regions()}
        self.assertEqual(owners, {p.pid, child})
        p.communicate("\n", timeout=10)

    def test_children_can_be_left_out(self):
        p = self.start("fork", MPALLOC_CHILDREN="0")
        p.stdout.readline()
        self.assertEqual([int(r.name.split("-")[0]) for r in self.regions()], [p.pid])
        p.communicate("\n", timeout=10)

    def test_scribbling_over_the_region_does_no_harm(self):
        # The path is not known before the start: the worker is told through a link.
        link = self.dir / "mine"
        p = subprocess.Popen(
            ["/bin/sh", "-c", 'ln -s "$1/$$-$(cut -d" " -f22 /proc/$$/stat).mp" "$2"; '
             'LD_PRELOAD="$3" exec "$0" scribble "$2"',
             WORKER, str(self.dir), str(link), LIBRARY],
            env=dict(os.environ, MPALLOC_DIR=str(self.dir)), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0, err)
        self.assertLess(self.figures(out)["live"], 100)

    def test_the_one_component_too_many_is_seen(self):
        out, _ = self.finish("overflow")
        self.assertIn("components 4098 refused 4 (overflow) 4", out)

    def test_without_a_directory_the_program_runs(self):
        for directory in ("/proc/none", "/nonexistent/a/b", "/etc/passwd"):
            p = self.start("purge", MPALLOC_PURGE_DELAY="0")
            env = dict(os.environ, LD_PRELOAD=LIBRARY, MPALLOC_DIR=directory)
            done = subprocess.run([WORKER, "purge"], env=env, capture_output=True,
                                  text=True, timeout=60)
            p.communicate(timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_directory_open_to_others_is_not_used(self):
        self.dir.chmod(0o755)
        self.finish("purge", MPALLOC_KEEP="1")
        self.assertEqual(self.regions(), [])

    @unittest.skipUnless(os.geteuid() == 0, "mounts a small tmpfs")
    def test_a_full_directory_costs_the_region_only(self):
        for size in ("4k", "48k", "120k"):
            mount = self.dir / size
            mount.mkdir()
            script = (f'mount -t tmpfs -o size={size},mode=700 none {mount} && '
                      f'LD_PRELOAD={LIBRARY} MPALLOC_DIR={mount} exec {WORKER} overflow')
            done = subprocess.run(["unshare", "-m", "/bin/sh", "-c", script],
                                  capture_output=True, text=True, timeout=60)
            if "unshare" in done.stderr or "mount" in done.stderr:
                self.skipTest(done.stderr.strip())
            self.assertEqual((done.returncode, done.stderr), (0, ""), size)

    def test_unknown_values_are_said_in_one_line(self):
        _, err = self.finish("purge", MPALLOC_PURGE_DELAY="soon")
        self.assertEqual(err, "mpalloc: MPALLOC_PURGE_DELAY=soon: takes 0 to 1h, or never; "
                              "using 1s\n")


def run_alone(name):
    done = subprocess.run([sys.executable, __file__, WORKER, LIBRARY, name], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, flush=True)
    return done.returncode == 0


def run_all():
    names = [name for name in dir(Process) if name.startswith("test_")]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        good = list(pool.map(run_alone, names))
    print(f"{sum(good)} of {len(names)} tests are fine")
    sys.exit(not names or not all(good))


if __name__ == "__main__":
    if len(sys.argv) > 3:
        unittest.main(argv=[sys.argv[0], f"Process.{sys.argv[3]}"], verbosity=2)
    run_all()
