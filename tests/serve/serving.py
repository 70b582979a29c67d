"""What tests of mpalloc serve share: a real server on a free port, and processes to watch.

    test_NAME.py COMMAND TARGET LIBRARY …
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

from command import COMMAND, LIBRARY, CommandTest, main  # noqa: E402,F401

PROBLEM = "application/problem+json"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, reply):
        self.status = reply.status
        self.headers = reply.headers
        self.body = reply.read()

    def json(self):
        return json.loads(self.body)


class Server:
    """One that runs; `address` is (host, port) of its first socket."""

    def __init__(self, process, log, unix):
        self.process = process
        self.log_path = log
        self.unix = unix
        self.address = None

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return pathlib.Path(self.log_path).read_text()

    def connection(self, timeout=60):
        if self.address is None:
            return UnixConnection(self.unix)
        return http.client.HTTPConnection(*self.address, timeout=timeout)

    def ask(self, path, method="GET", body=None, headers=None, timeout=60):
        with contextlib.closing(self.connection(timeout)) as c:
            c.request(method, path, body=body, headers=headers or {})
            return Answer(c.getresponse())

    def json(self, path, status=200, **more):
        answer = self.ask(path, **more)
        assert answer.status == status, (path, answer.status, answer.body)
        return answer.json()

    def say(self, data, timeout=30):
        """Raw bytes; what comes back until the server closes."""
        with socket.create_connection(self.address, timeout=timeout) as s:
            s.sendall(data)
            parts = []
            with contextlib.suppress(ConnectionResetError):
                while part := s.recv(65536):
                    parts.append(part)
        return b"".join(parts)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(30)


class ServeTest(CommandTest):
    def serve(self, *words, listen=("127.0.0.1:0",), ready=True, preload=False, **env):
        """A server of the regions in self.dir."""
        log = self.dir / f"serve-{time.monotonic_ns()}.log"
        words = [*(w for a in listen for w in ("--listen", a)), *map(str, words)]
        if "--dir" not in words:
            words += ["--dir", str(self.dir)]
        env = {"MPALLOC_HISTORY": str(self.dir / "history.db"),
               "XDG_CONFIG_HOME": str(self.dir), **env}
        unix = words[words.index("--unix") + 1] if "--unix" in words else None
        with open(log, "w") as err:
            p = subprocess.Popen([COMMAND, "serve", *words], env={**self.env, **env},
                                 stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        self.addCleanup(self.end_server, p)
        server = Server(p, log, unix)
        if ready:
            count = len(listen) + (unix is not None)
            self.wait_for(lambda: server.log().count("listening on") >= count
                          or p.poll() is not None, "the server listens")
            self.assertIsNone(p.poll(), server.log())
            found = re.search(r"https?://(.*):(\d+)$", server.log(), re.M)
            if found:
                server.address = (found[1].strip("[]"), int(found[2]))
        return server

    @staticmethod
    def end_server(p):
        p.kill()
        p.wait()

    def wait_for(self, wanted, what, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if got := wanted():
                return got
            time.sleep(0.02)
        self.fail(f"did not come to pass: {what}")

    def problem(self, answer, status, says):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["Content-Type"], PROBLEM)
        problem = answer.json()
        self.assertEqual(problem["status"], status)
        self.assertTrue(problem["title"])
        self.assertRegex(problem["detail"], says)

    def rows(self, server):
        return {r["id"]: r for r in server.json("/api/v1/processes")["processes"]}


def resident_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1])


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
