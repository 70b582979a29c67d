#!/usr/bin/python3
"""test_advice - each piece of advice on a program that needs it, and none where nothing is needed

Usage: test_advice.py MPALLOC NEEDS

Runs NEEDS in each of its modes, looks at it with MPALLOC report --json as it says that it is done,
and compares the advice with what the mode needs: the code, and the function it is about.
"""
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

MPALLOC, NEEDS = sys.argv.pop(1), sys.argv.pop(1)
SECONDS = "2"
GROWING = "bound", "handler", "thread", "cycle"


def look(mode, **options):
    """
    The report of the program in that mode, when it is done, as JSON and as text. Those that grow are
    looked at as they run, until there is enough to tell growth from chance: on a busy machine they
    are unsteady for a while.
    """
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "MPALLOC_DIR": directory, "NO_COLOR": "1",
            **{"MPALLOC_" + name: value for name, value in options.items()}}
        program = subprocess.Popen([NEEDS, mode, "60" if mode in GROWING else SECONDS],
            env=environment, text=True, stdout=subprocess.PIPE)
        end = time.monotonic() + 50
        try:
            if mode not in GROWING:
                assert program.stdout.readline() == "done\n", f"{mode} ended before its time"
            else:
                time.sleep(2)
            if mode == "cycle":
                subprocess.run([MPALLOC, "leaks", "--scan", str(program.pid)], env=environment,
                    check=True, capture_output=True)
            run = lambda *args: subprocess.run([MPALLOC, "report", str(program.pid), *args],
                env=environment, check=True, capture_output=True, text=True).stdout
            while mode in GROWING and time.monotonic() < end:
                program.send_signal(signal.SIGSTOP)  # so that all looks see the same
                if "nothing stands out" not in run():
                    break
                program.send_signal(signal.SIGCONT)
                time.sleep(0.5)
            return json.loads(run("--json")), run()
        finally:
            program.send_signal(signal.SIGKILL)
            program.wait()
            program.stdout.close()


