"""What the mpalloc command says of sampled call stacks.

    test_stacks.py COMMAND MAKE_STACKS

The regions are made: what each stack holds is known, and must be in the intervals.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import jsonschema

COMMAND, MAKE_STACKS = (os.path.realpath(p) for p in sys.argv[1:3])
SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "tools" / "schemas"

# Of make_stacks.c, by component and innermost function: blocks and bytes, live and allocated.
TRUTH = {
    ("extraction", "made+0x1310"): (120000, 60000 * 64 + 60000 * 256,
                                    321000, 260000 * 64 + 61000 * 256),
    ("extraction/html", "made+0x1470"): (16000, 16000 * 640, 20000, 20000 * 640),
    ("extraction/html", "made+0x1500"): (25, 25 * 131072, 325, 325 * 131072),
    ("index", "made+0x1600"): (3000, 3000 * 64, 3100, 3100 * 64),
    ("(untagged)", "made+0x1700"): (0, 0, 90000, 90000 * 640),
}


class Stacks(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-stacks-"))
        self.addCleanup(shutil.rmtree, self.dir)
        for mode in ("sampled", "exact"):
            subprocess.run([MAKE_STACKS, self.dir / f"{mode}.mp", mode], check=True)

    def command(self, *words, locale="C.UTF-8"):
        env = {**os.environ, "LC_ALL": locale, "NO_COLOR": "1"}
        return subprocess.run([COMMAND, *words], env=env, check=True, timeout=60,
                              stdout=subprocess.PIPE, text=True).stdout

    def document(self, verb, mode):
        d = json.loads(self.command(verb, self.dir / f"{mode}.mp", "--json"))
        rules = json.loads((SCHEMAS / f"{verb}.json").read_text())
        jsonschema.Draft202012Validator.check_schema(rules)
        jsonschema.Draft202012Validator(
            rules, format_checker=jsonschema.FormatChecker()).validate(d)
        return d

    def report(self, mode, *words, **more):
        return self.command("report", self.dir / f"{mode}.mp", *words, **more)

    def test_stacks_add_up_to_the_counters(self):
        for mode in ("sampled", "exact"):
            d = self.document("report", mode)
            self.assertEqual(d["sampling"]["mode"], mode)
            self.assertEqual(d["stacks_total"], len(d["stacks"]))
            for key in ("live_bytes", "live_blocks", "allocated_bytes_total",
                        "allocated_blocks_total"):
                self.assertEqual(sum(s[key]["value"] for s in d["stacks"]), d[key], key)
                for component in d["components"]:
                    self.assertEqual(sum(s[key]["value"] for s in d["stacks"]
                                         if s["component"] == component["name"]),
                                     component[key], (mode, component["name"], key))

    def test_the_truth_is_in_the_intervals(self):
        for mode in ("sampled", "exact"):
            stacks = {(s["component"], s["frames"][0]["function"]): s
                      for s in self.document("report", mode)["stacks"] if s["frames"]}
            for name, truth in TRUTH.items():
                stack = stacks.pop(name)
                for key, value in zip(("live_blocks", "live_bytes", "allocated_blocks_total",
                                       "allocated_bytes_total"), truth):
                    e = stack[key]
                    self.assertLessEqual(e["low"], e["value"], (name, key))
                    self.assertLessEqual(e["value"], e["high"], (name, key))
                    if mode == "sampled":
                        self.assertLessEqual(e["low"], value, (name, key))
                        self.assertLessEqual(value, e["high"], (name, key))
                    elif name[1] != "made+0x1500": # an odd number, made as two halves
                        self.assertEqual([*e.values()], [value] * 3, (name, key))
            self.assertLessEqual(set(stacks), {("index", "made+0x1610")})

    def test_stacks_end_where_mpalloc_begins(self):
        for s in self.document("report", "sampled")["stacks"]:
            names = [f["function"] for f in s["frames"]]
            self.assertFalse(any("libmpalloc" in name for name in names), names)
            if names:
                self.assertEqual(names[-1], "made+0x1100")
                self.assertFalse(s["truncated"])
            else:
                self.assertEqual(s["samples_total"], 0)
                self.assertIsNone(s["wasted_bytes"])

    def test_waste_and_young_deaths(self):
        stacks = {s["frames"][0]["function"]: s
                  for s in self.document("report", "exact")["stacks"] if s["frames"]}
        self.assertEqual(stacks["made+0x1310"]["requested_bytes_total"],
                         260000 * 64 + 61000 * 130)
        self.assertEqual(stacks["made+0x1600"]["wasted_bytes"], 0)
        self.assertEqual(stacks["made+0x1310"]["short_lived_blocks_total"]["value"], 200000)
        self.assertEqual(stacks["made+0x1700"]["short_lived_bytes_total"]["value"],
                         90000 * 640)

    def test_a_snapshot_says_how_it_is_sampled(self):
        d = self.document("snapshot", "sampled")
        self.assertEqual(d["sampling"]["interval_bytes"], 64 << 10)
        self.assertGreater(d["sampling"]["samples_total"], 1000)
        self.assertNotIn("stacks", d)

    def test_the_report_shows_stacks(self):
        text = self.report("sampled")
        for wanted in ("Top stacks, by bytes live: estimates", "58.3 %", "±2 %",
                       "made+0x1310 ← made+0x1200 ← made+0x1100", "… 3 more", "The peak",
                       "Waste", "Churn", "1,868 samples, 488 of them live",
                       "stacks whose first frames were not found: 1"):
            self.assertIn(wanted, text)
        self.assertTrue(all(len(line) < 120 for line in text.splitlines()))
        tables = 0
        for table in text.split("\n\n"):
            columns = {line.index("  extraction") for line in table.splitlines()
                       if "  extraction " in line and "made+" in line}
            self.assertLessEqual(len(columns), 1, "aligned, whatever is before it")
            tables += len(columns)
        self.assertGreaterEqual(tables, 4)

    def test_the_report_without_unicode(self):
        text = self.report("sampled", locale="C")
        self.assertIn("made+0x1310 <- made+0x1200", text)
        self.assertIn("+-2 %", text)
        part = text[text.index("Top stacks"):text.index("Live bytes over")]
        self.assertTrue(part.isascii())

    def test_the_report_of_every_allocation_has_no_estimates(self):
        part = self.report("exact")
        part = part[part.index("Top stacks"):part.index("The peak")]
        self.assertNotIn("±", part)
        self.assertNotIn("estimates", part)
        self.assertIn("18.3 MiB", part)

    def test_collapsed_stacks_add_up(self):
        d = self.document("snapshot", "sampled")
        for value, key in (("live-bytes", "live_bytes"),
                           ("allocated-blocks", "allocated_blocks_total")):
            lines = self.command("export", "--format", "collapsed", "--value", value,
                                 self.dir / "sampled.mp").splitlines()
            self.assertEqual(sum(int(line.rpartition(" ")[2]) for line in lines), d[key])
            self.assertTrue(any(line.startswith("(not sampled)") for line in lines))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
