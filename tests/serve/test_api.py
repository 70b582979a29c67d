"""The HTTP API of mpalloc serve: every path, against its description and against the command.

    test_api.py COMMAND TARGET LIBRARY
"""

import gzip
import json
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time
import unittest
from urllib.parse import urljoin

import jsonschema
import yaml

from serving import COMMAND, ServeTest, main

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLED = {"MPALLOC_SAMPLE": "16k", "MPALLOC_SAMPLE_GOVERNOR": "0"}
BASE = "http://server/openapi.yaml"

# What differs from one look to the next, or by who asks.
FLEETING = {"generated", "age_seconds", "ran_seconds", "label", "warnings"}


def without(value, keys):
    if isinstance(value, dict):
        return {k: without(v, keys) for k, v in value.items() if k not in keys}
    return [without(v, keys) for v in value] if isinstance(value, list) else value


class Description:
    """openapi.yaml as the server has it; what it refers to comes from the server, too."""

    def __init__(self, server):
        self.server = server
        self.whole = yaml.safe_load(server.ask("/openapi.yaml").body)
        self.resolver = jsonschema.RefResolver(BASE, self.whole)
        self.resolver.store[BASE] = self.whole
        for path in sorted((ROOT / "tools" / "schemas").glob("*.json")):
            answer = server.ask(f"/schemas/{path.name}")
            if answer.status == 200:
                assert answer.body == path.read_bytes(), path
                self.resolver.store[f"http://server/schemas/{path.name}"] = answer.json()

    def operations(self):
        for path, item in self.whole["paths"].items():
            for method in ("get", "post"):
                if method in item:
                    yield path, method.upper(), item[method]

    def resolve(self, value):
        while isinstance(value, dict) and "$ref" in value:
            value = self.resolver.resolve_from_url(urljoin(BASE, value["$ref"]))
        return value

    def validate(self, schema, document):
        jsonschema.Draft202012Validator(schema, resolver=self.resolver,
            format_checker=jsonschema.FormatChecker()).validate(document)

    def check(self, operation, answer):
        """That the answer is one of those described, and fits its schema."""
        replies = operation["responses"]
        reply = self.resolve(replies.get(str(answer.status), replies["default"]))
        if answer.status == 308:
            return
        kind = answer.headers["Content-Type"].split(";")[0]
        assert kind in reply["content"], (kind, list(reply["content"]))
        if kind.endswith("json"):
            self.validate(reply["content"][kind]["schema"], answer.json())


class ApiTest(ServeTest):
    def begin(self, *words, mode="busy", **env):
        self.target = self.start(mode, **SAMPLED, **env)
        self.server = self.serve("--allow-actions", *words)
        self.key = self.region_of(self.target).stem
        self.at = f"/api/v1/processes/{self.key}"
        self.description = Description(self.server)
        self.wait_for(lambda: self.server.json(f"{self.at}/snapshot")["live_bytes"] > 1000000
                      and self.server.json(f"{self.at}/snapshot")["sampling"]["sites"] > 1,
                      "the target holds what it should")

    def post(self, path, body=None, status=200, **headers):
        headers = {"Content-Type": "application/json", **headers}
        answer = self.server.ask(path, "POST", body, headers)
        self.assertEqual(answer.status, status, answer.body)
        return answer

    def operation(self, path, method="get"):
        return self.description.whole["paths"][path][method]


