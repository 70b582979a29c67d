"""How long it takes to look at a large process, and what that costs the process.

    test_speed.py COMMAND LIBRARY BIG

1 GiB of 50,000 call stacks: a report in less than 1 s, a snapshot in less than 5 ms. Of processor
time, the least of some tries: others may have the processor meanwhile.
"""

import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import unittest

COMMAND, LIBRARY, BIG = (os.path.realpath(p) for p in sys.argv[1:4])
MIB, STACKS = 1024, 50000


class Speed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-speed-", dir="/dev/shm"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.env = {k: v for k, v in os.environ.items() if not k.startswith("MPALLOC_")}
        cls.env.update(MPALLOC_DIR=str(cls.dir), LC_ALL="C.UTF-8", NO_COLOR="1",
                       MPALLOC_HISTORY=str(cls.dir / "history.db"),
                       XDG_CACHE_HOME=str(cls.dir / "cache"))

    def start(self, *words, **env):
        p = subprocess.Popen([BIG, *map(str, words)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True,
                             env={**self.env, "LD_PRELOAD": LIBRARY, **env})

        def end():
            p.kill()
            p.wait()
            p.stdin.close()
            p.stdout.close()
        self.addCleanup(end)
        self.assertRegex(p.stdout.readline(), "ready")
        return p

    def command(self, *words):
        """What it said, and its processor time in seconds."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([COMMAND, *map(str, words)], env=self.env, capture_output=True,
                              text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, (after.ru_utime + after.ru_stime - before.ru_utime
                             - before.ru_stime)

    @staticmethod
    def ran(pid):
        """Nanoseconds that its threads had a processor."""
        return sum(int((t / "schedstat").read_text().split()[0])
                   for t in pathlib.Path(f"/proc/{pid}/task").iterdir())

    def test_a_large_process(self):
        p = self.start(MIB, STACKS, MPALLOC_SAMPLE="exact", MPALLOC_SAMPLE_GOVERNOR="0")
        text = self.command("report", p.pid)[0]
        self.assertRegex(text, "way[0-5]|hold")
        rss = int(pathlib.Path(f"/proc/{p.pid}/statm").read_text().split()[1]) * 4096
        self.assertGreater(rss, MIB << 20)
        sites = self.command("report", p.pid, "--by", "site", "--all")[0]
        self.assertGreater(len(sites.splitlines()), STACKS)
        before = self.ran(p.pid)
        for words, most in ((("report",), 1.0), (("report", "--format", "html"), 1.5),
                            (("report", "--json"), 1.5), (("leaks",), 1.0),
                            (("snapshot",), 0.005)):
            took = min(self.command(words[0], p.pid, *words[1:])[1] for _ in range(5))
            print(f"{' '.join(words)}: {took * 1000:.1f} ms", flush=True)
            self.assertLess(took, most, words)
        # It slept all the time: nobody made it run.
        self.assertEqual(self.ran(p.pid), before)

    def test_reading_costs_the_process_nothing(self):
        """As fast while it is read, in its own processor time, as when it is left alone."""
        p = self.start(64, 500, 120)
        alone, read = [], []
        for i in range(64):
            line = p.stdout.readline()    # of a tenth of a second
            if i % 4 < 2:
                self.command("snapshot", p.pid)
                self.command("report", p.pid)
            if i % 2 == 1:    # what came before it was the same
                (read if i % 4 == 1 else alone).append(float(line))
        ratio = statistics.median(read) / statistics.median(alone)
        print(f"{ratio:.3f} of its speed while it is read", flush=True)
        self.assertGreater(ratio, 0.9)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
