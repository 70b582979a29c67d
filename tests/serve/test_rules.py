"""test_rules.py COMMAND TARGET LIBRARY: the files for Prometheus and Alertmanager, by their own tools."""

import pathlib
import re
import subprocess

import yaml

from metrics_names import EXPORTER, PROCESS
from promql import check_use
from serving import COMMAND, CommandTest, main

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "tools" / "deploy"
RULES = DEPLOY / "prometheus" / "mpalloc.rules.yml"
TESTS = DEPLOY / "prometheus" / "mpalloc.rules.test.yml"
MANAGER = DEPLOY / "alertmanager" / "alertmanager.yml"

# Of features.md, and those of the engine that have a figure in Prometheus.
ALERTS = {
    "MpallocMemoryHigh": "warning", "MpallocMemoryCritical": "critical",
    "MpallocPeakHigh": "warning", "MpallocGrowthHigh": "warning", "MpallocLimitSoon": "critical",
    "MpallocLeakSuspected": "warning", "MpallocBaselineDrift": "warning",
    "MpallocBaselineDriftCritical": "critical", "MpallocReclaimStorm": "warning",
    "MpallocFragmentationHigh": "warning", "MpallocAnomaly": "info",
    "MpallocAllocFailures": "critical", "MpallocProfilerOverBudget": "warning",
    "MpallocProfilerBlind": "warning", "MpallocComponentOverLimit": "warning", "MpallocExporterDown": "warning",
    "MpallocProcessDied": "info", "MpallocRegionUnreadable": "info", "MpallocExporterSlow": "info",
}


def alerts_of(text):
    return {r["alert"]: r for g in yaml.safe_load(text)["groups"] for r in g["rules"]
            if "alert" in r}


def records_of(text):
    return {r["record"]: r for g in yaml.safe_load(text)["groups"] for r in g["rules"]
            if "record" in r}


