"""A program that watches itself is told of its alert, when it is over, and reports at the end."""

import os
import re
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MPALLOC_")}
    done = subprocess.run([sys.argv[1], "4"], env={**env, "MPALLOC_DIR": folder}, timeout=50,
                          capture_output=True, text=True, check=True)
print(done.stdout, done.stderr)
lines = done.stdout.splitlines()
fired = [i for i, line in enumerate(lines) if re.match(r"warning TenMegabytes: live bytes", line)]
over = [i for i, line in enumerate(lines) if re.match(r"warning is over: live bytes", line)]
assert len(fired) == 1, "the alert is told once"
assert len(over) == 1 and over[0] > fired[0], "and when it is over"
report = done.stdout[done.stdout.index("warning is over"):]
assert re.search(r"^self-watch +pid \d+", report, re.M), "the report of itself"
