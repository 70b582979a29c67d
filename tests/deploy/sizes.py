"""How much the servers of a fleet get from one process: what tools/deploy/README.md computes with.

    sizes.py MPALLOC LIBRARY [--for SECONDS] -- PROGRAM [ARGUMENTS] [-- PROGRAM …]

Each program runs with the library for so long (20), and is looked at then: series and bytes of a
scrape of mpalloc serve (plain, and gzipped as Prometheus asks for it), a message of OTLP (gzipped),
its profile (pprof, gzipped) and its region.
"""

import gzip
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request


def split(words):
    programs = [[]]
    for word in words:
        if word == "--":
            programs.append([])
        else:
            programs[-1].append(word)
    return [p for p in programs if p]


def main():
    words = sys.argv[1:]
    at = words.index("--")
    head, programs = words[:at], split(words[at:])
    command, library = map(os.path.realpath, head[:2])
    seconds = float(head[head.index("--for") + 1]) if "--for" in head else 20
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-sizes-", dir="/dev/shm"))
    env = {**os.environ, "MPALLOC_DIR": str(folder)}
    running = []
    print(f"{'program':20} {'series':>7} {'scrape':>8} {'gzipped':>8} {'OTLP':>8} "
          f"{'profile':>8} {'region':>8}")
    try:
        for program in programs:
            running.append(subprocess.Popen(
                program, env={**env, "LD_PRELOAD": library}, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, stdin=subprocess.PIPE))
        time.sleep(seconds)
        serve = subprocess.Popen([command, "serve", "--dir", folder, "--listen", "127.0.0.1:0"],
                                 env=env, stderr=subprocess.PIPE, text=True)
        running.append(serve)
        url = re.search(r"http://[\d.:]+", serve.stderr.readline())[0]
        time.sleep(6)  # verdicts are made beside
        for program, p in zip(programs, running):
            measure(command, env, url, folder, program, p.pid)
    finally:
        for p in running:
            p.kill()
            p.wait()
        shutil.rmtree(folder)


def measure(command, env, url, folder, program, pid):
    region = next(folder.glob(f"{pid}-*.mp"))
    with urllib.request.urlopen(f"{url}/metrics?process={pid}") as reply:
        text = reply.read()
    series = sum(1 for line in text.splitlines() if line and not line.startswith(b"#"))
    done = subprocess.run(
        [command, "export", "--format", "pprof", "--output", folder / "p.pb.gz", region],
        env=env, check=True, capture_output=True)
    profile = (folder / "p.pb.gz").stat().st_size
    otlp = push_bytes(command, env, region)
    kept = region.stat().st_blocks * 512
    del done
    print(f"{pathlib.Path(program[0]).name:20} {series:7} {len(text):8} "
          f"{len(gzip.compress(text)):8} {otlp:8} {profile:8} {kept:8}", flush=True)


def push_bytes(command, env, region):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "push"))
    from receiver import Receiver
    receiver = Receiver()
    subprocess.run([command, "push", region, "--to", "otlp", "--url", receiver.url, "--once"],
                   env=env, check=True, capture_output=True)
    size = int(receiver.requests[0].headers["Content-Length"])
    receiver.close()
    return size


main()
