"""mpalloc alerts against real processes: once, on and on, and who is told.

    test_verb.py COMMAND LEAKER LIBRARY
"""

import json
import pathlib
import re
import shlex
import signal
import sqlite3
import time

import jsonschema

from watching import MIB, SCHEMAS, AlertsTest, Hook, main

BIG = "{name: Big, when: live, above: 10M, clears: 5M}"
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Once(AlertsTest):
    def test_a_quiet_process_has_none(self):
        p = self.leaker()
        self.assertEqual(self.alerts(p.pid), [])
        self.assertIn("0 of 1 process fire", self.command("alerts", p.pid).stdout)
        self.command("alerts", p.pid, "--fail-on", "firing")
        self.assertFalse((self.dir / "history.db").exists(), "a look begins no history")

    def test_a_rule_of_ones_own_fires(self):
        p = self.leaker()
        c = self.config(f"alerts: [{BIG}]")
        self.assertEqual(self.alerts(p.pid, "--config", c), [])
        self.tell(p, f"hold {12 * MIB}")
        a, = self.alerts(p.pid, "--config", c)
        self.assertEqual((a["name"], a["state"], a["severity"]), ("Big", "firing", "warning"))
        self.assertEqual(a["process"]["pid"], p.pid)
        self.assertEqual(a["process"]["id"] + ".mp", self.region_of(p).name)
        self.assertGreater(a["value"], 12 * MIB)
        self.assertIsNone(a["runbook"])
        text = self.command("alerts", "--config", c, "--fail-on", "firing", code=3).stdout
        self.assertRegex(text, rf"{p.pid} leaker\n  warning  firing +Big .*live bytes 1\d.\d MiB")
        self.command("alerts", p.pid, "--config", c, "--fail-on", "firing=warning", code=3)
        self.command("alerts", p.pid, "--config", c, "--fail-on", "firing=critical")
        self.tell(p, "drop")
        self.command("alerts", p.pid, "--config", c, "--fail-on", "firing")

    def test_near_its_limit(self):
        p = self.leaker(limit=256 * MIB)
        self.tell(p, f"hold {215 * MIB}")
        name = "MpallocMemoryHigh"
        found = {a["name"]: a for a in self.alerts(p.pid)}
        self.assertEqual(found[name]["state"], "pending")
        self.assertAlmostEqual(found[name]["value"], 0.84, delta=0.02)
        self.assertIn("since", self.command("alerts", p.pid).stdout)
        c = self.config(f"alerts: [{{name: {name}, for: 0s}}, "
                        "{name: MpallocMemoryCritical, for: 0s}]")
        found = {a["name"]: a for a in self.alerts(p.pid, "--config", c)}
        self.assertEqual(found[name]["state"], "firing")
        self.assertIsNone(found[name]["silenced_by"])
        self.assertTrue(found[name]["runbook"].endswith("runbook.md#mpallocmemoryhigh"))
        self.tell(p, f"hold {20 * MIB}")
        found = {a["name"]: a for a in self.alerts(p.pid, "--config", c)}
        self.assertEqual(found["MpallocMemoryCritical"]["state"], "firing")
        self.assertEqual(found[name]["silenced_by"], "MpallocMemoryCritical")

    def test_all_says_why_rules_do_not_apply(self):
        p = self.leaker()
        found = {a["name"]: a for a in self.alerts(p.pid, "--all")}
        self.assertEqual(len(found), 17)
        # The machine's memory is the limit where there is no other.
        self.assertLess(found["MpallocMemoryHigh"]["value"], 0.5)
        self.assertIsNone(found["MpallocComponentOverLimit"]["value"])
        self.assertIn("no component has a limit", self.command("alerts", p.pid, "--all").stdout)
        self.assertIn("no baseline", found["MpallocBaselineDrift"]["text"])

    # The timeline has a point a second: the wait is over by what it tells.
    def test_what_lasted_fires_at_the_first_look(self):
        p = self.leaker()
        self.tell(p, f"hold {12 * MIB}")
        time.sleep(3.5)
        c = self.config("alerts: [{name: Big, when: live, above: 10M, for: 2s}]")
        a, = self.alerts(p.pid, "--config", c)
        self.assertEqual(a["state"], "firing")

    def test_of_what_it_does_not_tell_it_waits_and_the_history_goes_on(self):
        p = self.leaker()
        c = self.config("alerts: [{name: Res, when: resident, above: 1M, for: 1s}]")
        sqlite3.connect(self.dir / "history.db").close()
        a, = self.alerts(p.pid, "--config", c)
        self.assertEqual(a["state"], "pending")
        first = a["beyond_since"]
        time.sleep(1.2)
        a, = self.alerts(p.pid, "--config", c)
        self.assertEqual((a["state"], a["beyond_since"]), ("firing", first))
        with sqlite3.connect(self.dir / "history.db") as db:
            rows = db.execute("SELECT name, state, told, first_ns, last_ns FROM alerts").fetchall()
        self.assertEqual([r[:3] for r in rows], [("Res", "firing", 0)])
        self.assertGreater(rows[0][4] - rows[0][3], 1e9)

    def test_a_real_leak(self):
        p = self.leaker(MPALLOC_SAMPLE="1k")
        c = self.config("preset: development")
        self.tell(p, "lose 3000")
        self.tell(p, "check")
        a, = self.alerts(p.pid, "--config", c)
        self.assertEqual((a["name"], a["state"]), ("MpallocLeakSuspected", "firing"))
        self.assertRegex(a["text"], "call stacks that leak 1, above 0: lose_requests in .*lost")
        leaks = json.loads(self.command("leaks", p.pid, "--json").stdout)["leaks"]
        self.command("leaks", "--ack", next(k["id"] for k in leaks if k["verdict"] == "lost"))
        self.assertEqual(self.alerts(p.pid, "--config", c), [])

    def test_drift_from_the_baseline(self):
        p = self.leaker()
        self.tell(p, f"hold {10 * MIB}")
        self.command("baseline", "save", "warm", p.pid)
        c = self.config("alerts: [{name: MpallocBaselineDrift, for: 0s}]")
        self.assertEqual(self.alerts(p.pid, "--config", c), [])
        self.tell(p, f"hold {8 * MIB}")
        a, = (a for a in self.alerts(p.pid, "--config", c) if "Drift" in a["name"])
        self.assertEqual((a["name"], a["state"]), ("MpallocBaselineDrift", "firing"), a)
        self.assertIn("warm, of 20", a["text"])

    def test_drift_of_one_component(self):
        p = self.leaker()
        self.tell(p, f"hold {20 * MIB}")
        self.tell(p, f"keep {MIB}")
        self.command("baseline", "save", "warm", p.pid)
        c = self.config("alerts: [{name: MpallocBaselineDriftCritical, for: 0s}]")
        self.tell(p, f"keep {MIB // 2}")    # much for it, but little of all
        self.assertEqual([a for a in self.alerts(p.pid, "--config", c) if "Drift" in a["name"]], [])
        self.tell(p, f"keep {2 * MIB}")
        a = {a["name"]: a for a in self.alerts(p.pid, "--config", c)}["MpallocBaselineDriftCritical"]
        self.assertEqual(a["state"], "firing")
        self.assertRegex(a["text"], r"component index from 1\.0 MiB to 3\.5 MiB; baseline warm")

    def test_a_baseline_of_a_run_at_its_end_is_none_of_one_that_runs(self):
        p = self.leaker(MPALLOC_KEEP="1")
        region = self.region_of(p)
        p.stdin.close()
        p.wait()
        p.stdin = open("/dev/null")
        self.command("baseline", "save", "ended", region)
        p = self.leaker()
        self.tell(p, f"hold {20 * MIB}")
        c = self.config("alerts: [{name: MpallocBaselineDriftCritical, for: 0s}]")
        self.assertEqual([a for a in self.alerts(p.pid, "--config", c) if "Drift" in a["name"]], [])
        found = {a["name"]: a for a in self.alerts(p.pid, "--config", c, "--all")}
        self.assertIn("no baseline", found["MpallocBaselineDrift"]["text"])

    def test_the_dead_are_looked_at_when_they_are_named(self):
        p = self.leaker()
        self.tell(p, f"hold {12 * MIB}")
        c = self.config(f"alerts: [{BIG}]")
        p.kill()
        p.wait()
        a, = self.alerts(p.pid, "--config", c)
        self.assertEqual(a["name"], "Big")
        self.assertEqual([a for a in self.alerts("--config", c) if a["process"]["pid"] == p.pid], [],
                         "all are those that run")

    def test_the_report_shows_what_fires(self):
        p = self.leaker()
        self.tell(p, f"hold {12 * MIB}")
        self.env["MPALLOC_CONFIG"] = str(self.config(f"alerts: [{BIG}]"))
        d = self.document("report", p.pid)
        self.assertEqual([a["name"] for a in d["alerts"]], ["Big"])
        for form in ("text", "md", "html"):
            text = self.command("report", p.pid, "--format", form).stdout
            self.assertRegex(text, "Alerts", form)
            self.assertRegex(text, r"Big.*live bytes 1\d.\d MiB", form)
        self.tell(p, "drop")
        self.assertEqual(self.document("report", p.pid)["alerts"], [])
        self.assertNotIn("Alerts", self.command("report", p.pid).stdout)

    def test_wrong_use(self):
        self.fails(2, "alerts", "--preset", "prod", says="takes production or development")
        self.fails(2, "alerts", "--fail-on", "leak", says="takes firing")
        self.fails(2, "alerts", "--for", "1s", says="--for is for --watch")
        self.fails(4, "alerts", "999999999", says="does not exist")
        c = self.config("alerts:\n  - {name: MpallocMemoryHigh, above: 4h}\n")
        for words in (["--config", c], ["--check-config", c], ["--rules", "--config", c]):
            self.fails(2, "alerts", *words, says=f"{c}:2: MpallocMemoryHigh: above of live/limit")
        self.fails(1, "alerts", "--config", self.dir / "no.yaml", says="cannot be read: No such")
        c.chmod(0o666)
        self.fails(5, "alerts", "--check-config", c, says="may be written by others")


