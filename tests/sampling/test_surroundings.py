"""The sampler of call stacks where programs are not simple, and what it costs them."""

import pathlib
import re
import shutil
import signal
import sys
import time

from region import OFF
from worker import ARCHIVE, BLUE, Base, KIB, LONG, MIB, RED, STATIC, WORKER, Worker, line_of, main


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
        self.assertLessEqual(share, 0.01)
        self.assertGreater(loaded.doublings, 0)
        self.assertGreater(loaded.interval, 16 * KIB)
        self.assertEqual(loaded.wanted, 16 * KIB)
        for _ in range(4):  # a quarter of it after each tenth of a second that cost little
            worker.tell("idle", 500)
            calm = worker.dump().sampling
            if calm.interval <= loaded.interval // 4:
                break
        self.assertLessEqual(calm.interval, loaded.interval // 4, "it comes back")
        self.assertEqual(calm.wanted, 16 * KIB)

    def test_the_governor_at_the_default(self):
        """The first samples included, in a process that does nothing but allocate."""
        worker = Worker(self)
        worker.tell("burn", 1000, 16384)
        s, cpu = worker.dump().sampling, worker.counters()["cpu_ns"]
        print(f"governor: {100 * s.cost_ns / cpu:.2f} % at the default", file=sys.stderr)
        self.assertLessEqual(s.cost_ns / cpu, 0.006)
        self.assertGreater(s.allocated, 300)
        worker.tell("burn", 100, 16384)
        self.assertGreaterEqual(worker.dump().sampling.interval, 512 * KIB)

    def test_who_asks_for_more_gets_it_at_the_start(self):
        worker = Worker(self, MPALLOC_SAMPLE="64k")
        worker.tell("alloc", 10000, 2000)
        self.assertLessEqual(worker.dump().sampling.interval, 128 * KIB)

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


if __name__ == "__main__":
    main()
