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

    def test_a_short_run_is_not_said_to_leak_nothing(self):
        for form in ("text", "md", "html"):
            self.assertIn("too short to tell what leaks", self.run_report("--format", form))

    def test_rows_bound_each_table(self):
        text = self.run_report("--rows", "1")
        for head in ("Components", "Size classes", "Top stacks"):
            lines = text.split(f"\n{head}")[1].split("\n\n")[0].splitlines()[2:]
            rows = [x for x in lines if " more" not in x and "nothing was sampled" not in x
                    and "the sum of all" not in x]
            self.assertEqual(len(rows), 1, (head, lines))
        self.assertEqual(len(json.loads(self.run_report("--rows", "1", "--json"))["stacks"]), 1)
        self.assertGreater(len(json.loads(self.run_report("--json"))["stacks"]), 1)

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


class Analysis(unittest.TestCase):
    """Every allocation of a program that does one of everything is recorded: figures are exact."""
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        environment = {**os.environ, "MPALLOC_DIR": cls.directory.name, "NO_COLOR": "1",
            "MPALLOC_SAMPLE": "exact", "LC_ALL": "C.UTF-8"}
        program = subprocess.Popen([NEEDS, "analysis", "0.5"], env=environment, text=True,
            stdout=subprocess.PIPE)
        assert program.stdout.readline() == "done\n"
        program.send_signal(signal.SIGKILL)
        program.wait()
        program.stdout.close()
        region, = pathlib.Path(cls.directory.name).glob("*.mp")
        cls.forms = {form: subprocess.run([MPALLOC, "report", str(region), "--format", form],
            env=environment, check=True, capture_output=True, text=True).stdout
            for form in ("text", "md", "html", "json")}
        cls.json = json.loads(cls.forms["json"])
        cls.stacks = {}
        for s in cls.json["stacks"]:
            if s["frames"]:
                cls.stacks.setdefault(s["frames"][0]["function"], s)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def rows(self, form, heading):
        """Rows of the table below a heading, as cells without marks."""
        text = self.forms[form]
        if form == "html":
            part = text.split(f"<h2>{heading}", 1)[1].split("<h2", 1)[0]
            return [[html.unescape(re.sub("<[^>]*>", "", c)) for c in
                     re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", r)] for r in
                    re.findall(r"<tr>(.*?)</tr>", part, re.S)]
        if form == "md":
            part = text.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
            return [[c.strip().replace("\\", "") for c in line.strip("|").split(" | ")]
                    for line in part.splitlines() if line.startswith("| ")]
        part = text.split(f"\n{heading}", 1)[1].split("\n\n", 1)[0]
        return [re.split(r"  +", line.strip()) for line in part.splitlines()[1:]]

    def expect_in_all(self, heading, words):
        """A row of the table below the heading has all of the words, in each form."""
        for form in ("text", "md", "html"):
            with self.subTest(heading, form=form):
                rows = self.rows(form, heading)
                self.assertTrue(any(all(any(re.fullmatch(w, c) for c in row) for w in words)
                                    for row in rows), (words, rows))

    def test_waste_says_how_much_and_why(self):
        self.expect_in_all("Waste", ["293.0 KiB", "31.2 %", "33 B \u2192 48 B", "size class",
                                     "keep_entry \u2190 .*"])
        self.expect_in_all("Waste", [r"8\d.\d %", "300 B \u2192 2,048 B", "alignment",
                                     "keep_page \u2190 .*"])
        s = self.stacks["keep_entry"]
        self.assertEqual((s["live_requested_bytes"], s["wasted_bytes"]), (660000, 300000))
        self.assertEqual(self.stacks["keep_page"]["wasted_bytes"], 500 * 1748)

    def test_waste_of_size_classes(self):
        classes = {c["block_bytes"]: c for c in self.json["size_classes"]}
        self.assertGreaterEqual(classes[48]["slack_bytes"], 299000)
        self.assertLess(classes[48]["slack_bytes"], 310000)
        self.expect_in_all("Size classes", ["48 B", "29[0-9].\\d KiB"])

    def test_churn_and_short_lived_blocks(self):
        self.expect_in_all("Churn", ["9.9 MiB", "100.0 %", r"pass_by \u2190 .*"])
        self.expect_in_all("Short-lived", ["49,9..|50,000", "208 B", r"pass_by \u2190 .*"])
        s = self.stacks["pass_by"]
        self.assertAlmostEqual(s["short_lived_blocks_total"]["value"], 50000, delta=50)
        self.assertLess(s["mean_lifetime_seconds"], 0.008)

    def test_lifetimes_add_up(self):
        freed = sum(row["freed_blocks"] for row in self.json["lifetimes"])
        self.assertAlmostEqual( # it was killed: the total is as old as the last publication
            freed, self.json["sampling"]["freed_samples_total"], delta=500)
        self.expect_in_all("Lifetimes", ["up to 1 ms"])
        self.expect_in_all("Lifetimes", ["still live"])

    def test_realloc_chains(self):
        """A text of 30,000 B, in steps of 40 B: through 35 classes, by 4.6 KiB on average."""
        self.expect_in_all("Realloc", ["35", "4.6 KiB", r"append_line \u2190 .*"])
        s = self.stacks["append_line"]
        self.assertEqual(s["moved_blocks_total"], {"value": 35, "low": 35, "high": 35})

    def test_large_requests(self):
        self.expect_in_all("Large requests", ["0 B", "24.0 MiB", "8", "3.0 MiB",
                                              r"load_image \u2190 .*"])
        s = self.stacks["load_image"]
        self.assertEqual(s["large_allocated_blocks_total"], 8)
        self.assertEqual(s["large_live_bytes"], 0)

    def test_tops_by_function_operation_and_thread(self):
        self.expect_in_all("By function", ["937.5 KiB", "20,000", "keep_entry"])
        self.expect_in_all("By operation", ["937.5 KiB", "20,000", "parse"])
        self.expect_in_all("By thread", ["109.4 KiB", "log-writer"])
        tops = {key: {row["name"]: row for row in self.json[key]}
                for key in ("functions", "operations", "threads_by_name")}
        self.assertEqual(tops["functions"]["keep_entry"]["live_bytes"]["value"], 960000)
        self.assertEqual(tops["operations"]["parse"]["allocated_blocks_total"]["value"], 20000)
        self.assertEqual(tops["threads_by_name"]["log-writer"]["live_blocks"]["value"], 1000)

    def test_lines_fit_a_terminal(self):
        long = [line for line in self.forms["text"].splitlines() if len(line) > 118]
        self.assertEqual([line for line in long if "needs.c" not in line], [])


if __name__ == "__main__":
    unittest.main()
