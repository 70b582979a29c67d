"""The configuration of mpalloc serve, read at its start and by SIGHUP; and the history.

    test_settings.py COMMAND TARGET LIBRARY
"""

import contextlib
import http.server
import json
import os
import pathlib
import re
import signal
import sqlite3
import threading

from serving import ServeTest, main


class Settings(ServeTest):
    def write(self, text):
        path = self.dir / "mpalloc.yaml"
        path.write_text(text)
        return path

    def hup(self, server, says):
        before = server.log().count(says)
        server.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: server.log().count(says) > before, says)

    def test_the_file_and_the_command_line(self):
        sock = self.dir / "s"
        path = self.write(f"serve: {{listen: '127.0.0.1:0', unix: {sock}, hosts: [box.example]}}\n")
        server = self.serve("--config", path, listen=())
        self.wait_for(lambda: server.log().count("listening on") == 2, "it listens at both")
        found = re.search(r"http://(.*):(\d+)$", server.log(), re.M)
        server.address = (found[1], int(found[2]))
        self.assertTrue(sock.exists())
        self.assertEqual(server.ask("/healthz", headers={"Host": "box.example"}).status, 200)
        self.assertEqual(server.ask("/healthz", headers={"Host": "other.example"}).status, 421)
        other = self.serve("--config", path, "--unix", self.dir / "t", listen=())
        self.assertIn(str(self.dir / "t"), other.log())
        self.assertEqual(other.log().count("listening on"), 1)

    def test_a_wrong_one_is_one_line(self):
        self.fails(2, "serve", "--config", self.write("serve: {listn: x}\n"), says=":1: .*listn")
        for text in ("serve: {interval: 25h}", "otlp: {endpoint: 'http://a', interval: 50d}",
                     "push: [{to: parca, url: 'http://a', interval: 49d}]"):
            self.fails(2, "serve", "--config", self.write(text + "\n"), says=":1: .*at most 24h")
        self.fails(1, "serve", "--config", self.dir / "none.yaml", says="No such file")

    def test_reload(self):
        path = self.write("serve: {hosts: [one.example]}\n")
        server = self.serve("--config", path)

        def status(host):
            return server.ask("/healthz", headers={"Host": host}).status

        self.assertEqual((status("one.example"), status("two.example")), (200, 421))
        path.write_text("serve: {hosts: [two.example], allow_actions: true}\n")
        self.hup(server, "reloaded")
        self.assertEqual((status("one.example"), status("two.example")), (421, 200))
        path.write_text("serve: {hosts: [three.example], what: 1}\n")
        self.hup(server, "kept")
        self.assertEqual((status("two.example"), status("three.example")), (200, 421))
        path.write_text("serve: {hosts: [three.example], token_file: /nowhere}\n")
        self.hup(server, "kept")
        self.assertEqual((status("two.example"), status("three.example")), (200, 421))
        path.write_text("serve: {interval: 9s}\n")
        self.hup(server, "started again")

    def test_what_is_sent(self):
        got = threading.Event()

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()
                got.set()

            def log_message(self, *_):
                pass

        receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        self.addCleanup(receiver.server_close)
        self.addCleanup(receiver.shutdown)
        self.start()
        wanted = f"otlp: {{endpoint: 'http://127.0.0.1:{receiver.server_port}', interval: 1s}}\n"
        server = self.serve("--config", self.write(wanted))
        self.assertTrue(got.wait(30))
        self.assertEqual(server.stop(), 0)
        path = self.write("serve: {history: false}\n")
        server = self.serve("--config", path)
        got.clear()
        path.write_text(wanted)
        self.hup(server, "reloaded")
        self.assertTrue(got.wait(30))
        self.assertEqual(server.stop(), 0)

    def test_alerts(self):
        p = self.start("quiet")
        log = self.dir / "alerts.log"
        path = self.write(
            "alerts: [{name: TooLarge, when: live, above: 100k, clears: 90k, for: 0s, severity: critical}]\n"
            f"sinks: [{{log: {log}}}]\nserve: {{interval: 200ms}}\n")
        server = self.serve("--config", path)

        with contextlib.closing(server.connection()) as c:
            c.request("GET", "/api/v1/events?every=500ms")
            lines = iter(c.getresponse().readline, b"")
            for line in lines:
                if line == b"event: alerts\n":
                    alerts = [a for a in json.loads(next(lines)[6:])["alerts"]
                              if a["state"] == "firing"]
                    if alerts:
                        break
        self.assertEqual([(a["name"], a["process"]["pid"]) for a in alerts], [("TooLarge", p.pid)])
        self.wait_for(lambda: log.exists() and "TooLarge" in log.read_text(), "it is told")
        path.write_text("alerts: [{name: TooLarge, when: live, above: 1G, clears: 1G, for: 0s}]\n"
                        f"sinks: [{{log: {log}}}]\nserve: {{interval: 200ms}}\n")
        self.hup(server, "reloaded")
        self.wait_for(lambda: "resolved" in log.read_text(), "it is resolved")
        self.assertEqual(server.stop(), 0)


class History(ServeTest):
    def test_points_are_added(self):
        p = self.start("quiet")
        server = self.serve()
        db = self.dir / "history.db"

        def rows():
            try:
                with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as c:
                    return c.execute("SELECT pid FROM runs JOIN points ON run = runs.id").fetchall()
            except sqlite3.OperationalError:
                return []

        self.assertEqual(self.wait_for(rows, "a point is added")[0], (p.pid,))
        self.assertEqual(server.stop(), 0)
        self.command("report", p.pid, "--since", "1h", env={"MPALLOC_HISTORY": str(db)})

    def test_others_beside_it_take_nothing_away(self):
        p = self.start("quiet")
        server = self.serve("--allow-actions")
        db = self.dir / "history.db"
        self.wait_for(db.exists, "a history is begun")
        for name in "abc":
            server.json(f"/api/v1/processes/{p.pid}/baselines/{name}", method="POST")
            for words in (("alerts",), ("baseline", "list"), ("leaks", p.pid)):
                self.command(*words, env={"MPALLOC_HISTORY": str(db)})
        kept = [os.readlink(f) for f in pathlib.Path(f"/proc/{server.pid}/fd").iterdir()]
        self.assertEqual([f for f in kept if "(deleted)" in f], [])
        self.assertIn(f"{db}-wal", kept)
        names = json.loads(self.command("baseline", "list", "--json",
                                        env={"MPALLOC_HISTORY": str(db)}).stdout)["baselines"]
        self.assertEqual({b["name"] for b in names}, {"a", "b", "c"})

    def test_none_are_when_it_is_not_wanted(self):
        self.start("quiet")
        server = self.serve("--no-history")
        self.rows(server)
        self.assertEqual(server.stop(), 0)
        self.assertFalse((self.dir / "history.db").exists())

    def test_without_a_place_for_it(self):
        plain = self.dir / "plain"
        plain.write_text("")
        server = self.serve(MPALLOC_HISTORY=str(plain / "history.db"))
        self.assertIn("without the history", server.log() + "")
        self.assertEqual(server.ask("/healthz").status, 200)


if __name__ == "__main__":
    main()
