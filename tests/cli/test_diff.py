"""mpalloc diff, on programs whose memory is known.

    test_diff.py COMMAND TARGET LIBRARY COMPILER...

Two moments of a process, two runs, two builds; what does not compare is explained.
"""

import json
import os
import re
import shutil
import xml.etree.ElementTree

from command import main
from holder import HolderTest


class Diff(HolderTest):
    def stack_of(self, d, function):
        found = [s for s in d["stacks"] if s["frames"] and s["frames"][0]["function"] == function]
        self.assertLessEqual(len(found), 1, found)
        return found[0] if found else None

    def check_sums(self, d):
        for table in ("components", "size_classes", "stacks"):
            for key in ("live_bytes", "live_blocks", "allocated_bytes_total"):
                self.assertAlmostEqual(sum(row[key]["value"] for row in d[table]),
                                       d[key]["value"], delta=2, msg=f"{table} {key}")

    def test_two_moments_of_a_process(self):
        p = self.hold("keep 200000", "list 5000", "keep 1000")
        before = self.dump(p, "before.mp")
        self.tell(p, "list 20000")
        d = self.document("diff", before, p.pid, "--all", "--rows", "100000")
        self.assertTrue(d["same_run"])
        self.assertEqual(d["notes"], [])
        self.check_sums(d)
        grown, still = self.stack_of(d, "list"), self.stack_of(d, "keep")
        self.assertTrue(grown["significant"])
        self.near(grown["live_bytes"], 20000 * 208)
        # 200 MB that lived through both do not blur it, and did not change.
        self.assertLess(grown["live_bytes"]["high"] - grown["live_bytes"]["low"], 20000 * 208)
        self.assertEqual(still["live_bytes"]["value"], 0)
        self.assertFalse(still["significant"])
        text = self.command("diff", before, p.pid).stdout
        self.assertIn("1 changed beyond noise", text)
        self.assertRegex(text, r"\+.* MiB \(.*\)  .* -> .*  list")
        self.assertNotIn("\x1b", text)
        self.assertIn("\x1b[31m", self.command("diff", before, p.pid, "--color", "always").stdout)
        back = self.document("diff", p.pid, before, "--all")
        self.assertLess(self.stack_of(back, "list")["live_bytes"]["value"], 0)

    def test_two_equal_runs_are_noise(self):
        a, b = (self.hold("keep 30000", "list 30000") for _ in range(2))
        d = self.document("diff", a.pid, b.pid, "--all", "--rows", "100000", "--fail-on",
                          "drift=5%")
        self.assertFalse(d["same_run"])
        self.check_sums(d)
        for stack in d["stacks"]:
            self.is_noise(stack)
        self.assertGreater(self.stack_of(d, "keep")["samples"], 100)
        self.assertFalse(d["drift"]["failed"])

    def test_fail_on_drift(self):
        a, b = self.hold("keep 10000"), self.hold("keep 10000", "list 30000")
        ra, rb = self.dump(a, "a.mp"), self.dump(b, "b.mp")
        done = self.command("diff", ra, rb, "--fail-on", "drift=20%", code=3)
        self.assertIn("By call stack", done.stdout)
        self.assertRegex(done.stdout, r"drift: \d+\.\d % .* more than 20.0 %")
        d = self.document("diff", ra, rb, "--fail-on", "drift=20.0%", code=3)
        self.assertTrue(d["drift"]["failed"])
        self.assertEqual(d["drift"]["allowed_ratio"], 0.2)
        self.assertTrue(self.stack_of(d, "list")["significant"])
        self.command("diff", ra, rb, "--fail-on", "drift=2000%")
        self.command("diff", rb, ra, "--fail-on", "drift=20%")    # less is no drift
        # The same total, but from another stack: drift all the same.
        c = self.hold("list 49000")
        d = self.document("diff", ra, self.dump(c, "c.mp"), "--fail-on", "drift=20%", code=3)
        self.assertEqual(d["drift"]["by"], "stack")

    def test_two_builds_are_matched_by_names(self):
        a = self.hold("keep 20000", "list 20000")
        b = self.hold("keep 20000", "list 60000", program="holder2")
        d = self.document("diff", a.pid, b.pid, "--all", "--rows", "100000")
        names = {n["name"] for n in d["notes"]}
        self.assertEqual(names, {"by_names", "other_program"})
        self.check_sums(d)
        keep, grown = self.stack_of(d, "keep"), self.stack_of(d, "list")
        self.assertEqual((keep["in"], grown["in"]), ("both", "both"))
        self.is_noise(keep)
        self.assertTrue(grown["significant"])
        self.near(grown["live_bytes"], 40000 * 208)

    def test_other_rates_and_ends(self):
        a = self.hold("keep 20000", "list 20000")
        b = self.hold("keep 20000", "list 20000", MPALLOC_SAMPLE="64k")
        exact = self.hold("keep 20000", "list 30000", MPALLOC_SAMPLE="exact")
        off = self.hold("keep 20000", MPALLOC_SAMPLE="off")
        d = self.document("diff", a.pid, b.pid, "--all")
        self.assertEqual([n["name"] for n in d["notes"]], ["other_rate"])
        self.is_noise(self.stack_of(d, "keep"))
        d = self.document("diff", a.pid, exact.pid, "--all")
        self.assertTrue(self.stack_of(d, "list")["significant"])
        self.is_noise(self.stack_of(d, "keep"))
        d = self.document("diff", exact.pid, exact.pid, "--all")
        self.assertTrue(d["exact"])
        self.assertEqual(d["drift"]["ratio"], 0)
        d = self.document("diff", a.pid, off.pid)
        self.assertIn("no_stacks", [n["name"] for n in d["notes"]])
        self.assertIn("not sampled", self.command("diff", a.pid, off.pid).stdout)

    def notes(self, *words):
        """By name, of two that do not compare in everything; each is in the text, too."""
        d = self.document("diff", *words)
        timeless = lambda text: re.sub(r"[\d.]+ (ms|s|min)\b", "T", " ".join(text.split()))
        text = timeless(self.command("diff", *words).stdout)  # a moment later
        for note in d["notes"]:
            self.assertIn(timeless(note["text"]), text)
        self.check_sums(self.document("diff", *words, "--all", "--rows", "100000"))
        return {n["name"]: n["text"] for n in d["notes"]}

    def test_what_hinders_is_explained_not_refused(self):
        a = self.hold("keep 20000", "list 20000")
        first = self.dump(a, "first.mp")
        blocks = lambda region: self.document("snapshot", region)["live_blocks"]
        second = first
        while blocks(second) == blocks(first):  # counters are published some times a second
            self.tell(a, "list 500")
            second = self.dump(a, "second.mp")
        (self.build / "next").mkdir(exist_ok=True)
        shutil.copy(self.build / "holder2", self.build / "next" / "holder")
        build = self.hold("keep 20000", program="next/holder")
        exact = self.hold("keep 20000", MPALLOC_SAMPLE="exact")
        again = self.hold("keep 20000", "list 20000")  # as after a restart
        self.assertEqual(set(self.notes(second, first)), {"backwards"})
        self.assertEqual(set(self.notes(first, build.pid)), {"other_build", "by_names"})
        self.assertIn("every allocation", self.notes(first, exact.pid)["other_rate"])
        self.assertEqual(self.notes(first, again.pid), {})
        notes = self.notes(first, again.pid, "--value", "allocated")
        self.assertIn("from the start of each", notes["other_start"])
        self.assertEqual(self.notes(first, second, "--value", "allocated"), {})

    def test_of_ended_ones_the_peak_counts(self):
        ended = []
        for orders in (("keep 20000", "drop 20000"), ("keep 30000", "drop 30000")):
            p = self.hold(*orders, MPALLOC_KEEP="1")
            p.stdin.close()
            p.wait()
            p.stdin = open(os.devnull)
            ended.append(self.region_of(p))
        d = self.document("diff", *ended, "--fail-on", "drift=20%", code=3)
        self.assertEqual(d["drift"]["of"], "peak")
        self.assertAlmostEqual(d["drift"]["ratio"], 0.5, delta=0.1)
        live = self.document("diff", *ended, "--fail-on", "drift=20%", "--value", "allocated",
                             code=3)
        self.assertEqual(live["drift"]["of"], "allocated")
        self.document("diff", *ended, "--value", "live", "--fail-on", "drift=20%")
        running = self.hold("keep 20000")
        d = self.document("diff", ended[0], running.pid)
        self.assertEqual([n["name"] for n in d["notes"]], ["other_moment"])

    def test_by_and_rows(self):
        a = self.hold("keep 1000", "list 1000")
        d = self.document("diff", a.pid, a.pid, "--by", "class", "--all", "--rows", "2")
        self.assertEqual(len(d["size_classes"]), 2)
        self.assertNotIn("stacks", d)
        pid_file = self.dir / "a.pid"
        pid_file.write_text(str(a.pid))
        self.assertEqual(self.document("diff", a.pid, "--pid-file", pid_file)["same_run"], True)
        self.assertEqual(self.document("diff", a.pid, "--name", "holder")["same_run"], True)
        text = self.command("diff", a.pid, a.pid, "--by", "component").stdout
        self.assertIn("nothing changed", text)
        self.assertNotIn("By size class", text)

    def boxes(self, path):
        """Title and colour of each box of a picture, by the name of its function."""
        tag = "{http://www.w3.org/2000/svg}"
        root = xml.etree.ElementTree.parse(path).getroot()
        found = {}
        for g in root.iter(f"{tag}g"):
            name, told = g.find(f"{tag}title").text.split(": ", 1)
            fill = g.find(f"{tag}rect").get("fill")
            found[name] = told, [int(fill[i:i + 2], 16) for i in (1, 3, 5)]
        return found

    def test_pictures_of_two_moments(self):
        p = self.hold("keep 200000", "list 20000")
        before = self.dump(p, "before.mp")
        self.tell(p, "drop 20000")
        self.tell(p, "keep 20000")
        self.tell(p, "drop 71")    # with those that the test itself had kept
        out = self.dir / "d.svg"
        self.command("diff", before, p.pid, "--format", "svg", "-o", out)
        boxes = self.boxes(out)
        told, (red, _, blue) = boxes["list"]
        self.assertRegex(told, r"^\d.* MiB, then .*B: -\d.* MiB$")
        self.assertGreater(blue, red + 40)
        # "list" went: its box is as wide as what was there.
        self.assertNotIn("noise", boxes["all"][0])
        if "(not sampled)" in boxes:    # nothing is known of it: grey
            self.assertEqual(len(set(boxes["(not sampled)"][1])), 1)
        # The other way round all of it came.
        self.command("diff", p.pid, before, "--format", "svg", "-o", out)
        told, (red, _, blue) = self.boxes(out)["list"]
        self.assertRegex(told, r": \+\d.* MiB$")
        self.assertGreater(red, blue + 40)
        self.command("diff", before, p.pid, "--format", "svg", "--value", "allocated", "-o", out)
        self.assertIn("allocated-bytes", out.read_text())

    def test_a_page_of_two_moments(self):
        p = self.hold("keep 20000")
        before = self.dump(p, "before.mp")
        self.tell(p, "list 20000")
        path = self.dir / "d.html"
        self.command("diff", before, p.pid, "--format", "html", "-o", path)
        data = json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.S)[1])
        d = self.document("diff", before, p.pid, "--all", "--rows", "100000", "--by", "site")
        self.assertIn("compared with", data["caption"])
        for unit in ("bytes", "blocks"):
            columns = data["difference"][unit]
            for side in ("before", "after"):
                self.assertEqual(sum(columns[side]),
                                 sum(s[f"live_{unit}"][side] for s in d["stacks"]))
            rows = {v["name"]: v for v in data["values"]}
            self.assertEqual(rows[f"live-{unit}"]["value"], columns["after"])
            grown = [max(0, a - b) for a, b in zip(columns["after"], columns["before"])]
            self.assertEqual(rows[f"grown-{unit}"]["value"], grown)
        names = data["texts"]
        at, ends = -1, []
        for added in data["samples"]["added"]:
            at += added
            ends.append(names[data["frames"]["function"][data["samples"]["frames"][at]]])
        i = ends.index("list")
        change = self.stack_of(d, "list")["live_bytes"]
        c = data["difference"]["bytes"]
        self.assertEqual(c["after"][i] - c["before"][i], round(change["value"]))
        self.assertAlmostEqual(c["under"][i], change["value"] - change["low"], delta=1)
        self.assertAlmostEqual(c["over"][i], change["high"] - change["value"], delta=1)

    def test_what_is_wrong_with_pictures_is_said(self):
        p = self.hold("keep 10")
        for words, says in ((["--format", "pprof"], "html or svg"),
                            (["--format", "html", "--json"], "not both"),
                            (["--format", "html", "--value", "allocated"], "--format svg"),
                            (["-o", "x"], "--output is for pictures")):
            self.fails(2, "diff", p.pid, p.pid, *words, says=says)

    def test_what_is_wrong_is_said(self):
        a = self.hold("keep 10")
        self.fails(2, "diff", says="takes two")
        self.fails(2, "diff", a.pid, says="takes two")
        self.fails(2, "diff", a.pid, a.pid, a.pid, says="at most 2")
        self.fails(2, "diff", a.pid, a.pid, "--by", "thread", says="component, class or site")
        for wrong in ("drift", "drift=", "drift=x", "leak", "drift=-1", "drift=20%%",
                      "drift=20", "drift=0.2", "drift=-1%"):
            self.fails(2, "diff", a.pid, a.pid, "--fail-on", wrong, says="drift=20%")
        self.fails(4, "diff", a.pid, "/nonexistent/x.mp", says="No such file")
        bad = self.dir / "bad.mp"
        bad.write_bytes(b"\x7fMPALL01" + b"\xff" * 5000)
        self.fails(6, "diff", bad, a.pid, says="bad.mp")


if __name__ == "__main__":
    main()