class EveryPathTest(ApiTest):
    STREAMS = {"/api/v1/events"}    # has tests of its own
    # Described, and not there yet.
    COMING = {"/api/v1/alerts", "/api/v1/processes/{id}/alerts", "/profiling/alerts", "/metrics",
              "/sd"}

    def ask_for(self, path, method, operation):
        path = path.replace("{id}", self.key)
        path = path.replace("/schemas/{name}", "/schemas/snapshot.json")
        path = path.replace("/assets/{name}", f"/assets/{self.asset()}")
        path = path.replace("{name}", "nightly")
        if path.endswith("/diff"):
            path += "?baseline=nightly"
        body = None
        if "requestBody" in operation:
            body = json.dumps({"interval": "16k"})
        return self.server.ask(path, method, body, {"Content-Type": "application/json"})

    def asset(self):
        return re.search(rb"assets/([\w.-]+)", self.server.ask("/").body)[1].decode()

    def test_every_path_answers_as_described(self):
        self.begin()
        self.post(f"{self.at}/baselines/nightly")
        count = 0
        for path, method, operation in self.description.operations():
            if path in self.STREAMS:
                continue
            with self.subTest(path=path, method=method):
                answer = self.ask_for(path, method, operation)
                if path in self.COMING and answer.status == 404:
                    continue
                self.assertIn(answer.status, (200, 308), answer.body)
                self.description.check(operation, answer)
                count += 1
        self.assertGreater(count, 36)

    def test_every_parameter_that_is_wrong_is_a_problem(self):
        self.begin()
        for path, method, operation in self.description.operations():
            item = self.description.whole["paths"][path]
            for p in [*item.get("parameters", []), *operation.get("parameters", [])]:
                p = self.description.resolve(p)
                rules = p["schema"]
                if p["in"] != "query" or not (rules.get("type") == "integer" or "enum" in rules):
                    continue
                bad = ["-1", "x", "", "99999999999999999999", "1e3"]
                if "minimum" in rules and rules["minimum"] > 0:
                    bad.append("0")
                for value in bad:
                    with self.subTest(path=path, parameter=p["name"], value=value):
                        url = path.replace("{id}", self.key).replace("{name}", "nightly")
                        answer = self.server.ask(f"{url}?{p['name']}={value}", method, None,
                                                 {"Content-Type": "application/json"})
                        self.problem(answer, 400, p["name"] if "format" != p["name"] else "format")
                        self.description.check(operation, answer)

    def test_every_route_is_described(self):
        self.begin()
        routes = set()
        for source in (ROOT / "tools" / "serve").glob("*.c"):
            routes |= set(re.findall(r'\{\s*"(GET|POST)",\s*"([^"]+)"',
                                     source.read_text()))
        described = {(m, p) for p, m, _ in self.description.operations()}
        routes = {(m, re.sub(r"\*$", "{path}", p)) for m, p in routes}
        self.assertGreater(len(routes), 35)
        self.assertEqual(routes - described, set())
        self.assertEqual({r for r in described - routes if r[1] not in self.COMING}, set())

    def test_the_description_is_sound(self):
        self.begin()
        whole = self.description.whole
        self.assertEqual(whole["openapi"], "3.1.0")
        ids = [o["operationId"] for _, _, o in self.description.operations()]
        self.assertEqual(len(ids), len(set(ids)))
        for path, _, operation in self.description.operations():
            names = {self.description.resolve(p)["name"]
                     for p in whole["paths"][path].get("parameters", [])
                     + operation.get("parameters", [])
                     if self.description.resolve(p)["in"] == "path"}
            self.assertEqual(names, set(re.findall(r"\{(\w+)\}", path)), path)
            for reply in operation["responses"].values():
                for content in self.description.resolve(reply).get("content", {}).values():
                    jsonschema.Draft202012Validator.check_schema(content["schema"])
        refs = re.findall(r'\$ref: "([^"]+)"', (ROOT / "tools/serve/openapi.yaml").read_text())
        for ref in refs:
            self.assertIsNotNone(self.description.resolve({"$ref": ref}))


