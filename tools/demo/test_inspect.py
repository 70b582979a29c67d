"""The example of the libraries says what holds the memory of a server, and leaves a profile."""

import gzip
import os
import pathlib
import re
import subprocess
import sys
import tempfile

INSPECT, SERVER = sys.argv[1:]

with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MPALLOC_")}
    env.update(MPALLOC_DIR=folder, MPALLOC_SAMPLE="4k", MPALLOC_KEEP="1", HOME=folder)
    profile = pathlib.Path(folder, "heap.pb.gz")
    subprocess.run([SERVER, "--requests", "5000", "--leak"], env=env, timeout=50, check=True)
    region = next(pathlib.Path(folder).glob("*.mp"))
    done = subprocess.run([INSPECT, region, profile], env=env, timeout=50, capture_output=True,
                          text=True, check=True)
    print(done.stdout, done.stderr)
    parts = {name: text for name, _, text in
             (part.partition("\n") for part in done.stdout.split("\n\n"))}
    components = parts["live bytes by component"]
    assert re.search(r"^ +\d+  [a-z]+", components, re.M), "components"
    sites = parts["live bytes by site"]
    assert len(re.findall(r"^ {15}\S.* \(extraction-server\)$", sites, re.M)) > 5, "stacks"
    assert "what could be gained, in bytes or calls a second" in parts, "advice"
    assert len(gzip.decompress(profile.read_bytes())) > 1000, "a profile"
    wrong = subprocess.run([INSPECT, folder + "/none.mp", profile], env=env, timeout=50,
                           capture_output=True, text=True)
    assert wrong.returncode == 1 and wrong.stderr.count("\n") == 1, wrong
