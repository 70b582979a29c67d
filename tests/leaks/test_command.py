"""
test_command - every option of mpalloc leaks, as people and builds use it

Usage: test_command.py CORPUS LOSER MPALLOC LIBMPALLOC
"""
import contextlib
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import xml.etree.ElementTree as xml

import jsonschema

CORPUS, LOSER, COMMAND, LIBRARY = (os.path.realpath(p) for p in sys.argv[1:5])
SCHEMA = json.loads((pathlib.Path(__file__).resolve().parents[2] / "tools" / "schemas"
                     / "leaks.json").read_text())
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string",
                                                                       "minLength": 1}}}
LOCATION = {
    "type": "object", "additionalProperties": False,
    "properties": {
        "physicalLocation": {
            "type": "object", "required": ["artifactLocation"], "additionalProperties": False,
            "properties": {
                "artifactLocation": {"type": "object", "required": ["uri"],
                                     "properties": {"uri": {"type": "string",
                                                            "pattern": r"^[!-~]+$"}}},
                "region": {"type": "object", "required": ["startLine"],
                           "properties": {"startLine": {"type": "integer", "minimum": 1}}}}},
        "logicalLocations": {"type": "array", "minItems": 1, "items": {
            "type": "object", "required": ["fullyQualifiedName"]}}}}
