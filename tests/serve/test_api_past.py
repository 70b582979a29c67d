"""What a process was, asked of the server: moments of the history, and differences to them.

    test_api_past.py COMMAND TARGET LIBRARY COMPILER…
"""

import sqlite3
import time

from api import ApiTest, Description, main
from holder import HolderTest


class MomentsTest(HolderTest, ApiTest):
    def setUp(self):
        super().setUp()
        self.db = self.dir / "history.db"
        self.p = self.hold("keep 5000")

    def look(self, *words):
        self.server = self.serve(*words)
        self.key = self.region_of(self.p).stem
        self.at = f"/api/v1/processes/{self.key}"
        self.description = Description(self.server)

    def age(self, seconds):
        with sqlite3.connect(self.db, timeout=20) as db:
            db.execute("UPDATE moments SET time_s = time_s - ?", (seconds,))
        db.close()

    def moments(self):
        return self.server.json(f"{self.at}/moments")["moments"]

    def described(self, path, query=""):
        """The document, which is as openapi.yaml has it."""
        answer = self.server.ask(f"{self.at}/{path}{query}")
        self.assertEqual(answer.status, 200, answer.body)
        self.description.check(self.operation(f"/api/v1/processes/{{id}}/{path}"), answer)
        return answer.json()

    def grow(self, moment, count):
        """list() holds 20,000 blocks; until so many bytes more than then are published."""
        def is_published():
            time.sleep(0.45)    # counters are published by allocations, so often
            self.tell(self.p, "keep 70")
            return self.live() > moment["live_bytes"] + count

        self.tell(self.p, "list 20000")
        self.wait_for(is_published, "what it holds is published")

    def live(self):
        return self.server.json(f"{self.at}/snapshot")["live_bytes"]

    def test_what_changed_since_an_earlier_time(self):
        self.look()
        self.wait_for(self.moments, "the server kept a moment")
        [moment] = self.described("moments")["moments"]
        self.assertGreater(moment["live_bytes"], 5_000_000)
        self.age(7200)
        self.tell(self.p, "keep 5000")
        self.grow(moment, 9_000_000)
        d = self.described("diff", "?since=2h&all=1")
        self.assertEqual(d["live_bytes"]["before"], moment["live_bytes"])
        self.assertGreater(d["live_bytes"]["value"], 9_000_000)
        self.assertTrue(d["same_run"])
        self.assertEqual(d["notes"], [])
        change = {s["frames"][0]["function"]: s["live_bytes"] for s in d["stacks"]
                  if s["frames"]}
        self.near(change["list"], 4_480_000)    # blocks of 208
        self.near(change["keep"], 5_120_000)
        # By its own time, which a page takes from the list.
        [moment] = self.moments()
        at = self.described("diff", f"?since={moment['time']}")
        self.assertEqual(at["live_bytes"]["before"], moment["live_bytes"])
        d = self.described("diff", "?since=3d")
        self.assertEqual([n["name"] for n in d["notes"]], ["nearest_moment"])
        d = self.described("profile", "?format=json&since=2h")
        before = sum(s["before"]["live_bytes"] for s in d["samples"])
        self.assertAlmostEqual(before, moment["live_bytes"], delta=0.05 * before)
        lines = self.server.ask(f"{self.at}/profile?format=collapsed&since=2h").body.decode()
        self.assertRegex(lines, r"(?m)^.*;list 0 [1-9]\d+$")
        self.assertRegex(lines, r"(?m)^.*;keep [1-9]\d+ [1-9]\d+$")
        svg = self.server.ask(f"{self.at}/profile?format=svg&since=2h").body.decode()
        self.assertRegex(svg, r"<title>list: 0 B, then [2-6]\.\d MiB: \+[2-6]\.\d MiB</title>")
        self.assertRegex(svg, "compared with what it was at 20")

    def test_after_its_end_too(self):
        self.look()
        self.wait_for(self.moments, "the server kept a moment")
        [moment] = self.moments()
        self.age(7200)
        self.grow(moment, 4_000_000)
        self.p.kill()
        self.wait_for(lambda: self.server.json(f"{self.at}/snapshot")["process"]["state"]
                      == "died", "it died")
        d = self.described("diff", "?since=2h")
        self.assertEqual(d["stacks"][0]["frames"][0]["function"], "list")
        self.assertEqual(len(self.moments()), 1)

    def test_what_is_not_there_is_said(self):
        self.look("--no-history")
        self.assertEqual(self.described("moments")["moments"], [])
        self.problem(self.server.ask(f"{self.at}/diff?since=1h"), 404, "no history")
        self.command("record", self.p.pid, "--for", "1ms",
                     env={"MPALLOC_HISTORY": str(self.db)})
        self.assertEqual(len(self.moments()), 1)
        self.described("diff", "?since=1h")
        with sqlite3.connect(self.db) as db:
            db.execute("DELETE FROM moments")
        db.close()
        self.wait_for(lambda: self.server.ask(f"{self.at}/diff?since=1h").status == 404,
                      "what was made before is too old")
        self.problem(self.server.ask(f"{self.at}/diff?since=1h"), 404, "no moment")
        self.problem(self.server.ask(f"{self.at}/profile?since=1h"), 404, "no moment")
        for query in ("since=", "since=noon", "since=2026-01-31"):
            self.problem(self.server.ask(f"{self.at}/diff?{query}"), 400, "since takes")
        for query in ("since=1h&baseline=a", "since=1h&seconds=2"):
            self.problem(self.server.ask(f"{self.at}/diff?{query}"), 400, "not both")
        self.problem(self.server.ask(f"{self.at}/diff"), 400, "since=2h")


if __name__ == "__main__":
    main()
