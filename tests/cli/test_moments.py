"""Moments of processes that the history keeps, and what changed since one of them.

    test_moments.py COMMAND TARGET LIBRARY COMPILER…
"""

import json
import signal
import sqlite3
import subprocess
import time

from command import COMMAND, main
from holder import HolderTest

HOUR, DAY = 3600, 86400


class Moments(HolderTest):
    def setUp(self):
        super().setUp()
        self.db = self.dir / "history.db"
        self.env["MPALLOC_HISTORY"] = str(self.db)

    def sql(self, text, *values):
        with sqlite3.connect(self.db, timeout=20) as db:
            found = db.execute(text, values).fetchall()
        db.close()
        return found

    def record(self, p):
        self.command("record", p.pid, "--for", "1ms")

    def live(self, p):
        return self.document("snapshot", p.pid)["live_bytes"]

    def grow(self, p, blocks):
        """So many blocks of 1,000 bytes."""
        before = self.live(p)
        self.tell(p, f"keep {blocks}")
        end = time.monotonic() + 20
        while self.live(p) < before + blocks * 1000:
            self.assertLess(time.monotonic(), end, "what it holds was not published")
            time.sleep(0.45)    # counters are published by allocations, so often
            self.tell(p, "keep 70")

    def test_what_changed_since_a_time(self):
        p = self.hold("keep 100")
        self.record(p)
        [(kept, size)] = self.sql("SELECT live_bytes, kept_bytes FROM moments")
        self.assertLess(size, 300_000)
        self.sql("UPDATE moments SET time_s = time_s - 7200")
        self.grow(p, 5000)
        d = self.document("diff", "--since", "2h", p.pid, "--by", "site")
        self.assertEqual(d["live_bytes"]["before"], kept)
        self.assertGreaterEqual(d["live_bytes"]["value"], 5_000_000)
        self.assertTrue(d["same_run"])
        self.assertEqual(d["notes"], [])
        self.assertRegex(d["before"]["label"], r"^what it was at \d{4}-\d\d-\d\d ")
        grown = d["stacks"][0]
        self.assertTrue(grown["significant"])
        self.near(grown["live_bytes"], 5_000_000)
        self.assertEqual([f["function"] for f in grown["frames"]][:2], ["keep", "main"])
        text = self.command("diff", p.pid, "--since", "2h").stdout
        self.assertRegex(text, "what it was at .*\n")

    def test_the_nearest_moment_is_taken_and_said(self):
        p = self.hold("keep 100")
        self.record(p)
        [(first,)] = self.sql("SELECT live_bytes FROM moments")
        self.sql("UPDATE moments SET time_s = time_s - 7200")
        self.grow(p, 1000)
        self.record(p)
        now = int(time.time())
        self.assertEqual(self.sql("SELECT count(*) FROM moments"), [(2,)])

        def before(since):
            d = self.document("diff", p.pid, "--since", since, "--by", "component")
            return d["live_bytes"]["before"], [n["name"] for n in d["notes"]]

        self.assertEqual(before("2h"), (first, []))
        self.assertEqual(before("70m"), (first, ["nearest_moment"]))
        self.assertEqual(before("30d"), (first, ["nearest_moment"]))
        late = before("50m")
        self.assertGreaterEqual(late[0], first + 1_000_000)
        self.assertEqual(late[1], ["nearest_moment"])
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 7200))
        self.assertEqual(before(at + "Z"), (first, []))
        self.assertEqual(before(at + ".25Z"), (first, []))
        east = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 7200 + 5400))
        self.assertEqual(before(east + "+01:30"), (first, []))
        note = json.loads(self.command("diff", p.pid, "--since", "30d", "--json").stdout)["notes"]
        self.assertRegex(note[0]["text"], r"nothing is kept: the nearest moment is 29 d.* later")

    def test_what_is_wrong_is_said(self):
        p = self.hold("keep 100")
        self.fails(4, "diff", "--since", "2h", p.pid, says="no history")
        self.record(p)
        for wrong in ("", "2 h", "yesterday", "-1h", "2026-01-31", "2026-01-31T12:00:00",
                      "2026-01-31T12:00:00+1:00", "2026-01-31T12:00:00Zx"):
            self.fails(2, "diff", "--since", wrong, p.pid, says="--since takes a time")
        self.fails(2, "diff", "--since", "1h", "--baseline", "x", p.pid, says="not both")
        self.fails(2, "diff", "--since", "1h", says="takes two")
        other = self.hold("keep 100")
        self.fails(4, "diff", "--since", "1h", other.pid, says="no moment of this process")
        self.sql("UPDATE moments SET region = x'0100000000000000ffff'")
        self.fails(6, "diff", "--since", "1h", p.pid, says="a moment of the history is damaged")
        self.sql("DROP TABLE moments")    # as in a history of before there were any
        self.fails(4, "diff", "--since", "1h", p.pid, says="no moment of this process")

    def test_how_often(self):
        """Once a minute of a young process, every ten minutes of an old one."""
        p = self.hold("keep 100")
        self.record(p)
        self.record(p)
        self.assertEqual(self.sql("SELECT count(*) FROM moments"), [(1,)])
        for first, last, count in ((45, 45, 0), (61, 61, 1), (200, 45, 0), (1200, 280, 0),
                                   (1200, 320, 1), (5 * DAY, 580, 0), (5 * DAY, 601, 1)):
            with self.subTest(first=first, last=last):
                self.sql("DELETE FROM moments WHERE id NOT IN (SELECT min(id) FROM moments)")
                now = int(time.time())
                self.sql("UPDATE moments SET time_s = ?", now - first)
                self.sql("INSERT INTO moments (run_id, time_s, live_bytes, kept_bytes, region) "
                         "SELECT run_id, ?, 1, 1, region FROM moments", now - last)
                self.record(p)
                self.assertEqual(self.sql("SELECT count(*) FROM moments"), [(2 + count,)])

    def test_everybody_has_a_turn(self):
        for _ in range(10):
            self.start("quiet")
        r = subprocess.Popen([COMMAND, "record", "--every", "1s"], env=self.env,
                             stderr=subprocess.DEVNULL)
        self.addCleanup(r.wait)
        self.addCleanup(r.kill)
        end = time.monotonic() + 30
        count = 0
        while count < 10:
            self.assertLess(time.monotonic(), end, f"{count} have a moment")
            time.sleep(0.2)
            if self.db.exists():
                count = self.sql("SELECT count(DISTINCT run_id) FROM moments")[0][0]
        self.assertEqual(self.sql("SELECT hex(run_id), group_concat(time_s) FROM moments "
                                  "GROUP BY 1 HAVING count(*) > 1"), [])
        r.send_signal(signal.SIGINT)
        self.assertEqual(r.wait(20), 0)

    def test_old_ones_go(self):
        p = self.hold("keep 100")
        self.record(p)
        now = int(time.time())
        with sqlite3.connect(self.db) as db:
            db.executemany(
                "INSERT INTO moments (run_id, time_s, live_bytes, kept_bytes, region) SELECT "
                "run_id, ?, 1, 1, x'00' FROM moments WHERE kept_bytes > 1",
                [(now - age,) for age in range(600, 40 * DAY, 600)])
        db.close()
        self.record(p)
        ages = [now - t for (t,) in self.sql("SELECT time_s FROM moments ORDER BY time_s DESC")]
        self.assertLessEqual(max(ages), 30 * DAY + 60)
        self.assertGreater(max(ages), 28 * DAY)
        self.assertEqual(len([a for a in ages if 0 < a < 2 * HOUR]), 11)
        hourly = [a for a in ages if 3 * HOUR + 600 < a < DAY]
        self.assertLessEqual(abs(len(hourly) - 21), 1)
        self.assertEqual({b - a for a, b in zip(hourly, hourly[1:])}, {HOUR})
        daily = [a for a in ages if a > 2 * DAY]
        self.assertEqual({b - a for a, b in zip(daily, daily[1:])}, {DAY})

    def test_all_of_them_are_bounded(self):
        p = self.hold("keep 100")
        self.record(p)
        now = int(time.time())
        with sqlite3.connect(self.db) as db:
            db.executemany(
                "INSERT INTO moments (run_id, time_s, live_bytes, kept_bytes, region) VALUES "
                "(randomblob(16), ?, 1, ?, x'00')",
                [(now - 10 * i, 11 << 20) for i in range(1, 41)])
            db.executemany(
                "INSERT INTO moments (run_id, time_s, live_bytes, kept_bytes, region) VALUES "
                "(zeroblob(16), ?, 1, ?, x'00')", [(now - 1000 + i, 5 << 20) for i in range(4)])
        db.close()
        self.record(p)
        # 12 MiB of a run; and of all 256 MiB, the newest.
        left = self.sql("SELECT count(*), min(time_s), sum(kept_bytes) FROM moments")[0]
        self.assertLessEqual(left[2], 256 << 20)
        self.assertGreater(left[2], 244 << 20)
        self.assertEqual(left[1], now - 230)

    def test_those_of_a_run_are_bounded(self):
        p = self.hold("keep 100")
        self.record(p)
        now = int(time.time()) // HOUR * HOUR - 100    # the last of each hour stays longest
        with sqlite3.connect(self.db) as db:
            db.executemany(
                "INSERT INTO moments (run_id, time_s, live_bytes, kept_bytes, region) VALUES "
                "(zeroblob(16), ?, 1, ?, x'00')", [(now - 10 * i, 5 << 20) for i in range(1, 8)])
        db.close()
        self.record(p)
        left = self.sql("SELECT time_s FROM moments WHERE run_id = zeroblob(16) ORDER BY time_s")
        self.assertEqual([t for (t,) in left], [now - 20, now - 10])


if __name__ == "__main__":
    main()