class Rules(AlertsTest):
    def test_rules_presets_runbook_and_help_agree(self):
        book = (ROOT / "tools/deploy/runbook.md").read_text()
        help_ = self.command("alerts", "--help").stdout
        names = {}
        for preset in ("production", "development"):
            d = self.document("alerts", "--rules", "--preset", preset, schema="alert_rules")
            self.assertEqual(d["preset"], preset)
            names[preset] = [r["name"] for r in d["rules"]]
            text = self.command("alerts", "--rules", "--preset", preset).stdout
            for r in d["rules"]:
                self.assertIn(r["name"], text)
        self.assertEqual(names["production"], names["development"])
        headings = re.findall(r"^## (\w+)$", book, re.M)
        ours = names["production"]
        self.assertEqual(headings[:len(ours)], ours, "one section for each rule, in order")
        rules = (ROOT / "tools/deploy/prometheus/mpalloc.rules.yml").read_text()
        alone = set(re.findall(r"- alert: (\w+)", rules)) - set(ours)
        self.assertEqual(set(headings[len(ours):]), alone, "and for those of Prometheus alone")
        for name in ours:
            self.assertIn(name, help_)
            section = book.split(f"\n## {name}\n")[1].split("\n## ")[0]
            for part in ("**What it means.**", "**Look at.**", "**Do.**"):
                self.assertIn(part, section, name)
            self.assertRegex(section, r"`mpalloc \w+", name)

    def test_commands_of_the_runbook_are_there(self):
        book = (ROOT / "tools/deploy/runbook.md").read_text()
        verbs = set(re.findall(r"`mpalloc (\w+)", book))
        overview = self.command("help").stdout
        for verb in verbs:
            self.assertRegex(overview, rf"(?m)^  {verb} ")
        for command in set(re.findall(r"`mpalloc ([^`]+)`", book)):
            words = shlex.split(command)
            text = self.command(words[0], "--help").stdout
            for word in words[1:]:
                if word.startswith("--"):
                    self.assertIn(word.split("=")[0], text, command)