# What OASIS' SARIF 2.1.0 demands of the objects that are written here.
SARIF = {
    "type": "object", "required": ["version", "runs", "$schema"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"}, "version": {"const": "2.1.0"},
        "runs": {"type": "array", "minItems": 1, "items": {
            "type": "object", "required": ["tool", "results"], "additionalProperties": False,
            "properties": {
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "tool": {"type": "object", "required": ["driver"], "properties": {"driver": {
                    "type": "object", "required": ["name", "version", "rules"],
                    "properties": {"rules": {"type": "array", "uniqueItems": True, "items": {
                        "type": "object", "required": ["id", "shortDescription"],
                        "additionalProperties": False,
                        "properties": {
                            "id": {"type": "string"}, "shortDescription": TEXT,
                            "defaultConfiguration": {"type": "object", "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]}}}}}}}}}},
                "results": {"type": "array", "items": {
                    "type": "object", "required": ["ruleId", "level", "message", "locations"],
                    "additionalProperties": False,
                    "properties": {
                        "ruleId": {"enum": ["lost", "growing", "suspect"]},
                        "level": {"enum": ["none", "note", "warning", "error"]},
                        "message": TEXT,
                        "locations": {"type": "array", "items": LOCATION},
                        "stacks": {"type": "array", "items": {
                            "type": "object", "required": ["frames"],
                            "properties": {"frames": {"type": "array", "items": {
                                "type": "object", "additionalProperties": False,
                                "properties": {"location": LOCATION}}}}}},
                        "partialFingerprints": {"type": "object", "additionalProperties": {
                            "type": "string"}},
                        "suppressions": {"type": "array", "items": {
                            "type": "object", "required": ["kind"], "properties": {
                                "kind": {"enum": ["inSource", "external"]},
                                "status": {"enum": ["accepted", "underReview", "rejected"]},
                                "justification": {"type": "string"}}}}}}}}}}}}


class Command(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-leaks-", dir="/dev/shm"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.base = {k: v for k, v in os.environ.items() if not k.startswith("MPALLOC_")}
        cls.base.update(MPALLOC_DIR=str(cls.dir), MPALLOC_LIBRARY=LIBRARY, LC_ALL="C.UTF-8",
                        TERM="xterm")
        cls.base.pop("NO_COLOR", None)
        for name, shape, work, sample in (("early", "cache", 1000, "256k"),
                                          ("leak", "cache", 6000, "256k"),
                                          ("fine", "lru", 2000, "256k"),
                                          ("exact", "cache", 1000, "exact")):
            path = cls.dir / f"{name}.dump"
            setattr(cls, name, path)
            subprocess.run([CORPUS, shape, str(work)], check=True,
                           env=cls.base | {"CORPUS_DUMP": str(path), "MPALLOC_SAMPLE": sample,
                                           "MPALLOC_SAMPLE_GOVERNOR": "0"})

    def setUp(self):
        history = self.dir / self.id().rpartition(".")[2] / "history.db"
        self.env = self.base | {"MPALLOC_HISTORY": str(history)}
        self.history = history

    def leaks(self, *words, code=0, says=None):
        done = subprocess.run([COMMAND, "leaks", *map(str, words)], env=self.env, text=True,
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        if code == 0:
            self.assertEqual(done.stderr, "")
        else:
            self.assertEqual(done.stdout, "")
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertRegex(done.stderr, says)
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        return done.stdout

    def document(self, *words):
        d = json.loads(self.leaks(*words, "--json"))
        jsonschema.Draft202012Validator(
            SCHEMA, format_checker=jsonschema.FormatChecker()).validate(d)
        return d

    def sarif(self, *words):
        d = json.loads(self.leaks(*words, "--sarif"))
        jsonschema.Draft202012Validator(
            SARIF, format_checker=jsonschema.FormatChecker()).validate(d)
        run = d["runs"][0]
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        self.assertTrue(all(r["ruleId"] in rules for r in run["results"]))
        return run["results"]

    def junit(self, *words):
        text = self.leaks(*words, "--junit")
        if shutil.which("xmllint"):
            subprocess.run(["xmllint", "--noout", "-"], input=text, text=True, check=True)
        suite = xml.fromstring(text)
        cases = suite.findall("testcase")
        self.assertEqual(int(suite.get("tests")), len(cases))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            found = sum(case.find(tag) is not None for case in cases)
            self.assertEqual(int(suite.get(name)), found, name)
        self.assertGreaterEqual(float(suite.get("time")), 0)
        return cases

    # Forms.

    def test_json(self):
        d = self.document(self.leak)
        self.assertEqual(d["leaks"][0]["verdict"], "growing")
        self.assertTrue(d["has_past"])
        self.assertIsNone(d["since"])
        part = {c["name"]: c for c in d["components"]}["part"]
        self.assertEqual(part["verdict"], "growing")
        self.assertEqual(sum(sum(c["verdicts"].values()) for c in d["components"]),
                         sum(d["verdicts"].values()))
        self.assertEqual(d["components"][0], part, "the worst is the first")
        self.assertGreater(part["growth_bytes_per_hour"]["high"],
                           part["growth_bytes_per_hour"]["low"])
        counted = json.loads(subprocess.run([COMMAND, "snapshot", "--json", self.leak],
            env=self.env, capture_output=True, check=True).stdout)["components"]
        self.assertEqual({c["name"]: c["live_bytes"] for c in d["components"]},
            {c["name"]: c["live_bytes"] for c in counted if c["allocated_blocks_total"]})
        self.assertEqual(len(self.document(self.leak, "--all", "--rows", 1)["leaks"]), 1)
        fine = self.document(self.fine)
        self.assertEqual([k for k in fine["leaks"] if k["verdict"] in ("lost", "growing")], [])

    def test_sarif(self):
        result = self.sarif(self.leak)[0]
        self.assertEqual((result["ruleId"], result["level"]), ("growing", "error"))
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        path = urllib.parse.urlparse(uri)
        self.assertEqual(path.scheme, "file")
        self.assertTrue(path.path.endswith("/tests/leaks/corpus.c"), uri)
        self.assertNotIn("..", uri)
        self.assertEqual(result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"],
                         "grow_cache")
        self.assertGreater(len(result["stacks"][0]["frames"]), 2)
        self.assertEqual(self.sarif(self.fine), [])

    def test_junit(self):
        case, = self.junit(self.leak)
        self.assertIn("grow_cache", case.get("name"))
        self.assertIn("by chance", case.find("failure").text)
        case, = self.junit(self.fine)
        self.assertEqual(case.get("name"), "no leaks")

    def test_text(self):
        text = self.leaks(self.leak)
        for word in ("1 growing", "grow_cache", "corpus.c", "rules: growth"):
            self.assertIn(word, text)
        self.assertNotIn("fine  ", text)
        self.assertIn("\nfine  ", self.leaks(self.leak, "--all"))
        self.assertRegex(self.leaks(self.leak, "--all", "--rows", 1), r"\n\d+ more \(--rows \d+\)")
        text = self.leaks(self.leak, "--by", "component")
        self.assertRegex(text, r"\n  growing .* [\d.]+ [KMGT]iB +±\d+ % +part\n")
        self.assertNotIn("grow_cache", text)
        self.assertIn("grow_cache", self.leaks(self.leak, "--by", "site"))

    def test_since(self):
        text = self.leaks(self.leak, "--since", self.early)
        self.assertRegex(text, r"\nsince is \d{4}-.*, of process \d+, which is another one\n")
        self.assertRegex(text, r", \+\d+\.\d MiB since then")
        d = self.document(self.leak, "--since", self.early)
        self.assertGreater(d["leaks"][0]["since_bytes"], 100e6)
        self.assertIsNotNone(d["since"]["published"])
        same = self.document(self.leak, "--since", self.leak)
        self.assertEqual(same["leaks"][0]["since_bytes"], 0)
        self.assertEqual(same["since"]["pid"], same["process"]["pid"])
        self.assertNotIn("another one", self.leaks(self.leak, "--since", self.leak))
        self.leaks(self.leak, "--since", self.dir / "none", code=4, says="none: cannot be opened")
        self.leaks(self.leak, "--since", __file__, code=6, says="test_command.py: ")

    def test_exact_says_that_growth_is_not_judged(self):
        self.assertIn("\ngrowth is not judged", self.leaks(self.exact))
        d = self.document(self.exact, "--all")
        self.assertFalse(d["has_past"])
        self.assertNotIn("no room", " ".join(sum((k["evidence"] for k in d["leaks"]), [])))

    def test_what_makes_no_sense_is_refused(self):
        for words, says in (
                (("--by", "moon"), "--by takes site or component"),
                (("--rows", "0"), "--rows takes a number from 1"),
                (("--json", "--sarif"), "takes one of --json, --sarif and --junit"),
                (("--junit", "--sarif"), "takes one of"),
                (("--by", "component", "--sarif"), "--by component is a table, or --json"),
                (("--note", "x"), "--note is for --ack ID"),
                (("--until", "2999-01-31"), "--until is for --ack ID"),
                (("--what",), "unknown option --what"),
                (("more",), "takes at most 1 word, got 2")):
            with self.subTest(words=words):
                self.leaks(self.leak, *words, code=2, says=says)

    # Acknowledging.

    def test_ack_in_every_form(self):
        key = self.document(self.leak)["leaks"][0]["id"]
        self.assertEqual(self.leaks("--ack", key, "--until", "2099-01-31", "--note",
                                    "ticket <12> & \"so\" \x1b[31m"), f"{key} is acknowledged\n")
        text = self.leaks(self.leak)
        self.assertIn("1 of them acknowledged", text)
        self.assertIn("acknowledged until 2099-01-31 23:59:59: ticket <12>", text)
        self.assertIn("\\x1b[31m", text)
        ack = self.document(self.leak)["leaks"][0]["acknowledged"]
        self.assertTrue(ack["note"].startswith("ticket <12>"))
        self.assertEqual(self.sarif(self.leak)[0]["suppressions"][0]["status"], "accepted")
        case, = self.junit(self.leak)
        self.assertTrue(case.find("skipped").get("message").startswith("ticket <12> & \"so\""))
        self.assertTrue(ack["until"].startswith("2099-0"))
        for forever in ((), ("--until", "9999-12-31")):
            self.leaks("--ack", key, *forever)
            self.assertIsNone(self.document(self.leak)["leaks"][0]["acknowledged"]["until"])
        with contextlib.closing(sqlite3.connect(self.history)) as db, db:
            db.execute("UPDATE acks SET until_s = ?", (int(time.time()) - 1,))
        self.assertIsNone(self.document(self.leak)["leaks"][0]["acknowledged"])
        self.assertEqual(len(self.junit(self.leak)), 1)

    def test_ack_bad_dates(self):
        for date in ("tomorrow", "2999-13-01", "2999-02-30", "2999-00-10", "2999-01-31x", "99-1-1",
                     "2999-01", "", "31.01.2999"):
            with self.subTest(date=date):
                self.leaks("--ack", "0" * 16, "--until", date, code=2,
                           says="--until takes a date such as 2027-01-31, not")
        self.leaks("--ack", "0" * 16, "--until", "2020-02-29", code=2, says="that day is over")
        self.assertFalse(self.history.exists())
        today = time.strftime("%Y-%m-%d")
        self.leaks("--ack", "0" * 16, "--until", today)

    def test_ack_bad_ids_and_places(self):
        for key in ("12", "0" * 17, "g" * 16, "", "A" * 16):
            self.leaks("--ack", key, code=2, says="--ack takes the 16 digits")
        self.leaks("--ack", "0" * 16, self.leak, code=2, says="--ack takes no target")
        self.env["MPALLOC_HISTORY"] = "/proc/none/history.db"
        self.leaks("--ack", "0" * 16, code=1, says="the history /proc/none/history.db: ")
        self.env["MPALLOC_HISTORY"] = str(self.leak)
        self.leaks("--ack", "0" * 16, code=1, says="leak.dump is a region, no history")

    # Processes.

    def start(self, program, *words, **options):
        p = subprocess.Popen([program, *words], env=self.env | options | {"LD_PRELOAD": LIBRARY})
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        end = time.monotonic() + 10
        while not list(self.dir.glob(f"{p.pid}-*.mp")) and time.monotonic() < end:
            time.sleep(0.05)
        return p

    def test_a_scan_asks_what_runs(self):
        p = self.start(LOSER)
        while not any(f.stat().st_size for f in self.dir.glob(f"{p.pid}-*.mp")):
            time.sleep(0.01)
        p.send_signal(signal.SIGKILL)
        p.wait()
        self.assertIn(", died: ", self.leaks(p.pid))
        self.leaks("--scan", p.pid, code=4, says=r"runs no more")
        self.leaks("--scan", self.leak, code=4, says=r"runs no more")
        self.leaks("--scan", 4194305, code=4, says="does not exist")
        self.leaks("--scan", os.getpid(), code=4, says="runs, but without mpalloc")
        self.leaks("--scan", code=2, says="needs a PID")

    def on_terminal(self, *words, **env):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(COMMAND, [COMMAND, "leaks", *map(str, words)], self.env | env)
        said = b""
        with contextlib.suppress(OSError):
            while part := os.read(fd, 4096):
                said += part
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, said)
        return said.decode()

    def test_a_terminal_sees_progress_and_colours(self):
        p = self.start(LOSER, MPALLOC_SAMPLE="16k")
        said = self.on_terminal("--scan", p.pid)
        self.assertRegex(said, r"^looking at what the program can reach: .*\r +\r")
        self.assertIn("\x1b[", self.on_terminal(self.leak))
        self.assertNotIn("\x1b", self.on_terminal(self.leak, NO_COLOR="1"))
        self.assertNotIn("looking at", self.on_terminal(p.pid))
        self.assertIn("leak check at", self.leaks(p.pid)) # quiet in a pipe, colourless
        self.assertIn("leak check at", self.leaks("--scan", p.pid))
        d = self.document(p.pid)
        self.assertEqual(d["leak_check"]["rounds"], 2)

    def test_a_reader_that_leaves_is_no_error(self):
        shell = f"'{COMMAND}' leaks --all '{self.leak}' | head -1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", shell], env=self.env, text=True, capture_output=True)
        self.assertEqual(done.stderr, "")
        self.assertIn(done.stdout.splitlines()[-1], ("0", "141"))
        with open("/dev/full", "w", encoding="utf-8") as full:
            for form in ((), ("--json",), ("--junit",), ("--sarif",)):
                done = subprocess.run([COMMAND, "leaks", *form, self.leak], env=self.env,
                                      stdout=full, stderr=subprocess.PIPE, text=True)
                self.assertEqual(done.returncode, 1, form)
                self.assertRegex(done.stderr, r"^mpalloc.*standard output cannot be written.*\n$")


unittest.main(argv=sys.argv[:1], verbosity=2)
