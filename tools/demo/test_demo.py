"""
test_demo - the demo gives the same results with and without its leak

Usage: test_demo.py SERVER
"""
import re
import subprocess
import sys

SERVER = sys.argv[1]


def run(*args, status=0):
    done = subprocess.run([SERVER, *args], capture_output=True, text=True, timeout=100)
    assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
    return done


def figures(*args):
    done = run("--requests", "2000", *args)
    assert done.stderr == "", done.stderr
    match = re.fullmatch(r"extraction-server: 2000 requests, (\d+) bytes in, "
                         r"(\d+) bytes out, checksum ([0-9a-f]{16}), \S+ s\n", done.stdout)
    assert match, done.stdout
    return match.groups()


plain = figures()
assert int(plain[0]) > 1000000 and int(plain[1]) > 1000000, plain
assert figures("--leak") == plain
assert figures("--threads", "1") == plain
assert figures("--threads", "7", "--cache", "0", "--index", "0") == plain
assert figures("--seed", "2") != plain
assert "Examples:" in run("--help").stdout
for wrong in (["--nonsense"], ["--requests", "x"], ["--threads"], ["--threads", "65"],
              ["--seconds", "-1"], ["extra"]):
    done = run(*wrong, status=2)
    assert done.stdout == "" and done.stderr.count("\n") == 1, (wrong, done)
print("test_demo: checksum", plain[2])