class Watching(AlertsTest):
    def test_fires_and_is_resolved_once_each(self):
        p = self.leaker()
        log = self.dir / "alerts.log"
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{log: {log}}}, {{log: stderr}}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {12 * MIB}")
            a = w.next("Big", "firing")
            self.tell(p, f"hold {3 * MIB}")
            self.tell(p, "drop")
            w.next("Big", "resolved")
            self.tell(p, f"hold {12 * MIB}")
            w.next("Big", "firing")
            p.kill()
            p.wait()
            self.assertIn("ended", w.next("Big", "resolved")["text"])
            w.p.wait(30)
        self.assertEqual(w.code, 0)
        lines = log.read_text().splitlines()
        self.assertEqual([re.search(r" state=(\w+)", line)[1] for line in lines],
                         ["firing", "resolved", "firing", "resolved"])
        self.assertRegex(lines[0], rf"^time=\S+Z name=Big severity=warning state=firing process="
                         rf"{a['process']['id']} pid={p.pid} program=leaker "
                         r'value="1\d.\d MiB" text="live bytes .*"$')
        self.assertEqual(w.said().splitlines(), lines)
        schema = json.loads((SCHEMAS / "alerts.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(
            {"schema": "mpalloc.alerts/1", "generated": "2026-01-01T00:00:00Z", "alerts": [a]})
        with sqlite3.connect(self.dir / "history.db") as db:
            rows = db.execute("SELECT name, state, told FROM alerts").fetchall()
        self.assertEqual(rows, [("Big", "resolved", 0)] * 2)

    def test_an_acknowledgement_is_heard_at_the_next_look(self):
        p = self.leaker(MPALLOC_SAMPLE="1k")
        self.tell(p, "lose 3000")
        self.tell(p, "check")
        c = self.config("preset: development\nalerts: [{name: MpallocLeakSuspected, for: 0s}]")
        with self.watch(p.pid, "--config", c, "--every", "1s") as w:
            w.next("MpallocLeakSuspected", "firing")
            begun = time.monotonic()
            leaks = json.loads(self.command("leaks", p.pid, "--json").stdout)["leaks"]
            self.command("leaks", "--ack", next(k["id"] for k in leaks if k["verdict"] == "lost"))
            w.next("MpallocLeakSuspected", "resolved")
            self.assertLess(time.monotonic() - begun, 45, "what takes long is made once a minute")
            p.kill()

    def test_all_processes_also_new_ones(self):
        c = self.config(f"alerts: [{BIG}]")
        with self.watch("--config", c) as w:
            one, two = self.leaker(), self.leaker()
            w.pids = {one.pid, two.pid}
            self.tell(one, f"hold {12 * MIB}")
            self.assertEqual(w.next("Big", "firing")["process"]["pid"], one.pid)
            self.tell(two, f"hold {12 * MIB}")
            self.assertEqual(w.next("Big", "firing")["process"]["pid"], two.pid)
            one.stdin.close()
            one.wait()
            self.assertEqual(w.next("Big", "resolved")["process"]["pid"], one.pid)

    def test_it_is_not_told_again_after_a_restart(self):
        p = self.leaker()
        log = self.dir / "alerts.log"
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{log: {log}}}]")
        self.tell(p, f"hold {12 * MIB}")
        self.alerts(p.pid, "--config", c)  # a look is no telling
        with self.watch(p.pid, "--config", c) as w:
            w.next("Big", "firing")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, "drop")
            w.next("Big", "resolved")
        self.assertEqual(len(log.read_text().splitlines()), 2)

    def test_fail_on_ends_it(self):
        p = self.leaker()
        c = self.config(f"alerts: [{BIG}]")
        with self.watch(p.pid, "--config", c, "--fail-on", "firing") as w:
            self.tell(p, f"hold {12 * MIB}")
            self.assertEqual(w.p.wait(30), 3)

    def test_a_new_configuration_is_read_on_sighup(self):
        p = self.leaker()
        c = self.config(f"alerts: [{BIG}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {4 * MIB}")
            c.write_text("alerts: [{name: Big, when: lve, above: 1M}]")
            w.p.send_signal(signal.SIGHUP)
            self.wait_for(lambda: "goes on with the configuration" in w.said(), "its line")
            c.write_text("alerts: [{name: Big, when: live, above: 2M}]")
            w.p.send_signal(signal.SIGHUP)
            w.next("Big", "firing")

    def test_a_full_disk_or_log_that_cannot_be_written(self):
        p = self.leaker()
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{log: /no/such/folder/x}}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {12 * MIB}")
            w.next("Big", "firing")
            self.assertIn("/no/such/folder/x: cannot be written: No such file", w.said())


