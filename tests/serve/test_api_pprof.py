"""Profiles as those of a Go program, read by go tool pprof.

    test_api_pprof.py COMMAND TARGET LIBRARY
"""

import re
import shutil
import subprocess
import threading
import time
import unittest

from api import SAMPLED, ApiTest, main


class PprofTest(ApiTest):
    def pprof(self, what, *words):
        what = self.url + what if isinstance(what, str) else str(what)
        home = self.dir / "home"
        home.mkdir(exist_ok=True)
        env = {**self.env, "HOME": str(home), "PPROF_TMPDIR": str(home)}
        env.pop("MPALLOC_DIR")
        done = subprocess.run(["go", "tool", "pprof", *words, what], env=env,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    @property
    def url(self):
        return "http://%s:%d" % self.server.address

    @unittest.skipUnless(shutil.which("go"), "go is not installed")
    def test_go_tool_pprof(self):
        self.begin()
        heap = self.pprof("/debug/pprof/heap", "-raw")
        self.assertIn("alloc_objects/count alloc_space/bytes inuse_objects/count "
                      "inuse_space/bytes[dflt]", heap)
        self.assertIn("PeriodType: space bytes", heap)
        allocs = self.pprof(f"/debug/pprof/allocs?process={self.target.pid}", "-raw")
        self.assertIn("alloc_objects/count alloc_space/bytes[dflt] inuse_objects/count "
                      "inuse_space/bytes", allocs)
        top = self.pprof("/debug/pprof/heap", "-top", "-sample_index=inuse_space", "-unit=b")
        self.assertRegex(top, r"Type: inuse_space")
        self.assertRegex(top, r"%  main\n")
        whole = int(re.search(r"of (\d+)B total", top)[1])
        live = self.server.json(f"{self.at}/snapshot")["live_bytes"]
        self.assertAlmostEqual(whole, live, delta=0.2 * live)

    def test_more_deltas_than_may_wait(self):
        self.begin()
        answers = []

        def wait():
            answers.append(self.server.ask("/debug/pprof/heap?seconds=8"))

        threads = [threading.Thread(target=wait) for _ in range(90)]
        began = time.monotonic()
        for t in threads:
            t.start()
        self.wait_for(lambda: len(answers) >= 90 - 64 or time.monotonic() - began > 7.5,
                      "some are refused")
        self.server.json(f"{self.at}/leaks")
        took = time.monotonic() - began
        for t in threads:
            t.join()
        self.assertLess(took, 7.5)
        codes = [a.status for a in answers]
        self.assertEqual(codes[:26], [503] * 26)
        self.assertEqual(set(codes), {200, 503})

    @unittest.skipUnless(shutil.which("go"), "go is not installed")
    def test_a_delta_waits_and_blocks_nobody(self):
        self.begin()
        began = time.monotonic()
        took = []

        def ask():
            while len(took) < 20:
                start = time.monotonic()
                self.server.json(f"{self.at}/snapshot")
                took.append(time.monotonic() - start)

        threads = [threading.Thread(target=self.server.ask,
                                    args=("/debug/pprof/heap?seconds=2",)) for _ in range(30)]
        for t in threads:
            t.start()
        ask()
        self.assertLess(sum(took) / len(took), 1)
        answer = self.server.ask("/debug/pprof/allocs?seconds=1")
        saved = self.dir / "delta.pb.gz"
        saved.write_bytes(answer.body)
        raw = self.pprof(saved, "-raw")
        self.assertGreater(time.monotonic() - began, 1)
        for t in threads:
            t.join()
        self.assertLess(time.monotonic() - began, 30)
        rows = re.findall(r"^\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+):", raw, re.M)
        # It allocates and frees all the time: what is new is not what is live.
        self.assertGreater(sum(int(r[1]) for r in rows), 0)
        self.assertLess(abs(sum(int(r[3]) for r in rows)), 10000000)
        seconds = float(re.search(r"Duration: ([\d.]+)s", self.pprof(saved, "-top"))[1])
        self.assertGreater(seconds, 0.9)
        self.assertLess(seconds, 20)

    def test_text_and_index(self):
        self.begin()
        text = self.server.ask("/debug/pprof/heap?debug=1")
        self.assertTrue(text.headers["Content-Type"].startswith("text/plain"))
        self.assertTrue(text.body.startswith(b"heap profile: "), text.body[:80])
        self.problem(self.server.ask("/debug/pprof/heap?debug=1&seconds=1"), 400, "do not go")
        index = self.server.ask("/debug/pprof/").body.decode()
        self.assertIn(f'href="heap?debug=1&amp;process={self.key}"', index)
        other = self.start("quiet", **SAMPLED)
        self.wait_for(lambda: len(self.rows(self.server)) == 2, "two are there")
        self.problem(self.server.ask("/debug/pprof/heap"), 400, "process=")
        self.assertEqual(self.server.ask(f"/debug/pprof/heap?process={other.pid}").status, 200)


if __name__ == "__main__":
    main()
