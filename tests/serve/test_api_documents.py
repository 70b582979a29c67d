"""Documents of the HTTP API are those of the command; what changed.

    test_api_documents.py COMMAND TARGET LIBRARY
"""

import gzip
import json
import pathlib
import signal
import subprocess
import time

from api import COMMAND, FLEETING, ApiTest, main, without


class SameAsCommandTest(ApiTest):
    def same(self, path, *words, keys=()):
        mine = without(self.server.json(path), FLEETING | set(keys))
        theirs = without(json.loads(self.command(*words, "--json").stdout),
                         FLEETING | set(keys))
        self.assertEqual(mine, theirs)
        return mine

    def test_documents_are_those_of_the_command(self):
        """Of one that was stopped: nothing changes from look to look."""
        self.begin()
        self.post(f"{self.at}/baselines/nightly?label=load%3Dhigh")
        time.sleep(1.2)
        self.target.send_signal(signal.SIGSTOP)
        self.addCleanup(self.target.send_signal, signal.SIGCONT)
        self.wait_for(lambda: "T" in pathlib.Path(f"/proc/{self.target.pid}/status").read_text()
                      .split("State:")[1][:5], "it stands still")
        time.sleep(1.1)    # the server's figures are at most so old
        pid = self.target.pid
        kernel = {"kernel", "rss_ledger", "rss_bytes", "pressure"}
        self.same(f"{self.at}/snapshot", "snapshot", pid, keys=kernel)
        self.same(f"{self.at}/report", "report", pid, keys=kernel)
        self.same(f"{self.at}/sites?by=function&sort=count&limit=5",
                  "report", pid, "--by", "function", "--sort", "count", "--rows", 5)
        self.same(f"{self.at}/sites?by=component", "report", pid, "--by", "component")
        self.same(f"{self.at}/leaks?all=1&rows=7", "leaks", pid, "--all", "--rows", 7)
        history = {"MPALLOC_HISTORY": str(self.dir / "history.db")}
        self.env.update(history)
        self.same(f"{self.at}/diff?baseline=nightly&label=load%3Dhigh&all=1&rows=20",
                  "diff", "--baseline", "nightly", "--label", "load=high", pid, "--all",
                  "--rows", 20)
        self.same(f"{self.at}/history?since=24h", "report", pid, "--forecast",
                  keys={"since", "resident_bytes"})
        self.same(f"{self.at}/baselines", "baseline", "list")
        self.same("/api/v1/baselines?label=load%3Dhigh", "baseline", "list")
        rows = self.server.json("/api/v1/processes")["processes"]
        mine = [without(r, FLEETING | {"id", "limit_bytes", "leaks", "recent", "alerts"})
                for r in rows]
        theirs = json.loads(self.command("ps", "--json", "--dir", self.dir).stdout)["processes"]
        self.assertEqual(mine, without(theirs, FLEETING))

    def test_parts_are_those_of_the_whole(self):
        self.begin(mode="pools")
        self.target.send_signal(signal.SIGSTOP)
        self.addCleanup(self.target.send_signal, signal.SIGCONT)
        time.sleep(1.1)
        report = self.server.json(f"{self.at}/report")
        self.assertEqual(self.server.json(f"{self.at}/components")["components"],
                         report["components"])
        classes = self.server.json(f"{self.at}/classes")["size_classes"]
        self.assertEqual(classes, self.server.json(f"{self.at}/snapshot")["size_classes"])
        self.assertEqual(classes, without(report["size_classes"], {"slack_bytes"}))
        advice = self.server.json(f"{self.at}/advice")
        self.assertEqual(advice["advice"], report["advice"])
        self.assertEqual(advice["efficiency"], report["efficiency"])
        for tier, name in enumerate(("seconds", "minutes", "ten_minutes")):
            points = self.server.json(f"{self.at}/timeline?tier={tier}")
            self.assertEqual((points["tier"], points["points"]),
                             (tier, report["timeline"][name]))
        leaks = self.server.json(f"{self.at}/leaks")
        summary = self.server.json(f"{self.at}/leaks?summary=1")
        self.assertEqual(summary["potential_leak_count"],
                         leaks["verdicts"]["lost"] + leaks["verdicts"]["growing"])
        self.assertEqual(summary["growth_bytes_per_hour"], leaks["growth_bytes_per_hour"])
        self.assertEqual(without(summary, FLEETING),
                         without(self.server.json("/metrics/leaks"), FLEETING))
        row = self.rows(self.server)[self.key]
        self.assertEqual(row["leaks"], {k: leaks["verdicts"][k] for k in
                                        ("lost", "growing", "suspect")})
        memory = self.server.json("/metrics/memory")
        snapshot = self.server.json("/profiling/snapshot")
        self.assertEqual(memory["heap_bytes"], snapshot["live_bytes"])
        self.assertEqual(memory["virtual_bytes"], snapshot["kernel"]["virtual_bytes"])
        self.assertEqual(memory["timestamp"], snapshot["process"]["published"])
        most = self.server.json("/metrics/allocations")
        by_live = sorted(report["components"], key=lambda c: -c["live_bytes"])
        self.assertEqual([c["live_bytes"] for c in most["top_allocators"]],
                         [c["live_bytes"] for c in by_live[:10]])
        self.assertEqual(most["efficiency_score"], report["efficiency"]["ratio"])
        self.assertEqual(most["recommendations"], report["advice"])
        there = self.server.ask("/metrics/memory/leaks?process=a%26b")
        self.assertEqual((there.status, there.headers["Location"]),
                         (308, "/metrics/leaks?process=%61%26%62"))

    def test_profiles_are_those_of_the_command(self):
        self.begin()
        time.sleep(0.5)
        self.target.send_signal(signal.SIGSTOP)
        self.addCleanup(self.target.send_signal, signal.SIGCONT)
        time.sleep(1.1)
        for name in ("collapsed", "speedscope", "json", "pprof", "heap", "jeprof", "dhat",
                     "massif", "heaptrack", "openmetrics", "svg", "html"):
            with self.subTest(format=name):
                mine = self.server.ask(f"{self.at}/profile?format={name}&value=live-bytes")
                self.assertEqual(mine.status, 200)
                theirs = subprocess.run(
                    [COMMAND, "export", "--format", name, "--value", "live-bytes",
                     str(self.target.pid)], env=self.env, check=True, capture_output=True).stdout
                body = mine.body
                if name == "pprof":
                    body, theirs = gzip.decompress(body), gzip.decompress(theirs)
                if name == "json":
                    body, theirs = (without(json.loads(t), FLEETING) for t in (body, theirs))
                if name in ("html", "dhat", "openmetrics", "heaptrack"):
                    # They say when they were made, or how old figures are.
                    self.assertAlmostEqual(len(body), len(theirs), delta=200)
                else:
                    self.assertEqual(body, theirs)
        self.assertIn("sandbox", self.server.ask(
            f"{self.at}/profile?format=html").headers["Content-Security-Policy"])


