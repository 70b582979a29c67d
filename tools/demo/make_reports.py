#!/usr/bin/python3
"""make_reports - REPORTS.md again: reports of two programs, as they come out

Usage: make_reports.py BUILD

Runs the demo server with its leak for 19 s, and redis-server under redis-benchmark for 20 s, with the
library of BUILD, and writes what `mpalloc report` says of each, unchanged but for paths of this machine.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1]).resolve()
COMMAND = BUILD / "tools" / "mpalloc"
LIBRARY = BUILD / "alloc" / "libmpalloc.so"


def report(pid, environment):
    text = subprocess.run([COMMAND, "report", str(pid)], env=environment, check=True,
        capture_output=True, text=True).stdout
    text = text.replace(f"{BUILD}/../", "").replace(f"{BUILD.parent}/", "")
    return "```\n" + re.sub(r" +$", "", text, flags=re.M).strip() + "\n```\n"


def demo(environment):
    program = subprocess.Popen(
        [BUILD / "tools" / "demo" / "extraction-server", "--leak", "--seconds", "60"],
        env=environment, stdout=subprocess.DEVNULL)
    time.sleep(19)
    text = report(program.pid, environment)
    program.terminate()
    program.wait()
    return text


def redis(environment, folder):
    socket = f"{folder}/socket"
    program = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", "socket", "--save", ""],
        env={**environment, "LD_PRELOAD": str(LIBRARY)}, cwd=folder, stdout=subprocess.DEVNULL)
    while not os.path.exists(socket):
        time.sleep(0.05)
    load = subprocess.Popen(["redis-benchmark", "-s", socket, "-n", "10000000", "-r", "100000", "-d",
        "100", "-q", "-t", "set,lpush,hset"], env=environment, stdout=subprocess.DEVNULL)
    time.sleep(20)
    text = report(program.pid, environment)
    for p in (load, program):
        p.terminate()
        p.wait()
    return text


with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
    environment = {**os.environ, "MPALLOC_DIR": folder, "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    text = ("# Two reports, as they came out\n\n"
        "Made by `tools/demo/make_reports.py BUILD`. `mpalloc report --name extraction-server`, of the "
        "demo after 19 s of\n`extraction-server --leak --seconds 60`:\n\n" + demo(environment)
        + "\n`mpalloc report --name redis-server`, after 20 s of `redis-benchmark -r 100000 -d 100 -t "
        "set,lpush,hset`:\n\n" + redis(environment, folder))
(pathlib.Path(__file__).parent / "REPORTS.md").write_text(text)