class Advice(unittest.TestCase):
    needed = {
        # mode: code, function, unit
        "pool": ("POOL", "make_node", "calls_per_second"),
        "arena": ("ARENA", "handle_request", "calls_per_second"),
        "batch": ("BATCH", "make_record", "calls_per_second"),
        "chunk": ("CHUNK", "load_file", "peak_bytes"),
        "resize": ("RESIZE", "make_entry", "bytes"),
        "trim": ("TRIM", None, "bytes"),
        "spread": ("SPREAD", None, "bytes"),
        "hot": ("HOT", None, "none"),
        "reserve": ("RESERVE", "append_line", "copied_bytes_per_second"),
        "align": ("ALIGN", "make_page", "bytes"),
        "shrink": ("SHRINK", "grow_buffer", "bytes"),
        "bound": ("BOUND", "cache_reply", "bytes_per_hour"),
        "handler": ("HANDLER", "subscribe", "bytes_per_hour"),
        "thread": ("THREAD", "subscribe", "bytes_per_hour"),
        "cycle": ("CYCLE", "make_pair", "bytes_per_hour"),
    }
    silent = "table", "steady", "idle", "lists", "lines", "cut", "buffers", "index", "bounded"
    options = {  # growth needs samples to be told from chance
        mode: {"SAMPLE": "64k"} for mode in (*GROWING, "bounded")
    } | {"trim": {"PURGE_DELAY": "1m"}}

    @classmethod
    def setUpClass(cls):
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            modes = [*cls.needed, *cls.silent]
            cls.reports = dict(zip(modes, pool.map(
                lambda mode: look(mode, **cls.options.get(mode, {})), modes)))

    def test_what_is_needed_comes_first(self):
        for mode, (code, function, unit) in self.needed.items():
            with self.subTest(mode):
                advice = self.reports[mode][0]["advice"]
                self.assertTrue(advice, "no advice")
                first = advice[0]
                self.assertEqual((first["code"], first["unit"]), (code, unit),
                    json.dumps(advice, indent=1))
                if function:
                    self.assertIn(function, [f["function"] for f in first["frames"][:2]])
                self.assertTrue(first["evidence"])

    def test_every_code_has_a_program_that_needs_it(self):
        """And each of those is silent about the others' codes: test_nothing_else_is_advised."""
        text = subprocess.run([MPALLOC, "report", "--help"], check=True, capture_output=True,
            text=True).stdout
        named = re.search(r"(?m)^  Advice: ((?:[A-Z]+,?\s+)+)", text)[1]
        self.assertEqual({code for code, _, _ in self.needed.values()},
            set(re.findall("[A-Z]+", named)))

    def test_nothing_else_is_advised(self):
        for mode, (code, _, _) in self.needed.items():
            with self.subTest(mode):
                self.assertEqual({a["code"] for a in self.reports[mode][0]["advice"]}, {code})

    def test_silent_where_nothing_is_needed(self):
        for mode in self.silent:
            with self.subTest(mode):
                report, text = self.reports[mode]
                self.assertEqual(report["advice"], [])
                self.assertIn("nothing stands out", text)

    def test_gains_are_about_right(self):
        """What the modes are made of, by the numbers that they are made with."""
        def gain(mode):
            return self.reports[mode][0]["advice"][0]["gain"]

        for mode, least, most in (("resize", 0.8 * 400000 * 15, 1.2 * 400000 * 15),
                ("chunk", 20 << 20, 30 << 20), ("trim", 35e6, 60e6), ("spread", 30e6, 60e6),
                ("align", 0.8 * 20000 * 1748, 1.2 * 20000 * 1748),
                ("shrink", 19 << 22, 21 << 22)):
            with self.subTest(mode):
                self.assertGreater(gain(mode)["value"], least)
                self.assertLess(gain(mode)["value"], most)
                self.assertLessEqual(gain(mode)["low"], gain(mode)["value"])
                self.assertGreaterEqual(gain(mode)["high"], gain(mode)["value"])

    def test_moves_are_counted_right(self):
        """A text of 30,000 B grows from class to class, 35 times, by 4.6 KiB on average."""
        with self.subTest("sampled"):
            first = self.reports["reserve"][0]["advice"][0]
            text = " ".join(first["evidence"])
            self.assertRegex(text, r"grown \S+( \w+)? times, \S+ .iB copied; [3456]\.\d KiB at a time")
        report, _ = look("reserve", SAMPLE="exact")
        exact = report["advice"][0]
        self.assertEqual(exact["code"], "RESERVE")
        self.assertIn("; 4.6 KiB at a time", " ".join(exact["evidence"]))
        self.assertEqual(exact["gain"]["low"], exact["gain"]["value"])

    def test_largest_gain_first_and_in_the_text(self):
        for mode, (report, text) in self.reports.items():
            with self.subTest(mode):
                for a in report["advice"]:  # a growth is a share of nothing
                    self.assertEqual(a["share"] is None, a["unit"] == "bytes_per_hour")
                    self.assertNotIn("up to", text.split("What to do")[1].split(a["code"])[1]
                        .split("\n")[0] if a["gain"] and a["gain"]["high"] > a["gain"]["value"]
                        else "")
                shares = [a["share"] for a in report["advice"] if a["share"] is not None]
                self.assertEqual(shares, sorted(shares, reverse=True))
                for item in report["advice"][:8]:
                    self.assertIn(f"\n  {item['code']}", text)
                    self.assertIn(item["text"], " ".join(text.split()))

    def test_efficiency_is_the_sum_of_its_parts(self):
        for mode, (report, text) in self.reports.items():
            with self.subTest(mode):
                e = report["efficiency"]
                parts = (e["requested_bytes"]["value"] + e["slack_bytes"]["value"]
                         + e["free_bytes"] + e["metadata_bytes"])
                self.assertAlmostEqual(parts, e["heap_bytes"], delta=8)
                self.assertAlmostEqual(
                    e["ratio"], e["requested_bytes"]["value"] / e["heap_bytes"], places=6)
                self.assertIn(f"efficiency {e['ratio']:.2f}", text)
        self.assertLess(self.reports["spread"][0]["efficiency"]["ratio"], 0.3)
        self.assertGreater(self.reports["table"][0]["efficiency"]["ratio"], 0.7)


if __name__ == "__main__":
    unittest.main()
