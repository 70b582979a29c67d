"""Server-sent events of mpalloc serve.

    test_events.py COMMAND TARGET LIBRARY
"""

import contextlib
import json
import os
import socket
import time

from serving import ServeTest, main, resident_kib


class Stream:
    """A client of /api/v1/events."""

    def __init__(self, server, query="", receive=None, headers=""):
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(60)
        self.socket.connect(server.address)
        self.socket.sendall(f"GET /api/v1/events{query} HTTP/1.0\r\nHost: localhost\r\n"
                            f"{headers}\r\n".encode())
        self.file = None

    def open(self):
        self.file = self.socket.makefile("rb")
        status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(": ")
            self.headers[name] = value
        return status

    def event(self, without="alerts"):
        """(name, data) of the next one; None at the end."""
        name = None
        while line := self.file.readline():
            if line.startswith(b"event: "):
                name = line[7:].strip().decode()
            elif line.startswith(b"data: ") and name != without:
                return name, json.loads(line[6:])
        return None

    def close(self):
        if self.file:
            self.file.close()
        self.socket.close()


class Events(ServeTest):
    def stream(self, server, query="", **more):
        s = Stream(server, query, **more)
        self.addCleanup(s.close)
        return s

    def opened(self, server, query=""):
        s = self.stream(server, query)
        self.assertEqual(s.open(), 200)
        return s

    def test_processes_again_and_again(self):
        server = self.serve()
        s = self.opened(server, "?every=500ms")
        self.assertEqual(s.headers["Content-Type"], "text/event-stream")
        name, data = s.event()
        self.assertEqual((name, data["schema"], data["processes"]),
                         ("processes", "mpalloc.processes/1", []))
        p = self.start()
        while not data["processes"]:
            name, data = s.event()
        self.assertEqual(data["processes"][0]["pid"], p.pid)

    def test_snapshots_until_it_is_gone(self):
        p = self.start("quiet")
        server = self.serve()
        s = self.opened(server, f"?process={p.pid}&every=0.5")
        name, data = s.event()
        self.assertEqual((name, data["process"]["pid"]), ("snapshot", p.pid))
        p.stdin.close()
        p.wait()
        while name == "snapshot":
            name, data = s.event()
        self.assertEqual((name, data["id"].split("-")[0]), ("gone", str(p.pid)))
        self.assertIsNone(s.event())

    def test_none_is_cut_off(self):
        p = self.start("busy")
        server = self.serve()
        for _ in range(60):
            s = self.opened(server, f"?process={p.pid}")
            self.assertEqual(s.event()[0], "snapshot")
            s.close()

    def test_strangers_see_no_command_lines(self):
        self.start("busy")
        server = self.serve()
        for query, command in (("", lambda d: d["processes"][0]["command"]),
                               (f"?process={next(iter(self.rows(server)))}",
                                lambda d: d["process"]["command"])):
            mine = self.opened(server, query)
            self.assertIn("busy", command(mine.event()[1]))
            theirs = self.stream(server, query, headers="X-Forwarded-For: 192.0.2.1\r\n")
            self.assertEqual(theirs.open(), 200)
            self.assertEqual(command(theirs.event()[1]), "")

    def test_what_is_wrong(self):
        server = self.serve()
        for every in ("x", "0", "499ms", "61", "-1", "1h", "1e9", ""):
            self.problem(server.ask(f"/api/v1/events?every={every}"), 400, "every takes")
        self.problem(server.ask("/api/v1/events?process=1"), 404, "no process")

    def test_many_streams_and_no_thread_for_each(self):
        server = self.serve()
        tasks = f"/proc/{server.pid}/task"
        first = self.opened(server, "?every=500ms")
        first.event()
        before = len(os.listdir(tasks))
        streams = [self.opened(server, "?every=60") for _ in range(63)]
        for s in streams:
            self.assertEqual(s.event()[0], "processes")
        self.assertLessEqual(len(os.listdir(tasks)), before + 16)
        full = self.stream(server)
        self.assertEqual(full.open(), 503)
        self.assertEqual(server.ask("/healthz").status, 200)
        for s in streams:
            s.close()
        self.wait_for(lambda: self.stream(server).open() == 200, "there is room again", 40)
        self.assertEqual(first.event()[0], "processes")

    def test_who_does_not_read_costs_little(self):
        processes = [self.start("quiet") for _ in range(3)]
        server = self.serve()
        self.wait_for(lambda: len(self.rows(server)) == 3, "they are found")
        asleep = [self.stream(server, f"?every=500ms&process={processes[0].pid}", receive=2048)
                  for _ in range(20)]
        reader = self.opened(server, "?every=500ms")
        reader.event()
        before = resident_kib(server.pid)
        for _ in range(10):
            self.assertEqual(reader.event()[0], "processes")
        self.assertLess(resident_kib(server.pid) - before, 20 * 512)
        self.assertEqual(len(asleep), 20)

    def test_the_end_of_the_server_ends_them(self):
        server = self.serve()
        streams = [self.opened(server, "?every=60") for _ in range(8)]
        for s in streams:
            s.event()
        begun = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - begun, 4)
        for s in streams:
            self.assertIsNone(s.event())

    def test_others_are_served_beside_them(self):
        server = self.serve()
        streams = [self.opened(server, "?every=500ms") for _ in range(60)]
        for _ in range(50):
            self.assertEqual(server.ask("/healthz").status, 200)
        for s in streams:
            with contextlib.suppress(OSError):
                s.socket.shutdown(socket.SHUT_RDWR)
        self.assertEqual(server.ask("/healthz").status, 200)


if __name__ == "__main__":
    main()
