"""Each format of mpalloc export in the tool that it is for.

    test_export.py MAKE_PROFILE PROGRAM PROGRAM-AT-A-FIXED-ADDRESS LIBRARY

Profiles are made by hand (make_profile.c) over the code of the programs, so that every sum is
known. A tool that is not installed skips its tests, and the whole is skipped (77) if the rest
passes. MPALLOC_EXPORT_KEEP=DIRECTORY leaves the documents, and what the tools said, there.
"""

import collections
import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import jsonschema

from description import NO_MODULE, VALUES, Description, Module, output

MAKE, PIE, FIXED, LIBRARY = sys.argv[1:5]
TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
HOSTILE = "a;b\"<i>&'\\x0a --%s{}$(x) ü"


def needs(*programs):
    missing = [p for p in programs if not shutil.which(p)]
    return unittest.skipIf(missing, f"not installed: {', '.join(missing)}")


def values(blocks, size, live=0, peak=None, short=0):
    peak = live if peak is None else peak
    counts = (blocks, live, peak, short)
    return {name: counts[i // 2] * (size if i % 2 else 1) for i, name in enumerate(VALUES)}


def describe(program, named=True, **more):
    """main -> outer -> (middle) -> (inner), main -> direct, main -> library, and no stack."""
    d = Description(exe=os.path.realpath(program), **more)
    prog, library = Module(program, 0), Module(LIBRARY, 1)
    d.module(prog)
    d.module(library)
    start = d.code(prog, prog.call("main", "outer"), named)
    outer = start + d.code(prog, prog.call("outer", "malloc"), named)
    direct = (d.code(prog, prog.call("main", "direct"), named)
              + d.code(prog, prog.call("direct", "malloc"), named))
    take = (d.code(prog, prog.call("main", "library_take"), named)
            + d.code(library, library.call("library_take", "malloc"), named))
    d.sample(outer, "shop/cart", "checkout", "worker-1", 1008, lifetime=2.5,
             **values(3000, 1008, 1000, 1500, 700))
    d.sample(direct, HOSTILE, "", "worker-2", 64, **values(10001, 64, 10, 5000))
    d.sample(direct, "shop", "", "worker-1", 208, **values(500, 208, 400, 300))
    d.sample(take, "shop", "", "", 1 << 20, **values(7, 1 << 20, 3, 5))
    d.sample([], "(untagged)", "", "", 16, samples=0, **values(9999, 16, 99, 99))
    return d


def describe_gone():
    """All of it was live at the peak, nothing is any more."""
    d = Description()
    for name in "one", "two":
        d.sample([d.frame(name)], **values(5, 100, 0, 5))
    return d


class Export(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        keep = os.environ.get("MPALLOC_EXPORT_KEEP")
        self.dir = pathlib.Path(keep or tempfile.mkdtemp(prefix="mpalloc-export-"))
        self.dir.mkdir(exist_ok=True)
        if not keep:
            self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = {**os.environ, "HOME": str(self.dir), "PPROF_TMPDIR": str(self.dir),
                    "LC_ALL": "C.UTF-8"}

    def make(self, description, form, *more):
        done = subprocess.run([MAKE, form, *map(str, more)], capture_output=True,
                              input=description.text().encode(), timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        path = self.dir / f"{self._testMethodName}.{form}"
        path.write_bytes(done.stdout)
        return path

    def run_tool(self, *command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                              timeout=120, env=self.env, cwd=self.dir)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.dir / f"{self._testMethodName}.said", "a") as said:
            said.write(f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}\n")
        return done.stdout

    def stacks(self, text):
        """What collapsed stacks hold, by stack."""
        return {line.rpartition(" ")[0]: int(line.rpartition(" ")[2])
                for line in text.splitlines()}

    # Text.

    def test_collapsed_with_and_without_components(self):
        d = describe(PIE)
        held = self.stacks(self.make(d, "collapsed").read_text())
        self.assertEqual(held, {"main;outer;middle;inner": 1008000,
                                "main;direct": 640 + 83200, "main;library_take": 3 << 20,
                                "(not sampled)": 1584}
                         | {"main;direct": held["main;direct"]})
        text = self.make(d, "collapsed").read_text()
        self.assertEqual(sum(int(line.rpartition(" ")[2]) for line in text.splitlines()),
                         d.sum("live_bytes"))
        held = self.stacks(self.make(d, "collapsed", 3, "by-component").read_text())
        self.assertEqual(held["shop;cart;main;outer;middle;inner"], 1008000)
        self.assertEqual(held[HOSTILE.replace(";", ":") + ";main;direct"], 640)
        self.assertEqual(held["(untagged);(not sampled)"], 1584)

    def test_svg_by_component_is_xml(self):
        import xml.etree.ElementTree
        root = xml.etree.ElementTree.parse(self.make(describe(PIE), "svg", 2, "by-component"))
        svg = "{http://www.w3.org/2000/svg}"
        self.assertIn("sampled, one in 512 KiB", " ".join(t.text for t in root.iter(f"{svg}text")))
        titles = [t.text for t in root.iter(f"{svg}title")]
        for wanted in (HOSTILE, "shop", "library_take", "inner"):
            self.assertTrue(any(t.startswith(wanted + ": ") for t in titles), wanted)

    def test_speedscope_is_what_its_schema_wants(self):
        d = describe(PIE)
        for words in ((), (3, "by-component")):
            doc = json.loads(self.make(d, "speedscope", *words).read_text())
            self.assertEqual(doc["$schema"],
                             "https://www.speedscope.app/file-format-schema.json")
            self.assertLessEqual(doc.keys(), {"$schema", "name", "exporter", "shared",
                                              "activeProfileIndex", "profiles"})
            frames = doc["shared"]["frames"]
            for frame in frames:
                self.assertIsInstance(frame["name"], str)
                self.assertLessEqual(frame.keys(), {"name", "file", "line", "col"})
                self.assertIsInstance(frame.get("file", ""), str)
                self.assertIsInstance(frame.get("line", 0), int)
            for profile, name in zip(doc["profiles"], VALUES, strict=True):
                self.assertEqual(profile.keys(), {"type", "name", "unit", "startValue",
                                                  "endValue", "samples", "weights"})
                self.assertEqual(profile["type"], "sampled")
                self.assertEqual(profile["unit"], "bytes" if "bytes" in name else "none")
                self.assertEqual(len(profile["samples"]), len(profile["weights"]))
                self.assertEqual((profile["startValue"], profile["endValue"]),
                                 (0, sum(profile["weights"])))
                self.assertEqual(profile["endValue"], d.sum(name))
                for stack in profile["samples"]:
                    self.assertTrue(stack and all(0 <= i < len(frames) for i in stack))
        self.assertIn("sampled, one in 512 KiB", doc["name"])
        self.assertIn({"name": "inner", "file": "prog.c"}.items(),
                      [{k: f[k] for k in ("name", "file")}.items() for f in frames if "file" in f])

    def test_json_matches_its_schema(self):
        rules = json.loads((TOOLS / "schemas" / "profile.json").read_text())
        jsonschema.Draft202012Validator.check_schema(rules)
        for d in (describe(PIE), describe(PIE, interval=0), describe(PIE, stacks=False)):
            doc = json.loads(self.make(d, "json").read_text())
            jsonschema.Draft202012Validator(
                rules, format_checker=jsonschema.FormatChecker()).validate(doc)
            self.assertEqual(doc["schema"], "mpalloc.profile/1")
            self.assertEqual(sum(s["live_bytes"]["value"] for s in doc["samples"]),
                             d.sum("live_bytes"))
            for s in doc["samples"]:
                for key in ("live_bytes", "peak_blocks", "allocated_bytes_total"):
                    self.assertLessEqual(s[key]["low"], s[key]["value"])
                    self.assertGreaterEqual(s[key]["high"], s[key]["value"])
            cart = next(s for s in doc["samples"] if s["component"] == "shop/cart")
            frames = [doc["frames"][i] for i in cart["frames"]]
            self.assertEqual([f["name"] for f in frames], ["main", "outer", "middle", "inner"])
            self.assertEqual([f["is_inlined"] for f in frames], [False, False, True, True])
            module = doc["modules"][frames[0]["module"]]
            self.assertEqual(module["path"], os.path.realpath(PIE))
            self.assertEqual(cart["lifetime_seconds_total"], 2.5)
            self.assertIn(HOSTILE, [s["component"] for s in doc["samples"]])

    # pprof.

    def pprof(self, path, *words):
        return self.run_tool("go", "tool", "pprof", *words, path)

    def flat(self, text):
        """{function: flat bytes} of -top -unit=b, or counts."""
        return {m[2]: int(m[1]) for m in re.finditer(
            r"(?m)^ *(\d+)B? +[\d.]+% +[\d.]+% +\d+B? +[\d.]+%  (.+?)(?: \(inline\))?$", text)}

    @needs("go")
    def test_pprof(self):
        d = describe(PIE)
        path = self.make(d, "pprof")
        top = self.pprof(path, "-top", "-unit=b", "-nodefraction=0")
        self.assertIn("Type: inuse_space", top)
        self.assertIn("File: export_prog_pie", top)
        held = self.flat(top)
        self.assertEqual({k: v for k, v in held.items() if v},
                         {"inner": 1008000, "direct": 640 + 83200,
                          "library_take": 3 << 20, "(not sampled)": 1584})
        self.assertRegex(top, r"(?m)^ +0 .* 1008000B .*  outer$")
        counts = self.flat(self.pprof(path, "-top", "-sample_index=alloc_objects",
                                      "-nodefraction=0"))
        self.assertEqual(counts["direct"], 10501)
        tags = self.pprof(path, "-tags", "-unit=b")
        for wanted in ("component: ", "operation: ", "thread: ", "bytes: ", HOSTILE,
                       "shop/cart", "checkout", "worker-2"):
            self.assertIn(wanted, tags)
        focused = self.flat(self.pprof(path, "-top", "-unit=b", "-tagfocus=component=shop/cart"))
        self.assertEqual([k for k, v in focused.items() if v], ["inner"])
        self.assertIn("sampled, one in 512 KiB", self.pprof(path, "-comments"))
        lines = self.pprof(path, "-top", "-lines", "-nodefraction=0")
        self.assertRegex(lines, r"inner .*prog\.c:\d+")
        raw = self.pprof(path, "-raw")
        self.assertIn("Period: 524288", raw)
        self.assertRegex(raw, r"(?s)Samples:\nalloc_objects/count alloc_space/bytes "
                              r"inuse_objects/count inuse_space/bytes")
        self.assertRegex(raw, rf"(?m)^1: 0x\w+/0x\w+/0x\w+ {os.path.realpath(PIE)} "
                              rf"{d.modules[0].build_id} \[FN\]\[FL\]\[LN\]\[IN\]")
        self.assertRegex(raw, r"(?m)^ +\d+: 0x\w+ M=1 inner prog\.c:\d+ s=0\n"
                              r" +middle prog\.c:\d+ s=0\n +outer prog\.c:\d+ s=0$")

    @needs("go")
    def test_pprof_of_other_values(self):
        d = describe(PIE)
        top = self.pprof(self.make(d, "pprof", VALUES.index("peak_bytes")), "-top", "-unit=b",
                         "-nodefraction=0")
        self.assertIn("Type: peak_space", top)
        self.assertEqual(self.flat(top)["inner"], 1500 * 1008)
        top = self.pprof(self.make(d, "pprof", VALUES.index("allocated_bytes")), "-top",
                         "-unit=b", "-nodefraction=0")
        self.assertIn("Type: alloc_space", top)
        self.assertEqual(self.flat(top)["inner"], 3000 * 1008)

    @needs("go")
    def test_pprof_finds_the_code_itself(self):
        """
        Addresses and mappings are right: names that are not known are found from them. The
        reader in go knows no inlined functions.
        """
        for program in (PIE, FIXED):
            with self.subTest(program=program):
                held = self.flat(self.pprof(
                    self.make(describe(program, named=False), "pprof"), "-top", "-unit=b",
                    "-nodefraction=0"))
                self.assertEqual({k: v for k, v in held.items() if v},
                                 {"outer": 1008000, "direct": 640 + 83200,
                                  "library_take": 3 << 20, "(not sampled)": 1584})

    # The texts of gperftools and jemalloc.

    def read_text(self, text):
        """{function: flat} of --text."""
        return {m[2]: int(m[1]) for m in re.finditer(
            r"(?m)^ *(\d+) +-?[\d.]+% +[\d.]+% +\d+ +[\d.]+% +(.+?)(?: \(inline\))?$", text)}

    def check_text(self, tool, form):
        for program in (PIE, FIXED):
            with self.subTest(program=program):
                path = self.make(describe(program), form)
                held = self.read_text(self.run_tool(
                    tool, "--text", "--show_bytes", os.path.realpath(program), path))
                self.assertEqual({k: held.get(k) for k in ("inner", "direct", "library_take")},
                                 {"inner": 1008000, "direct": 640 + 83200,
                                  "library_take": 3 << 20})
                self.assertEqual(sum(held.values()), describe(program).sum("live_bytes"))
                objects = self.read_text(self.run_tool(
                    tool, "--text", "--alloc_objects", os.path.realpath(program), path))
                self.assertEqual(objects["direct"], 10501)
                lines = self.run_tool(tool, "--text", "--lines", os.path.realpath(program), path)
                for name in ("inner", "middle", "outer", "direct", "library_take"):
                    self.assertRegex(lines, rf"(?m) {name}\b.*prog(lib)?\.c:\d+")
                wanted = describe(program)
                for module in wanted.modules:
                    for function, file, line in module.names(
                            module.call("direct" if module.number == 0 else "library_take",
                                        "malloc")):
                        self.assertRegex(lines, rf"(?m) {function} .*{re.escape(file)}:{line}\b",
                                         "the line of the call, not the next")

    @needs("google-pprof", "addr2line")
    def test_heap_in_google_pprof(self):
        self.check_text("google-pprof", "heap")

    @needs("jeprof", "addr2line")
    def test_heap_in_jeprof(self):
        self.check_text("jeprof", "heap")

    @needs("jeprof", "addr2line")
    def test_jeprof(self):
        self.check_text("jeprof", "jeprof")
        path = self.make(describe(PIE), "jeprof")
        self.assertIn("# mpalloc 0.", path.read_text())
        self.assertIn("sampled, one in 512 KiB", path.read_text())
        numbers = dict(re.findall(r"(?m)^  t(\d+): .*\] (\S+)$", path.read_text()))
        by_name = {name: number for number, name in numbers.items()}
        held = self.read_text(self.run_tool(
            "jeprof", "--text", "--show_bytes", f"--thread={by_name['worker-2']}",
            os.path.realpath(PIE), path))
        self.assertEqual(sum(held.values()), 640)

    @needs("go")
    def test_heap_in_go_pprof(self):
        """Programs at 0x400000 are taken for mapped elsewhere there; pprof is for those."""
        path = self.make(describe(PIE), "heap")
        top = self.run_tool("go", "tool", "pprof", "-top", "-unit=b", "-nodefraction=0",
                            os.path.realpath(PIE), path)
        held = {k: v for k, v in self.flat(top).items() if v}
        self.assertEqual(held, {"outer": 1008000, "direct": 640 + 83200,
                                "library_take": 3 << 20, "[[(not_sampled)]]": 1584})

    @needs("google-pprof", "jeprof")
    def test_names_of_components_need_no_program(self):
        d = Description(stacks=False, interval=2 ** 64 - 1)
        frames = [d.frame("shop"), d.frame("cart"), d.frame("1,008 B")]
        d.sample(frames, "shop/cart", **values(1000, 1008, 500))
        d.sample([d.frame("operator--"), d.frame("64 B")], "operator--", **values(10, 64, 5))
        for tool, form in (("google-pprof", "heap"), ("jeprof", "heap"), ("jeprof", "jeprof")):
            held = self.read_text(self.run_tool(tool, "--text", "--show_bytes",
                                                self.make(d, form)))
            self.assertEqual(held["1,008 B"], 504000)
            self.assertIn("operator-_", self.run_tool(tool, "--text", self.make(d, form)))

    # heaptrack.

    def heaptrack(self, path, cost):
        folded = self.dir / "folded"
        said = self.run_tool("heaptrack_print", "-n", "0", "-F", folded,
                             "--flamegraph-cost-type", cost, path)
        return said, self.stacks(folded.read_text())

    def through(self, stacks, name):
        return sum(v for k, v in stacks.items() if f";{name} (" in k)

    @needs("heaptrack_print")
    def test_heaptrack(self):
        d = describe(PIE)
        path = self.make(d, "heaptrack")
        for cost, value in (("allocations", "allocated_blocks"), ("leaked", "live_bytes"),
                            ("peak", "peak_bytes")):
            said, held = self.heaptrack(path, cost)
            self.assertEqual(sum(held.values()), d.sum(value), cost)
            self.assertEqual(self.through(held, "inner"), d.samples[0][value], held)
            self.assertEqual(self.through(held, "library_take"), d.samples[3][value], held)
        self.assertRegex(said, rf"calls to allocation functions: {d.sum('allocated_blocks')} ")
        self.assertRegex(said, r"temporary memory allocations: 0 ")
        self.assertRegex(said, r"(?m)^Debuggee command was: prog --all \(mpalloc: sampled, one "
                               r"in 512 KiB\)$")
        self.assertRegex(said, rf"total memory leaked: {d.sum('live_bytes') / 1e6:.2f}M")
        self.assertRegex(said, rf"peak heap memory consumption: {d.sum('peak_bytes') / 1e6:.2f}M")
        shown = self.run_tool("heaptrack_print", path)
        self.assertRegex(shown, r"(?s)\binner\b.*prog\.c:13.*middle.*prog\.c:18.*outer.*"
                                r"prog\.c:24.*main.*prog\.c:42")

    def test_heaptrack_gui_finds_sizes_in_order(self):
        # It counts events by the number of their size and stack, in an array that it
        # extends by one: it crashes when these do not come first in order.
        for d in describe(PIE), describe_gone():
            events, infos, seen, live = [], 0, 0, collections.Counter()
            for line in self.make(d, "heaptrack").read_text().splitlines():
                if line[:2] == "a ":
                    infos += 1
                elif line[:2] in ("+ ", "- "):
                    number = int(line[2:], 16)
                    events.append((line[0], number))
                    self.assertLess(number, infos)
                    if line[0] == "+":
                        self.assertLessEqual(number, seen)
                        seen = max(seen, number + 1)
                        live[number] += 1
                    else:
                        live[number] -= 1
                        self.assertGreaterEqual(live[number], 0)
            self.assertEqual(seen, infos)
            # What is freed right after it came is called temporary; 0 stands for none.
            self.assertEqual(events.count(("+", 0)), 1)
            for before, (sign, number) in zip(events, events[1:]):
                self.assertFalse(sign == "-" and before == ("+", number))
                self.assertFalse(sign == "-" and number == 0 and before[0] == "-")

    @needs("heaptrack_print")
    def test_heaptrack_of_many_calls_is_small(self):
        d = describe(PIE)
        d.sample([d.frame("busy")], **values(3_000_000_000, 100, 5, 1000))
        path = self.make(d, "heaptrack")
        self.assertLess(path.stat().st_size, 40 << 20)
        said, held = self.heaptrack(path, "leaked")
        self.assertEqual(sum(held.values()), d.sum("live_bytes"))
        _, held = self.heaptrack(path, "peak")
        self.assertEqual(sum(held.values()), d.sum("peak_bytes"))
        calls = int(re.search(r"calls to allocation functions: (\d+)", said)[1])
        self.assertLess(calls, 2_100_000)
        together = int(re.search(r"one call here is up to (\d+)\)", said)[1])
        self.assertAlmostEqual(calls * together, d.sum("allocated_blocks"), delta=3_000_000)

    # Valgrind's.

    @needs("ms_print")
    def test_massif(self):
        d = describe(PIE)
        path = self.make(d, "massif")
        text = path.read_text()
        self.assertEqual((text.count("heap_tree=peak"), text.count("heap_tree=detailed")),
                         (1, 1))
        self.assertRegex(text, r"(?m)^desc: mpalloc .*sampled, one in 512 KiB$")
        times = [int(t) for t in re.findall(r"(?m)^time=(\d+)", text)]
        self.assertEqual(times, sorted(times))
        shown = self.run_tool("ms_print", path)
        self.assertIn("(peak)", shown)
        for total in ("peak_bytes", "live_bytes"):
            self.assertIn(f"{d.sum(total):,}", shown)
        self.assertRegex(shown, r"->\d+\.\d+% \(1,512,000B\) 0x\w+: inner \(prog\.c:\d+\)\n"
                                r"\| ->\d+\.\d+% \(1,512,000B\) 0x\w+: middle \(prog\.c:\d+\)")
        self.assertIn("(3,145,728B) ", shown)

    @needs("chromium", "chromedriver")
    @unittest.skipUnless(os.path.exists("/usr/libexec/valgrind/dh_view.html"), "no dh_view.html")
    def test_dhat_in_a_browser(self):
        from webdriver import Browser
        d = describe(PIE)
        path = self.make(d, "dhat")
        doc = json.loads(path.read_text())
        stacks = [tuple(p["fs"]) for p in doc["pps"]]
        self.assertEqual(len(set(stacks)), len(stacks))
        self.assertEqual(len(stacks), 4, "direct is there once")
        for key, value in (("tb", "allocated_bytes"), ("tbk", "allocated_blocks"),
                           ("eb", "live_bytes"), ("gbk", "peak_blocks")):
            self.assertEqual(sum(p[key] for p in doc["pps"]), d.sum(value))
        browser = Browser(self.dir)
        self.addCleanup(browser.close)
        browser.open("file:///usr/libexec/valgrind/dh_view.html")
        browser.type(browser.find("input[type=file]"), str(path))
        for _ in range(100):
            shown = browser.run("return document.body.innerText")
            if "PP 1" in shown or "rror" in shown:
                break
            time.sleep(0.1)
        browser.run("gSelect.selectedIndex = 0; changeSortMetric()") # by total bytes
        shown = browser.run("return document.body.innerText")
        (self.dir / "dhat.txt").write_text(shown)
        (self.dir / "dhat.png").write_bytes(browser.screenshot())
        self.assertIn("Mode:    heap (mpalloc: sampled, one in 512 KiB)", shown)
        for name, bytes_, blocks in (
                ("Total", "allocated_bytes", "allocated_blocks"),
                ("At t-gmax", "peak_bytes", "peak_blocks"),
                ("At t-end", "live_bytes", "live_blocks")):
            self.assertRegex(shown, rf"{name}: +{d.sum(bytes_):,} bytes \(100%.*\) in "
                                    rf"{d.sum(blocks):,} blocks")
        self.assertRegex(shown, r"#\d: 0x\w+: inner \(prog\.c:\d+\)")
        self.assertRegex(shown, r"#\d: 0x\w+: library_take \(proglib\.c:\d+\)")

    # Whatever a region may hold.

    def test_hostile_modules_do_no_harm(self):
        d = Description()
        bad = Module(PIE, 0)
        bad.path = "/tmp/\x1b[31mx y\\.so"
        bad.bytes = 2 ** 63
        d.module(bad)
        d.lines.append(("module", "/dev/null", "", 0))
        for segment in ((2 ** 64 - 4096, 8192, 2 ** 64 - 1, 7), (0, 2 ** 64 - 1, 0, 5)):
            d.lines.append(("segment", *segment))
        d.lines.append(("module", "/x.so", "ff" * 32, 8192))
        for segment in ((4096, 2 ** 64 - 4096, 0, 5), (8192, 1, 0, 5), (0, 0, 0, 5)):
            d.lines.append(("segment", *segment))
        frames = [d.frame(HOSTILE, "a b.c", 2 ** 32 - 1, module, offset, inlined)
                  for module in (0, 1, 2, 3, NO_MODULE) for offset in (0, 8191, 2 ** 64 - 1)
                  for inlined in (1, 0)]
        for spaces in range(2): # cut within a character in one of them
            frames.append(d.frame(" " * spaces + "ü" * 10000, "", 0, 2, 5))
        d.sample(frames, HOSTILE, HOSTILE, HOSTILE, 2 ** 64 - 1, lifetime=1e9,
                 allocated_bytes=2 ** 63, live_bytes=5, peak_bytes=7)
        d.sample(frames[:1], "/", "", "", 0, lifetime="inf", **values(1, 1))
        d.sample([], "//a//", "", "", 0, **values(1, 1, 2, 3))
        for form in ("pprof", "collapsed", "speedscope", "svg", "dhat", "massif", "heaptrack",
                     "heap", "jeprof", "json", "openmetrics"):
            for words in ((), (3, "by-component")):
                data = self.make(d, form, *words).read_bytes()
                self.assertNotIn(b"\x1b[", data if form != "pprof" else gzip.decompress(data))
                if form == "dhat":
                    names = json.loads(data)["ftbl"]
                    self.assertTrue(all(max(p["fs"]) < len(names)
                                        for p in json.loads(data)["pps"]))


if __name__ == "__main__":
    run = unittest.main(argv=[sys.argv[0], *sys.argv[5:]], verbosity=2, exit=False)
    sys.exit(1 if not run.result.wasSuccessful() else 77 if run.result.skipped else 0)
