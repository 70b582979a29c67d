"""mpalloc alerts --watch tells Debian's Alertmanager, and amtool sees it.

    test_alertmanager.py COMMAND LEAKER LIBRARY
"""

import json
import os
import shutil
import socket
import subprocess
import unittest
import urllib.request

from watching import MIB, AlertsTest, main

SERVER = shutil.which("prometheus-alertmanager")
AMTOOL = shutil.which("amtool")
BIG = "{name: MpallocMemoryHigh, for: 0s}, {name: MpallocMemoryCritical, for: 0s}"
CONFIG = """
route: {receiver: nobody}
receivers: [{name: nobody}]
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@unittest.skipUnless(SERVER and AMTOOL, "prometheus-alertmanager is not installed")
class Alertmanager(AlertsTest):
    def start_server(self, port):
        (self.dir / "am.yml").write_text(CONFIG)
        log = open(self.dir / "am.log", "w")
        env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        p = subprocess.Popen(
            [SERVER, f"--config.file={self.dir}/am.yml", f"--storage.path={self.dir}/am",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
            stdout=log, stderr=log, env=env)
        log.close()
        self.addCleanup(self.finish, p)
        url = f"http://127.0.0.1:{port}"
        self.wait_for(lambda: self.is_ready(url), "Alertmanager")
        return url

    @staticmethod
    def is_ready(url):
        try:
            with urllib.request.urlopen(url + "/-/ready", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def query(self, url):
        done = subprocess.run([AMTOOL, f"--alertmanager.url={url}", "alert", "query", "-o", "json"],
                              capture_output=True, text=True, timeout=30, check=True)
        return json.loads(done.stdout) or []

    def names(self, url):
        return sorted(a["labels"]["alertname"] for a in self.query(url))

    def test_an_alert_comes_and_goes(self):
        url = self.start_server(free_port())
        p = self.leaker(limit=256 * MIB)
        c = self.config(f"alerts: [{BIG}]\nserve: {{listen: 'h:80'}}\n"
                        f"sinks: [{{alertmanager: '{url}/', labels: {{team: memory}}}}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {215 * MIB}")
            first = w.next("MpallocMemoryHigh", "firing")
            a, = self.wait_for(lambda: self.query(url), "amtool shows it")
            labels = a["labels"]
            self.assertEqual(labels["alertname"], "MpallocMemoryHigh")
            self.assertEqual(labels["severity"], "warning")
            self.assertEqual(labels["team"], "memory")
            self.assertEqual(labels["pid"], str(p.pid))
            self.assertEqual(labels["program"], "leaker")
            self.assertEqual(labels["instance"], socket.gethostname())
            self.assertRegex(a["annotations"]["description"], r"live bytes of the limit 8\d")
            self.assertIn("#mpallocmemoryhigh", a["annotations"]["runbook"])
            self.assertEqual(a["generatorURL"], "http://h:80/processes/" + first["process"]["id"])
            self.assertEqual(a["startsAt"][:19], first["since"][:19])
            self.tell(p, f"hold {20 * MIB}")
            w.next("MpallocMemoryCritical", "firing")
            self.wait_for(lambda: self.names(url) == ["MpallocMemoryCritical", "MpallocMemoryHigh"],
                          "both: Alertmanager may silence by itself")
            self.tell(p, "drop")
            self.wait_for(lambda: self.names(url) == [], "amtool shows none")
        self.assertEqual(w.said(), "")

    # It was not there when the alert fired, and is told when it comes.
    def test_it_is_told_when_it_is_there(self):
        port = free_port()
        p = self.leaker(limit=256 * MIB)
        c = self.config(f"alerts: [{BIG}]\n"
                        f"sinks: [{{alertmanager: 'http://127.0.0.1:{port}'}}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {215 * MIB}")
            w.next("MpallocMemoryHigh", "firing")
            self.wait_for(lambda: "it is tried again" in w.said(), "its line")
            url = self.start_server(port)
            self.wait_for(lambda: self.names(url) == ["MpallocMemoryHigh"], "amtool shows it")
        self.assertEqual(w.said().count("it is tried again"), 1)

    # One that fires is known to a second watch, and told by it too: Alertmanager forgets.
    def test_a_second_watch_goes_on_telling(self):
        p = self.leaker(limit=256 * MIB)
        self.tell(p, f"hold {215 * MIB}")
        c = self.config(f"alerts: [{BIG}]")
        with self.watch(p.pid, "--config", c) as w:
            w.next("MpallocMemoryHigh", "firing")
        url = self.start_server(free_port())
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{alertmanager: '{url}'}}]")
        with self.watch(p.pid, "--config", c) as w:
            self.wait_for(lambda: self.names(url) == ["MpallocMemoryHigh"], "amtool shows it")


if __name__ == "__main__":
    main()
