"""
test_leaks - verdicts on programs of known truth, through the command

Usage: test_leaks.py CORPUS MPALLOC [all | SHAPE...]    a selection when no shape is named
"""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import truth

import jsonschema

CORPUS, COMMAND = sys.argv[1:3]
SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "tools" / "schemas" / "leaks.json"
SELECTION = ["cache", "slow10", "handlers", "lru", "warm_up", "words", "sawtooth", "hidden"]
AT_ONCE = 4  # each waits for a second between the rounds of its leak check
problems = []


def expect(condition, text):
    if not condition:
        problems.append(text)
        print(f"FAIL {text}")


def check_verdict(shape, allowed, document, how):
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    verdict, leak, wrong = truth.judge(document, shape)
    expect(verdict in allowed, f"{shape}{how}: {verdict}, should be one of "
           f"{sorted(allowed)}: {leak and leak['evidence']}")
    expect(not wrong, f"{shape}{how}: called leaks: "
           f"{[(w['component'], w['frames'][:2], w['evidence']) for w in wrong]}")
    return verdict, leak


def check_shape(shape, folder):
    allowed, _ = truth.SHAPES[shape]
    alone, checked = truth.run(CORPUS, COMMAND, shape, folder)
    verdict, leak = check_verdict(shape, allowed, alone, "")
    then, _ = check_verdict(shape, {"lost"} if shape in truth.LOST | truth.MISSED else
                            allowed - {"lost"}, checked, " after a check")
    print(f"{shape:14} {verdict:12} after a check {then}")
    if shape == "buffer":
        expect(leak["advice"] == "shrink", f"buffer: advice {leak['advice']}")
    if shape == "local":
        expect(leak["threads"][:1] == ["collector"], f"local: threads {leak['threads']}")
        expect(leak["advice"] == "thread", f"local: advice {leak['advice']}")
    if shape == "thread8":
        expect(leak["threads"][:1] == ["worker-5"], f"thread8: threads {leak['threads']}")
    if shape == "marked":
        expect("marks" in leak["rules"], f"marked: rules {leak['rules']}")


def command(env, *words, code=0):
    done = subprocess.run([COMMAND, *map(str, words)], env=env, text=True,
                          capture_output=True)
    expect(done.returncode == code, f"{words}: exit {done.returncode}: {done.stderr[-500:]}")
    return done


def check_command(folder):
    """Forms, acknowledging, the gate for builds: on one leak."""
    dump = pathlib.Path(folder, "cache.mp")
    early = pathlib.Path(folder, "early.mp")
    env = os.environ | {"MPALLOC_HISTORY": str(pathlib.Path(folder, "h", "history.db"))}
    for path, work in ((early, "1000"), (dump, "6000")):
        subprocess.run([CORPUS, "cache", work], check=True,
                       env=env | {"CORPUS_DUMP": str(path), "MPALLOC_SAMPLE": "256k",
                                  "MPALLOC_SAMPLE_GOVERNOR": "0"})
    text = command(env, "leaks", dump).stdout
    for word in ("growing", "grow_cache", "never_freed", "per hour", "corpus.c"):
        expect(word in text, f"leaks: {word} is not in {text}")
    said = json.loads(command(env, "leaks", "--json", "--since", early, dump).stdout)
    leak = said["leaks"][0]
    expect(leak["since_bytes"] > 0, f"--since: {leak['since_bytes']}")
    again = json.loads(command(env, "leaks", "--json", "--all", early).stdout)
    expect(leak["id"] in [k["id"] for k in again["leaks"]], "ids differ from run to run")
    sarif = json.loads(command(env, "leaks", "--sarif", dump).stdout)
    expect(sarif["runs"][0]["results"][0]["ruleId"] == "growing", "SARIF has no result")
    suite = xml.fromstring(command(env, "leaks", "--junit", dump).stdout)
    expect(suite.get("failures") == "1", f"JUnit: {suite.attrib}")
    expect("part" in command(env, "leaks", "--by", "component", dump).stdout, "--by")
    run = ("run", "--sample", "128k", "--set", "SAMPLE_GOVERNOR=0", "--fail-on")
    done = command(env, *run, "leak", "--", CORPUS, "cache", "4000", code=3)
    expect("grow_cache" in done.stderr, "--fail-on shows no stack")
    rules = os.path.join(folder, "rules")
    for text, code in (("leak:grow_cache\n", 0), ("leak:grow_cach$\n", 3), ("leak:^grow_c*e$\n", 0),
                       ("# of valgrind\n{\n  known\n  Memcheck:Leak\n  ...\n  fun:grow_cache\n}\n", 0),
                       ("{\n  known\n  Memcheck:Leak\n  obj:*/libnone.so\n  ...\n}\n", 3),
                       ("{\n  known\n  Memcheck:Leak\n  ...\n", 2), ("grow_cache\n", 2)):
        with open(rules, "w", encoding="utf-8") as f:
            f.write(text)
        command(env | {"MPALLOC_LEAK_SUPPRESSIONS": rules}, *run, "leak=growing", "--", CORPUS,
                "cache", "4000", code=code)
    command(env, *run, "leak=growing", "--", CORPUS, "tables", "2000")
    command(env, *run, "leak", "--", "false", code=1)
    command(env, "leaks", "--ack", leak["id"], "--until", "2999-01-31", "--note", "known")
    expect("known" in command(env, "leaks", dump).stdout, "--ack is not shown")
    suite = xml.fromstring(command(env, "leaks", "--junit", dump).stdout)
    expect(suite.get("failures") == "0", "--ack fails still")
    command(env, "leaks", "--ack", "12", code=2)
    command(env, "leaks", "--ack", leak["id"], "--until", "tomorrow", code=2)
    command(env, "leaks", "--by", "moon", dump, code=2)
    command(env, "run", "--fail-on", "moon", "--", "true", code=2)


def main():
    shapes = sys.argv[3:] or SELECTION
    if shapes == ["all"]:
        shapes = list(truth.SHAPES)
    with tempfile.TemporaryDirectory() as folder:
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = [pool.submit(check_shape, shape, folder) for shape in shapes]
            jobs.append(pool.submit(check_command, folder))
            for job in jobs:
                job.result()
    print(f"{len(shapes)} shapes, {len(problems) or 'no'} problems")
    return bool(problems)


sys.exit(main())