class SameAsCommandTest(ApiTest):
    def same(self, path, *words, keys=()):
        mine = without(self.server.json(path), FLEETING | set(keys))
        theirs = without(json.loads(self.command(*words, "--json").stdout),
                         FLEETING | set(keys))
        self.assertEqual(mine, theirs)
        return mine

    def test_documents_are_those_of_the_command(self):
        """Of one that was stopped: nothing changes from look to look."""
        self.begin()
        self.post(f"{self.at}/baselines/nightly?label=load%3Dhigh")
        time.sleep(1.2)
        self.target.send_signal(signal.SIGSTOP)
        self.addCleanup(self.target.send_signal, signal.SIGCONT)
        self.wait_for(lambda: "T" in pathlib.Path(f"/proc/{self.target.pid}/status").read_text()
                      .split("State:")[1][:5], "it stands still")
        time.sleep(1.1)    # the server's figures are at most so old
        pid = self.target.pid
        kernel = {"kernel", "rss_ledger", "rss_bytes"}
        self.same(f"{self.at}/snapshot", "snapshot", pid, keys=kernel)
        self.same(f"{self.at}/report", "report", pid, keys=kernel)
        self.same(f"{self.at}/sites?by=function&sort=count&limit=5",
                  "report", pid, "--by", "function", "--sort", "count", "--rows", 5)
        self.same(f"{self.at}/sites?by=component", "report", pid, "--by", "component")
        self.same(f"{self.at}/leaks?all=1&rows=7", "leaks", pid, "--all", "--rows", 7)
        history = {"MPALLOC_HISTORY": str(self.dir / "history.db")}
        self.env.update(history)
        self.same(f"{self.at}/diff?baseline=nightly&label=load%3Dhigh&all=1&rows=20",
                  "diff", "--baseline", "nightly", "--label", "load=high", pid, "--all",
                  "--rows", 20)
        self.same(f"{self.at}/history?since=24h", "report", pid, "--forecast",
                  keys={"since", "resident_bytes"})
        self.same(f"{self.at}/baselines", "baseline", "list")
        self.same("/api/v1/baselines?label=load%3Dhigh", "baseline", "list")
        rows = self.server.json("/api/v1/processes")["processes"]
        mine = [without(r, FLEETING | {"id", "limit_bytes", "leaks", "recent", "alerts"})
                for r in rows]
        theirs = json.loads(self.command("ps", "--json", "--dir", self.dir).stdout)["processes"]
        self.assertEqual(mine, without(theirs, FLEETING))

    def test_parts_are_those_of_the_whole(self):
        self.begin(mode="pools")
        self.target.send_signal(signal.SIGSTOP)
        self.addCleanup(self.target.send_signal, signal.SIGCONT)
        time.sleep(1.1)
        report = self.server.json(f"{self.at}/report")
        self.assertEqual(self.server.json(f"{self.at}/components")["components"],
                         report["components"])
        self.assertEqual(self.server.json(f"{self.at}/classes")["size_classes"],
                         report["size_classes"])
        advice = self.server.json(f"{self.at}/advice")
        self.assertEqual(advice["advice"], report["advice"])
        self.assertEqual(advice["efficiency"], report["efficiency"])
        for tier, name in enumerate(("seconds", "minutes", "ten_minutes")):
            points = self.server.json(f"{self.at}/timeline?tier={tier}")
            self.assertEqual((points["tier"], points["points"]),
                             (tier, report["timeline"][name]))
        leaks = self.server.json(f"{self.at}/leaks")
        summary = self.server.json(f"{self.at}/leaks?summary=1")
        self.assertEqual(summary["potential_leak_count"],
                         leaks["verdicts"]["lost"] + leaks["verdicts"]["growing"])
        self.assertEqual(summary["growth_bytes_per_hour"], leaks["growth_bytes_per_hour"])
        self.assertEqual(without(summary, FLEETING),
                         without(self.server.json("/metrics/leaks"), FLEETING))
        row = self.rows(self.server)[self.key]
        self.assertEqual(row["leaks"], {k: leaks["verdicts"][k] for k in
                                        ("lost", "growing", "suspect")})
        memory = self.server.json("/metrics/memory")
        snapshot = self.server.json("/profiling/snapshot")
        self.assertEqual(memory["heap_bytes"], snapshot["live_bytes"])
        self.assertEqual(memory["virtual_bytes"], snapshot["kernel"]["virtual_bytes"])
        self.assertEqual(memory["timestamp"], snapshot["process"]["published"])
        most = self.server.json("/metrics/allocations")
        by_live = sorted(report["components"], key=lambda c: -c["live_bytes"])
        self.assertEqual([c["live_bytes"] for c in most["top_allocators"]],
                         [c["live_bytes"] for c in by_live[:10]])
        self.assertEqual(most["efficiency_score"], report["efficiency"]["ratio"])
        self.assertEqual(most["recommendations"], report["advice"])
        there = self.server.ask("/metrics/memory/leaks?process=a%26b")
        self.assertEqual((there.status, there.headers["Location"]),
                         (308, "/metrics/leaks?process=%61%26%62"))

    def test_profiles_are_those_of_the_command(self):
        self.begin()
        time.sleep(0.5)
        self.target.send_signal(signal.SIGSTOP)
        self.addCleanup(self.target.send_signal, signal.SIGCONT)
        time.sleep(1.1)
        for name in ("collapsed", "speedscope", "json", "pprof", "heap", "jeprof", "dhat",
                     "massif", "heaptrack", "openmetrics", "svg", "html"):
            with self.subTest(format=name):
                mine = self.server.ask(f"{self.at}/profile?format={name}&value=live-bytes")
                self.assertEqual(mine.status, 200)
                theirs = subprocess.run(
                    [COMMAND, "export", "--format", name, "--value", "live-bytes",
                     str(self.target.pid)], env=self.env, check=True, capture_output=True).stdout
                body = mine.body
                if name == "pprof":
                    body, theirs = gzip.decompress(body), gzip.decompress(theirs)
                if name == "json":
                    body, theirs = (without(json.loads(t), FLEETING) for t in (body, theirs))
                if name in ("html", "dhat", "openmetrics", "heaptrack"):
                    # They say when they were made, or how old figures are.
                    self.assertAlmostEqual(len(body), len(theirs), delta=200)
                else:
                    self.assertEqual(body, theirs)
        self.assertIn("sandbox", self.server.ask(
            f"{self.at}/profile?format=html").headers["Content-Security-Policy"])