class Rules(CommandTest):
    def tool(self, *words, code=0, **more):
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=120,
                              **more)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def rules(self, *words):
        return self.command("export", "rules", *words).stdout

    def test_the_file_is_what_the_command_writes(self):
        self.assertEqual(self.rules(), RULES.read_text())

    def test_promtool_likes_all_files(self):
        self.tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES)
        self.tool("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml",
                  DEPLOY / "prometheus" / "prometheus-processes.yml")

    def test_each_alert_is_there_with_all_that_it_needs(self):
        alerts = alerts_of(RULES.read_text())
        self.assertEqual({n: r["labels"]["severity"] for n, r in alerts.items()}, ALERTS)
        for name, r in alerts.items():
            self.assertRegex(r["for"], r"^\d+[smh]$", name)
            self.assertEqual(set(r["annotations"]), {"summary", "description", "runbook_url"})
            self.assertTrue(r["annotations"]["runbook_url"].endswith("/runbook#" + name.lower()))
        self.assertIn("mpalloc:live_bytes:zscore1h", records_of(RULES.read_text()))

    def test_figures_are_used_as_what_they_are(self):
        """promtool takes a rate of a gauge, and a name that nobody exports."""
        text = RULES.read_text()
        rules = {**alerts_of(text), **records_of(text)}
        known = {n: kind for n, (kind, *_) in {**PROCESS, **EXPORTER}.items()}
        known |= {n: "gauge" for n in records_of(text)} | {"up": "gauge"}
        for name, r in rules.items():
            check_use(self, r["expr"], known, name)
        for bad in ("rate(mpalloc_live_bytes[5m])", "deriv(mpalloc_allocated_bytes_total[5m])",
                    "mpalloc_live_byte", "increase(mpalloc:live_ratio[5m])",
                    "mpalloc_block_size_bytes"):
            with self.assertRaises(AssertionError, msg=bad):
                check_use(self, bad, known, bad)

    def test_each_alert_fires_and_does_not(self):
        self.tool("promtool", "test", "rules", TESTS.name, cwd=TESTS.parent)
        fires, quiet = set(), set()
        for t in yaml.safe_load(TESTS.read_text())["tests"]:
            for a in t.get("alert_rule_test", []):
                (fires if a["exp_alerts"] else quiet).add(a["alertname"])
        self.assertEqual(fires, set(ALERTS))
        self.assertEqual(quiet, set(ALERTS))

    def test_recorded_series_are_tested(self):
        expressions = " ".join(e["expr"] for t in yaml.safe_load(TESTS.read_text())["tests"]
                               for e in t.get("promql_expr_test", []))
        for name in records_of(RULES.read_text()):
            self.assertRegex(expressions, re.escape(name) + r"\b")

    def test_options_change_thresholds(self):
        alerts = alerts_of(self.rules("--warn", "65%", "--critical", "0.75", "--job", "other",
                                      "--runbook", "https://wiki/x", "--interval", "5s"))
        self.assertEqual(alerts["MpallocMemoryHigh"]["expr"], "mpalloc:live_ratio > 0.65")
        self.assertEqual(alerts["MpallocMemoryCritical"]["expr"], "mpalloc:live_ratio > 0.75")
        self.assertIn('up{job="other"}', alerts["MpallocExporterDown"]["expr"])
        self.assertEqual(alerts["MpallocMemoryHigh"]["annotations"]["runbook_url"],
                         "https://wiki/x#mpallocmemoryhigh")
        development = alerts_of(self.rules("--preset", "development"))
        self.assertEqual(development["MpallocLeakSuspected"]["for"], "0s")
        path = self.dir / "rules.yml"
        for words in (("--preset", "development"), ("--warn", "1%")):
            path.write_text(self.rules(*words))
            self.tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", path)
        for words, says in ((("--warn", "180%"), "takes a share of the limit"),
                            (("--warn", "x"), "takes a share of the limit"),
                            (("--warn", "95%", "--critical", "90%"), "warn at 95 %"),
                            (("--warn", "99%"), "warn at 99 %"),
                            (("--preset", "x"), "production or development"),
                            (("--job", 'a"b'), "takes a name of a job"),
                            (("4711",), "takes at most 0 words")):
            self.fails(2, "export", "rules", *words, says=says)

    def test_rules_of_a_configuration(self):
        config = self.dir / "mpalloc.yaml"
        config.write_text("alerts:\n"
                          "- {name: MpallocMemoryHigh, above: 50%, clears: 45%, for: 1m}\n"
                          "- {name: MpallocAnomaly, enabled: false}\n"
                          "- {name: ShopLarge, when: live, above: 2G, for: 5m, severity: warning}\n")
        path = self.dir / "rules.yml"
        path.write_text(self.rules("--config", config))
        self.tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", path)
        alerts = alerts_of(path.read_text())
        self.assertEqual(alerts["MpallocMemoryHigh"]["expr"], "mpalloc:live_ratio > 0.5")
        self.assertEqual(alerts["MpallocMemoryHigh"]["for"], "1m")
        self.assertNotIn("MpallocAnomaly", alerts)
        self.assertEqual(alerts["ShopLarge"]["expr"], "mpalloc_live_bytes > 2147483648")

    def test_alertmanager_tells_whom_it_should(self):
        self.assertIn("3 receivers", self.tool("amtool", "check-config", MANAGER))
        to = {"critical": "page", "warning": "team", "info": "log"}
        for name, severity in ALERTS.items():
            self.tool("amtool", "config", "routes", "test", "--config.file", MANAGER,
                      f"--verify.receivers={to[severity]}", f"alertname={name}",
                      f"severity={severity}", "process=shop")
        self.tool("amtool", "config", "routes", "test", "--config.file", MANAGER,
                  "--verify.receivers=page", "alertname=MpallocMemoryHigh", "severity=warning",
                  code=1)
        for r in yaml.safe_load(MANAGER.read_text())["inhibit_rules"]:
            names = re.findall(r"Mpalloc\w+", str(r))
            self.assertTrue(names and set(names) <= set(ALERTS), names)


main()
