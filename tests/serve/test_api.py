"""The HTTP API of mpalloc serve: every path, bad input, strangers.

    test_api.py COMMAND TARGET LIBRARY
"""

import json
import re
import threading
import time
from random import Random

import jsonschema

from api import ROOT, SAMPLED, ApiTest, main


class EveryPathTest(ApiTest):
    STREAMS = {"/api/v1/events"}    # has tests of its own

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
        self.assertEqual(described - routes, set())

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
        for query in ("since=0", "since=x", "since=-1h", "since=99999d", "since="):
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

    def test_hostile_regions(self):
        """Bytes at random within what is in use: a document, or a problem; nobody is harmed."""
        self.begin()
        region = self.region_of(self.target).read_bytes()
        random = Random(8)
        used = [i for i in range(0, len(region), 4096) if any(region[i:i + 4096])]
        parts = ("snapshot", "report", "leaks?all=1", "profile?format=json", "profile", "sites",
                 "timeline", "diff?baseline=nightly", "history", "advice", "components", "classes",
                 "profile?format=html", "leaks?summary=1")
        self.post(f"{self.at}/baselines/nightly")
        for number in range(12):
            bad = bytearray(region)
            for _ in range(4 ** (number % 4)):
                at = random.choice(used) + random.randrange(4096)
                bad[at:at + 8] = random.choice((random.randbytes(8), b"\xff" * 8, b"\0" * 8))
            path = self.dir / f"{number + 1}-{number + 1}.mp"
            path.write_bytes(bad[:len(region)])
            self.wait_for(lambda: path.stem in self.rows(self.server), "it is listed")
            for part in parts:
                answer = self.server.ask(f"/api/v1/processes/{path.stem}/{part}")
                self.assertIn(answer.status, (200, 404, 502), answer.body)
                if answer.status != 200:
                    self.problem(answer, answer.status, ".")
                elif answer.headers["Content-Type"] == "application/json":
                    answer.json()    # whatever it says: that is the region's
            path.unlink()
        self.assertIsNone(self.server.process.poll())
        self.assertEqual(self.server.log().count("\n"), 1, self.server.log())

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
