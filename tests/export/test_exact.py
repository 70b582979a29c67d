"""Exact mode against DHAT of valgrind, on a program that does the same each time.

    test_exact.py COMMAND PROGRAM LIBRARY

Everything is equal, to the byte: blocks and bytes allocated, at the peak and at the end, in
all and of each function and line. What differs, by design, is how realloc is counted, and
that is held to, too:

- A block that moves, or becomes one of another size, is freed here, and another one is
  allocated by the line of the realloc. To DHAT it is a new block, too, but one of the line that
  allocated it first. So lines of a function that resizes its own blocks are taken together.
- One that stays in its block is the same here, and asked for more or gave some back; to DHAT
  it is one more block, of all its bytes. The program says how often that was, and of how many
  bytes (exact.c), and DHAT has that much more.
- malloc(0) asks for no byte; DHAT takes it for one.
- The highest that a single line held, at another time than the peak (mb), is known to DHAT
  alone; so are reads and writes.

The peak is that of block bytes here, and of bytes asked for there; realloc that moves holds both
blocks for a moment here. The program has its peak where both are highest.
"""

import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

COMMAND, PROGRAM, LIBRARY = (os.path.realpath(p) for p in sys.argv[1:4])
SOURCE = pathlib.Path(__file__).with_name("exact.c").read_text()
RESIZING = ("grow", "shrink", "stretch")
KEYS = ("tb", "tbk", "gb", "gbk", "eb", "ebk")


def lines():
    """{line: name} of exact.c."""
    return {number: m[1] for number, text in enumerate(SOURCE.splitlines(), 1)
            if (m := re.search(r"/\* line: (.+) \*/", text))}


@unittest.skipUnless(shutil.which("valgrind"), "valgrind is not installed")
class Exact(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-exact-", dir="/dev/shm"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MPALLOC_", "LD_"))}
        cls.env = env | {"MPALLOC_DIR": str(cls.dir), "MPALLOC_LIBRARY": LIBRARY}
        theirs = cls.dir / "dhat.out"
        cls.run_all("valgrind", "--tool=dhat", f"--dhat-out-file={theirs}", PROGRAM)
        cls.theirs = json.loads(theirs.read_text())
        said = cls.run_all(COMMAND, "run", "--format", "dhat", "-o", cls.dir / "our", "--",
                           PROGRAM)
        cls.ours = json.loads((cls.dir / "our").read_text())
        cls.stayed = {name: {"tbk": int(blocks), "tb": int(size)} for name, blocks, size
                      in (line.split() for line in said.splitlines())}

    @classmethod
    def run_all(cls, *words):
        done = subprocess.run([str(w) for w in words], env=cls.env, capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @staticmethod
    def by_line(document):
        """{name: {key: sum}} by the line of exact.c that allocated."""
        names, sums = lines(), collections.defaultdict(collections.Counter)
        for point in document["pps"]:
            frames = [document["ftbl"][i] for i in point["fs"]]
            at = next(m for f in frames if (m := re.search(r": (\w+) \(.*\bexact\.c:(\d+)\)", f)))
            name = names[int(at[2])]
            assert name.split()[0] == at[1], at[0]
            for key in KEYS:
                sums[name][key] += point[key]
        return sums

    def test_lines_that_only_allocate_are_equal(self):
        ours, theirs = self.by_line(self.ours), self.by_line(self.theirs)
        plain = [name for name in lines().values() if name.split()[0] not in RESIZING]
        self.assertEqual(len(plain), 8)
        for name in plain:
            self.assertGreater(theirs[name]["tbk"], 0, name)
            if name == "take_nothing":
                self.assertEqual([ours[name][k] for k in ("tb", "gb", "eb")], [0, 0, 0])
                for size, blocks in (("tb", "tbk"), ("gb", "gbk"), ("eb", "ebk")):
                    ours[name][size] = ours[name][blocks]
            self.assertEqual({k: ours[name][k] for k in KEYS},
                             {k: theirs[name][k] for k in KEYS}, name)

    def test_functions_that_resize_differ_by_what_stayed(self):
        ours, theirs = self.by_line(self.ours), self.by_line(self.theirs)
        for name in RESIZING:
            self.assertGreater(self.stayed[name]["tbk"], 0, name)
            more = f"{name} more"
            self.assertEqual(theirs[more]["tbk"], 0, "DHAT knows the first line alone")
            self.assertGreater(ours[more]["tbk"], 0)
            for key in KEYS:
                self.assertEqual(ours[name][key] + ours[more][key]
                                 + self.stayed[name].get(key, 0), theirs[name][key],
                                 f"{name} {key}")

    def test_totals(self):
        for key in KEYS:
            ours = sum(p[key] for p in self.ours["pps"])
            theirs = sum(p[key] for p in self.theirs["pps"])
            more = sum(s.get(key, 0) for s in self.stayed.values())
            if not key.endswith("k"):
                more += self.by_line(self.ours)["take_nothing"][key + "k"]
            self.assertEqual(ours + more, theirs, key)
        self.assertGreater(theirs, 500)
        self.assertGreater(sum(p["tbk"] for p in self.ours["pps"]), 100_000)
        self.assertIn("bytes asked for", self.ours["mode"])

    def test_json_has_both_kinds_of_bytes(self):
        path = self.dir / "json"
        self.run_all(COMMAND, "run", "--format", "json", "--sample", "exact", "-o", path, "--",
                     PROGRAM)
        doc = json.loads(path.read_text())
        for key, ours in (("requested_bytes_total", "tb"), ("live_requested_bytes", "eb"),
                          ("peak_requested_bytes", "gb")):
            self.assertEqual(sum(s[key] for s in doc["samples"]),
                             sum(p[ours] for p in self.ours["pps"]), key)
        for key, ours in (("allocated_blocks_total", "tbk"), ("live_blocks", "ebk"),
                          ("peak_blocks", "gbk")):
            self.assertEqual(sum(s[key]["value"] for s in doc["samples"]),
                             sum(p[ours] for p in self.ours["pps"]), key)
        for s in doc["samples"]:
            self.assertGreater(s["samples_total"], 0, "every block was recorded")
            self.assertLessEqual(s["requested_bytes_total"], s["allocated_bytes_total"]["value"])
            self.assertEqual(s["live_bytes"]["low"], s["live_bytes"]["high"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
