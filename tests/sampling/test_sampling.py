"""The sampler of call stacks in real processes.

    test_sampling.py COMMAND LIBRARY WORKER ARCHIVE STATIC RED BLUE LONG

worker.c does what it is told; what was sampled of it is read from the region by region.py and
by the tools, and is compared with the exact counters and with the source of the worker.
"""

import json
import math
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from region import EXACT, NO_MODULE, OFF, Region

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


class Statistics(Base):
    RUNS = 100
    # Of 100 intervals of 95 % at least 90 hold the truth with a probability of 0.989, if they
    # are what they claim; that is too little for four such tests each day. 87: 0.9995.
    HELD = 87
    # All errors together, over their standard deviation, are beyond 3.5 once in 2,000 tests.
    # (Each over its own would come out below 0 on average: where little was sampled the
    # estimate is low, and the variance that is estimated with it is, too.)
    BIAS = 3.5

    def check(self, what, found):
        zs = [(estimate - exact) / math.sqrt(variance) for estimate, exact, variance in found]
        held = sum(abs(z) <= 1.96 for z in zs)
        error = math.fsum(estimate - exact for estimate, exact, _ in found)
        bias = error / math.sqrt(math.fsum(variance for _, _, variance in found))
        share = error / math.fsum(exact for _, exact, _ in found)
        print(f"{what}: {held} of {len(zs)} intervals hold it, mean z "
              f"{math.fsum(zs) / len(zs):+.2f}, all errors {100 * share:+.2f} %, "
              f"{bias:+.2f} standard deviations", file=sys.stderr)
        self.assertGreaterEqual(held, self.HELD * len(zs) // 100, what)
        self.assertLess(abs(bias), self.BIAS, what)

    def storms(self, **environment):
        found = {"allocated": [], "live": [], "allocated in the child": [],
                 "live in the child": []}
        for i in range(self.RUNS):
            worker = Worker(self, **environment)
            files = [self.dir / "parent", self.dir / "child"]
            worker.tell("storm", 30, *files)
            worker.finish()
            for name, path in (("", files[0]), (" in the child", files[1])):
                region = Region(path)
                sums, totals = region.sums(), region.totals
                region.close()
                path.unlink()
                found["allocated" + name].append(
                    (sums.allocated, totals.allocated_bytes, sums.allocated_variance))
                found["live" + name].append((sums.live, totals.live_bytes, sums.live_variance))
                self.assertGreater(sums.samples, 200)
                self.assertGreater(sums.live_samples, 20)
        for what, values in found.items():
            with self.subTest(what):
                self.check(what, values)

    def test_estimates_hold_what_was_counted(self):
        self.storms(MPALLOC_SAMPLE="64k", MPALLOC_SAMPLE_GOVERNOR="0")


class Killed(Base):
    ROUNDS = 12

    def test_what_is_left_by_sigkill_is_whole(self):
        for i in range(self.ROUNDS):
            worker = Worker(self, MPALLOC_SAMPLE=("64k", "4k", "exact")[i % 3])
            path = worker.path()
            worker.process.stdin.write("threads 4\n")
            time.sleep(0.15 + random.random() * 0.4)
            worker.process.send_signal(signal.SIGKILL)
            worker.process.wait()
            text = self.command("report", worker.pid)
            self.assertNotIn("damaged", text)
            snapshot = json.loads(self.command("snapshot", "--json", path))
            self.assertEqual(snapshot["process"]["state"], "died")
            region = self.region(path)
            sums = region.sums()
            self.assertGreater(sums.live, -1, "but for rounding")
            # 256 slots of at most 5,008 bytes; what is estimated may be beyond what there was.
            self.assertLess(sums.live, 256 * 5008 + 6 * math.sqrt(sums.live_variance) + MIB)
            self.assertGreater(region.sampling.allocated, 10)
            self.check_stacks(path)

    def check_stacks(self, path):
        chain = [("go_along", line_of("go_along")), ("branch", line_of("branch")),
                 ("leaf", line_of("leaf"))]
        threads = [stack for _, stack in self.stacks(path) if ("leaf", line_of("leaf")) in stack]
        self.assertGreater(len(threads), 0)
        for stack in threads:
            at = stack.index(chain[0])
            self.assertEqual(stack[at:at + 3], chain)
            self.assertEqual(stack[-1], chain[2], "malloc itself is no frame of it")


class Newer(Base):
    """Stacks are brought up to date at once, counters by ticks: what came since is in the stacks."""
    KEEP = ("keep", line_of("keep"))

    def held(self, target):
        """Of all samples, with what no stack explains: bytes live, bytes allocated; of keep()."""
        samples = self.profile(target)["samples"]
        kept = sum(s["live_bytes"]["value"] for s, stack in self.stacks(target)
                   if stack[-1] == self.KEEP)
        return (sum(s["live_bytes"]["value"] for s in samples),
                sum(s["allocated_bytes_total"]["value"] for s in samples), kept)

    def kill(self, worker):
        path = worker.path()
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        return path

    def test_exact_stacks_of_a_killed_process(self):
        worker = Worker(self, MPALLOC_SAMPLE="exact")
        worker.tell("alloc", 100, 100)
        worker.tell("alloc", 2, 100000)
        start = worker.counters()
        worker.tell("alloc", 1000, 100)  # 112 with the rest of the block
        worker.tell("alloc", 3, 100000)  # 102,400
        worker.tell("alloc", 1, 40 * MIB)
        worker.tell("free", 2)
        worker.tell("alloc", 50, 5000)  # 5,120
        path = self.kill(worker)
        come = 1000 * 112 + 3 * 102400 + 40 * MIB + 50 * 5120
        gone = 40 * MIB + 102400
        live, allocated, kept = self.held(path)
        self.assertEqual(live, start["live"] + come - gone)
        self.assertEqual(allocated, start["allocated"] + come)
        self.assertEqual(kept, 1100 * 112 + 4 * 102400 + 50 * 5120)
        self.said(path, live, allocated)

    def said(self, path, live, allocated):
        snapshot = json.loads(self.command("snapshot", "--json", path))
        since = snapshot["sampling"]["since_counters"]
        self.assertGreater(since["samples"], 0)  # all of them, if no tick was in between
        self.assertEqual(snapshot["allocated_bytes_total"] + since["allocated_bytes"], allocated)
        self.assertEqual(snapshot["live_bytes"] + since["allocated_bytes"] - since["freed_bytes"],
                         live)
        self.assertGreater(snapshot["process"]["age_seconds"], 0)
        self.assertTrue(any("newer than the counters" in w for w in snapshot["warnings"]))
        report = self.command("report", path)
        self.assertIn("newer than the counters", report)
        self.assertIn("last heard", report)

    def test_nothing_is_said_of_what_is_counted(self):
        worker = Worker(self, MPALLOC_SAMPLE="exact")
        worker.tell("alloc", 100, 100)
        worker.dump()
        path = self.kill(worker)
        snapshot = json.loads(self.command("snapshot", "--json", path))
        since = snapshot["sampling"]["since_counters"]
        self.assertEqual((since["samples"], since["freed_samples"]), (0, 0))
        self.assertFalse(any("newer" in w for w in snapshot["warnings"]))

    def test_a_publication_in_the_middle_of_an_allocation_counts_nothing_twice(self):
        """All of these look at the clock, and find that it is time to publish."""
        worker = Worker(self, MPALLOC_SAMPLE="exact")
        worker.tell("alloc", 1, 100)
        start = worker.counters()
        live = allocated = 0
        huge, large, small = 40 * MIB, 300 * KIB, 112
        for words, come, gone in (
                (("alloc", 1, huge), huge, 0), (("free", 1), 0, huge),
                (("alloc", 1, large), large, 0), (("free", 1), 0, large),
                (("alloc", 1, 100), small, 0), (("alloc", 1, huge), huge, 0),
                (("grow", 2 * huge), 2 * huge, huge), (("free", 1), 0, 2 * huge),
                (("alloc", 1, large), large, 0), (("grow", 2 * large), 2 * large, large),
                (("free", 1), 0, 2 * large), (("calloc", 1, 100 * KIB), 100 * KIB, 0),
                (("free", 1), 0, 100 * KIB)):
            time.sleep(0.45)
            published = worker.region().totals.published
            worker.tell(*words)
            live, allocated = live + come - gone, allocated + come
            with self.subTest(words):
                self.assertEqual(self.held(worker.pid)[:2],
                                 (start["live"] + live, start["allocated"] + allocated))
                if words[1:] not in ((1, 100), (2 * large,)):  # their clock may rest
                    self.assertGreater(worker.region().totals.published, published)

    def test_sampled_stacks_of_a_killed_process(self):
        worker = Worker(self, MPALLOC_SAMPLE="64k", MPALLOC_SAMPLE_GOVERNOR="0")
        worker.tell("alloc", 2000, 1000)
        start = worker.counters()
        worker.tell("alloc", 20000, 1000)  # 1,008; some 310 samples
        worker.tell("pairs", 20000, 2000)
        worker.tell("free", 2000)
        path = self.kill(worker)
        live, allocated, kept = self.held(path)
        self.assertGreater(live, start["live"], "what was counted is the least")
        self.assertLess(abs(kept / (20000 * 1008) - 1), 0.3)
        self.assertLess(abs(live / (start["live"] + 18000 * 1008) - 1), 0.3)
        self.assertLess(abs(allocated / (start["allocated"] + 20000 * (1008 + 2048)) - 1), 0.3)
        for sample, _ in self.stacks(path):
            for figure in ("live_bytes", "allocated_bytes_total"):
                e = sample[figure]
                self.assertTrue(e["low"] <= e["value"] <= e["high"], sample)


class Tags(Base):
    def test_components_operations_and_threads(self):
        worker = Worker(self, MPALLOC_SAMPLE="exact")
        worker.tell("thread", "main-thread")
        worker.tell("idle", 40)  # a name is asked for again after 20 ms
        worker.tell("enter", "shop/cart")
        worker.tell("operation", "checkout")
        worker.tell("alloc", 100, 1000)
        worker.tell("operation", "-")
        worker.tell("enter", "shop")
        worker.tell("alloc", 7, 100000)
        worker.tell("thread", "renamed")
        time.sleep(0.05)
        worker.tell("alloc", 3, 64)
        worker.tell("enter", "-")
        worker.dump()  # and so publishes
        found = {}
        for sample, stack in self.stacks(worker.pid):
            if stack[-1] == ("keep", line_of("keep")) and sample["live_blocks"]["value"]:
                key = sample["component"], sample["operation"], sample["thread"]
                found[key] = found.get(key, 0) + sample["live_blocks"]["value"]
        self.assertEqual(found, {("shop/cart", "checkout", "main-thread"): 100,
                                 ("shop", None, "main-thread"): 7,
                                 ("shop", None, "renamed"): 3})

    def test_another_component_s_calloc_and_huge_blocks_that_move(self):
        worker = Worker(self, MPALLOC_SAMPLE="exact")
        worker.tell("enter", "first")
        worker.tell("calloc", 1, 200000)  # before the thread has a heap there
        worker.tell("alloc", 1, 40 * MIB)
        worker.tell("enter", "second")
        worker.tell("calloc", 1, 34 * MIB)
        worker.tell("free", 1)
        worker.tell("grow", 36 * MIB)  # shrinks where it is: it stays the first one's
        worker.tell("grow", 36 * MIB)  # and nothing happens
        worker.tell("enter", "-")
        self.check_components(worker)

    def check_components(self, worker):
        """What each component allocated and holds, exactly, by samples and by counters."""
        region = worker.dump()
        counters = worker.counters()
        by_samples = {}
        for site in region.sites():
            sums = by_samples.setdefault(site.component, [0, 0])
            sums[0] += site.allocated_bytes
            sums[1] += site.allocated_bytes - site.freed_bytes
        names = region.components(max(by_samples) + 1)
        snapshot = json.loads(self.command("snapshot", "--json", worker.pid))
        for part in snapshot["components"]:
            if part["name"] in names[2:]:
                self.assertEqual(by_samples[names.index(part["name"])],
                                 [part["allocated_bytes_total"], part["live_bytes"]],
                                 part["name"])
        return region, counters


class Interval(Base):
    def test_it_changes_in_the_running_process(self):
        worker = Worker(self, MPALLOC_SAMPLE="off")
        worker.tell("pairs", 20000, 1000)
        worker.tell("alloc", 5, 100000)
        self.assertEqual(worker.dump().sampling.allocated, 0)
        for rate, wanted in (("64k", 64 * KIB), ("exact", EXACT), ("off", OFF)):
            worker.process.stdin.write("idle 300\n")
            document = json.loads(self.command("sample", "--json", worker.pid, rate))
            self.assertEqual(worker.process.stdout.readline(), "ok\n")
            self.assertEqual(document["interval_bytes"], {EXACT: 0, OFF: None}.get(wanted, wanted),
                             document)
            self.check_interval(worker, wanted)
        region = worker.dump()
        self.assertEqual(region.sampling.changes, 3, "off, 64k, exact, off")

    def check_interval(self, worker, wanted):
        worker.tell("pairs", 5000, 1000)  # lists that were handed out run dry
        before = worker.dump()
        self.assertEqual((before.sampling.interval, before.sampling.wanted), (wanted, wanted))
        worker.tell("alloc", 3000, 1000)
        worker.tell("alloc", 30, 100000)
        worker.tell("alloc", 2, 40 * MIB)
        after = worker.dump()
        taken = after.sums().samples - before.sums().samples
        if wanted == EXACT:
            self.assertEqual(taken, 3032)
        elif wanted == OFF:
            self.assertEqual(taken, 0)
        else:
            p = [1 - math.exp(-size / wanted) for size in (1008, 102400)]
            mean = 2 + 3000 * p[0] + 30 * p[1]
            sd = math.sqrt(sum(n * x * (1 - x) for n, x in zip((3000, 30), p)))
            self.assertLess(abs(taken - mean), 4.5 * sd, (taken, mean))
            self.assertEqual({s.interval for s in after.live()}, {wanted})
        worker.tell("free", 3032)

    def test_the_program_can_set_it(self):
        worker = Worker(self)
        self.assertEqual(worker.dump().sampling.interval, DEFAULT)
        worker.tell("alloc", 4, 100000)
        worker.tell("free", 0)
        for value, code in ((0, -22), (1, 0), (2**40 + 1, -22), (2**40, 0), (2**64 - 1, 0),
                            (4096, 0)):
            self.assertEqual(worker.tell("set", value), [code])
        self.check_interval(worker, 4096)
        worker.tell("alloc", 20, 60000)
        worker.tell("set", 8192)
        worker.tell("alloc", 20, 60000)
        intervals = {s.interval for s in worker.dump().live()}
        self.assertLessEqual({4096, 8192}, intervals)

    def test_a_change_loses_nothing_on_average(self):
        """Lists that were handed out before it hold what is allocated after it, and samples."""
        for count, size in ((300, 200), (37, 1000), (10, 16384), (4, 40000)):
            error = variance = 0
            for _ in range(15):
                worker = Worker(self, MPALLOC_SAMPLE="64k")
                for i in range(60):
                    worker.tell("set", (64 if i % 2 else 128) * KIB)
                    worker.tell("alloc", count, size)
                sums, counters = worker.dump().sums(), worker.counters()
                error += sums.allocated - counters["allocated"]
                variance += sums.allocated_variance
                worker.end()
            with self.subTest(size=size):
                self.assertLess(abs(error / math.sqrt(variance)), 3.5)

    def test_wrong_values_are_said_in_one_line(self):
        for value in ("banana", "0", "2t", "-1", ""):
            worker = Worker(self, MPALLOC_SAMPLE=value)
            self.assertEqual(worker.dump().sampling.interval, DEFAULT)
            err = worker.finish()
            self.assertEqual(err, f"mpalloc: MPALLOC_SAMPLE={value} is not bytes up to 1t such "
                                  "as 64k, exact, or off; using 512k\n")
        for value, wanted in (("1", EXACT), ("2", 2), ("64K", 64 * KIB), ("1t", 2**40),
                              ("EXACT", EXACT), ("off", OFF)):
            worker = Worker(self, MPALLOC_SAMPLE=value, MPALLOC_SAMPLE_GOVERNOR="0")
            self.assertEqual(worker.dump().sampling.interval, wanted)
            self.assertEqual(worker.finish(), "")


class Plugins(Base):
    PROGRAM = WORKER

    def held(self, worker):
        """Live blocks by the innermost function, of those that plugins allocated."""
        worker.dump()  # and so publishes: what is said of live blocks fits the counters
        found = {}
        for sample, stack in self.stacks(worker.pid):
            names = [name for name, _ in stack]
            if "run_plugin" in names and sample["live_blocks"]["value"]:
                self.assertEqual(names[-3:-1], ["run_plugin", "run"], names)
                found[names[-1]] = found.get(names[-1], 0) + sample["live_blocks"]["value"]
        return found

    def test_one_in_place_of_another(self):
        worker = Worker(self, program=self.PROGRAM, MPALLOC_SAMPLE="exact")
        places, counts = set(), {"red_work": 0, "blue_work": 0, "long_work": 0}
        for i, (plugin, name) in enumerate([(RED, "red_work"), (BLUE, "blue_work"),
                                            (RED, "red_work"), (LONG, "long_work"),
                                            (BLUE, "blue_work"), (LONG, "long_work")] * 5):
            address, = worker.tell("open", 0, plugin)
            places.add(address)
            worker.tell("run", 0, i + 1, 64 + 16 * (i % 3))
            worker.tell("run", 0, 1, 50000)
            counts[name] += i + 2
            worker.tell("close", 0)
        self.assertLessEqual(len(places), 3, "they lie in each other's place")
        self.assertEqual(self.held(worker), counts)
        modules = worker.region().modules()
        self.assertEqual(len(modules), len(set(modules)), "each once")

    def test_one_that_was_built_anew(self):
        worker = Worker(self, program=self.PROGRAM, MPALLOC_SAMPLE="exact")
        path = self.dir / "plugin.so"
        for plugin in (RED, BLUE, RED):
            path.unlink(missing_ok=True)
            shutil.copy(plugin, path)
            worker.tell("open", 0, path)
            worker.tell("run", 0, 5, 64)
            worker.tell("close", 0)
        region = worker.dump()
        modules = region.modules()
        numbers = [i for i, name in enumerate(modules) if name == str(path)]
        self.assertEqual(len(numbers), 2, modules)
        counts = dict.fromkeys(numbers, 0)
        for site in region.sites():
            for module in {m for m, _ in region.stack(site.frame)} & set(numbers):
                counts[module] += site.allocated_samples
        self.assertEqual(sorted(counts.values()), [5, 10])

    def test_one_that_comes_back_elsewhere_is_the_same(self):
        worker = Worker(self, program=self.PROGRAM, MPALLOC_SAMPLE="exact")
        places = set()
        for i in range(600):
            address, = worker.tell("open", 0, RED)
            places.add(address)
            worker.tell("run", 0, 1, 64)
            worker.tell("close", 0)
            worker.tell("hole", 4096)
            worker.tell("hole", 16384)
            worker.tell("hole", 20480)
        worker.tell("open", 1, BLUE)
        worker.tell("run", 1, 3, 64)
        self.assertGreater(len(places), 500)
        self.assertEqual(self.held(worker), {"red_work": 600, "blue_work": 3})

    def test_names_are_known_at_once(self):
        worker = Worker(self, program=self.PROGRAM, MPALLOC_SAMPLE="exact")
        worker.dump()
        path = worker.path()
        worker.tell("open", 0, RED)
        worker.tell("run", 0, 9, 64)
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        found = [stack for _, stack in self.stacks(path) if any(n == "run_plugin" for n, _ in stack)]
        self.assertEqual([stack[-1][0] for stack in found], ["red_work"])


class PluginsOfArchive(Plugins):
    """Nothing of the loader is interposed there."""
    PROGRAM = ARCHIVE


class Environments(Base):
    def test_static_program(self):
        worker = Worker(self, program=STATIC, MPALLOC_SAMPLE="exact")
        worker.tell("alloc", 500, 100)
        worker.tell("alloc", 5, 100000)
        worker.dump()
        stacks = [(sample, stack) for sample, stack in self.stacks(worker.pid)
                  if stack[-1] == ("keep", line_of("keep"))]
        self.assertEqual(sum(s["live_blocks"]["value"] for s, _ in stacks), 505)
        for _, stack in stacks:
            names = [name for name, _ in stack]
            self.assertEqual(names[-4:], ["main", "obey", "obey_numbers", "keep"])

    def test_memfd(self):
        worker = Worker(self, MPALLOC_SAMPLE="exact", MPALLOC_REGION="memfd")
        worker.tell("alloc", 500, 100)
        self.assertTrue(any(stack[-1][0] == "keep" for _, stack in self.stacks(worker.pid)))

    def test_without_a_region_nothing_is_sampled(self):
        worker = Worker(self, MPALLOC_SAMPLE="exact", MPALLOC_REGION="off")
        worker.tell("alloc", 500, 100)
        self.assertEqual(worker.counters()["live_blocks"] >= 500, True)
        worker.tell("free", 0)
        self.assertEqual(worker.finish(), "")

    def test_hardened_mode_has_none_and_says_so(self):
        worker = Worker(self, MPALLOC_SAMPLE="64k", MPALLOC_HARDEN="1")
        worker.tell("alloc", 5000, 1000)
        self.assertEqual(worker.tell("set", 4096), [-38])
        worker.tell("alloc", 5000, 1000)
        region = worker.dump()
        self.assertEqual((region.sampling.interval, region.sampling.allocated), (OFF, 0))
        self.assertEqual(self.profile(worker.pid)["sampling"]["mode"], "off")
        worker.process.stdin.write("idle 300\n")
        self.command("sample", worker.pid, "64k", code=1)

    def test_little_address_space(self):
        limit = 400 * MIB
        worker = Worker(self, wrap=("prlimit", f"--as={limit}"), MPALLOC_SAMPLE="exact")
        worker.tell("deep", 5000)
        worker.tell("alloc", 20000, 16)
        region = worker.dump()
        self.assertEqual(region.totals.live_blocks, worker.counters()["live_blocks"])
        self.command("report", worker.pid)
        sums = region.sums()
        self.assertEqual(sums.live_blocks + region.sampling.samples_refused,
                         region.totals.live_blocks)
        self.assertGreater(region.sampling.sites_refused, 0)
        self.assertGreater(region.sampling.unlisted, 0)
        self.assertEqual(len(region.live()) + region.sampling.unlisted, sums.live_samples)
        worker.tell("free", 0)
        self.assertEqual(worker.finish(), "")

    def test_little_memory_for_the_profiler(self):
        worker = Worker(self, MPALLOC_SAMPLE="exact", MPALLOC_SAMPLE_MEMORY="1m")
        before = worker.counters()
        most = 0
        for _ in range(20):
            worker.tell("deep", 2000)
            s = worker.dump().sampling
            self.assertEqual(s.memory_max, MIB)
            self.assertLessEqual(s.memory, s.memory_max)
            most = max(most, s.memory)
        self.assertGreater(most, 0.8 * MIB, "it is used")
        self.assertGreater(s.frames_refused + s.sites_refused + s.samples_refused, 0)
        refused = worker.dump().sampling.frames_refused
        worker.tell("pairs", 100, 64)
        self.assertGreaterEqual(worker.dump().sampling.frames_refused - refused, 100,
                                "a new stack, each time that it comes")
        after = worker.counters()
        self.assertEqual(after["blocks"] - before["blocks"], 40100)
        self.assertEqual(after["live"] - before["live"], 40000 * 32)
        text = self.command("report", worker.pid)
        self.assertRegex(text, r"(?i)refused|no room|missing|found no")
        worker.tell("free", 0)
        self.assertEqual(worker.counters()["live"], before["live"])
        self.assertEqual(worker.finish(), "")

    def test_a_confined_thread(self):
        worker = Worker(self, MPALLOC_SAMPLE="4k")
        worker.tell("alloc", 1000, 1000)
        try:
            worker.tell("seccomp")
        except AssertionError as e:
            if "none here" in str(e):
                self.skipTest("no seccomp")
            raise
        worker.tell("alloc", 1000, 1000)
        worker.tell("free", 0)

    def test_a_confined_process(self):
        worker = Worker(self, MPALLOC_SAMPLE="4k")
        worker.tell("alloc", 1000, 1000)
        worker.tell("filter")
        worker.tell("alloc", 20000, 200)
        worker.tell("free", 0)
        self.assertEqual(worker.finish(), "")

    def test_children(self):
        for way in ("fork", "clone"):
            worker = Worker(self, MPALLOC_SAMPLE="exact")
            worker.tell("alloc", 1000, 100)
            before = worker.dump()
            path = self.dir / way
            answers = worker.process
            answers.stdin.write(f"{way} x:alloc 500 100:small:idle 200:dump {path}:counters\n")
            lines = [answers.stdout.readline() for _ in range(6)]
            self.assertEqual(lines[:4], ["ok\n"] * 4, lines)
            self.assertRegex(lines[5], r"ok \d+ 0$", "the child ended well")
            child, parent = self.region(path), worker.dump()
            allocated, live, live_blocks, blocks, _ = map(int, lines[4].split()[1:])
            sums = child.sums()
            self.assertEqual((sums.allocated, sums.live, sums.live_blocks, sums.blocks),
                             (allocated, live, live_blocks, blocks), way)
            self.assertEqual(sums.live_samples, len(child.live()))
            self.assertEqual(child.sampling.unlisted, 0)
            self.assertEqual(parent.sums().live, before.sums().live, "the parent knows nothing")
            self.assertLess(child.sampling.cost_ns, 10**9)

    def test_a_child_is_no_load(self):
        """The parent's processor time says nothing about the child's."""
        worker = Worker(self, MPALLOC_SAMPLE="16m")
        worker.tell("burn", 300, 16)
        path = self.dir / "child"
        worker.process.stdin.write(f"fork x:pairs 2000 100000:idle 150:dump {path}\n")
        for _ in range(4):
            self.assertTrue(worker.process.stdout.readline().startswith("ok"))
        parent, child = worker.dump().sampling, self.region(path).sampling
        self.assertGreater(child.allocated, parent.allocated)
        self.assertEqual((parent.doublings, child.doublings, child.changes), (0, 0, 0))
        self.assertLess(child.cost_ns, 2_000_000)

    def test_exec_and_spawn_keep_nothing(self):
        worker = Worker(self, MPALLOC_SAMPLE="exact")
        worker.tell("alloc", 10000, 100)
        for way in ("vfork", "spawn"):
            self.assertEqual(worker.tell(way, "/bin/true")[1], 0)
        self.exact(worker)
        worker.process.stdin.write(f"exec {WORKER}\n")
        time.sleep(0.5)  # what it has read goes with it
        worker.tell("alloc", 1, 16)
        region = worker.dump()
        self.assertLess(region.sums().live_blocks, 50)
        self.exact(worker)


class Cost(Base):
    def share(self, before, after, cpu_before, cpu_after):
        return (after.cost_ns - before.cost_ns) / (cpu_after - cpu_before)

    def test_the_governor(self):
        worker = Worker(self, MPALLOC_SAMPLE="16k")
        worker.tell("burn", 600, 16384)  # what the first samples cost is allowed
        first, cpu = worker.dump().sampling, worker.counters()["cpu_ns"]
        worker.tell("burn", 1500, 16384)
        loaded = worker.dump().sampling
        share = self.share(first, loaded, cpu, worker.counters()["cpu_ns"])
        print(f"governor: {100 * share:.2f} % of the time, interval {loaded.interval // KIB} KiB, "
              f"{loaded.doublings} doublings", file=sys.stderr)
        self.assertLessEqual(share, 0.02)
        self.assertGreater(loaded.doublings, 0)
        self.assertGreater(loaded.interval, 16 * KIB)
        self.assertEqual(loaded.wanted, 16 * KIB)
        for _ in range(20):  # half of it after each second that cost little
            worker.tell("idle", 500)
            calm = worker.dump().sampling
            if calm.interval <= loaded.interval // 4:
                break
        self.assertLessEqual(calm.interval, loaded.interval // 4, "it comes back")
        self.assertEqual(calm.wanted, 16 * KIB)

    def test_without_the_governor(self):
        worker = Worker(self, MPALLOC_SAMPLE="16k", MPALLOC_SAMPLE_GOVERNOR="0")
        worker.tell("burn", 500, 16384)
        s = worker.dump().sampling
        self.assertEqual((s.interval, s.doublings, s.changes), (16 * KIB, 0, 0))

    def test_memory_is_below_its_cap_always(self):
        for memory, interval in (("1m", "exact"), ("2m", "4k"), ("auto", "64k")):
            worker = Worker(self, MPALLOC_SAMPLE=interval, MPALLOC_SAMPLE_MEMORY=memory)
            for _ in range(15):
                worker.tell("deep", 300)
                worker.tell("alloc", 500, 200)
                s = worker.dump().sampling
                self.assertLessEqual(s.memory, s.memory_max, memory)

    def test_resident_memory_of_an_empty_program(self):
        def rss(**environment):
            sizes = []
            for _ in range(5):
                worker = Worker(self, **environment)
                worker.tell("idle", 20)
                status = pathlib.Path(f"/proc/{worker.pid}/status").read_text()
                sizes.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]))
                worker.end()
            return sorted(sizes)[2]
        off, on = rss(MPALLOC_SAMPLE="off"), rss()
        some = rss(MPALLOC_SAMPLE="4k", MPALLOC_SAMPLE_GOVERNOR="0")
        print(f"resident: {off} KiB without, {on} KiB with, {some} KiB with samples",
              file=sys.stderr)
        self.assertLessEqual(on - off, 300)


