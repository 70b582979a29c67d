"""test_prometheus.py COMMAND TARGET LIBRARY DEMO: Prometheus and Alertmanager as they are shipped, from
a process that leaks to the one who is told."""

import contextlib
import json
import os
import re
import subprocess
import sys

from dashboards import expressions_of, load_all
from monitoring import MonitoringTest, Webhook
from serving import main

DEMO = os.path.realpath(sys.argv[4])


class Prometheus(MonitoringTest):
    def start_demo(self):
        p = subprocess.Popen([DEMO, "--leak", "--seconds", "600", "--threads", "2"],
                             env={**self.env, "LD_PRELOAD": self.env["MPALLOC_LIBRARY"],
                                  "MPALLOC_SAMPLE": "8k"},
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (p.kill(), p.wait()))
        self.wait_for(lambda: self.command("snapshot", p.pid, code=None).returncode == 0,
                      "the demo has a region")
        return p

    def test_a_leak_is_told_to_the_team(self):
        webhook = Webhook()
        self.addCleanup(webhook.close)
        demo = self.start_demo()
        self.command("baseline", "save", "nightly", demo.pid,
                     env={"MPALLOC_HISTORY": str(self.dir / "history.db")})
        server = self.serve("--verdicts", "1s", "--sites", "5")
        manager = self.start_alertmanager(webhook)
        prometheus = self.start_prometheus(server, manager)
        self.wait_for_series(prometheus, "mpalloc_live_bytes")
        # What the program lost is seen by a check, for certain; that it grows takes a while.
        self.wait_for(lambda: self.lost(demo), "the check finds what was lost")
        alert = self.wait_for(lambda: webhook.alerts("/team", "MpallocLeakSuspected", "firing"),
                              "the alert arrives")[0]
        self.assertEqual(alert["labels"]["process"], "extraction-server")
        self.assertEqual(alert["labels"]["pid"], str(demo.pid))
        self.assertEqual(alert["labels"]["severity"], "warning")
        host, port = server.address
        self.assertEqual(alert["annotations"]["runbook_url"],
                         f"http://{host}:{port}/runbook#mpallocleaksuspected")
        self.assertIn(f"mpalloc leaks {demo.pid}", alert["annotations"]["description"])
        self.check_prometheus(prometheus, demo)
        self.check_dashboards(prometheus)
        self.check_strangers(server)
        # Somebody knows of it: the alert is resolved.
        self.acknowledge(demo)
        self.wait_for(lambda: webhook.alerts("/team", "MpallocLeakSuspected", "resolved"),
                      "the alert is resolved")
        # It is killed: that is told to the log.
        demo.kill()
        demo.wait()
        self.wait_for(lambda: webhook.alerts("/log", "MpallocProcessDied", "firing"),
                      "the death arrives")
        self.assertEqual(self.query(prometheus, "mpalloc_live_bytes"), [])

    def check_strangers(self, server):
        """Which function leaks is told to this machine only, by answers and by events."""
        stranger = {"X-Forwarded-For": "192.0.2.1"}

        def texts(document):
            return [a["text"] for a in document["alerts"] if a["measure"] == "leaks"]

        def event(headers):
            with contextlib.closing(server.connection()) as c:
                c.request("GET", "/api/v1/events", headers=headers)
                lines = iter(c.getresponse().readline, b"")
                for line in lines:
                    if line == b"event: alerts\n":
                        return json.loads(next(lines)[6:])

        self.wait_for(lambda: texts(server.json("/api/v1/alerts")), "the server knows it")
        for text in texts(server.json("/api/v1/alerts")) + texts(event({})):
            self.assertRegex(text, r"leak \d+, above \d+: .* in ")
        hidden = texts(server.json("/api/v1/alerts", headers=stranger)) + texts(event(stranger))
        self.assertEqual(len(hidden), 2)
        for text in hidden:
            self.assertRegex(text, r"leak \d+, above \d+$")

    def lost(self, demo):
        done = self.command("leaks", "--scan", "--json", demo.pid, code=None)
        return done.returncode == 0 and '"lost"' in done.stdout

    def acknowledge(self, demo):
        for k in json.loads(self.command("leaks", "--json", "--all", demo.pid).stdout)["leaks"]:
            if k["component"] == "extraction/html":
                self.command("leaks", "--ack", k["id"], "--note", "known",
                             env={"MPALLOC_HISTORY": str(self.dir / "history.db")})

    def check_prometheus(self, prometheus, demo):
        rules = [r for g in self.ask_api(prometheus, "/api/v1/rules")["data"]["groups"]
                 for r in g["rules"]]
        self.assertEqual(len(rules), 29)
        self.wait_for(lambda: all(
            r["health"] == "ok" for g in self.ask_api(prometheus, "/api/v1/rules")["data"]["groups"]
            for r in g["rules"]), "all rules are evaluated")
        told = self.ask_api(prometheus, "/api/v1/metadata")["data"]
        self.assertEqual(told["mpalloc_live_bytes"],
                         [{"type": "gauge", "unit": "bytes", "help": "Bytes of blocks in use."}])
        self.assertEqual(told["mpalloc_process"][0]["type"], "info")
        target, = self.ask_api(prometheus, "/api/v1/targets")["data"]["activeTargets"]
        self.assertEqual((target["health"], target["lastError"]), ("up", ""))
        found = self.ask_api(prometheus, "/api/v1/query_exemplars",
                             query="mpalloc_allocated_bytes_total", start=0, end=1 << 33)["data"]
        self.assertTrue(found[0]["exemplars"][0]["labels"]["profile"].startswith(
            f"/debug/pprof/allocs?process={demo.pid}-"), found)
        for name in ("mpalloc:live_ratio", "mpalloc:live_bytes:growth1h",
                     "mpalloc:component_live_bytes:sum", "mpalloc:allocated_bytes:rate5m"):
            self.wait_for_series(prometheus, name)

    def check_dashboards(self, prometheus):
        """Each query has an answer, but for those that look for what is wrong, and for pools, which
        this program has none of."""
        for name, d in load_all().items():
            for title, expression in expressions_of(d):
                is_empty = self.query(prometheus, expression) == []
                if "pool" not in expression and not re.search(r"[<>] [\d.]+", expression):
                    self.wait_for_series(prometheus, expression, 10)
                elif "pool" in expression:
                    self.assertTrue(is_empty, f"{name}: {title}")

    def test_each_process_is_a_target(self):
        shop = self.start("quiet", MPALLOC_SERVICE="shop")
        self.start("busy", MPALLOC_SERVICE="cron")
        server = self.serve()
        host, port = server.address
        (self.dir / "targets").mkdir()
        prometheus = self.start_prometheus(server, 1, "prometheus-processes.yml")
        found = self.wait_for_series(prometheus, "mpalloc_live_bytes")
        self.assertEqual([{k: m[k] for k in ("instance", "process", "pid")} for m, _ in found],
                         [{"instance": f"{host}:{port}", "process": "shop", "pid": str(shop.pid)}])
        self.assertEqual(found[0][1], self.document("snapshot", shop.pid)["live_bytes"])
        # The file of targets names the same one: it stays one.
        targets = self.command("serve", "--targets", "--dir", self.dir, "--listen",
                               f"{host}:{port}").stdout
        (self.dir / "targets" / "mpalloc-processes-here.json").write_text(targets)
        self.assertEqual(len(self.query(prometheus, "mpalloc_live_bytes")), 1)


main()
