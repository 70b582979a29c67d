"""test_dashboards.py: the Grafana dashboards, as far as that can be told without Grafana."""

import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml

from dashboards import FOLDER, expressions_of, load_all, panels_of
from metrics_names import EXPORTER, PROCESS
from promql import check_use

RULES = FOLDER.parent / "prometheus" / "mpalloc.rules.yml"


class Dashboards(unittest.TestCase):
    def setUp(self):
        self.all = load_all()
        self.assertEqual(set(self.all), {"mpalloc-fleet.json", "mpalloc-process.json"})

    def test_each_has_what_grafana_wants(self):
        uids = set()
        for name, d in self.all.items():
            self.assertEqual(d["schemaVersion"], 38)
            self.assertRegex(d["uid"], r"^[\w-]{1,40}$")
            self.assertTrue(d["title"] and d["time"]["from"] and d["tags"] == ["mpalloc"])
            uids.add(d["uid"])
            first, *variables = d["templating"]["list"]
            self.assertEqual((first["type"], first["query"]), ("datasource", "prometheus"))
            for v in variables:
                self.assertEqual(v["type"], "query")
                self.assertRegex(v["query"]["query"], r"^label_values\(mpalloc_\w+(\{.*\})?, \w+\)$")
            names = {v["name"] for v in d["templating"]["list"]}
            text = (FOLDER / name).read_text()
            used = set(re.findall(r"\$\{?(\w+)\}?", text)) - {"__rate_interval", "__field",
                                                              "__url_time_range"}
            self.assertEqual(used, names)
            self.assertNotRegex(text, r'"uid": "(?!\$\{datasource\}|mpalloc-)', "no data source of ours")
        self.assertEqual(len(uids), len(self.all))

    def test_panels_are_apart_and_named(self):
        for name, d in self.all.items():
            ids = [p["id"] for p in d["panels"]]
            self.assertEqual(len(ids), len(set(ids)))
            titles = [p["title"] for p in panels_of(d)]
            self.assertEqual(len(titles), len(set(titles)), name)
            taken = set()
            for p in d["panels"]:
                g = p["gridPos"]
                self.assertLessEqual(g["x"] + g["w"], 24)
                cells = {(x, y) for x in range(g["x"], g["x"] + g["w"])
                         for y in range(g["y"], g["y"] + g["h"])}
                self.assertFalse(cells & taken, p["title"])
                taken |= cells
            for p in panels_of(d):
                self.assertEqual(p["datasource"]["uid"], "${datasource}")
                refs = [t["refId"] for t in p["targets"]]
                self.assertEqual(len(refs), len(set(refs)))
                self.assertTrue(p["fieldConfig"]["defaults"]["unit"], p["title"])

    def test_links_lead_somewhere(self):
        uids = {d["uid"] for d in self.all.values()}
        for name in self.all:
            for uid in re.findall(r"/d/([\w-]+)", (FOLDER / name).read_text()):
                self.assertIn(uid, uids)

    def test_promtool_parses_each_query(self):
        rules = [{"record": f"q:{i}", "expr": e} for i, e in enumerate(
            e for d in self.all.values() for _, e in expressions_of(d))]
        self.assertGreater(len(rules), 80)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "queries.yml"
            path.write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": rules}]}))
            done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(rules)} rules found", done.stdout)

    def test_each_name_is_exported_and_used_as_what_it_is(self):
        known = {n: kind for n, (kind, *_) in {**PROCESS, **EXPORTER}.items()} | {"up": "gauge"}
        known |= {r["record"]: "gauge" for g in yaml.safe_load(RULES.read_text())["groups"]
                  for r in g["rules"] if "record" in r}
        shown = set()
        for name, d in self.all.items():
            for title, expression in expressions_of(d):
                if title != "annotations":
                    check_use(self, expression, known, f"{name}: {title}")
                shown |= set(re.findall(r"mpalloc[\w:]+", expression))
            for v in d["templating"]["list"][1:]:
                for series in re.findall(r"\bmpalloc_\w+", v["query"]["query"]):
                    self.assertIn(series, known)
        # What features.md names must be somewhere to see.
        for wanted in ("mpalloc_live_bytes", "mpalloc_leak_suspects", "mpalloc_efficiency_ratio",
                       "mpalloc_component_live_bytes", "mpalloc_reclaim_passes_total",
                       "mpalloc_live_blocks", "mpalloc_leak_detections_total",
                       "mpalloc_size_class_live_blocks", "mpalloc:live_bytes:zscore1h",
                       "mpalloc_baseline_drift_ratio", "mpalloc_profiler_cpu_seconds_total",
                       "mpalloc_site_live_bytes", "mpalloc_advice", "mpalloc_limit_bytes"):
            self.assertIn(wanted, shown)


unittest.main(verbosity=2)
