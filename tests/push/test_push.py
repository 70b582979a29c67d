"""mpalloc push against servers of our own, decoded by the decoders of others.

    test_push.py MPALLOC TARGET LIBRARY

Metrics are decoded by what OpenTelemetry generated from its proto (decode.js; tools/install.sh
fetches it), and compared with the metrics that Prometheus would scrape, name by name.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cli"), str(HERE)]

from command import COMMAND, CommandTest, main  # noqa: E402
from prometheus_client.openmetrics import parser  # noqa: E402
from receiver import Receiver  # noqa: E402

NODE = shutil.which("node") or shutil.which("nodejs")
needs_decoder = unittest.skipUnless(
    NODE and (HERE / "node_modules").is_dir(), "npm ci --prefix tests/push")
RESTS_ON_STACKS = "mpalloc_(leak|advice|efficiency|slack|baseline|insight)"
SUFFIX = {"By": "_bytes", "By/s": "_bytes_per_second", "s": "_seconds", "1": "_ratio"}


def decoded(body, kind="protobuf"):
    done = subprocess.run([NODE, HERE / "decode.js", kind], input=body, capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def prometheus_name(metric):
    """As OpenTelemetry's rules for Prometheus make it, without _total."""
    return metric["name"].replace(".", "_") + SUFFIX.get(metric["unit"], "")


def data_of(metric):
    (kind,) = {"gauge", "sum", "histogram"} & set(metric)
    return kind, metric[kind]


def value_of(point):
    return float(point["asDouble"]) if "asDouble" in point else int(point.get("asInt", 0))


def labels_of(point):
    return frozenset((a["key"], a["value"]["stringValue"]) for a in point.get("attributes", []))


def attributes_of(resource):
    return {a["key"]: next(iter(a["value"].values())) for a in resource["attributes"]}


class PushTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.env = {k: v for k, v in self.env.items() if not k.startswith("OTEL_")}
        self.env.pop("http_proxy", None)
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)

    def push(self, *words, to="otlp", url=None, **more):
        return self.command("push", *words, "--dir", self.dir, "--to", to, "--url",
                            url or self.receiver.url, **more)

    def push_on(self, *words, to="otlp", url=None):
        p = subprocess.Popen(
            [COMMAND, "push", *map(str, words), "--to", to, "--url", url or self.receiver.url],
            env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL)
        self.addCleanup(self.end_push, p)
        return p

    @staticmethod
    def end_push(p):
        p.kill()
        p.wait()
        p.stdout.close()
        p.stderr.close()


