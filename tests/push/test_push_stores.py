"""mpalloc push to Pyroscope and Parca, and profiles of OTLP: what arrives is what was exported.

    test_push_stores.py MPALLOC TARGET LIBRARY

Servers of our own take the requests apart as those servers do, and `go tool pprof` reads the
profiles that were in them.
"""

import base64
import email.parser
import email.policy
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import unittest
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cli"), str(HERE)]

from command import main  # noqa: E402
from test_push import PushTest, attributes_of  # noqa: E402
from wire import PROFILES, decode  # noqa: E402

needs_go = unittest.skipUnless(shutil.which("go"), "golang-go is not installed")


def form_of(request):
    """{name: content} of a request of multipart/form-data."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in message.iter_parts()}


class StoreTest(PushTest):
    def top(self, path, sample="inuse_space"):
        done = subprocess.run(
            ["go", "tool", "pprof", "-raw", str(path)], capture_output=True, text=True,
            env={**self.env, "HOME": str(self.dir), "GOCACHE": str(self.dir),
                 "PPROF_TMPDIR": str(self.dir), "PATH": "/usr/bin:/bin"})
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.sub(r"(?m)^(Time|Duration|Comments?):.*$", "", done.stdout)

    def same_profile(self, data, p):
        """What arrived reads as what mpalloc export writes."""
        arrived = self.dir / "arrived.pb.gz"
        arrived.write_bytes(data)
        wanted = self.dir / "wanted.pb.gz"
        self.command("export", p.pid, "--format", "pprof", "--output", wanted)
        self.assertEqual(self.top(arrived), self.top(wanted))
        self.assertIn("inuse_space/bytes", self.top(arrived))


class Pyroscope(StoreTest):
    def query(self, request):
        path, _, query = request.path.partition("?")
        self.assertEqual(path, "/ingest")
        return dict(urllib.parse.parse_qsl(query, strict_parsing=True))

    @needs_go
    def test_a_form_with_the_profile(self):
        p = self.start("quiet", MPALLOC_SERVICE="shop {1}")
        self.push(p.pid, "--once", "--label", "env=prod,eu", "--tenant", "team-1",
                  to="pyroscope")
        (request,) = self.receiver.requests
        self.assertEqual(request.headers["X-Scope-OrgID"], "team-1")
        query = self.query(request)
        # With format= the server would take the form for a profile.
        self.assertNotIn("format", query)
        name, labels = re.fullmatch(r"([^{}]+)\{(.*)\}", query["name"]).groups()
        self.assertEqual(name, "shop _1_")
        self.assertEqual(dict(pair.split("=") for pair in labels.split(",")),
                         {"hostname": socket.gethostname(), "pid": str(p.pid),
                          "env": "prod_eu"})
        self.assertEqual(int(query["until"]) - int(query["from"]), 60)
        form = form_of(request)
        self.assertEqual(set(form), {"profile", "sample_type_config"})
        types = json.loads(form["sample_type_config"])
        self.assertEqual(types["inuse_space"], {
            "units": "bytes", "display-name": "inuse_space", "aggregation": "average",
            "sampled": False})
        self.assertEqual(set(types),
                         {"inuse_space", "inuse_objects", "alloc_space", "alloc_objects"})
        self.same_profile(form["profile"], p)

    def test_many_processes(self):
        """More than what may wait: each goes as it is made; and all wait while a server is away."""
        for _ in range(70):
            self.start("quiet")
        d = self.document("push", "--dir", self.dir, "--once", "--to", "pyroscope", "--url",
                          self.receiver.url)
        self.assertEqual((d["processes"], d["messages"], d["delivered"]), (70, 70, 70))
        self.assertEqual(len(self.receiver.requests), 70)
        self.receiver.answers = [(503, {}, b"")]
        d = self.document("push", "--dir", self.dir, "--once", "--to", "parca", "--url",
                          self.receiver.url)
        self.assertEqual((d["delivered"], d["retries"], d["dropped"]), (70, 1, 0))

    def test_intervals_follow_each_other(self):
        p = self.start("quiet")
        push = self.push_on(p.pid, "--interval", "1.2s", to="pyroscope")
        first, second = map(self.query, self.receiver.wait_for(2)[:2])
        self.assertEqual(first["until"], second["from"])
        push.terminate()
        self.assertEqual(push.wait(20), 0)


class Parca(StoreTest):
    @needs_go
    def test_write_raw(self):
        p = self.start("quiet", MPALLOC_SERVICE="shop")
        self.push(p.pid, "--once", "--label", "env=prod", to="parca",
                  url=self.receiver.url + "/prefix/")
        (request,) = self.receiver.requests
        self.assertEqual(request.path, "/prefix/api/profiles/writeraw")
        self.assertEqual(request.headers["Content-Type"], "application/json")
        document = json.loads(request.body)
        self.assertEqual(set(document), {"series", "normalized"})
        self.assertIs(document["normalized"], False)
        (series,) = document["series"]
        labels = series["labels"]["labels"]
        self.assertEqual({x["name"]: x["value"] for x in labels},
                         {"__name__": "memory", "job": "shop", "pid": str(p.pid),
                          "instance": socket.gethostname(), "env": "prod"})
        (sample,) = series["samples"]
        self.same_profile(base64.b64decode(sample["rawProfile"], validate=True), p)

    def test_labels_replace_what_is_usual(self):
        p = self.start("quiet")
        self.push(p.pid, "--once", "--label", "job=a", "--label", "pid=b", "--label",
                  "__name__=heap", to="parca")
        labels = json.loads(self.receiver.requests[0].body)["series"][0]["labels"]["labels"]
        self.assertEqual(sorted((x["name"], x["value"]) for x in labels),
                         [("__name__", "heap"), ("instance", socket.gethostname()),
                          ("job", "a"), ("pid", "b")])


class OtlpProfiles(StoreTest):
    def request_of(self, *words):
        before = len(self.receiver.requests)
        self.push(*words, "--once", "--profiles")
        return {r.path: r for r in self.receiver.requests[before:]}["/v1development/profiles"]

    def test_profiles_are_those_of_export(self):
        p = self.start("busy", MPALLOC_SAMPLE="exact")
        p.kill()
        p.wait()  # so that nothing changes
        region = self.region_of(p)
        document = decode(self.request_of(region, "--plain").body, PROFILES)
        self.assertEqual(
            document, self.numbers(json.loads(self.request_of(region, "--format", "json").body)))
        (of,) = document["resourceProfiles"]
        self.assertEqual(attributes_of(of["resource"])["service.name"], "target")
        (scope,) = of["scopeProfiles"]
        self.assertEqual(scope["scope"]["name"], "mpalloc")
        d = document["dictionary"]
        self.check_dictionary(d)
        want = self.command("export", region, "--format", "json").stdout
        wanted = json.loads(want)
        kinds = {}
        for profile in scope["profiles"]:
            kind = d["stringTable"][profile["sampleType"]["typeStrindex"]]
            kinds[kind] = self.stacks_of(profile, d)
        self.assertEqual(set(kinds),
                         {"inuse_space", "inuse_objects", "alloc_space", "alloc_objects"})
        allocated = {}
        for s in wanted["samples"]:
            names = [wanted["frames"][i]["name"] for i in s["frames"]]
            key = (tuple(names), s["component"])
            allocated[key] = allocated.get(key, 0) + s["allocated_bytes_total"]["value"]
        self.assertEqual(kinds["alloc_space"], {k: v for k, v in allocated.items() if v})
        self.assertGreater(len(allocated), 2)

    def numbers(self, value, key=""):
        """JSON of OTLP as the wire has it: 64-bit integers are numbers."""
        if isinstance(value, dict):
            return {k: self.numbers(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self.numbers(v, key) for v in value]
        is_text = key in ("stringValue", "key", "name", "version", "stringTable")
        return value if is_text or not isinstance(value, str) else int(value)

    def check_dictionary(self, d):
        """Number 0 of each table means nothing, and no number is out of its table."""
        self.assertEqual(d["stringTable"][0], "")
        self.assertEqual(len(set(d["stringTable"])), len(d["stringTable"]))
        for name in ("mappingTable", "locationTable", "functionTable", "linkTable",
                     "stackTable"):
            self.assertEqual(d[name][0], {}, name)
        self.assertEqual(d["attributeTable"][0], {"value": {}})
        tables = {"mappingIndex": "mappingTable", "functionIndex": "functionTable",
                  "locationIndices": "locationTable", "attributeIndices": "attributeTable"}

        def walk(value):
            for key, inner in value.items():
                for one in inner if isinstance(inner, list) else [inner]:
                    if isinstance(one, dict):
                        walk(one)
                    elif key.endswith("Strindex"):
                        self.assertLess(one, len(d["stringTable"]))
                    elif key in tables:
                        self.assertLess(one, len(d[tables[key]]))
        walk(d)

    @staticmethod
    def stacks_of(profile, d):
        """{(names of functions, root first; component): sum}"""
        sums = {}
        text = d["stringTable"]
        for sample in profile["samples"]:
            names = []
            for location in d["stackTable"][sample["stackIndex"]].get("locationIndices", []):
                for line in d["locationTable"][location]["lines"]:
                    names.append(text[d["functionTable"][line["functionIndex"]]
                                      ["nameStrindex"]])
            of = {text[a["keyStrindex"]]: a["value"] for a in
                  (d["attributeTable"][i] for i in sample["attributeIndices"])}
            key = (tuple(reversed(names)), of["mpalloc.component"]["stringValue"])
            sums[key] = sums.get(key, 0) + sample["values"][0]
        return sums


if __name__ == "__main__":
    main()