class PprofTest(ApiTest):
    def pprof(self, what, *words):
        what = self.url + what if isinstance(what, str) else str(what)
        home = self.dir / "home"
        home.mkdir(exist_ok=True)
        env = {**self.env, "HOME": str(home), "PPROF_TMPDIR": str(home)}
        env.pop("MPALLOC_DIR")
        done = subprocess.run(["go", "tool", "pprof", *words, what], env=env,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    @property
    def url(self):
        return "http://%s:%d" % self.server.address

    @unittest.skipUnless(shutil.which("go"), "go is not installed")
    def test_go_tool_pprof(self):
        self.begin()
        heap = self.pprof("/debug/pprof/heap", "-raw")
        self.assertIn("alloc_objects/count alloc_space/bytes inuse_objects/count "
                      "inuse_space/bytes[dflt]", heap)
        self.assertIn("PeriodType: space bytes", heap)
        allocs = self.pprof(f"/debug/pprof/allocs?process={self.target.pid}", "-raw")
        self.assertIn("alloc_objects/count alloc_space/bytes[dflt] inuse_objects/count "
                      "inuse_space/bytes", allocs)
        top = self.pprof("/debug/pprof/heap", "-top", "-sample_index=inuse_space", "-unit=b")
        self.assertRegex(top, r"Type: inuse_space")
        self.assertRegex(top, r"%  main\n")
        whole = int(re.search(r"of (\d+)B total", top)[1])
        live = self.server.json(f"{self.at}/snapshot")["live_bytes"]
        self.assertAlmostEqual(whole, live, delta=0.2 * live)

    @unittest.skipUnless(shutil.which("go"), "go is not installed")
    def test_a_delta_waits_and_blocks_nobody(self):
        self.begin()
        began = time.monotonic()
        took = []

        def ask():
            while len(took) < 20:
                start = time.monotonic()
                self.server.json(f"{self.at}/snapshot")
                took.append(time.monotonic() - start)

        threads = [threading.Thread(target=self.server.ask,
                                    args=("/debug/pprof/heap?seconds=2",)) for _ in range(30)]
        for t in threads:
            t.start()
        ask()
        self.assertLess(sum(took) / len(took), 1)
        answer = self.server.ask("/debug/pprof/allocs?seconds=1")
        saved = self.dir / "delta.pb.gz"
        saved.write_bytes(answer.body)
        raw = self.pprof(saved, "-raw")
        self.assertGreater(time.monotonic() - began, 1)
        for t in threads:
            t.join()
        self.assertLess(time.monotonic() - began, 30)
        rows = re.findall(r"^\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+):", raw, re.M)
        # It allocates and frees all the time: what is new is not what is live.
        self.assertGreater(sum(int(r[1]) for r in rows), 0)
        self.assertLess(abs(sum(int(r[3]) for r in rows)), 10000000)
        seconds = float(re.search(r"Duration: ([\d.]+)s", self.pprof(saved, "-top"))[1])
        self.assertGreater(seconds, 0.9)
        self.assertLess(seconds, 20)

    def test_text_and_index(self):
        self.begin()
        text = self.server.ask("/debug/pprof/heap?debug=1")
        self.assertTrue(text.headers["Content-Type"].startswith("text/plain"))
        self.assertTrue(text.body.startswith(b"heap profile: "), text.body[:80])
        self.problem(self.server.ask("/debug/pprof/heap?debug=1&seconds=1"), 400, "do not go")
        index = self.server.ask("/debug/pprof/").body.decode()
        self.assertIn(f'href="heap?debug=1&amp;process={self.key}"', index)
        other = self.start("quiet", **SAMPLED)
        self.wait_for(lambda: len(self.rows(self.server)) == 2, "two are there")
        self.problem(self.server.ask("/debug/pprof/heap"), 400, "process=")
        self.assertEqual(self.server.ask(f"/debug/pprof/heap?process={other.pid}").status, 200)


class DifferenceTest(ApiTest):
    def test_differences_of_profiles(self):
        self.begin()
        self.post(f"{self.at}/baselines/nightly")
        for query in ("baseline=nightly", "seconds=1"):
            d = self.server.json(f"{self.at}/profile?format=json&{query}")
            self.assertEqual(d["schema"], "mpalloc.profile_difference/1")
            self.description.check(self.operation("/api/v1/processes/{id}/profile"),
                                   self.server.ask(f"{self.at}/profile?format=json&{query}"))
            stacks = [s for s in d["samples"] if s["before"]["live_bytes"] > 0
                      and s["after"]["live_bytes"] > 0]
            self.assertTrue(any(d["frames"][f]["name"] == "main" for s in stacks
                                for f in s["frames"]), query)
            for s in d["samples"]:
                self.assertLess(max(s["frames"]), len(d["frames"]))
            lines = self.server.ask(f"{self.at}/profile?format=collapsed&{query}"
                                    ).body.decode().splitlines()
            self.assertTrue(lines)
            for line in lines:
                self.assertRegex(line, r" \d+ \d+$")
        self.problem(self.server.ask(f"{self.at}/profile?format=svg&seconds=1"), 400,
                     "no differences")
        diff = self.server.json(f"{self.at}/diff?seconds=1")
        self.assertTrue(diff["same_run"])
        self.assertGreater(diff["allocated_bytes_total"]["value"], 0)

    def test_a_reading_request_writes_nothing(self):
        """The command begins a baseline of a new build; the server does not."""
        self.begin()
        self.problem(self.server.ask(f"{self.at}/diff?baseline=nightly"), 404, "history")
        self.assertFalse((self.dir / "history.db").exists())
        self.assertEqual(self.server.json("/api/v1/baselines")["baselines"], [])
        self.post(f"{self.at}/baselines/nightly")
        self.problem(self.server.ask(f"{self.at}/diff?baseline=other"), 404, "no baseline other")
        self.problem(self.server.ask(f"{self.at}/diff"), 400, "baseline=NAME")
        self.problem(self.server.ask(f"{self.at}/diff?baseline=a&seconds=1"), 400, "not both")
        (self.dir / "history.db").write_bytes(b"x" * 8192)
        self.problem(self.server.ask(f"{self.at}/diff?baseline=nightly"), 502, "history")
        self.problem(self.server.ask("/api/v1/baselines"), 502, "history")
        self.assertEqual((self.dir / "history.db").read_bytes(), b"x" * 8192)
        self.assertEqual(self.server.log().count("\n"), 1, self.server.log())


class ActionsTest(ApiTest):
    def test_actions_act(self):
        self.begin()
        done = self.post(f"{self.at}/sample", '{"interval": "64k"}').json()
        self.assertEqual(done["interval_bytes"], 65536)
        self.wait_for(lambda: self.server.json(f"{self.at}/snapshot")["sampling"]["wanted_bytes"]
                      == 65536, "figures are of after")
        self.assertIsNone(self.post(f"{self.at}/sample", '{"interval": "off"}')
                          .json()["interval_bytes"])
        self.post(f"{self.at}/sample", '{"interval": "16k"}')
        self.assertGreaterEqual(self.post(f"{self.at}/trim?timeout=20").json()["trimmed_bytes"], 0)
        before = self.server.json(f"{self.at}/leaks")
        self.assertIsNone(before["leak_check"])
        after = self.post(f"{self.at}/scan").json()
        self.assertGreaterEqual(after["leak_check"]["rounds"], 2)
        self.assertIsNotNone(self.server.json(f"{self.at}/leaks")["leak_check"])
        saved = self.post(f"{self.at}/baselines/b%C3%A4se?label=load%3Dhigh").json()["baselines"]
        self.assertEqual([(b["name"], b["label"]) for b in saved], [("bäse", "load=high")])

    def test_bodies_and_types(self):
        self.begin()
        at = f"{self.at}/sample"
        for body, says in (("", "JSON"), ("{", "JSON"), ("[]", "interval"), ("{}", "interval"),
                           ('{"interval": 5}', "interval"), ('"64k"', "interval"),
                           ('{"interval": "64k", "x": 1}', "nothing else"),
                           ('{"interval": "64k", "interval": "1k"}', "JSON"),
                           ('{"interval": "banana"}', "banana"),
                           ('{"interval": "2t"}', "1t"), ("\xff".encode("latin1"), "JSON"),
                           ("[" * 60000, "JSON")):
            with self.subTest(body=body[:30]):
                self.problem(self.server.ask(at, "POST", body,
                                             {"Content-Type": "application/json"}), 400, says)
        self.problem(self.server.ask(at, "POST", '{"interval": "64k"}',
                                     {"Content-Type": "text/plain"}), 415, "json")
        for name in ("%00", "a%0ab", "x" * 101, "%ff"):
            with self.subTest(name=name):
                answer = self.server.ask(f"{self.at}/baselines/{name}", "POST", None)
                self.problem(answer, 400, ".")
        self.problem(self.server.ask(f"{self.at}/baselines/a?label=" + "x" * 101, "POST"), 400,
                     "characters")

    def test_only_with_permission_and_from_here(self):
        self.begin()
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            self.problem(self.server.ask(f"{self.at}/trim", "POST", None, headers), 403, ".")
        server = self.serve()
        for path in ("scan", "trim", "sample", "baselines/x"):
            self.problem(server.ask(f"{self.at}/{path}", "POST", "{}",
                                    {"Content-Type": "application/json"}), 403, "allow-actions")

    def test_a_process_that_does_not_answer_delays_nobody(self):
        self.begin()
        self.target.send_signal(signal.SIGSTOP)
        self.addCleanup(self.target.send_signal, signal.SIGCONT)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(
            self.server.ask(f"{self.at}/trim?timeout=3", "POST"))) for _ in range(40)]
        began = time.monotonic()
        for t in threads:
            t.start()
        time.sleep(0.3)
        start = time.monotonic()
        self.server.json("/api/v1/processes")
        self.server.json(f"{self.at}/report")
        self.assertLess(time.monotonic() - start, 2)
        for t in threads:
            t.join()
        self.assertLess(time.monotonic() - began, 20)
        for answer in answers:
            self.problem(answer, 504, ".")
        self.problem(self.server.ask(f"{self.at}/scan?timeout=1", "POST"), 504, ".")


