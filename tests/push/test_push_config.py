"""Sending by the configuration file: mpalloc push --config, and as mpalloc serve does it.

    test_push_config.py MPALLOC TARGET LIBRARY PUSH_WORKER
"""

import json
import pathlib
import re
import signal
import subprocess
import sys
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cli"), str(HERE)]

from command import COMMAND, main  # noqa: E402
from test_push import PushTest, attributes_of  # noqa: E402

WORKER = sys.argv[4]


class ConfigTest(PushTest):
    def write(self, text):
        path = self.dir / "mpalloc.yaml"
        path.write_text(text.replace("URL", self.receiver.url))
        return path

    ALL = """
metrics: {components: 1, size_classes: false}
otlp:
  endpoint: "URL"
  format: json
  interval: 1s
  headers: {x-key: "a: b"}
  resource: {deployment.environment: test}
  profiles: true
push:
  - {to: pyroscope, url: "URL", interval: 1s, labels: {zone: a}, tenant: me}
  - {to: parca, url: "URL", interval: 1s, labels: {zone: b}, token_file: TOKEN}
"""

    def whole(self):
        token = self.dir / "token"
        token.write_text("s3cret\n")
        return self.write(self.ALL.replace("TOKEN", str(token)))

    def check_all(self, requests, pid):
        by_path = {r.path.partition("?")[0]: r for r in requests}
        self.assertEqual(set(by_path), {"/v1/metrics", "/v1development/profiles", "/ingest",
                                        "/api/profiles/writeraw"})
        metrics = by_path["/v1/metrics"]
        self.assertEqual(metrics.headers["x-key"], "a: b")
        (of,) = json.loads(metrics.body)["resourceMetrics"]
        found = attributes_of(of["resource"])
        self.assertEqual(found["deployment.environment"], "test")
        self.assertEqual(found["process.pid"], str(pid))
        names = {m["name"] for m in of["scopeMetrics"][0]["metrics"]}
        self.assertIn("mpalloc.component.live", names)
        self.assertNotIn("mpalloc.size_class.live", names)
        ingest = by_path["/ingest"]
        self.assertEqual(ingest.headers["X-Scope-OrgID"], "me")
        query = dict(urllib.parse.parse_qsl(ingest.path.partition("?")[2]))
        self.assertIn("zone=a", query["name"])
        raw = by_path["/api/profiles/writeraw"]
        self.assertEqual(raw.headers["Authorization"], "Bearer s3cret")
        self.assertIsNone(ingest.headers["Authorization"])
        labels = json.loads(raw.body)["series"][0]["labels"]["labels"]
        self.assertIn({"name": "zone", "value": "b"}, labels)

    def test_the_verb(self):
        p = self.start("quiet")
        path = self.whole()
        done = self.command("push", "--config", path, "--dir", self.dir, "--once")
        self.check_all(self.receiver.requests, p.pid)
        self.assertEqual(len(done.stdout.splitlines()), 3)
        push = subprocess.Popen(
            [COMMAND, "push", "--config", path, "--dir", self.dir], env=self.env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end_push, push)
        self.check_all(self.receiver.wait_for(12)[4:], p.pid)
        push.terminate()
        self.assertEqual(push.communicate(timeout=20), ("", ""))
        self.assertEqual(push.returncode, 0)

    def worker(self, path):
        worker = subprocess.Popen([WORKER, path, self.dir], env=self.env, text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        self.addCleanup(self.end, worker)
        return worker

    def wait_for_leaks(self):
        """Verdicts are made by a thread of their own, and are sent from then on."""
        seen = 0
        while True:
            requests = self.receiver.wait_for(seen + 1)
            for request in requests[seen:]:
                if request.path == "/v1/metrics" and b'"mpalloc.leak.suspects"' in request.body:
                    return
            seen = len(requests)
            self.assertLess(seen, 400)

    def test_as_serve_does_it(self):
        p = self.start("quiet")
        worker = self.worker(self.whole())
        self.assertEqual(worker.stdout.readline(), "ready\n")
        self.check_all(self.receiver.wait_for(4), p.pid)
        self.start("quiet")  # is found at the next look
        before = len(self.receiver.requests)
        self.receiver.wait_for(before + 8)
        self.wait_for_leaks()
        worker.stdin.close()
        lines = worker.stdout.read().splitlines()
        self.assertEqual(worker.wait(20), 0)
        self.assertEqual([line.split()[0] for line in lines], ["otlp", "pyroscope", "parca"])
        self.assertTrue(all(int(line.split()[3]) >= 1 for line in lines), lines)
        last = [r for r in self.receiver.requests if r.path == "/v1/metrics"][-1]
        self.assertEqual(len(json.loads(last.body)["resourceMetrics"]), 2)

    def test_the_server_itself(self):
        """mpalloc serve --config sends, and reads what it sends to again at SIGHUP."""
        p = self.start("quiet")
        path = self.whole()
        log = open(self.dir / "serve.log", "w+")
        self.addCleanup(log.close)
        serve = subprocess.Popen(
            [COMMAND, "serve", "--config", path, "--dir", self.dir, "--listen", "127.0.0.1:0"],
            env={**self.env, "XDG_STATE_HOME": str(self.dir / "state")}, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL)
        self.addCleanup(serve.wait)
        self.addCleanup(serve.kill)
        self.check_all(self.receiver.wait_for(4), p.pid)
        self.wait_for_leaks()
        self.write('otlp: {endpoint: "URL/other", format: json, interval: 1s}\n')
        serve.send_signal(signal.SIGHUP)
        seen, last = 0, []
        while last != 4 * ["/other/v1/metrics"]:
            requests = self.receiver.wait_for(seen + 1)
            seen, last = len(requests), [r.path for r in requests[-4:]]
            self.assertLess(seen, 400)
        serve.terminate()
        self.assertEqual(serve.wait(30), 0)

    def test_ends_at_once_while_a_server_is_away(self):
        self.start("quiet")
        path = self.write('otlp: {endpoint: "http://127.0.0.1:9", interval: 1s}\n')
        worker = self.worker(path)
        self.assertEqual(worker.stdout.readline(), "ready\n")
        self.assertIn("tried again", worker.stderr.readline())
        worker.stdin.close()
        self.assertRegex(worker.stdout.read(), r"^otlp http://127.0.0.1:9/v1/metrics \d+ 0\n$")
        self.assertEqual(worker.wait(20), 0)

    def test_bad_input(self):
        words = ["push", "--dir", self.dir, "--once"]
        path = self.write("otlp: {interval: 1s}\n")
        self.fails(2, *words, "--config", path, says="nothing is to be sent")
        self.fails(2, *words, "--config", path, "--to", "otlp", says="--config says where to")
        path = self.write('\notlp:\n  endpoint: "gopher://x"\n')
        self.fails(2, *words, "--config", path, says="mpalloc.yaml:[0-9]+: .*http")
        path = self.write('push:\n  - {to: parca, url: "URL", token_file: /none}\n')
        self.fails(2, *words, "--config", path,
                   says="mpalloc.yaml:2: token_file: /none cannot be read")
        self.assertRegex(self.worker(path).stdout.read(), r"^error .*mpalloc.yaml:2: token_file")
        path = self.write("otlp: {endpoint: 3, colour: red}\n")
        self.fails(2, *words, "--config", path, says="colour")
        self.assertEqual(self.receiver.requests, [])
        self.assertTrue(re.search("--config FILE", self.command("push", "--help").stdout))


if __name__ == "__main__":
    main()