class DifferenceTest(ApiTest):
    def test_differences_of_profiles(self):
        self.begin()
        self.post(f"{self.at}/baselines/nightly")
        for query in ("baseline=nightly", "seconds=1"):
            d = self.server.json(f"{self.at}/profile?format=json&{query}")
            self.assertEqual(d["schema"], "mpalloc.profile_difference/1")
            self.description.check(self.operation("/api/v1/processes/{id}/profile"),
                                   self.server.ask(f"{self.at}/profile?format=json&{query}"))
            stacks = [s for s in d["samples"] if s["before"]["live_bytes"] > 0
                      and s["after"]["live_bytes"] > 0]
            self.assertTrue(any(d["frames"][f]["name"] == "main" for s in stacks
                                for f in s["frames"]), query)
            for s in d["samples"]:
                self.assertLess(max(s["frames"]), len(d["frames"]))
            lines = self.server.ask(f"{self.at}/profile?format=collapsed&{query}"
                                    ).body.decode().splitlines()
            self.assertTrue(lines)
            for line in lines:
                self.assertRegex(line, r" \d+ \d+$")
            svg = self.server.ask(f"{self.at}/profile?format=svg&{query}")
            self.assertEqual(svg.headers["Content-Type"], "image/svg+xml")
            self.assertRegex(svg.body.decode(), "compared with (baseline|what it was 1 s before)")
            page = self.server.ask(f"{self.at}/profile?format=html&{query}&value=live-blocks")
            self.assertRegex(page.body.decode(), '"shown":"live-blocks".*"difference":{')
        self.problem(self.server.ask(f"{self.at}/profile?format=dhat&seconds=1"), 400,
                     "dhat has no differences")
        self.problem(self.server.ask(f"{self.at}/profile?format=html&value=peak-bytes&seconds=1"),
                     400, "html has no differences of peak-bytes")
        diff = self.server.json(f"{self.at}/diff?seconds=1")
        self.assertTrue(diff["same_run"])
        self.assertGreater(diff["allocated_bytes_total"]["value"], 0)

    def test_baselines_whose_texts_run_together(self):
        self.begin()
        self.post(f"{self.at}/baselines/a?label=b%20c")
        self.post(f"{self.at}/baselines/a%20b?label=c")
        regions = [self.server.json(f"{self.at}/diff?baseline={query}")["before"]["region"]
                   for query in ("a&label=b%20c", "a%20b&label=c")]
        self.assertNotEqual(*regions)

    def test_a_reading_request_writes_nothing(self):
        """The command begins a baseline of a new build; the server does not."""
        self.begin()
        self.problem(self.server.ask(f"{self.at}/diff?baseline=nightly"), 404, "history")
        self.assertFalse((self.dir / "history.db").exists())
        self.assertEqual(self.server.json("/api/v1/baselines")["baselines"], [])
        self.post(f"{self.at}/baselines/nightly")
        self.problem(self.server.ask(f"{self.at}/diff?baseline=other"), 404, "no baseline other")
        self.problem(self.server.ask(f"{self.at}/diff"), 400, "baseline=NAME")
        self.problem(self.server.ask(f"{self.at}/diff?baseline=a&seconds=1"), 400, "not both")
        (self.dir / "history.db").write_bytes(b"x" * 8192)
        self.problem(self.server.ask(f"{self.at}/diff?baseline=nightly"), 502, "history")
        self.problem(self.server.ask("/api/v1/baselines"), 502, "history")
        self.assertEqual((self.dir / "history.db").read_bytes(), b"x" * 8192)
        self.assertEqual(self.server.log().count("\n"), 1, self.server.log())


if __name__ == "__main__":
    main()