class BadInputTest(ApiTest):
    def test_unknown_things(self):
        self.begin()
        for path in ("/nothing", "/api", "/api/v2/processes", f"{self.at}/nothing",
                     "/schemas/nothing.json", "/schemas/openapi.yaml", "/schemas/..%2fx",
                     "/debug/pprof/profile"):
            self.problem(self.server.ask(path), 404, ".")
        for part in ("snapshot", "report", "leaks", "profile", "diff?seconds=1", "timeline",
                     "history", "sites", "advice", "baselines", "components", "classes"):
            for name in ("1", "999999999", "no-such", "%ff", "-", "4711-"):
                self.problem(self.server.ask(f"/api/v1/processes/{name}/{part}"), 404, ".")
        for path in ("/debug/pprof/heap?process=1", "/metrics/memory?process=",
                     "/profiling/report?process=nobody"):
            self.problem(self.server.ask(path), 404, "no process")
        for method, path in (("POST", "report"), ("DELETE", "snapshot"), ("PUT", "trim"),
                             ("GET", "trim"), ("GET", "scan"), ("POST", "profile")):
            answer = self.server.ask(f"{self.at}/{path}", method)
            self.problem(answer, 405, ".")
            self.assertTrue(answer.headers["Allow"])
        for query in ("since=1", "since=x", "since=-1h", "since=99999d", "since="):
            self.problem(self.server.ask(f"{self.at}/history?{query}"), 400, "since")
        self.problem(self.server.ask(f"{self.at}/profile?format=gif"), 400, "pprof")
        self.problem(self.server.ask(f"{self.at}/profile?value=gold"), 400, "live-bytes")
        self.assertEqual(self.server.ask(f"{self.at}/snapshot", "HEAD").status, 200)

    def test_a_damaged_region_is_told(self):
        self.begin()
        bad = self.dir / "1-1.mp"
        bad.write_bytes(self.region_of(self.target).read_bytes()[:5000])
        self.wait_for(lambda: "1-1" in self.rows(self.server), "it is listed")
        row = self.rows(self.server)["1-1"]
        self.assertEqual(row["state"], "damaged")
        self.description.check(self.operation("/api/v1/processes"),
                               self.server.ask("/api/v1/processes"))
        for part in ("snapshot", "report", "leaks", "profile", "sites", "timeline", "diff?seconds=1",
                     "history", "baselines", "advice", "components", "classes"):
            self.problem(self.server.ask(f"/api/v1/processes/1-1/{part}"), 502, "1-1")
        for part in ("trim", "scan"):
            self.problem(self.server.ask(f"/api/v1/processes/1-1/{part}", "POST"), 502, "1-1")
        self.assertEqual(self.server.json("/profiling/snapshot")["process"]["pid"],
                         self.target.pid)

    def test_one_that_dies_meanwhile(self):
        self.begin()
        answers = {}

        def ask(name, path, method="GET"):
            answers[name] = self.server.ask(path, method)

        threads = [threading.Thread(target=ask, args=a) for a in (
            ("killed", f"{self.at}/diff?seconds=2"),
            ("heap", "/debug/pprof/heap?seconds=2"),
            ("scan", f"{self.at}/scan", "POST"))]
        for t in threads:
            t.start()
        time.sleep(0.5)
        self.target.kill()
        self.target.wait()
        for t in threads:
            t.join()
        # It left its region: what it was at last is compared.
        self.assertEqual(answers["killed"].status, 200, answers["killed"].body)
        self.assertEqual(answers["killed"].json()["after"]["state"], "died")
        self.assertEqual(answers["heap"].status, 200, answers["heap"].body)
        self.problem(answers["scan"], 409, "ended|no more")
        self.assertEqual(self.server.json(f"{self.at}/report")["process"]["state"], "died")
        self.problem(self.server.ask(f"{self.at}/trim", "POST"), 409, "no more")
        # One that ends in order leaves nothing.
        self.target = self.start("busy", **SAMPLED)
        at = f"/api/v1/processes/{self.target.pid}"
        self.server.json(f"{at}/snapshot")
        thread = threading.Thread(target=ask, args=("exited", f"{at}/diff?seconds=2"))
        thread.start()
        time.sleep(0.5)
        self.target.stdin.close()
        self.target.wait()
        thread.join()
        self.problem(answers["exited"], 410, "ended")

    def test_many_that_want_the_same(self):
        """Reports are made once, and used by all who wait."""
        self.begin()
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(
            self.server.ask(f"{self.at}/report"))) for _ in range(60)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual({a.status for a in answers}, {200})
        made = {a.json()["generated"] for a in answers}
        self.assertLess(len({a.body for a in answers}), 12, made)


