"""A worker that allocates as it is told, and what was sampled of it.

Owns: worker.c as a process; reading its region by region.py and by the tools, and comparing
that with the exact counters and with the source of the worker. For the tests beside it, all of
which are called so:

    test_*.py COMMAND LIBRARY WORKER ARCHIVE STATIC RED BLUE LONG
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from region import Region

COMMAND, LIBRARY, WORKER, ARCHIVE, STATIC, RED, BLUE, LONG = (
    os.path.realpath(p) for p in sys.argv[1:9])
SOURCE = pathlib.Path(__file__).parent / "worker.c"
KIB, MIB = 1024, 1024 * 1024
DEFAULT = 512 * KIB


def line_of(comment):
    """The line of worker.c that ends in that comment."""
    for number, line in enumerate(SOURCE.read_text().splitlines(), 1):
        if line.rstrip().endswith(f"/* {comment} */"):
            return number
    raise KeyError(comment)


class Worker:
    def __init__(self, test, *words, program=WORKER, wrap=(), **environment):
        self.test = test
        self.process = subprocess.Popen(
            [*wrap, program, *words], env={**test.env, **environment}, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.process.pid
        test.addCleanup(self.end)

    def end(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()

    def tell(self, *words):
        """The figures that it answers with."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        answer = self.process.stdout.readline()
        if not answer.startswith("ok"):
            self.process.kill()
            self.test.fail(f"{words}: {answer!r} {self.process.stderr.read()}")
        return [int(word, 0) for word in answer.split()[1:]]

    def counters(self):
        return dict(zip(("allocated", "live", "live_blocks", "blocks", "cpu_ns"),
                        self.tell("counters")))

    def finish(self):
        out, err = self.process.communicate(timeout=60)
        self.test.assertEqual(self.process.returncode, 0, err)
        return err

    def dump(self):
        path = self.test.dir / f"dump-{time.monotonic_ns()}"
        self.tell("dump", path)
        return self.test.region(path)

    def path(self):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for path in self.test.dir.glob(f"{self.pid}-*.mp"):
                return path
            time.sleep(0.01)
        self.test.fail("there is no region")

    def region(self):
        return self.test.region(self.path())


class Base(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-sampling-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MPALLOC_")}
        self.env.update(MPALLOC_DIR=str(self.dir), LC_ALL="C.UTF-8")
        self.env.pop("LD_PRELOAD", None)

    def region(self, path):
        region = Region(path)
        self.addCleanup(region.close)
        return region

    def command(self, *words, code=0, **more):
        done = subprocess.run([COMMAND, *map(str, words)], env=self.env, capture_output=True,
                              text=True, timeout=60, **more)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def profile(self, target):
        return json.loads(self.command("export", "--format", "json", target))

    def stacks(self, target):
        """Each sample of the profile with its stack: (function, line), the root first."""
        profile = self.profile(target)
        frames = [(f["name"], f["line"]) for f in profile["frames"]]
        return [(s, [frames[i] for i in s["frames"]]) for s in profile["samples"]
                if s["samples_total"] > 0]

    def exact(self, worker):
        region = worker.dump()
        sums, counters = region.sums(), worker.counters()
        self.assertEqual(region.sampling.samples_refused, 0)
        self.assertEqual((sums.allocated, sums.live, sums.live_blocks, sums.blocks),
                         (counters["allocated"], counters["live"], counters["live_blocks"],
                          counters["blocks"]))
        return region


def main():
    del sys.argv[1:9]
    unittest.main(verbosity=2)
