"""test_compare - what compare says about allocators that fail and names that are not there

Usage: test_compare.py COMPARE BUILD BROKEN_MALLOC
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

compare, build, broken = sys.argv[1:]
problems = 0


def run(*words):
    done = subprocess.run([compare, "--build-dir", build, "--smoke", *words], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def expect(what, good, said=""):
    global problems
    if not good:
        problems += 1
        print(f"test_compare: {what}: {said[-2000:]}")


def names_are_listed():
    for words, name, others in ((("--workloads", "nothing"), "nothing", ("pair-8", "redis")),
            (("--group", "nothing"), "nothing", ("string_allocations", "drop_timing")),
            (("--allocators", "nothing"), "nothing", ("mpalloc-off", "system")),
            (("--peers", "nothing", "--workloads", "pair-8"), "nothing", ("system",))):
        code, out, said = run(*words)
        expect(f"{words} ends with 1 and one line", code == 1 and not out
            and said.count("compare: no ") == 1, said)
        last = said.strip().splitlines()[-1]
        expect(f"{words} lists what there is", name in last and all(o in last for o in others
            if o != "redis" or "left out" not in said), said)


def failures_stay_in_their_cells():
    """Only batch-2000 has blocks of 2,000 bytes, and many of them at once."""
    with tempfile.TemporaryDirectory() as folder:
        log, result = f"{folder}/log", f"{folder}/result"
        words = ["--allocators", "mpalloc,crash,hang,twice,system", "--timeout", "3",
            "--runs", "2", "--workloads", "batch-2000,pair-64,bignum",
            "--resume", log, "--json", result, "--markdown", f"{folder}/md"]
        for how in ("crash", "hang", "twice"):
            words += ["--allocator", f"{how}={broken},BROKEN={how}"]
        code, out, said = run(*words)
        expect("the exit code is 1", code == 1, said)
        document = json.loads(pathlib.Path(result).read_text())
        rows = document["summary"]["batch-2000"]
        expect("a crash is named", "SIGSEGV" in rows["crash"].get("reason", ""), str(rows))
        expect("a hang is named", "hangs" in rows["hang"].get("reason", ""), str(rows))
        expect("a hang is waited for once", said.count("no end after") == 1, said)
        expect("a failed self-check is named", "lost its mark" in
            rows["twice"].get("reason", ""), str(rows))
        expect("the others have figures", all("time" in rows[n] for n in ("mpalloc", "system")),
            str(rows))
        expect("all have figures where nothing fails", all("time" in r for r in
            document["summary"]["pair-64"].values()), str(document["summary"]["pair-64"]))
        expect("failures are in the table", re.search(r"^  crash +FAILED$", out, re.M), out)
        best = document["envelope"]["time"]["mpalloc"]["workloads"]["batch-2000"]["best"]
        expect("the best peer is one that works", best == "system", best)
        expect("no cell of a failure has a number", not any("time" in rows[n]
            for n in ("crash", "hang", "twice")), str(rows))
        lines = len(pathlib.Path(log).read_text().splitlines())
        run(*words)
        again = len(pathlib.Path(log).read_text().splitlines())
        expect("what ran is not run again", again - lines < lines / 2, f"{lines}, {again}")


def a_real_program_goes_on():
    """Its inputs lie in a folder of the comparison, which is another each time."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--allocators", "mpalloc,system", "--runs", "1", "--workloads", "sqlite",
            "--resume", f"{folder}/log"]
        code, _, said = run(*words)
        if "left out" in said:
            return
        expect("it runs", code == 0, said)
        code, _, said = run(*words)
        expect("it is not run again", code == 0, said)
        lines = pathlib.Path(f"{folder}/log").read_text().splitlines()
        expect("each ran once", len(lines) == 2, f"{len(lines)} runs")


def ours_alone_is_held_to_no_peer():
    code, out, said = run("--allocators", "mpalloc,mpalloc-off", "--baseline", "mpalloc",
        "--workloads", "pair-64")
    expect("it runs", code == 0, said)
    expect("the fastest of none is not asked for", "best peer" not in out
        and "envelope" not in out, out)


names_are_listed()
ours_alone_is_held_to_no_peer()
a_real_program_goes_on()
failures_stay_in_their_cells()
print(f"test_compare: {problems or 'no'} problems")
sys.exit(bool(problems))