class Metrics(PushTest):
    @needs_decoder
    def test_metrics_are_those_of_prometheus(self):
        p = self.start("quiet")
        self.push(p.pid, "--once")
        (request,) = self.receiver.requests
        self.assertEqual(request.path, "/v1/metrics")
        self.assertEqual(request.headers["Content-Type"], "application/x-protobuf")
        self.assertEqual(request.headers["Content-Encoding"], "gzip")
        (of,) = decoded(request.body)["resourceMetrics"]
        (scope,) = of["scopeMetrics"]
        self.assertEqual(scope["scope"]["name"], "mpalloc")
        self.assertRegex(scope["scope"]["version"], r"^\d+\.\d+\.\d+$")
        text = self.command("export", p.pid, "--format", "openmetrics").stdout
        families = {f.name: f for f in parser.text_string_to_metric_families(text)}
        compared = 0
        rests_on_stacks = set()
        for metric in scope["metrics"]:
            name = prometheus_name(metric)
            self.assertTrue(metric["description"], name)
            if name.startswith("mpalloc_process_"):
                continue  # of the kernel, which goes on
            if re.match(RESTS_ON_STACKS, name):
                rests_on_stacks.add(name)  # export has them not
                continue
            self.assertIn(name, families)
            family = families[name]
            kind, data = data_of(metric)
            self.assertEqual(metric["description"], family.documentation)
            self.assertEqual(
                {"counter": "sum", "histogram": "histogram"}.get(family.type, kind), kind, name)
            if kind == "histogram":
                self.compare_histogram(family, data)
                compared += 1
                continue
            self.assertEqual(bool(data.get("isMonotonic")), family.type == "counter", name)
            self.assertEqual(data.get("aggregationTemporality", 2), 2)
            there = {frozenset(s.labels.items()): s.value for s in family.samples}
            for point in data["dataPoints"]:
                self.assertEqual(there[labels_of(point)], value_of(point), (name, point))
                compared += 1
            self.assertEqual(len({labels_of(p) for p in data["dataPoints"]}),
                             len(data["dataPoints"]), name)
        self.assertGreater(compared, 60)
        self.assertLessEqual({"mpalloc_efficiency_ratio", "mpalloc_leak_suspects"},
                             rests_on_stacks)
        live = next(m for m in scope["metrics"] if m["name"] == "mpalloc.component.live")
        self.assertEqual(live["unit"], "By")
        cart = [p for p in live["sum"]["dataPoints"]
                if ("component", "shop/cart") in labels_of(p)]
        self.assertEqual([value_of(p) for p in cart], [1000 * 1008])

    def compare_histogram(self, family, data):
        (point,) = data["dataPoints"]
        there = {float(s.labels["le"]): s.value for s in family.samples
                 if s.name.endswith("_bucket")}
        count = 0
        bounds = [float(b) for b in point["explicitBounds"]] + [float("inf")]
        self.assertEqual(len(point["bucketCounts"]), len(bounds))
        for bound, n in zip(bounds, point["bucketCounts"]):
            count += int(n)
            self.assertEqual(there[bound], count, family.name)
        self.assertEqual(int(point.get("count", 0)), count)

    @needs_decoder
    def test_json_says_the_same(self):
        p = self.start("quiet")
        self.push(p.pid, "--once")
        self.push(p.pid, "--once", "--format", "json", "--plain")
        one, two = self.receiver.requests
        self.assertEqual(two.headers["Content-Type"], "application/json")
        self.assertIsNone(two.headers["Content-Encoding"])

        def stable(document):
            for of in document["resourceMetrics"]:
                for scope in of["scopeMetrics"]:
                    scope["metrics"] = [m for m in scope["metrics"]
                                        if not m["name"].startswith("mpalloc.process.")
                                        and not m["name"].endswith("age")]
            return document

        self.assertEqual(stable(decoded(one.body)), stable(decoded(two.body, "json")))
        text = two.body.decode()
        for pattern in (r'"resourceMetrics":\[\{"resource":', r'"asInt":"\d+"',
                        r'"timeUnixNano":"\d{19}"', r'"aggregationTemporality":2',
                        r'"bucketCounts":\["\d+"', r'"explicitBounds":\[\d'):
            self.assertRegex(text, pattern)
        self.assertNotRegex(text, r'"\w+_\w+":')

    def test_the_resource_says_which_process(self):
        p = self.start("quiet", MPALLOC_SERVICE="checkout")
        self.push(p.pid, "--once", "--format", "json", "--label", "deployment.environment=test",
                  "--label", "host.name=elsewhere", "--label", "x=a=b")
        (of,) = json.loads(self.receiver.requests[0].body)["resourceMetrics"]
        found = attributes_of(of["resource"])
        process = self.document("snapshot", p.pid)["process"]
        self.assertEqual(found["service.name"], "checkout")
        self.assertEqual(found["process.pid"], str(p.pid))
        self.assertEqual(found["process.executable.name"], "target")
        self.assertEqual(found["process.executable.build_id.gnu"], process["build_id"])
        self.assertRegex(found["service.instance.id"], r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-")
        self.assertEqual(found["deployment.environment"], "test")
        self.assertEqual(found["host.name"], "elsewhere")
        self.assertEqual(found["x"], "a=b")
        keys = [a["key"] for a in of["resource"]["attributes"]]
        self.assertEqual(len(keys), len(set(keys)))
        first = next(m for m in of["scopeMetrics"][0]["metrics"]
                     if m["name"] == "mpalloc.allocated")
        (point,) = first["sum"]["dataPoints"]
        self.assertLess(int(point["startTimeUnixNano"]), int(point["timeUnixNano"]))
        self.assertLess(abs(int(point["timeUnixNano"]) / 1e9 - time.time()), 60)

    def test_all_processes(self):
        pids = {self.start("quiet").pid for _ in range(3)}
        ended = self.start("quiet")
        ended.kill()
        ended.wait()
        done = self.push("--once", "--format", "json", "--plain")
        of = json.loads(self.receiver.requests[0].body)["resourceMetrics"]
        self.assertEqual({int(attributes_of(r["resource"])["process.pid"]) for r in of}, pids)
        self.assertRegex(done.stdout, r"^1 message of 3 processes, .* to http://.*/v1/metrics\n")
        d = self.document("push", "--once", "--dir", self.dir, "--to", "otlp", "--url", self.receiver.url)
        self.assertEqual((d["processes"], d["delivered"]), (3, 1))
        self.assertEqual(d["delivered_bytes"],
                         int(self.receiver.requests[1].headers["Content-Length"]))

    def test_environment(self):
        self.start("quiet")
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.receiver.url + "/base/",
               "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
               "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, api=c",
               "OTEL_RESOURCE_ATTRIBUTES": "team=heap,site=q%2C1"}
        self.command("push", "--to", "otlp", "--once", "--dir", self.dir, env=env)
        (request,) = self.receiver.requests
        self.assertEqual(request.path, "/base/v1/metrics")
        self.assertEqual((request.headers["x-key"], request.headers["api"]), ("a b", "c"))
        (of,) = json.loads(request.body)["resourceMetrics"]
        found = attributes_of(of["resource"])
        self.assertEqual((found["team"], found["site"]), ("heap", "q,1"))
        env = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": self.receiver.url + "/in"}
        self.command("push", "--to", "otlp", "--once", "--dir", self.dir, env=env)
        self.assertEqual(self.receiver.requests[1].path, "/in/v1/metrics")
        self.fails(2, "push", "--to", "otlp", "--url", self.receiver.url,
                   env={"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, says="http/protobuf or http/json")

    def test_headers(self):
        self.start("quiet")
        token = self.dir / "token"
        token.write_text("s3cret\nnot this\n")
        self.push("--once", "--header", "X-Site: a: b", "--tenant", "team-1", "--token-file",
                  token)
        (request,) = self.receiver.requests
        self.assertEqual(request.headers["X-Site"], "a: b")
        self.assertEqual(request.headers["X-Scope-OrgID"], "team-1")
        self.assertEqual(request.headers["Authorization"], "Bearer s3cret")
        self.assertRegex(request.headers["User-Agent"], r"^mpalloc/\d")


class Failures(PushTest):
    def test_a_server_that_is_busy_is_tried_again(self):
        self.start("quiet")
        self.receiver.answers = [(503, {}, b""), (429, {"Retry-After": "2"}, b"slow down\n"),
                                 (200, {}, b"")]
        done = self.push("--once")
        first, second, third = self.receiver.requests
        self.assertEqual(first.body, third.body)
        self.assertGreaterEqual(second.at - first.at, 0.5)
        self.assertLess(second.at - first.at, 5)
        self.assertGreaterEqual(third.at - second.at, 2)
        self.assertIn("1 message of 1 process", done.stdout)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 2, done.stderr)
        self.assertRegex(lines[0], r"the server answers 503; it is tried again")
        self.assertIn("takes messages again", lines[1])

    def test_what_is_refused_is_not_tried_again(self):
        self.start("quiet")
        for status in (400, 401, 404, 413, 500, 501):
            self.receiver.answers = [(status, {}, b"no \x1b[31mthank you\nsecond line")]
            before = len(self.receiver.requests)
            done = self.push("--once", code=1)
            self.assertEqual(len(self.receiver.requests), before + 1, status)
            self.assertEqual(done.stdout, "")
            (line,) = done.stderr.splitlines()
            self.assertIn(f"the server answers {status}: no \\x1b[31mthank you", line)
            self.assertIn("dropped", line)

    def test_a_redirection_is_not_followed(self):
        self.start("quiet")
        other = Receiver()
        self.addCleanup(other.close)
        token = self.dir / "token"
        token.write_text("s3cret")
        self.receiver.answers = [(307, {"Location": other.url + "/v1/metrics"}, b"")]
        done = self.push("--once", "--token-file", token, code=1)
        self.assertIn("307", done.stderr)
        self.assertEqual(other.requests, [])

    def test_partial_success(self):
        self.start("quiet")
        inner = b"\x08\x03\x12\x0ctoo many\x1b[m!"
        self.receiver.answers = [(200, {"Content-Type": "application/x-protobuf"},
                                  b"\x0a" + bytes([len(inner)]) + inner)]
        done = self.push("--once", code=1)
        self.assertIn("did not take 3 points: too many\\x1b[m!", done.stderr)
        self.receiver.answers = [(200, {"Content-Type": "application/json"}, json.dumps(
            {"partialSuccess": {"rejectedDataPoints": "7"}}).encode())]
        done = self.command("push", "--to", "otlp", "--url", self.receiver.url, "--once",
                            "--dir", self.dir, "--json", "--format", "json", code=1)
        self.assertIn("did not take 7 points", done.stderr)
        d = json.loads(done.stdout)
        self.assertEqual((d["rejected"], d["delivered"], d["retries"]), (7, 1, 0))
        for body in (b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"{\"partialSuccess\": 3}"):
            self.receiver.answers = [(200, {}, body)]  # nonsense is no problem of ours
            self.push("--once")

    def test_a_server_that_comes_later(self):
        port = self.receiver.port
        self.receiver.close()
        p = self.start("quiet")
        push = self.push_on(p.pid, "--interval", "200ms")
        line = push.stderr.readline()
        self.assertRegex(line, "onnection refused|Failed to connect|Couldn't connect")
        self.receiver = Receiver(port)
        self.addCleanup(self.receiver.close)
        requests = self.receiver.wait_for(4)
        self.assertGreaterEqual(len(requests), 4)
        self.assertIn("takes messages again", push.stderr.readline())
        push.send_signal(signal.SIGTERM)
        out, err = push.communicate(timeout=20)
        self.assertEqual((push.returncode, out, err), (0, "", ""))

    def test_interval_and_the_end_of_the_process(self):
        p = self.start("quiet")
        push = self.push_on(p.pid, "--interval", "150ms")
        requests = self.receiver.wait_for(3)
        self.assertGreater(requests[2].at - requests[0].at, 0.2)
        p.stdin.close()
        p.wait()
        out, err = push.communicate(timeout=20)
        self.assertEqual((push.returncode, out, err), (0, "", ""))

    def test_stops_at_once_while_a_server_is_silent(self):
        import socket
        p = self.start("quiet")
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            push = self.push_on(p.pid, url=f"http://127.0.0.1:{silent.getsockname()[1]}")
            connection, _ = silent.accept()
            connection.recv(1)
            before = time.monotonic()
            push.send_signal(signal.SIGINT)
            time.sleep(0.2)
            push.send_signal(signal.SIGINT)  # nor is the last attempt waited for
            push.wait(20)
            self.assertLess(time.monotonic() - before, 5)
            connection.close()

    def test_bad_input(self):
        url = self.receiver.url
        for words, says in (
                ([], "needs --to: otlp, pyroscope or parca"),
                (["--to", "statsd"], "--to takes otlp, pyroscope or parca, not \"statsd\""),
                (["--to", "otlp"], "needs --url"),
                (["--to", "otlp", "--url", "localhost:4318"], "http:// or https://"),
                (["--to", "otlp", "--url", "file:///etc/passwd"], "http:// or https://"),
                (["--to", "otlp", "--url", "http://"], "URL \"http://\""),
                (["--to", "otlp", "--url", "http://a b/"], "no address"),
                (["--to", "otlp", "--url", url, "--label", "x"], "takes NAME=VALUE"),
                (["--to", "otlp", "--url", url, "--label", "=x"], "takes NAME=VALUE"),
                (["--to", "parca", "--url", url, "--label", "a.b=x"], "label \"a.b\""),
                (["--to", "parca", "--url", url, "--label", "1a=x"], "label \"1a\""),
                (["--to", "otlp", "--url", url, "--header", "x"], "Name: value"),
                (["--to", "otlp", "--url", url, "--header", "x: y\r\nz: 1"], "Name: value"),
                (["--to", "otlp", "--url", url, "--tenant", "a\nb"], "plain name"),
                (["--to", "otlp", "--url", url, "--format", "thrift"], "protobuf or json"),
                (["--to", "otlp", "--url", url, "--interval", "1ms"], "--interval takes"),
                (["--to", "otlp", "--url", url, "--json"], "--json needs --once")):
            self.fails(2, "push", *words, says=re.escape(says))
        common = ["--to", "otlp", "--url", url, "--once", "--dir", self.dir]
        self.fails(1, "push", *common, "--token-file", "/none", says="cannot be read")
        (self.dir / "empty").write_text("")
        self.fails(1, "push", *common, "--token-file", self.dir / "empty", says="no token")
        self.fails(4, "push", *common, says="no process runs on mpalloc")
        self.fails(4, "push", 1 << 30, *common, says=r".")
        self.start("quiet")
        self.fails(1, "push", *common[:2], "--url", "http://127.0.0.1:9", "--once", "--timeout",
                   "300ms", "--dir", self.dir, says="tried again")
        self.fails(1, "push", *common[:2], "--url", "http://none.invalid", "--once", "--timeout",
                   "300ms", "--dir", self.dir, says="tried again")


if __name__ == "__main__":
    main()
