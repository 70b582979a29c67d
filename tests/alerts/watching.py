"""What tests of mpalloc alerts share: a process that does as it is told, a watch, a webhook."""

import contextlib
import http.server
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

from command import COMMAND, SCHEMAS, CommandTest, main  # noqa: E402,F401

LEAKER = os.path.realpath(sys.argv[2])
MIB = 1 << 20


class AlertsTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.env.update(MPALLOC_HISTORY=str(self.dir / "history.db"), HOME=str(self.dir),
                        XDG_CONFIG_HOME=str(self.dir / "none"), TZ="UTC")
        self.files = 0

    def config(self, text):
        self.files += 1
        path = self.dir / f"config{self.files}.yaml"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def leaker(self, limit=None, **env):
        words = [LEAKER]
        if limit:
            words = ["sh", "-c", f"ulimit -d {limit // 1024}; exec \"$0\"", LEAKER]
        p = subprocess.Popen(words, env={**self.env, **env}, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.finish, p)
        self.assertEqual(p.stdout.readline(), "ready\n")
        return p

    @staticmethod
    def finish(p):
        p.kill()
        p.wait()
        for pipe in (p.stdin, p.stdout, p.stderr):
            if pipe:
                pipe.close()

    def tell(self, p, line):
        p.stdin.write(line + "\n")
        p.stdin.flush()
        self.assertEqual(p.stdout.readline(), "ok\n")

    def alerts(self, *words, code=0, **more):
        return self.document("alerts", *words, code=code, **more)["alerts"]

    def wait_for(self, fn, what, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = fn()
            if found:
                return found
            time.sleep(0.05)
        self.fail(f"waited {seconds} s for: {what}")

    @contextlib.contextmanager
    def watch(self, *words, every="100ms", **env):
        """Lines of --json, one after the other."""
        w = Watch(self, [COMMAND, "alerts", "--watch", "--every", every, "--json",
                         *map(str, words)], {**self.env, **env})
        try:
            yield w
        finally:
            w.end()


class Watch:
    def __init__(self, test, words, env):
        self.test = test
        self.errors = open(test.dir / "watch.err", "w+")
        self.p = subprocess.Popen(words, env=env, text=True, stdout=subprocess.PIPE,
                                  stderr=self.errors)
        self.lines = queue.Queue()
        self.pids = None  # of all processes: those of the test
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        test.wait_for(lambda: "watching" in self.text() or self.p.poll() is not None, "the start")

    def read(self):
        for line in self.p.stdout:
            alert = json.loads(line)["alerts"][0]
            if self.pids is None or alert["process"]["pid"] in self.pids:
                self.lines.put(alert)

    def next(self, name, state, seconds=30):
        try:
            one = self.lines.get(timeout=seconds)
        except queue.Empty:
            self.test.fail(f"no {name} {state} in {seconds} s; {self.said()}")
        self.test.assertEqual((one["name"], one["state"]), (name, state), one)
        return one

    def text(self):
        return (self.test.dir / "watch.err").read_text()

    def said(self):
        return self.text().partition("\n")[2]  # the first line says that it watches

    def end(self):
        self.p.terminate()
        self.code = self.p.wait(30)
        self.reader.join()
        self.p.stdout.close()
        self.errors.close()


class Hook(http.server.ThreadingHTTPServer):
    """A webhook that answers as it is told, then 200."""
    daemon_threads = True

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.got = []
        super().__init__(("127.0.0.1", 0), HookRequest)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class HookRequest(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.server.got.append((status, dict(self.headers), json.loads(body), time.monotonic()))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass
