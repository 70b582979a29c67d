"""mpalloc export and mpalloc flame of components and size classes.

    test_viewers.py COMMAND TARGET LIBRARY
"""

import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree

from command import COMMAND, CommandTest, main


class Viewers(CommandTest):
    def test_export_collapsed_is_what_was_counted(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        for value, held in (("live-bytes", {"shop;cart;1,008 B": 1008000}),
                            ("live-blocks", {"shop;cart;1,008 B": 1000}),
                            ("allocated-blocks", {"shop;cart;1,008 B": 1000,
                                                  "shop;cart;208 B": 500})):
            text = self.command("export", "--format", "collapsed", "--value", value,
                                p.pid).stdout
            lines = dict(line.rsplit(" ", 1) for line in text.splitlines())
            for stack, n in held.items():
                self.assertEqual(int(lines[stack]), n, text)
            self.assertIn("shop;up to 128 KiB", lines)
        live = self.document("snapshot", p.pid)["live_bytes"]
        lines = self.command("export", "--format", "collapsed", p.pid).stdout.splitlines()
        self.assertEqual(sum(int(line.rsplit(" ", 1)[1]) for line in lines), live)

    def test_export_speedscope(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        d = json.loads(self.command("export", "--format", "speedscope", p.pid).stdout)
        self.assertEqual(d["$schema"], "https://www.speedscope.app/file-format-schema.json")
        names = [f["name"] for f in d["shared"]["frames"]]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual([x["unit"] for x in d["profiles"]], ["none", "bytes"] * 2)
        shown = d["profiles"][d["activeProfileIndex"]]
        self.assertEqual(shown["name"], "inuse_space")
        self.assertEqual(shown["endValue"], sum(shown["weights"]))
        stacks = {";".join(names[i] for i in s): w
                  for s, w in zip(shown["samples"], shown["weights"])}
        self.assertEqual(stacks["shop;cart;1,008 B"], 1008000)

    def test_export_svg(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        text = self.command("export", "--format", "svg", p.pid).stdout
        root = xml.etree.ElementTree.fromstring(text)
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
        self.assertRegex(titles[0], r"^all: .* MiB, 100.0 %$")
        self.assertIn("shop", [t.split(":")[0] for t in titles])
        for box in root.iter("{http://www.w3.org/2000/svg}rect"):
            if "x" in box.attrib:
                self.assertLessEqual(float(box.get("x")) + float(box.get("width")), 1190.1)

    def test_export_svg_of_long_names(self):
        name = "std::vector<int, std::allocator<int> >::push_back(int&&)"
        p = self.start("quiet", name, MPALLOC_SAMPLE="off")
        text = self.svg_of(p)
        self.assertIn("<title>std::vector&lt;int, std::allocator&lt;int&gt; &gt;::push_back(int"
                      "&amp;&amp;): 300.0 KiB, 13.1 %</title>", text, "whole, for hovering")
        self.assertIn(">std::vector&lt;…&gt;::push_…</text>", text, "short, as much as fits")
        for name, label in (("ns::operator<<(std::ostream&, (anonymous namespace)::t)",
                             "ns::operator&lt;&lt;(std::o…"),
                            ("(anonymous namespace)::f(std::pair<int, int>, long)",
                             "(anonymous namespace)…"),
                            ("ns::table<int>::operator()(long, long)",
                             "ns::table&lt;…&gt;::operato…"),
                            ("unbalanced<brackets<are_left>", "unbalanced&lt;brackets&lt;a…")):
            p = self.start("quiet", name, MPALLOC_SAMPLE="off")
            self.assertIn(f">{label}</text>", self.svg_of(p))
        p = self.start("quiet", "/".join("abcdefghijklmnopqrst"), MPALLOC_SAMPLE="off")
        height = int(re.search(r'height="(\d+)"', self.svg_of(p))[1])
        self.assertEqual(height, 62 + (1 + 20 + 1) * 18 + 10, "each of its parts, and the class")

    def svg_of(self, p):
        text = self.command("export", "--format", "svg", p.pid).stdout
        xml.etree.ElementTree.fromstring(text)
        return text

    def test_export_massif_is_read_by_ms_print(self):
        p = self.start("busy", MPALLOC_SAMPLE="off")
        time.sleep(2.2) # two points of the timeline
        path = self.dir / "massif.out"
        self.command("export", "--format", "massif", "--output", path, p.pid)
        text = path.read_text()
        self.assertGreaterEqual(text.count("heap_tree=empty"), 2, text)
        self.assertEqual(text.count("heap_tree=detailed"), 1)
        shown = subprocess.run(["ms_print", path], capture_output=True, text=True, check=True)
        self.assertEqual(shown.stderr, "")
        self.assertRegex(shown.stdout, r"->\d+\.\d+% \([0-9,]+B\) shop")
        self.assertIn("cart", shown.stdout)

    def test_export_of_components_in_every_format(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        d = self.document("export", p.pid, schema="profile")
        held = {s["component"]: s["live_bytes"] for s in d["samples"]
                if s["live_bytes"]["value"] and s["component"].startswith("shop")}
        self.assertEqual(held["shop/cart"], {"value": 1008000, "low": 1008000, "high": 1008000})
        self.assertEqual(d["sampling"]["mode"], "off")
        plain = self.command("export", "--format", "collapsed", p.pid).stdout
        self.assertEqual(plain, self.command("export", "--format", "collapsed", "--by-component",
                                             p.pid).stdout, "they come first already")
        for form, wanted in (("dhat", '"mode":"heap (mpalloc: components and size classes'),
                             ("heap", "1000: 1008000 [1000: 1008000] @ 0x"),
                             ("jeprof", "t*: 1000: 1008000 [1000: 1008000]"),
                             ("heaptrack", "\na 3f0 ")):
            self.assertIn(wanted, self.command("export", "--format", form, p.pid).stdout)

    def test_export_openmetrics_is_valid(self):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        text = self.command("export", "--format", "openmetrics", p.pid).stdout
        families = {f.name: f for f in text_string_to_metric_families(text)}
        held = {s.labels["component"]: s.value
                for s in families["mpalloc_component_live_bytes"].samples}
        self.assertEqual(held["shop/cart"], 1008000)
        counted = families["mpalloc_size_class_allocated_blocks"].samples
        self.assertEqual([s.value for s in counted if s.labels["size_class"] == "208"], [500])
        totals = self.document("snapshot", p.pid)
        for key in ("live_bytes", "allocated_bytes_total", "threads", "mapped_bytes"):
            name = key.removesuffix("_total")
            self.assertEqual(families[f"mpalloc_{name}"].samples[0].value, totals[key], key)
        self.assertEqual(families["mpalloc_process"].samples[0].labels["pid"], str(p.pid))

    def test_export_pprof_is_read_by_pprof(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        path = self.dir / "heap.pb.gz"
        self.command("export", "--format", "pprof", "--output", path, p.pid)
        self.assertEqual([x.name for x in self.dir.iterdir() if x.name.startswith("heap")],
                         ["heap.pb.gz"], "nothing is left beside it")
        proto = pathlib.Path(__file__).resolve().parents[2] / "tools" / "pprof.proto"
        if shutil.which("protoc"):
            text = subprocess.run(
                ["protoc", f"--proto_path={proto.parent}", "--decode=mpalloc.pprof.Profile",
                 proto.name], input=gzip.decompress(path.read_bytes()), capture_output=True,
                check=True).stdout.decode()
            self.assertIn('string_table: "inuse_space"', text)
        if not shutil.which("go"):
            self.skipTest("go is not there")
        env = {**os.environ, "HOME": str(self.dir), "PPROF_TMPDIR": str(self.dir)}
        def pprof(*words):
            return subprocess.run(["go", "tool", "pprof", *words, str(path)], env=env,
                                  capture_output=True, text=True, check=True).stdout
        top = pprof("-top", "-unit=b", "-nodecount=50")
        self.assertIn("Type: inuse_space", top)
        self.assertRegex(top, r"(?m)^ *1008000B .* 1,008 B$")
        self.assertRegex(pprof("-top", "-sample_index=alloc_objects"), r"(?m)^ *500 .* 208 B$")
        tags = pprof("-tags")
        self.assertIn("shop/cart", tags)
        focused = pprof("-top", "-unit=b", "-tagfocus=component=shop/cart")
        self.assertNotIn("128 KiB", focused)

    def flame_of(self, text):
        data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
        self.assertNotIn("<", data[1], "nothing in the data can end their element")
        return json.loads(data[1])

    def test_flame_is_a_page_of_what_was_counted(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        path = self.dir / "flame.html"
        done = self.command("flame", p.pid, "-o", path)
        self.assertEqual(done.stdout + done.stderr, "", "no terminal, no line")
        page = path.read_text()
        self.assertEqual(page, self.command("export", "--format", "html", p.pid).stdout)
        self.assertEqual(page, self.command("flame", p.pid).stdout)
        self.assertIn("<noscript>", page)
        self.assertNotRegex(page, r"(?:src|href)=|url\(|@import|http:", "all is in the page")
        d = self.flame_of(page)
        self.assertEqual((d["process"]["name"], d["process"]["pid"]), ("target", p.pid))
        self.assertEqual(d["shown"], "live-bytes")
        shown = {v["name"]: v for v in d["values"]}
        self.assertEqual(set(shown), {"live-bytes", "live-blocks", "allocated-bytes",
                                      "allocated-blocks"}, "those that are not all 0")
        totals = self.document("snapshot", p.pid)
        self.assertEqual(sum(shown["live-bytes"]["value"]), totals["live_bytes"])
        self.assertEqual(sum(shown["allocated-blocks"]["value"]),
                         totals["allocated_blocks_total"])
        s, stack, stacks, at = d["samples"], [], [], 0
        for shared, added in zip(s["shared"], s["added"]):
            stack = stack[:shared] + s["frames"][at:at + added]
            at += added
            stacks.append(";".join(d["texts"][d["frames"]["function"][f]] for f in stack))
        held = dict(zip(stacks, shown["live-bytes"]["value"]))
        self.assertEqual(held["shop;cart;1,008 B"], 1008000)
        self.assertEqual(held["shop;up to 128 KiB"], 1024000)

    def test_flame_of_hostile_names(self):
        hostile = "</script><script>alert(1)</script><!--"
        p = self.start("quiet", hostile, MPALLOC_SERVICE=hostile, MPALLOC_SAMPLE="off")
        d = self.flame_of(self.command("flame", p.pid).stdout)
        self.assertEqual(d["process"]["name"], hostile)
        self.assertIn(hostile, d["texts"])

    def test_flame_usage(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        terminal, stdout = os.openpty()
        done = subprocess.run([COMMAND, "flame", str(p.pid)], env=self.env, stdout=stdout,
                              stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("not for terminals: use -o FILE.html", done.stderr)
        path = self.dir / "flame.html"
        done = subprocess.run([COMMAND, "flame", "-o", path, str(p.pid)], env=self.env,
                              stderr=stdout, check=True)
        self.assertRegex(os.read(terminal, 1000).decode(),
                         rf"^{re.escape(str(path))}: [0-9.]+ KiB, open it in a browser\r\n$")
        os.close(terminal)
        os.close(stdout)
        shown = self.command("flame", "--value", "allocated-blocks", p.pid).stdout
        self.assertEqual(self.flame_of(shown)["shown"], "allocated-blocks")
        self.fails(2, "flame", "--value", "x", p.pid, says="flame: --value takes one of")
        self.fails(2, "flame", "-o", says="-o needs a value")
        self.fails(1, "flame", "-o", self.dir / "none" / "x", p.pid,
                   says="cannot be written: No such file")
        self.fails(1, "flame", "-o", self.dir, p.pid, says="cannot be written: Is a directory")
        self.assertEqual([x for x in self.dir.iterdir() if "XXX" in x.name or
                          x.name.startswith(self.dir.name)], [])
        with open("/dev/full", "w") as full:
            done = subprocess.run([COMMAND, "flame", str(p.pid)], env=self.env, stdout=full,
                                  stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)

    def test_export_usage(self):
        p = self.start("quiet", MPALLOC_SAMPLE="off")
        known = ("pprof, collapsed, speedscope, svg, html, dhat, massif, heaptrack, "
                 "heap, jeprof, json, openmetrics")
        self.fails(2, "export", p.pid, says=f"needs --format: one of {known}")
        self.fails(2, "export", "--format", "wrong", p.pid, says=f"no format wrong; one of {known}")
        self.fails(2, "export", "--format", "collapsed", "--value", "x", p.pid,
                   says="--value takes one of live-bytes, .* not \"x\"")
        self.fails(4, "export", "--format", "collapsed", 999999999, says="does not exist")
        gone = self.dir / "none" / "x"
        self.fails(1, "export", "--format", "collapsed", "--output", gone, p.pid,
                   says=f"{gone} cannot be written: No such file")
        old = self.dir / "old"
        old.write_text("kept")
        self.fails(6, "export", "--format", "collapsed", "--output", old, old, says="old")
        self.assertEqual(old.read_text(), "kept")


if __name__ == "__main__":
    main()