class StrangerTest(ApiTest):
    def keys(self, value, name):
        if isinstance(value, dict):
            for k, v in value.items():
                if k == name:
                    yield v
                yield from self.keys(v, name)
        elif isinstance(value, list):
            for v in value:
                yield from self.keys(v, name)

    def test_no_code_for_strangers(self):
        """A proxy says for whom it asks: that one is not of this machine."""
        self.begin()
        headers = {"X-Forwarded-For": "192.0.2.1"}
        self.assertIs(self.server.json("/api/v1/version")["trusted"], True)
        self.assertIs(self.server.json("/api/v1/version", headers=headers)["trusted"], False)
        for path in ("profile", "profile?format=json", "sites", "sites?by=function"):
            self.problem(self.server.ask(f"{self.at}/{path}", headers=headers), 403, "token")
        for path in ("/debug/pprof/heap", "/debug/pprof/allocs?debug=1"):
            self.problem(self.server.ask(path, headers=headers), 403, "token")
        self.post(f"{self.at}/baselines/nightly")
        for path in ("report", "leaks?all=1", "advice", "history", "diff?baseline=nightly&all=1",
                     "sites?by=component", "snapshot", "components", "timeline"):
            with self.subTest(path=path):
                seen = self.server.json(f"{self.at}/{path}", headers=headers)
                for frames in self.keys(seen, "frames"):
                    self.assertIn(frames, ([], "", seen.get("sampling", {}).get("frames")))
                for command in self.keys(seen, "command"):
                    self.assertEqual(command, "")
                text = json.dumps(seen)
                self.assertNotIn("+0x", text)
                self.assertNotIn('"main"', text)
        self.assertIn('"main"', json.dumps(self.server.json(f"{self.at}/report")))
        self.assertEqual(self.server.json("/api/v1/processes", headers=headers)
                         ["processes"][0]["command"], "")
        self.description.check(self.operation("/api/v1/processes/{id}/report"),
                               self.server.ask(f"{self.at}/report", headers=headers))


if __name__ == "__main__":
    main()
