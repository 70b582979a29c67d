"""A real Prometheus and a real Alertmanager on free ports, and a webhook that they tell."""

import contextlib
import http.server
import json
import pathlib
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from scraping import ScrapeTest

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "tools" / "deploy"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Webhook:
    """What was posted: (path, document)."""

    def __init__(self):
        self.got = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def alerts(self, path, name, status):
        return [a for p, d in list(self.got) if p == path for a in d["alerts"]
                if a["labels"]["alertname"] == name and a["status"] == status]


class MonitoringTest(ScrapeTest):
    def start_tool(self, *words):
        log = open(self.dir / f"{words[0]}.log", "w")
        p = subprocess.Popen([str(w) for w in words], stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL, cwd=self.dir)
        self.addCleanup(log.close)
        self.addCleanup(lambda: (p.kill(), p.wait()))
        return p

    def log_of(self, name):
        return (self.dir / f"{name}.log").read_text()

    def ask_api(self, port, path, **query):
        address = f"http://127.0.0.1:{port}{path}?" + urllib.parse.urlencode(query)
        with urllib.request.urlopen(address, timeout=30) as reply:
            return json.loads(reply.read())

    def is_ready(self, port):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).close()
            return True
        return False

    def write_quick(self, source, target, *changes):
        """The shipped file with other times and addresses; each change must find its place."""
        text = source.read_text()
        for old, new in changes:
            text, count = re.subn(old, new, text)
            self.assertGreater(count, 0, f"{source.name}: {old}")
        (self.dir / target).write_text(text)
        return self.dir / target

    def start_alertmanager(self, webhook):
        config = self.write_quick(
            DEPLOY / "alertmanager" / "alertmanager.yml", "alertmanager.yml",
            (r"127\.0\.0\.1:9095", f"127.0.0.1:{webhook.port}"), (r"group_wait: 30s",
                                                                  "group_wait: 1s"),
            (r"group_interval: 5m", "group_interval: 1s"))
        port = free_port()
        self.start_tool("prometheus-alertmanager", f"--config.file={config}",
                        f"--storage.path={self.dir / 'am'}", "--cluster.listen-address=",
                        f"--web.listen-address=127.0.0.1:{port}")
        return port

    def start_prometheus(self, server, manager_port, config="prometheus.yml"):
        self.write_quick(DEPLOY / "prometheus" / "mpalloc.rules.yml", "mpalloc.rules.yml",
                         (r"for: \w+", "for: 1s"), (r"interval: 30s", "interval: 1s"))
        host, port = server.address
        config = self.write_quick(
            DEPLOY / "prometheus" / config, config,
            (r"scrape_interval: 15s", "scrape_interval: 1s"),
            (r"evaluation_interval: 30s", "evaluation_interval: 1s"),
            (r"127\.0\.0\.1:9202", f"{host}:{port}"),
            (r"127\.0\.0\.1:9093", f"127.0.0.1:{manager_port}"))
        mine = free_port()
        self.start_tool("prometheus", f"--config.file={config}",
                        f"--storage.tsdb.path={self.dir / 'tsdb'}", "--log.level=warn",
                        "--enable-feature=exemplar-storage", f"--web.listen-address=127.0.0.1:{mine}")
        self.wait_for(lambda: self.is_ready(mine), "Prometheus is ready")
        return mine

    def query(self, port, expression):
        """[(labels, value)] of an instant query."""
        found = self.ask_api(port, "/api/v1/query", query=expression)
        self.assertEqual(found["status"], "success", expression)
        return [(r["metric"], float(r["value"][1])) for r in found["data"]["result"]]

    def wait_for_series(self, port, expression, seconds=60):
        return self.wait_for(lambda: self.query(port, expression), expression, seconds)

    @staticmethod
    def since(began):
        return time.monotonic() - began