class Exec(AlertsTest):
    def test_words_and_variables(self):
        p = self.leaker()
        out = self.dir / "out"
        script = self.dir / "notify"
        script.write_text("#!/bin/sh\nprintf '%s|' \"$@\" \"$MPALLOC_ALERT_NAME\" "
                          f"\"$MPALLOC_ALERT_STATE\" \"$MPALLOC_ALERT_PID\" >>{out}\necho >>{out}\n")
        script.chmod(0o700)
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{exec: [{script}, '{{name}} is {{state}}', "
                        "'{process}', '$(touch /no) {severity} {other} {value}']}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {12 * MIB}")
            a = w.next("Big", "firing")
            self.tell(p, "drop")
            w.next("Big", "resolved")
            lines = self.wait_for(lambda: out.exists() and out.read_text().splitlines()[1:]
                                  and out.read_text().splitlines(), "two lines")
        self.assertRegex(lines[0], rf"^Big is firing\|{a['process']['id']}\|\$\(touch /no\) warning "
                         rf"\{{other\}} 1\d.\d MiB\|Big\|firing\|{p.pid}\|$")
        self.assertTrue(lines[1].startswith("Big is resolved|"))

    def test_one_that_hangs_is_ended_and_nobody_waits(self):
        p = self.leaker()
        mark = self.dir / "mark"
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{exec: [sh, -c, 'sleep 600 & echo $! >{mark}; "
                        "wait'], timeout: 500ms}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {12 * MIB}")
            w.next("Big", "firing")
            self.tell(p, "drop")
            w.next("Big", "resolved", 5)
            self.wait_for(lambda: "failed, or took too long" in w.said(), "its line")
            pid = int(self.wait_for(lambda: mark.exists() and mark.read_text(), "the child"))
            self.wait_for(lambda: not pathlib.Path(f"/proc/{pid}/fd/0").exists(), "its end")

    def test_no_such_program(self):
        p = self.leaker()
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{exec: [/no/such/program]}}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {12 * MIB}")
            w.next("Big", "firing")
            self.wait_for(lambda: "/no/such/program: failed" in w.said(), "its line")


class Webhook(AlertsTest):
    def test_it_is_tried_again_until_it_works(self):
        p = self.leaker()
        hook = Hook(500, 503, 429)
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{webhook: '{hook.address}', "
                        "headers: {Authorization: 'Bearer x y', X-Empty: ''}}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {12 * MIB}")
            a = w.next("Big", "firing")
            self.wait_for(lambda: len(hook.got) == 4, "four tries")
            self.tell(p, "drop")
            w.next("Big", "resolved")
            self.wait_for(lambda: len(hook.got) == 5, "what came after it")
        self.assertEqual([s for s, *_ in hook.got], [500, 503, 429, 200, 200])
        times = [t for *_, t in hook.got]
        self.assertGreater(times[2] - times[1], 0.45, "the pause is longer each time")
        self.assertGreater(times[3] - times[2], 0.95)
        headers = hook.got[3][1]
        self.assertEqual(headers["Authorization"], "Bearer x y")
        self.assertEqual(headers["Content-Type"], "application/json")
        schema = json.loads((SCHEMAS / "alerts.json").read_text())
        for _, _, body, _ in hook.got:
            jsonschema.Draft202012Validator(schema).validate(body)
        self.assertEqual(hook.got[3][2]["alerts"][0]["since"], a["since"])
        self.assertEqual(hook.got[4][2]["alerts"][0]["state"], "resolved")
        said = w.said()
        self.assertEqual(said.count("status 500; it is tried again"), 1)
        self.assertEqual(said.count("works again"), 1)

    def test_what_is_refused_is_not_tried_again(self):
        p = self.leaker()
        hook = Hook(404)
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{webhook: '{hook.address}'}}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {12 * MIB}")
            w.next("Big", "firing")
            self.tell(p, "drop")
            w.next("Big", "resolved")
            self.wait_for(lambda: len(hook.got) == 2, "the second")
        self.assertEqual([b["alerts"][0]["state"] for _, _, b, _ in hook.got],
                         ["firing", "resolved"])

    def test_what_waits_is_delivered_at_the_end(self):
        p = self.leaker()
        hook = Hook(500)
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{webhook: '{hook.address}'}}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {12 * MIB}")
            w.next("Big", "firing")
        self.assertEqual([s for s, *_ in hook.got], [500, 200])

    def test_severity_of_a_sink(self):
        p = self.leaker()
        some, all_ = Hook(), Hook()
        c = self.config(f"alerts: [{BIG}]\nsinks: [{{webhook: '{some.address}', "
                        f"severity: critical}}, {{webhook: '{all_.address}'}}]")
        with self.watch(p.pid, "--config", c) as w:
            self.tell(p, f"hold {12 * MIB}")
            w.next("Big", "firing")
            self.wait_for(lambda: all_.got, "the one")
        self.assertEqual(some.got, [])


if __name__ == "__main__":
    main()
