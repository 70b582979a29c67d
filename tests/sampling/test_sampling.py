"""The sampler of call stacks: figures, in real processes."""

import json
import math
import random
import signal
import sys
import time

from region import EXACT, OFF, Region
from worker import Base, DEFAULT, KIB, MIB, Worker, line_of, main


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
            self.assertEqual(err, f"mpalloc: MPALLOC_SAMPLE={value}: takes bytes up to 1t such "
                                  "as 64k, exact, or off; using 512k\n")
        for value, wanted in (("1", EXACT), ("2", 2), ("64K", 64 * KIB), ("1t", 2**40),
                              ("EXACT", EXACT), ("off", OFF)):
            worker = Worker(self, MPALLOC_SAMPLE=value, MPALLOC_SAMPLE_GOVERNOR="0")
            self.assertEqual(worker.dump().sampling.interval, wanted)
            self.assertEqual(worker.finish(), "")


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
    main()
