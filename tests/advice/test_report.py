#!/usr/bin/python3
"""test_report - the tables, pages and figures of mpalloc report

Usage: test_report.py MPALLOC NEEDS SCHEMAS
"""
import html.parser
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

import jsonschema

MPALLOC, NEEDS, SCHEMAS = sys.argv.pop(1), sys.argv.pop(1), pathlib.Path(sys.argv.pop(1))


class Page(html.parser.HTMLParser):
    """Tags that are open, what is loaded from elsewhere, and the texts of headings."""
    void = {"meta", "line", "path", "br", "img", "link", "input"}

    def __init__(self, text):
        super().__init__()
        self.open, self.foreign, self.headings, self.bad = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.foreign += [v for k, v in attributes if k in ("src", "href")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.void:
            return
        while self.open and self.open[-1] != tag and self.open[-1] in ("li", "i"):
            self.open.pop()
        if not self.open or self.open.pop() != tag:
            self.bad.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.environment = {**os.environ, "MPALLOC_DIR": cls.directory.name, "NO_COLOR": "1",
            "MPALLOC_SAMPLE": "64k", "LC_ALL": "C.UTF-8"}
        program = subprocess.Popen([NEEDS, "hot", "4"], env=cls.environment, text=True,
            stdout=subprocess.PIPE)
        assert program.stdout.readline() == "done\n"
        program.send_signal(signal.SIGKILL)
        program.wait()
        program.stdout.close()
        cls.target, = map(str, pathlib.Path(cls.directory.name).glob("*.mp"))

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def run_report(self, *arguments, code=0):
        result = subprocess.run([MPALLOC, "report", self.target, *arguments],
            env=self.environment, capture_output=True, text=True)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stdout if code == 0 else result.stderr

    def test_tables_add_up_to_the_totals(self):
        """And, of a program that was killed, to what its stacks knew after the counters."""
        whole = json.loads(self.run_report("--json"))
        newer = whole["sampling"]["since_counters"]
        sums = set()
        for by in ("component", "site", "function", "operation", "thread"):
            with self.subTest(by):
                table = json.loads(self.run_report("--by", by, "--json", "--all"))
                live, allocated = (sum(r[key]["value"] for r in table["rows"])
                    for key in ("live_bytes", "allocated_bytes_total"))
                if by == "component":  # what is counted, and nothing else
                    self.assertEqual((live, allocated),
                        (whole["live_bytes"], whole["allocated_bytes_total"]))
                    continue
                self.assertEqual(allocated,
                    whole["allocated_bytes_total"] + newer["allocated_bytes"])
                sums.add((live, allocated))
        self.assertEqual(len(sums), 1)

    def test_a_table_of_components_is_exact_and_sorted(self):
        whole = json.loads(self.run_report("--json"))
        exact = {c["name"]: c for c in whole["components"]}
        rows = json.loads(self.run_report("--by", "component", "--json"))["rows"]
        self.assertEqual(rows[0]["name"], "images")
        for row in rows:
            self.assertEqual(row["live_bytes"]["value"], exact[row["name"]]["live_bytes"])
            for key, counted in (("live_bytes", "live_bytes"), ("live_blocks", "live_blocks"),
                    ("peak_bytes", "live_peak_bytes"),
                    ("allocated_bytes_total", "allocated_bytes_total"),
                    ("allocated_blocks_total", "allocated_blocks_total")):
                self.assertEqual(row[key], dict.fromkeys(("value", "low", "high"),
                    exact[row["name"]][counted]), (row["name"], key))
        for sort, key in (("live", "live_bytes"), ("allocated", "allocated_bytes_total"),
                ("count", "allocated_blocks_total"), ("peak", "peak_bytes")):
            rows = json.loads(self.run_report("--by", "site", "--sort", sort, "--json"))["rows"]
            values = [r[key]["value"] for r in rows]
            self.assertEqual(values, sorted(values, reverse=True), sort)

    def test_text_of_a_table(self):
        text = self.run_report("--by", "function", "--sort", "count")
        self.assertIn("Top by function, by blocks allocated", text)
        self.assertIn("need_hot", text)

    def test_bad_words_say_what_there_is(self):
        self.assertIn("component, site, function", self.run_report("--by", "x", code=2))
        self.assertIn("live, allocated, count",
            self.run_report("--by", "site", "--sort", "x", code=2))
        self.assertIn("text, md, html or json", self.run_report("--format", "x", code=2))
        self.assertIn("--sort needs --by", self.run_report("--sort", "live", code=2))
        self.assertIn("text or JSON",
            self.run_report("--by", "site", "--format", "md", code=2))

    def test_sizes_are_sums_of_classes(self):
        whole = json.loads(self.run_report("--json"))
        self.assertEqual([s["name"] for s in whole["sizes"]],
            ["tiny", "small", "medium", "large", "huge"])
        self.assertEqual(sum(s["live_bytes"] for s in whole["sizes"]), whole["live_bytes"])
        tiny = sum(c["live_bytes"] for c in whole["size_classes"] if c["block_bytes"] <= 1024)
        self.assertEqual(whole["sizes"][0]["live_bytes"], tiny)

    def test_mean_and_slope_of_a_level_line(self):
        trend = json.loads(self.run_report("--json"))["trend"]
        live = json.loads(self.run_report("--json"))["live_bytes"]
        self.assertGreaterEqual(trend["points"], 3)
        self.assertAlmostEqual(trend["mean_live_bytes"], live, delta=0.35 * live)
        self.assertLess(abs(trend["bytes_per_hour"]["value"]), live * 3600 * 0.05)

    def test_parts_of_the_heap_over_time(self):
        """Each point adds up, in each form; the last one is what the totals say."""
        whole = json.loads(self.run_report("--json"))
        points = whole["timeline"]["seconds"]
        self.assertGreaterEqual(len(points), 3)
        for p in points:
            self.assertEqual(p["live_bytes"] + p["cached_bytes"] + p["dirty_bytes"]
                + p["metadata_bytes"] + p["profiler_bytes"], p["resident_bytes"])
            self.assertGreater(p["metadata_bytes"], 0)
        text = self.run_report().split("Memory of the heap over time")[1]
        self.assertEqual(text.split("\n")[1].split(),
            ["live", "free", "dirty", "metadata", "profiler", "all"])
        page = self.run_report("--format", "html").split("Memory of the heap over time")[1]
        self.assertEqual(page.split("</svg>")[0].count("<path"), 5)
        self.assertIn("profiler, now", self.run_report("--format", "md"))

    def test_page_is_whole_and_needs_nothing(self):
        page = Page(self.run_report("--format", "html"))
        self.assertEqual((page.open, page.bad, page.foreign), ([], [], []))
        for heading in ("Summary", "Where resident memory is", "What to do", "Leaks",
                "Components", "Top stacks", "Live bytes over time",
                "Memory of the heap over time",
                "What mpalloc itself costs"):
            self.assertIn(heading, page.headings)

    def test_names_of_a_program_do_no_harm(self):
        """A component may be called anything: neither page nor Markdown takes it for marks."""
        evil = "<script>alert(1)</script>|`x`"
        program = subprocess.Popen([NEEDS, "hot", "0.1"], text=True, stdout=subprocess.PIPE,
            env={**self.environment, "MPALLOC_SERVICE": evil})
        program.stdout.readline()
        try:
            report = lambda form: subprocess.run([MPALLOC, "report", str(program.pid),
                "--format", form], env=self.environment, check=True, capture_output=True,
                text=True).stdout
            self.assertNotIn("<script", report("html"))
            self.assertNotRegex(report("md"), r"(?m)^# .*(?<!\\)[<|`]")
        finally:
            program.kill()
            program.wait()
            program.stdout.close()

    def test_markdown_tables_have_equal_rows(self):
        text = self.run_report("--format", "md")
        columns = None
        for line in text.splitlines():
            if not line.startswith("|"):
                columns = None
                continue
            cells = len(re.findall(r"(?<!\\)\|", line))
            self.assertEqual(cells, columns or cells, line)
            columns = cells

    def test_output_file(self):
        path = pathlib.Path(self.directory.name) / "r.html"
        self.assertEqual(self.run_report("--format", "html", "--output", str(path)), "")
        self.assertTrue(path.read_text().endswith("</html>\n"))

    def test_documents_fit_their_schemas(self):
        for name, arguments in (("report", ["--json"]),
                ("report_by", ["--by", "site", "--json"])):
            jsonschema.validate(json.loads(self.run_report(*arguments)),
                json.loads((SCHEMAS / f"{name}.json").read_text()))


if __name__ == "__main__":
    unittest.main()
