"""mpalloc baseline, and mpalloc diff against one.

    test_baseline.py COMMAND TARGET LIBRARY COMPILER...
"""

import os
import signal
import sqlite3

from command import main
from holder import HolderTest


class Baseline(HolderTest):
    def setUp(self):
        super().setUp()
        self.env["MPALLOC_HISTORY"] = str(self.dir / "history.db")

    def baselines(self, *words):
        return self.document("baseline", *words)["baselines"]

    def notes(self, d):
        return [n["name"] for n in d["notes"]]

    def test_save_list_reset(self):
        self.assertEqual(self.baselines("list"), [])
        a = self.hold("keep 5000")
        saved = self.baselines("save", "nightly", a.pid)
        self.assertEqual([b["name"] for b in saved], ["nightly"])
        self.assertEqual(saved[0]["live_bytes"],
                         self.document("snapshot", a.pid)["live_bytes"])
        self.assertIn("baseline high: ", self.command(
            "baseline", "save", "high", a.pid, "--label", "load=high").stdout)
        self.command("baseline", "save", "nightly", a.pid)    # replaces
        self.assertEqual([(b["name"], b["label"]) for b in self.baselines("list")],
                         [("high", "load=high"), ("nightly", "")])
        self.assertEqual(len(self.baselines("list", "high")), 1)
        text = self.command("baseline", "list").stdout
        self.assertRegex(text, r"nightly +- +\d{4}-")
        self.assertNotIn("\x1b", text)
        self.assertIn("1 baseline nightly forgotten",
                      self.command("baseline", "reset", "nightly").stdout)
        self.assertEqual([b["name"] for b in self.baselines("list")], ["high"])
        self.fails(4, "baseline", "reset", "nightly", says="no baseline nightly")
        self.fails(4, "baseline", "list", "nightly", says="no baseline nightly")
        self.fails(2, "baseline", "save", "", a.pid, says="name of the baseline is empty")
        self.command("baseline", "reset", "high")
        self.assertIn("no baselines", self.command("baseline", "list").stdout)

    def test_drift_from_a_baseline(self):
        a = self.hold("keep 20000")
        self.command("baseline", "save", "warm", a.pid)
        d = self.document("diff", "--baseline", "warm", a.pid, "--all")
        self.assertTrue(d["same_run"])
        self.assertEqual(d["drift"]["ratio"], 0)
        self.tell(a, "list 100000")
        b = self.hold("keep 20000", "list 100000")
        for pid in (a.pid, b.pid):    # the same run goes on, and another one
            d = self.document("diff", "--baseline", "warm", pid, "--fail-on", "drift=20%",
                              code=3)
            stack = [s for s in d["stacks"] if s["frames"]
                     and s["frames"][0]["function"] == "list"]
            self.assertEqual(len(stack), 1)
            self.assertTrue(stack[0]["significant"])
            self.assertIn("baseline warm", d["before"]["label"])
        done = self.command("diff", "--baseline", "warm", b.pid, "--fail-on", "drift=20%", code=3)
        self.assertIn("By call stack", done.stdout)
        # It lives on when the process is gone.
        a.send_signal(signal.SIGKILL)
        a.wait()
        self.region_of(a).unlink()
        self.document("diff", "baseline:warm", b.pid, "--fail-on", "drift=20%", code=3)

    def test_a_new_build_begins_its_own(self):
        a = self.hold("keep 20000")
        self.command("baseline", "save", "ci", a.pid)
        # The old executable is gone: names of its stacks were kept.
        a.send_signal(signal.SIGKILL)
        a.wait()
        os.rename(self.build / "holder", self.build / "holder.gone")
        self.addCleanup(os.rename, self.build / "holder.gone", self.build / "holder")
        self.env["XDG_CACHE_HOME"] = str(self.dir / "cache")
        b = self.hold("keep 20000", "list 100000", program="holder2")
        d = self.document("diff", "--baseline", "ci", b.pid, "--all", "--fail-on", "drift=20%",
                          code=3)
        self.assertIn("new_baseline", self.notes(d))
        keep = [s for s in d["stacks"] if s["frames"]
                and s["frames"][0]["function"] == "keep"]
        self.assertEqual([s["in"] for s in keep], ["both"])
        self.is_noise(keep[0])
        builds = {x["build_id"] for x in self.baselines("list", "ci")}
        self.assertEqual(len(builds), 2)
        d = self.document("diff", "--baseline", "ci", b.pid, "--fail-on", "drift=20%")
        self.assertNotIn("new_baseline", self.notes(d))
        # The old one stays to compare.
        old = builds - {d["before"]["build_id"]}
        d = self.document("diff", "baseline:ci:" + old.pop()[:10], b.pid)
        self.assertGreater(d["drift"]["ratio"], 0.2)

    def test_one_baseline_against_another(self):
        a = self.hold("keep 20000")
        b = self.hold("keep 20000", "list 100000", program="holder2")
        self.command("baseline", "save", "x", a.pid)
        self.command("baseline", "save", "y", b.pid)
        d = self.document("diff", "--baseline", "x", "baseline:y", "--fail-on", "drift=20%",
                          code=3)
        self.assertIn("baseline x", d["before"]["label"])
        self.assertIn("baseline y", d["after"]["label"])
        self.assertNotIn("new_baseline", self.notes(d))
        self.assertEqual(sorted(x["name"] for x in self.baselines("list")), ["x", "y"])

    def run_held(self, *orders, program="holder", code=0, drift="drift=20%", words=(), sample="8k"):
        done = self.command("run", "--sample", sample, "--fail-on", drift, *words, "--",
                            self.build / program, code=code,
                            input="".join(f"{o}\n" for o in orders))
        self.assertEqual(list(self.dir.glob("*.mp")), [])
        return done.stderr

    def test_run_fails_on_drift(self):
        text = self.run_held("keep 20000")    # the first one begins it
        self.assertIn("this run is baseline holder now", text)
        kept = self.baselines("list")
        self.assertEqual([b["name"] for b in kept], ["holder"])
        self.assertEqual(self.run_held("keep 20000"), "")
        self.assertEqual(self.run_held("keep 21000"), "")
        text = self.run_held("keep 20000", "list 100000", code=3)
        self.assertIn("By call stack", text)
        self.assertRegex(text, r"mpalloc run: 1\d\d\.?\d* ?% more than baseline holder, by peak")
        self.assertIn("list", text)
        self.assertEqual(self.run_held("keep 20000", "list 100000", drift="drift=3000%"), "")
        self.assertEqual(self.baselines("list"), kept)

    def test_run_begins_a_baseline_of_each_build_that_did_not_drift(self):
        self.run_held("keep 20000", drift="drift=20%:ci", words=("--label", "load=high"))
        for _ in range(2):    # one that did is no measure
            self.run_held("keep 20000", "list 100000", program="holder2", code=3,
                          drift="leak=definite,drift=20%:ci", words=("--label", "load=high"))
        self.assertEqual(len(self.baselines("list", "ci")), 1)
        self.assertIn("this run is baseline ci load=high now",
                      self.run_held("keep 20000", program="holder2", drift="drift=20%:ci",
                                    words=("--label", "load=high")))
        self.assertEqual({b["label"] for b in self.baselines("list", "ci")}, {"load=high"})
        self.assertEqual(len(self.baselines("list", "ci")), 2)

    def test_run_says_what_is_wrong_before_it_runs(self):
        for wrong in ("drift", "drift=", "drift=x", "drift=20%:", "drift=-1", "leak,", ",leak",
                      "drift=20%:a:b", "leak,moon"):
            self.fails(2, "run", "--fail-on", wrong, "--", "touch", self.dir / "ran",
                       says="--fail-on takes leak")
        self.fails(2, "run", "--label", "x", "--", "touch", self.dir / "ran", says="--label is of")
        (self.dir / "history.db").write_text("no database" * 100)
        self.fails(1, "run", "--fail-on", "drift=100%", "--", "touch", self.dir / "ran",
                   says="is no history")
        self.fails(2, "run", "--fail-on", "leak", "--", "touch", self.dir / "ran",
                   says="LEAK_SUPPRESSIONS: /nonexistent: No such file",
                   env={"MPALLOC_LEAK_SUPPRESSIONS": "/nonexistent"})
        self.assertFalse((self.dir / "ran").exists())

    def test_labels(self):
        a, b = self.hold("keep 1000"), self.hold("keep 40000")
        self.command("baseline", "save", "x", a.pid, "--label", "load=low")
        self.command("baseline", "save", "x", b.pid, "--label", "load=high")
        self.command("diff", "--baseline", "x", "--label", "load=high", b.pid, "--fail-on",
                     "drift=50%")
        self.command("diff", "--baseline", "x", "--label", "load=low", b.pid, "--fail-on",
                     "drift=50%", code=3)
        self.fails(4, "diff", "--baseline", "x", b.pid, says="no baseline x")
        self.fails(4, "diff", "--baseline", "y", b.pid, says="no baseline y")
        self.fails(4, "diff", "baseline:y", b.pid, says="no baseline y")

    def test_what_is_wrong_is_said(self):
        a = self.hold("keep 10")
        self.fails(2, "baseline", says="save NAME TARGET")
        self.fails(2, "baseline", "wrong", says="save NAME TARGET")
        self.fails(2, "baseline", "save", "x", says="needs a PID")
        self.fails(4, "baseline", "save", "x", "999999999", says="no process|does not exist")
        self.fails(2, "diff", "--baseline", "x", a.pid, a.pid, says="takes two")
        self.fails(2, "baseline", "save", "x:y", a.pid, says="names have no colon")
        self.command("baseline", "save", "x", a.pid)
        with sqlite3.connect(self.dir / "history.db") as db:
            db.execute("UPDATE baselines SET region = x'0011223344556677889900'")
        db.close()
        self.fails(6, "diff", "baseline:x", a.pid, says="baseline x is damaged")


if __name__ == "__main__":
    main()