class Exact(Base):
    def test_totals_are_the_counters(self):
        worker = Worker(self, MPALLOC_SAMPLE="exact")
        worker.tell("small")
        worker.tell("alloc", 300, 5000)
        worker.tell("alloc", 30, 50000)
        worker.tell("alloc", 3, 40 * MIB)
        worker.tell("grow", 50 * MIB)
        self.exact(worker)
        top = worker.counters()["live"]
        region = worker.dump()
        self.assertEqual((region.sampling.peak_bytes, region.sums().peak), (top, top))
        worker.tell("free", 200)
        worker.tell("pairs", 1000, 70000)
        region = self.exact(worker)
        self.assertEqual((region.sampling.peak_bytes, region.sums().peak), (top, top))
        self.assertLessEqual(abs(region.totals.live_peak - top), top // 50)
        s = region.sampling
        self.assertEqual(s.allocated - s.freed, region.totals.live_blocks)
        worker.tell("calloc", 1, 100000)
        worker.tell("grow", 100100)  # the same pages
        worker.tell("grow", 110000)
        worker.tell("grow", 60000)
        worker.tell("grow", 600)
        worker.tell("grow", 599)
        self.exact(worker)

    def test_more_than_the_list_has_rows(self):
        worker = Worker(self, MPALLOC_SAMPLE="exact")
        rows = 256 * KIB
        worker.tell("alloc", rows + 200000, 16)
        region = self.exact(worker)
        sums, live = region.sums(), region.live()
        self.assertEqual(len(live), rows)
        self.assertEqual(region.sampling.unlisted, sums.live_samples - rows)
        worker.tell("free", 0)
        self.exact(worker)


if __name__ == "__main__":
    del sys.argv[1:9]
    unittest.main(verbosity=2)
