"""
test_oom - what the region of a process says that died near its limit

Usage: test_oom.py MPALLOC TARGET LIBMPALLOC GROW SHRINK
"""
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time
import unittest

GROW, SHRINK = sys.argv.pop(4), sys.argv.pop(4)

import command  # noqa: E402  it reads the other arguments

MIB = 1 << 20


class Oom(command.CommandTest):
    def grow(self, *before, most=1 << 40, pause_us=0, **env):
        """Let it grow until it dies; live bytes then."""
        path = self.dir / "live"
        path.write_bytes(bytes(8))
        p = subprocess.Popen([*before, GROW, str(path), str(most), str(pause_us)],
                             env={**self.env, **env})
        self.assertEqual(p.wait(timeout=60), -signal.SIGKILL)
        return p, struct.unpack("Q", path.read_bytes())[0]

    def holds(self, p, live):
        totals = self.document("snapshot", self.region_of(p))
        self.assertGreaterEqual(totals["live_bytes"], 0.95 * live)
        self.assertLessEqual(totals["live_bytes"], live + 4 * MIB)  # ready in lists
        rows = {c["name"]: c["live_bytes"] for c in totals["components"]}
        self.assertGreaterEqual(rows["grow/slow"] + rows["grow/fast"], 0.95 * live)
        return totals

    def test_address_space_used_up(self):
        p, live = self.grow("prlimit", f"--as={400 * MIB}")
        self.assertGreater(live, 200 * MIB)
        self.holds(p, live)

    def test_killed_near_the_limit(self):
        p, live = self.grow("prlimit", f"--as={800 * MIB}", most=745 * MIB)
        self.assertGreaterEqual(live, 745 * MIB)
        totals = self.holds(p, live)
        self.assertGreater(totals["pressure"]["parts"]["limit"]["value"], 0.9)

    def test_report_of_the_dead(self):
        self.fails(4, "report", "--dead", says="no region of a process that died")
        first, _ = self.grow("prlimit", f"--as={800 * MIB}", most=10 * MIB,
                             MPALLOC_SERVICE="other")
        # On a busy machine the governor takes a sample of 16 MiB, and none of the slow one.
        p, live = self.grow("prlimit", f"--as={800 * MIB}", most=745 * MIB,
                            MPALLOC_SAMPLE_GOVERNOR="0")
        running = self.start("quiet")
        text = self.command("report", "--dead").stdout
        self.assertRegex(text, rf"grow {p.pid} died: killed or crashed.*its limit was near")
        self.assertRegex(text, r"limit +\d+ MiB of 800 MiB used")
        self.assertRegex(text, r"Components\n.*INTERVAL.*\n.* grow/fast\n.* grow/slow\n")
        self.assertRegex(text, r"Call stacks\n.*\n.* grow/fast: grow (\u2190|<-) main")
        d = self.document("report", p.pid, "--dead", schema="dead")
        self.assertGreaterEqual(d["live_bytes"], 0.95 * live)
        self.assertGreater(d["limit_used"], 0.9)
        rows = {c["component"]: c for c in d["components"]}
        for name, share in ("grow/fast", 0.75), ("grow/slow", 0.25):
            e = rows[name]["grew_bytes"]
            self.assertLess(e["low"], e["value"])
            self.assertLess(e["high"] - e["low"], live)
            whole = sum(c["grew_bytes"]["value"] for c in d["components"])
            # Six deviations; that 95 % of intervals hold it was measured (78 of 80 did).
            self.assertLess(abs(e["value"] - share * whole), 3 * (e["high"] - e["value"]))
        self.assertIn("grow", [f["function"] for f in d["stacks"][0]["frames"]])
        self.assertEqual(self.document("report", "--dead", "other", schema="dead")["process"]["pid"],
                         first.pid)
        self.fails(4, "report", "--dead", "nobody", says="of a process nobody that died")
        self.fails(4, "report", "--dead", running.pid, says="that died")
        self.fails(2, "report", "--dead", "--by", "site", says="--dead is shown as")

    def test_a_cache_that_shrinks(self):
        done = subprocess.run(["prlimit", f"--as={256 * MIB}", SHRINK, str(240 * MIB)],
                              env=self.env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done)   # else it has no more memory
        told, value, highest, now = done.stdout.split()
        self.assertGreaterEqual(int(told), 1)
        self.assertGreaterEqual(float(value), 0.5)
        self.assertLess(int(highest), 225 * MIB)
        self.assertGreater(float(now), 0)

    def test_control_group(self):
        group = pathlib.Path(f"/sys/fs/cgroup/memory/mpalloc-test-{os.getpid()}")
        limit = "memory.limit_in_bytes"
        if not group.parent.is_dir():
            group, limit = pathlib.Path("/sys/fs/cgroup") / group.name, "memory.max"
        try:
            group.mkdir()
            self.addCleanup(group.rmdir)
            (group / limit).write_text(str(100 * MIB))
        except OSError as e:
            self.skipTest(f"no control group can be made: {e}")
        p, live = self.grow("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh",
                            most=300 * MIB)
        if live >= 300 * MIB:
            self.skipTest("the kernel does not enforce limits of control groups")
        self.holds(p, live)


if __name__ == "__main__":
    command.main()
