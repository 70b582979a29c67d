"""keeper - the housekeeper thread, from outside

    keeper.py WORKER WORKER-WITH-FAULTS
"""
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

WORKER, FAULTY = sys.argv[1:3]
PAGE, TOTALS = 4096, 2
# Of struct mp_region_totals: seq, published_ns, published_mono_ns, …, live_blocks.
LIVE_BLOCKS = 8


class Keeper(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-keeper-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = dict(os.environ, MPALLOC_HOUSEKEEPER="1", MPALLOC_DIR=str(self.dir))

    def run_worker(self, what, program=WORKER, **env):
        done = subprocess.run([program, what], env=dict(self.env, **env), timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_a_single_threaded_program_gets_none(self):
        self.run_worker("single")

    def test_it_goes_when_the_program_has_one_thread_left(self):
        self.run_worker("alone")

    def test_children_of_fork(self):
        self.run_worker("fork")

    def test_the_process_ends_when_its_threads_did(self):
        self.run_worker("leave")

    def test_it_goes_before_system_calls_are_filtered(self):
        self.run_worker("sandbox")

    def test_no_thread_may_be_had(self):
        self.run_worker("refused", FAULTY, MPALLOC_FAULT="clone:1+")

    def test_ends_at_any_moment(self):
        for _ in range(20):
            self.run_worker("end")
        self.assertEqual(list(self.dir.glob("*.mp")), [])

    def test_not_without_the_option(self):
        self.run_worker("refused", MPALLOC_HOUSEKEEPER="0")

    def totals(self):
        data = next(self.dir.glob("*.mp")).read_bytes()
        count, = struct.unpack_from("<I", data, 24)
        for i in range(count):
            ident, _, offset, _, _ = struct.unpack_from("<IIQQQ", data, 32 + 32 * i)
            if ident == TOTALS:
                return struct.unpack_from("<16Q", data, offset)
        raise KeyError(TOTALS)

    def test_figures_and_memory_of_a_program_that_sleeps(self):
        p = subprocess.Popen([WORKER, "sleep"], env=self.env, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
        self.addCleanup(p.wait)
        self.addCleanup(p.stdin.close)
        self.addCleanup(p.stdout.close)
        self.assertEqual(p.stdout.readline(), b"asleep\n")

        def resident():
            return int(pathlib.Path(f"/proc/{p.pid}/statm").read_text().split()[1]) * PAGE
        ages = []
        for _ in range(30):
            time.sleep(0.1)
            ages.append((time.time_ns() - self.totals()[1]) / 1e9)
        # On a quiet machine at most 0.7 s; a loaded one may hold it up.
        print(f"age of the figures: {max(ages):.2f} s, {sorted(ages)[15]:.2f} in the middle, "
              f"resident {resident() >> 20} MiB")
        self.assertLess(sorted(ages)[15], 1)
        self.assertLess(max(ages), 5)
        # 1,000 of the worker's, and what the C library holds: no list hides any.
        self.assertLess(abs(self.totals()[LIVE_BLOCKS] - 1000), 50)
        end = time.monotonic() + 20
        while resident() > 40 << 20 and time.monotonic() < end:
            time.sleep(0.2)
        self.assertLess(resident(), 40 << 20)  # of 200 MiB


unittest.main(argv=[sys.argv[0]], verbosity=2)
