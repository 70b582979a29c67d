"""
test_scan - mpalloc leaks --scan: a running process, asked from outside

Usage: test_scan.py LOSER MPALLOC LIBMPALLOC
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import jsonschema

LOSER, COMMAND, LIBRARY = sys.argv[1:4]
SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "tools" / "schemas" / "leaks.json"


def leaks(env, *words, code=0):
    done = subprocess.run([COMMAND, "leaks", *map(str, words)], env=env, text=True,
                          capture_output=True)
    assert done.returncode == code, f"{words}: {done.returncode} {done.stderr}"
    return done.stdout if code == 0 else done.stderr


def check(sample, folder):
    env = dict(os.environ, MPALLOC_DIR=folder, MPALLOC_HISTORY=f"{folder}/history.db")
    with subprocess.Popen([LOSER], env=dict(env, MPALLOC_SAMPLE=sample,
                                            LD_PRELOAD=LIBRARY)) as loser:
        try:
            time.sleep(4)
            document = json.loads(leaks(env, loser.pid, "--scan", "--json", "--all"))
            text = leaks(env, loser.pid)
        finally:
            loser.kill()
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    found = document["leak_check"]
    lost = [leak for leak in document["leaks"] if leak["verdict"] == "lost"]
    print(sample, found, [(leak["frames"][0]["function"], leak["scan"]) for leak in lost])
    assert found["error"] is None and found["rounds"] == 2
    # A list is two blocks: the first is lost, the second hangs on it. The last few may be reached
    # by what is left on the stack.
    lists = found["definite"]["blocks"]
    assert lists >= 50, found
    assert abs(found["indirect"]["blocks"] - lists) <= 5, found
    assert lists - 250 <= found["lost"]["blocks"] <= lists, found
    assert found["reachable"]["blocks"] >= 900, found
    names = {frame["function"] for leak in lost for frame in leak["frames"]}
    assert "lose" in names, (names, document["leaks"])
    assert "usleep" not in names
    assert "leak check at" in text and "lost" in text, text
    assert any(leak["scan"]["indirect_bytes"] > 0 for leak in lost), lost
    if sample == "exact":  # sites are no estimates then
        assert sum(leak["scan"]["definite_bytes"] for leak in lost) == found["lost"]["bytes"]


def check_idle(folder):
    """Nobody is left to wonder: what is waited for is said after two seconds."""
    env = dict(os.environ, MPALLOC_DIR=folder)
    with subprocess.Popen(["sleep", "1000"], env=dict(env, LD_PRELOAD=LIBRARY)) as idle:
        try:
            time.sleep(0.5)
            with subprocess.Popen([COMMAND, "leaks", str(idle.pid), "--scan"], env=env,
                                  stderr=subprocess.PIPE, text=True) as scan:
                start = time.monotonic()
                line = scan.stderr.readline()
                after = time.monotonic() - start
                scan.kill()
        finally:
            idle.kill()
    assert "waiting until it allocates" in line and 1.5 < after < 10, (line, after)


def main():
    with tempfile.TemporaryDirectory(prefix="mpalloc-scan-") as folder:
        for sample in ("16k", "exact"):
            check(sample, folder)
        check_idle(folder)
        env = dict(os.environ, MPALLOC_DIR=folder, MPALLOC_LIBRARY=LIBRARY)
        for words, code in ((["1000"], 3), (["0"], 0)):  # 100 lists are lost, or none
            for kind in ("leak", "leak=definite"):
                done = subprocess.run([COMMAND, "run", "--fail-on", kind, "--", LOSER, *words],
                                      env=dict(env, MPALLOC_SAMPLE="4k"), text=True,
                                      capture_output=True)
                assert done.returncode == code, (words, kind, done.returncode, done.stderr)
                assert ("lose" in done.stderr) == (code == 3), done.stderr
                # Told once, with lines of source: what LEAK_CHECK=1 says is not said as well.
                assert "mpalloc: " not in done.stderr, done.stderr
                if code == 3:
                    assert re.search(r"\n      (at|by) lose  .*loser.c:\d+", done.stderr), done.stderr
                    last = done.stderr.splitlines()[-1]
                    assert re.fullmatch(r"mpalloc run: \d+ leaks? \(--fail-on\)", last), last
                else:
                    assert done.stderr == "", done.stderr
        done = subprocess.run([COMMAND, "run", "--fail-on", "leak", "--sample", "1g", "--", LOSER,
                               "100"], env=env, text=True, capture_output=True)
        assert done.returncode == 3 and "10 blocks are lost" in done.stderr, done.stderr
        said = leaks(env, "--scan", 999999999, code=4)
        assert len(said.strip().splitlines()) == 1, said


main()
