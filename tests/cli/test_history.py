"""mpalloc record, and the database that it keeps.

    test_history.py COMMAND TARGET LIBRARY HISTORY_WORKER HISTORY_LOAD

A month on a simulated clock, kill -9, a full disk, databases that are no use.
"""

import contextlib
import os
import pathlib
import pwd
import re
import resource
import signal
import sqlite3
import subprocess
import time

from command import COMMAND, main
from history import HistoryTest, packed, unpacked

VERSION_1 = pathlib.Path(__file__).with_name("history_1.sql")
PARTS = ("requested", "slack", "cached", "dirty", "metadata", "profiler", "difference", "other")


class History(HistoryTest):
    def recorder(self, *words, **env):
        p = subprocess.Popen([COMMAND, "record", *map(str, words)], env={**self.env, **env},
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end_recorder, p)
        return p

    @staticmethod
    def end_recorder(p):
        p.kill()
        p.wait()
        for pipe in (p.stdout, p.stderr):
            pipe.close()

    def wait_for(self, wanted, what):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                if wanted():
                    return
            except sqlite3.OperationalError:
                pass
            time.sleep(0.1)
        self.fail(f"{what} did not come to pass")

    def points(self):
        return self.rows("SELECT count(*) FROM points")[0][0]

    def test_what_is_recorded(self):
        p = self.start("quiet", MPALLOC_SAMPLE="exact")
        d = self.document("record", p.pid, "--for", "2500ms", "--every", "1s")
        self.assertIn(d["points"], (2, 3))
        self.assertEqual(d["history"], str(self.db))
        self.assertEqual(self.db.stat().st_mode & 0o777, 0o600)
        live = self.document("snapshot", p.pid)["live_bytes"]
        self.assertEqual(self.rows("SELECT DISTINCT live_bytes FROM points"), [(live,)])
        names = dict(self.rows("SELECT id, text FROM names"))
        stacks = {i: (names[c], f) for i, c, f in
                  self.rows("SELECT id, component, frames FROM stacks")}
        for components, sites in self.rows("SELECT components, sites FROM details"):
            left_out, rows = unpacked(components, 3)
            self.assertEqual(left_out, 0)
            parts = sorted((names[i], *v[:2]) for i, v in rows.items() if "shop" in names[i])
            self.assertEqual(parts, [("shop", 1024000, 10), ("shop/cart", 1008000, 1000)])
            large = {stacks[i]: v for i, v in unpacked(sites, 4)[1].items() if v[0] > 1000000}
            self.assertEqual(sorted((k[0], v[0]) for k, v in large.items()),
                             [("shop", 1024000), ("shop/cart", 1008000)])
            self.assertIn("main", re.sub("  .*", "", min(large)[1], flags=re.M).split("\n"))
        self.assertEqual(len(self.rows("SELECT point FROM details")), self.points())
        run = self.rows("SELECT pid, name, state FROM runs")
        self.assertEqual(run, [(p.pid, "target", "running")])

    def test_all_processes_and_their_ends(self):
        self.start("quiet")
        r = self.recorder("--every", "1s", "--for", "2m")
        self.wait_for(lambda: self.points() >= 1, "a point")
        late = self.start("quiet")
        # Others of this user may be running, too: by its own id.
        self.wait_for(lambda: self.rows(f"SELECT state FROM runs WHERE pid = {late.pid}")
                      == [("running",)], "a second process")
        late.send_signal(signal.SIGKILL)
        late.wait()
        self.wait_for(lambda: self.rows(f"SELECT state FROM runs WHERE pid = {late.pid}")
                      == [("died",)], "its end")
        dead = f"SELECT count(*) FROM points JOIN runs ON runs.id = run WHERE pid = {late.pid}"
        count = self.rows(dead)
        before = self.points()
        self.wait_for(lambda: self.points() >= before + 2, "more points of the living")
        self.assertEqual(self.rows(dead), count)
        r.send_signal(signal.SIGTERM)
        out, err = r.communicate(timeout=20)
        self.assertEqual(r.returncode, 0, err)
        self.assertRegex(out, r"recorded \d+ points in .*history.db")

    def test_a_recorder_ends_with_its_process(self):
        p = self.start("quiet")
        r = self.recorder(p.pid, "--every", "1s")
        self.wait_for(lambda: self.points() >= 1, "a point")
        p.stdin.close()
        p.wait()
        p.stdin = open(os.devnull)
        self.assertEqual(r.wait(timeout=20), 0)

    def test_kill_9_loses_nothing(self):
        self.start("busy")
        for _ in range(3):
            before = self.points() if self.db.exists() else 0
            r = self.recorder("--every", "1s")
            self.wait_for(lambda: self.points() > before, "a point")
            r.kill()
            r.wait()
            self.assertGreater(self.points(), before)
            self.assertEqual(self.rows("PRAGMA integrity_check"), [("ok",)])

    def test_databases_that_are_no_use_are_moved_aside(self):
        p = self.start("quiet")
        record = ("record", p.pid, "--for", "1ms", "--every", "1s")
        for start, what in ((200, "damaged"), (4096 * 2, "damaged"), (None, "newer")):
            for old in self.db.parent.glob("history.db*"):
                old.unlink()
            self.command(*record)
            with sqlite3.connect(self.db) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                if what == "newer":
                    db.execute("PRAGMA user_version = 99")
            db.close()
            if start is not None:    # behind its header; from the inside, too
                whole = bytearray(self.db.read_bytes())
                whole[start:4096 * 6] = b"\x5a" * (4096 * 6 - start)
                self.db.write_bytes(whole)
            was = self.db.read_bytes()
            done = self.command(*record)
            self.assertRegex(done.stderr, rf"{what}|newer mpalloc")
            self.assertRegex(done.stderr, r"moved to .*, and a new one begun")
            aside = list(self.db.parent.glob(f"history.db.{what}-*[0-9]"))
            self.assertEqual(len(aside), 1)
            self.assertEqual(aside[0].read_bytes(), was)
            self.assertEqual(self.points(), 1)

    def test_one_that_is_being_made_is_none_yet(self):
        self.db.parent.mkdir(exist_ok=True)
        self.db.touch()
        p = self.start("quiet")
        self.fails(4, "report", p.pid, "--since", "1h", says="there is no history in .* yet")
        self.assertEqual(list(self.db.parent.glob(self.db.name + ".*")), [])

    def test_files_that_are_no_history_stay_as_they_are(self):
        p = self.start("quiet")
        self.db.parent.mkdir()
        other = self.db.parent / "other.db"
        with sqlite3.connect(other) as db:
            db.execute("CREATE TABLE theirs (id INTEGER)")
        db.close()
        whole = bytearray(other.read_bytes())
        whole[120:] = b"\x5a" * (len(whole) - 120)
        region, = self.dir.glob("*.mp")
        for content in (b"not a database at all" * 100, b"short", b"SQLite format 3\0" * 10,
                        other.read_bytes(), bytes(whole), region.read_bytes()):
            self.db.write_bytes(content)
            for words in ((), ("--db", self.db)):
                self.fails(1, "record", p.pid, "--for", "1ms", *words, says="history|file")
                self.assertEqual(self.db.read_bytes(), content)
                self.assertEqual({f.name for f in self.db.parent.iterdir()},
                                 {"history.db", "other.db"})

    def test_what_is_not_permitted_is_said_so(self):
        nobody = pwd.getpwnam("nobody")
        p = self.start("quiet")
        self.command("record", p.pid, "--for", "1ms")
        self.dir.chmod(0o711)
        self.db.parent.chmod(0o700)
        done = subprocess.run([COMMAND, "baseline", "reset", "x"], env=self.env, text=True,
                              capture_output=True, user=nobody.pw_uid, group=nobody.pw_gid)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertRegex(done.stderr, "mpalloc baseline: the history .*: unable to open")

    def test_rows_that_nothing_needs_go_at_any_minute(self):
        p = self.start("quiet")
        self.command("record", p.pid, "--for", "1ms")
        with sqlite3.connect(self.db) as db:
            db.execute("INSERT INTO names (text) VALUES ('nobody needs it')")
            db.execute("INSERT INTO runs (run_id, pid, name, exe, build_id, started_s, last_s, "
                       "state) VALUES (x'00', 1, 'gone', '', '', 1, 1, 'exited')")
        db.close()
        self.command("record", p.pid, "--for", "1ms")
        self.assertEqual(self.rows("SELECT text FROM names WHERE text LIKE 'nobody%'"), [])
        self.assertEqual(self.rows("SELECT name FROM runs WHERE pid = 1"), [])

    def test_growth_of_a_verdict_is_the_last_one_found(self):
        p = self.start("quiet")
        self.command("record", p.pid, "--for", "1ms")
        with sqlite3.connect(self.db) as db:
            run, last = db.execute("SELECT id, last_s FROM runs").fetchone()
            name = db.execute("SELECT id FROM names").fetchone()[0]
            db.execute("INSERT INTO stacks (id, key, component, frames) VALUES "
                       "(77, 'key', ?, 'leaky\nmain')", (name,))
            for first, age, rate in ((900, 300, 9 << 20), (200, 50, 5 << 20), (9000, 8000, 1)):
                db.execute("INSERT INTO verdicts VALUES (?, 77, 'growing', ?, ?, 'warning', ?, 0, "
                           "9e9)", (run, last - first, last - age, rate))
        db.close()
        text = self.command("report", p.pid, "--since", "1h").stdout
        self.assertRegex(text, r"growing +5.0 MiB/h .* leaky")
        d = self.document("report", p.pid, "--since", "1h", schema="history")
        self.assertEqual([v["bytes_per_hour"] for v in d["verdicts"]], [5 << 20])
        self.assertEqual(len(re.findall("leaky", text)), 1)

    def test_leaks_since_a_time_that_was_recorded(self):
        p = self.start("quiet", MPALLOC_SAMPLE="4k")
        self.fails(4, "leaks", p.pid, "--since", "1h", says="there is no history")
        self.command("record", p.pid, "--for", "1ms")
        _, sites = unpacked(self.rows("SELECT sites FROM details")[0][0], 4)
        stack = max(sites, key=lambda i: sites[i][0])
        then = packed(0, {stack: [sites[stack][0] - 1000, *sites[stack][1:]]})
        with sqlite3.connect(self.db) as db:
            db.execute("UPDATE points SET time_s = time_s - 7200")
            db.execute("UPDATE details SET sites = ?", (then,))
        db.close()
        for when in ("1h", "119m", "30d"):    # the last one before, or the first
            d = self.document("leaks", p.pid, "--all", "--since", when)
            self.assertEqual(d["since"]["pid"], p.pid)
            by = sorted((k["since_bytes"], k["live_bytes"]["value"]) for k in d["leaks"])
            grown = [x for x in by if 998 < x[0] < 1002]
            self.assertEqual(len(grown), 1)
            self.assertGreater(grown[0][1], 1e6)
            self.assertEqual([x for x in by if x not in grown and abs(x[0] - x[1]) > 1], [])
        self.assertIn("as recorded", self.command("leaks", p.pid, "--since", "1h").stdout)
        other = self.start("quiet")
        self.fails(4, "leaks", other.pid, "--since", "1h", says="nothing was recorded of this run")

    def test_acknowledgements_are_kept_in_the_same_database(self):
        # As they were before there was a history: a table without a version.
        self.db.parent.mkdir()
        with sqlite3.connect(self.db) as db:
            db.execute("CREATE TABLE acks (id TEXT PRIMARY KEY, until_s INTEGER NOT NULL, "
                       "note TEXT NOT NULL, made_s INTEGER NOT NULL)")
            db.execute("INSERT INTO acks VALUES ('0123456789abcdef', 9999999999, 'old', 1)")
        db.close()
        p = self.start("quiet")
        self.command("record", p.pid, "--for", "1ms")
        self.command("leaks", "--ack", "fedcba9876543210", "--note", "new")
        self.assertEqual(self.rows("SELECT note FROM acks ORDER BY note"), [("new",), ("old",)])
        self.assertEqual(self.points(), 1)

    def test_a_full_disk_is_waited_for(self):
        self.start("busy")
        r = self.recorder("--every", "1s")
        self.wait_for(lambda: self.points() >= 1, "a point")
        limits = resource.prlimit(r.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(r.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
        line = r.stderr.readline()
        self.assertIn("recording", line)
        self.assertRegex(r.stderr.readline(), "recording pauses: .*history.db: ")
        paused = self.points()
        resource.prlimit(r.pid, resource.RLIMIT_FSIZE, limits)
        self.assertRegex(r.stderr.readline(), "recording resumes")
        self.wait_for(lambda: self.points() > paused, "a point after the pause")
        r.send_signal(signal.SIGINT)
        self.assertEqual(r.wait(timeout=20), 0)
        self.assertEqual(self.rows("PRAGMA integrity_check"), [("ok",)])

    def test_a_month_is_bounded(self):
        path = self.dir / "month.db"
        size = self.simulate(path, 0, 61 * 86400 // 2, 5, 20, 20)
        self.assertLess(size["most"], 12 << 20)
        self.expect_a_month(path)

    def test_points_of_who_records_often_are_thinned_out_early(self):
        path = self.dir / "often.db"
        self.simulate(path, 1, 5400, 1, 4, 4)
        run, = self.rows("SELECT run FROM points LIMIT 1", path)[0]
        last, = self.rows("SELECT last_s FROM runs", path)[0]
        for tier, begin, end, count in ((0, 0, 600, 600), (0, 720, 3500, 278), (1, 3700, 5400, 28)):
            found, = self.rows(f"SELECT count(*) FROM points WHERE run = {run} AND tier = {tier} AND "
                               f"time_s BETWEEN {last - end} AND {last - begin}", path)[0]
            self.assertLessEqual(abs(found - count), 3, (tier, begin))

    # What is made of it.

    def fill(self, p, growth, hours=24, limit=None):
        """A past of the process: points of an hour ago and before, by hand."""
        self.command("record", p.pid, "--for", "1ms")
        with sqlite3.connect(self.db) as db:
            run = db.execute("SELECT id FROM runs").fetchone()[0]
            now, live = db.execute("SELECT max(time_s), max(live_bytes) FROM points").fetchone()
            for i in range(1, hours * 6):
                jitter = (i * 7919 % 101 - 50) * 100
                db.execute("INSERT INTO points (run, time_s, tier, live_bytes, live_blocks, "
                           "live_high_bytes, allocated_bytes_total, allocated_blocks_total, "
                           "heap_bytes, threads) VALUES (?, ?, 2, ?, 1, ?, 1, 1, 1, 1)",
                           (run, now - 600 * i, max(live - growth * i // 6 + jitter, 0),
                            live + 5000000 if i == 77 else live))
            db.execute("UPDATE runs SET limit_bytes = ?", (limit,))
        db.close()

    def test_an_empty_file_is_none(self):
        """Of one that was killed as it began."""
        self.db.parent.mkdir(parents=True)
        self.db.touch()
        p = self.start("quiet")
        for words in (("report", p.pid), ("leaks", p.pid), ("baseline", "list")):
            self.assertEqual(self.command(*words).stderr, "", words)
        self.fails(4, "leaks", "--since", "1h", p.pid, says="there is no history in .* yet")
        self.command("record", "--every", "1s", "--for", "2s")
        self.assertGreater(self.db.stat().st_size, 0)

    def test_report_since(self):
        p = self.start("quiet", MPALLOC_SAMPLE="exact")
        self.fill(p, growth=60000)
        pid_file = self.dir / "target.pid"
        pid_file.write_text(f"{p.pid}\n")
        for words in ((p.pid,), (self.region_of(p),), ("target",), ("--name", "target"),
                      ("--pid-file", pid_file)):
            d = self.document("report", *words, "--since", "24h", schema="history")
            self.assertIn(len(d["points"]), (143, 144))
            self.assertEqual([r["pid"] for r in d["runs"]], [p.pid])
            self.assertEqual(max(x["live_high_bytes"] for x in d["points"]) - 5000000,
                             d["points"][-1]["live_bytes"])
        rate = d["forecast"]["bytes_per_hour"]
        self.assertTrue(d["forecast"]["grows"])
        self.assertLess(rate["low"], 60000)
        self.assertGreater(rate["high"], 60000)
        self.assertAlmostEqual(rate["value"], 60000, delta=6000)
        self.assertEqual(d["forecast"]["limit_seconds"]["value"], None)
        parts = {c["name"]: c["after"] for c in d["components"]}
        self.assertEqual(parts["shop/cart"], 1008000)
        self.assertIn(len(self.document("report", p.pid, "--since", "3h",
                                        schema="history")["points"]), (18, 19))
        text = self.command("report", p.pid, "--since", "24h").stdout
        for wanted in (" points", "Live bytes over time", "shop/cart", "main", "Forecast",
                       "highest"):
            self.assertIn(wanted, text)
        self.assertNotIn("\x1b", text)
        # It is there when the process is gone.
        p.stdin.close()
        p.wait()
        p.stdin = open(os.devnull)
        self.assertIn(" points", self.command("report", p.pid, "--since", "24h").stdout)
        self.fails(4, "report", "nobody", "--since", "24h", says="nothing was recorded of nobody")

    def test_parts_of_resident_memory_then_and_now(self):
        p = self.start("quiet", MPALLOC_SAMPLE="exact")
        self.command("record", p.pid, "--for", "1ms")
        with contextlib.closing(sqlite3.connect(self.db)) as db, db:
            db.execute("UPDATE points SET time_s = time_s - 7200, tier = 2")
            db.execute("UPDATE parts SET slack_bytes = slack_bytes + 1000000, other_bytes = "
                       "other_bytes - 4096")
        self.command("record", p.pid, "--for", "1ms")
        d = self.document("report", p.pid, "--since", "24h", schema="history")
        for point in d["points"][1:]:    # as the kernel has it
            self.assertAlmostEqual(sum(point["parts"].values()) / point["resident_bytes"], 1,
                                   delta=0.01)
        self.assertEqual([x["name"] for x in d["rss_ledger"]["parts"]], list(PARTS))
        parts = {x["name"]: x for x in d["rss_ledger"]["parts"]}
        now = self.document("report", p.pid, schema="report")
        live = now["live_bytes"]
        self.assertEqual(parts["requested"]["after"] + parts["slack"]["after"], live)
        self.assertAlmostEqual(parts["slack"]["before"] - parts["slack"]["after"], 1000000, delta=4096)
        self.assertEqual({k: parts[k]["after"] for k in PARTS},
                         {k: d["points"][-1]["parts"][f"{k}_bytes"] for k in PARTS})
        self.assertAlmostEqual(d["efficiency"]["after"]["value"], now["efficiency"]["ratio"],
                               delta=0.02)
        self.assertAlmostEqual(d["efficiency"]["after"]["value"],
                               parts["requested"]["after"] / d["points"][-1]["heap_bytes"], delta=1e-6)
        text = self.command("report", p.pid, "--since", "24h").stdout
        self.assertRegex(text, r"Where resident memory was, and is\n +then +now +change +over time\n")
        self.assertRegex(text, r"-97\d\.\d KiB .* live: slack in blocks")
        self.assertRegex(text, r"efficiency, .* then 0\.\d+ \(.*\), now 0\.\d+ \(")
        page = self.dir / "past.html"
        self.command("report", p.pid, "--since", "24h", "--format", "html", "--output", page)
        html = page.read_text()
        self.assertIn("<svg", html)
        self.assertIn("not mpalloc: files, stacks, other mappings", html)
        md = self.command("report", p.pid, "--since", "24h", "--format", "md").stdout
        self.assertRegex(md, r"\| *-97\d\.\d KiB *\| live: slack in blocks")
        self.assertIn("## Components", md)

    def test_what_was_not_kept_then_is_not_called_zero(self):
        p = self.start("quiet", MPALLOC_SAMPLE="exact")
        self.command("record", p.pid, "--for", "1ms")
        cart, = self.rows("SELECT id FROM names WHERE text = 'shop/cart'")[0]
        for left_out, wanted in ((3, None), (0, 0)):
            with contextlib.closing(sqlite3.connect(self.db)) as db, db:
                db.execute("DELETE FROM points WHERE tier = 2")
                db.execute("INSERT INTO points SELECT 900 + ?, run, time_s - 7200, 2, live_bytes, "
                           "live_blocks, 1, 1, 1, heap_bytes, 1, 1 FROM points WHERE tier = 0",
                           (left_out,))
                db.execute("INSERT INTO details VALUES (900 + ?, ?, ?)",
                           (left_out, packed(left_out, {cart: [8, 1, 9]}), packed(0, {})))
            d = self.document("report", p.pid, "--since", "24h", schema="history")
            before = {c["name"]: c["before"] for c in d["components"]}
            self.assertEqual((before["shop/cart"], before["shop"]), (8, wanted))

    def test_one_of_version_1_is_made_as_it_is_now(self):
        p = self.start("quiet", MPALLOC_SAMPLE="exact")
        self.command("record", p.pid, "--for", "1ms")
        run, = self.rows("SELECT hex(run_id) FROM runs")[0]
        live, = self.rows("SELECT live_bytes FROM points")[0]
        now = int(time.time())
        old = VERSION_1.read_text().replace("RUN_ID", run).replace("PID", str(p.pid))
        old = re.sub(r"NOW-(\d+)", lambda m: str(now - int(m[1])), old)
        for words in (("report", p.pid, "--since", "24h"), ("record", p.pid, "--for", "1ms")):
            for f in self.db.parent.glob("history.db*"):
                f.unlink()
            with contextlib.closing(sqlite3.connect(self.db)) as db, db:
                db.executescript(old)
            done = self.command(*words)
            self.assertEqual(self.rows("PRAGMA user_version"), [(2,)])
            self.assertEqual(list(self.db.parent.glob("history.db.*")), [])
            self.assertEqual(self.rows("SELECT id, note FROM acks"), [("0123456789abcdef", "known")])
            self.assertEqual(self.rows("SELECT count(*) FROM points WHERE id < 3"), [(2,)])
            components, sites = self.rows("SELECT components, sites FROM details WHERE point = 2")[0]
            self.assertEqual(unpacked(components, 3), (0, {1: [700, 7, 7000], 2: [50, 5, 500]}))
            self.assertEqual(unpacked(sites, 4), (0, {1: [600, 9000, 100, 300]}))
            self.assertEqual(self.rows("SELECT run, stack, verdict, first_s, last_s, severity, "
                                       "bytes_per_hour FROM verdicts"),
                             [(1, 1, "growing", now - 7000, now - 3500, "critical", 77.0)])
            self.assertEqual(self.rows("SELECT name FROM sqlite_master WHERE name IN "
                                       "('components', 'sites', 'verdicts_1')"), [])
            d = self.document("report", p.pid, "--since", "24h", schema="history")
            self.assertEqual([x["live_bytes"] for x in d["points"]][:2], [1000, 2000])
            self.assertEqual(d["verdicts"][0]["function"], "leaky")
        self.assertEqual(d["points"][-1]["live_bytes"], live)
        self.assertIsNotNone(d["points"][-1]["parts"]["requested_bytes"])

    def test_forecast(self):
        p = self.start("quiet")
        self.fill(p, growth=60000, limit=1 << 30)
        d = self.document("report", p.pid, "--forecast", schema="history")["forecast"]
        room = (1 << 30) - self.rows("SELECT resident_bytes FROM points WHERE tier = 0")[0][0]
        self.assertAlmostEqual(d["limit_seconds"]["value"] / (room / 60000 * 3600), 1, delta=0.1)
        self.assertLess(d["limit_seconds"]["low"], d["limit_seconds"]["value"])
        self.assertGreater(d["limit_seconds"]["high"], d["limit_seconds"]["value"])
        self.assertRegex(self.command("report", p.pid, "--forecast").stdout,
                         r"limit +1.0 GiB  reached in \d+ d .* \(")

    def test_forecast_without_a_history(self):
        p = self.start("busy")
        self.assertIn("too few points", self.command("report", p.pid, "--forecast").stdout)
        self.assertFalse(self.db.exists())
        self.fails(4, "report", p.pid, "--since", "1h", says="there is no history")
        self.fails(2, "report", p.pid, "--since", "1x", says="such as 30m, 24h or 7d")
        self.fails(2, "report", "--since", "1h", says="needs a PID")
        self.fails(2, "report", p.pid, "--since", "1h", "--by", "site", says="without --by")

    def test_what_is_wrong_is_said(self):
        self.fails(2, "record", "--every", "10ms", says="--every takes a time from 1s")
        self.fails(2, "record", "--every", "25h", says="--every takes a time from 1s to 1d, .*not .25h")
        for words in (("--every", "24h"), ("--for", "0.0000005h"), ("--for", "1ms")):
            self.command("record", self.start("quiet").pid, "--for", "1ms", *words)
        self.fails(2, "record", "--for", "x", says="--for takes a time")
        self.fails(4, "record", "999999999", says="no process|does not exist")
        self.fails(1, "record", "--db", "/proc/nothing/history.db", says="history /proc/nothing")


if __name__ == "__main__":
    main()
