"""
test_oom - what the region of a process says that died near its limit

Usage: test_oom.py MPALLOC TARGET LIBMPALLOC GROW
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

GROW = sys.argv.pop(4)

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
