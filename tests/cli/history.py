"""What tests of the history share: its packed rows, and time that is simulated.

Arguments of the test: COMMAND TARGET LIBRARY HISTORY_WORKER HISTORY_LOAD.
"""

import json
import os
import sqlite3
import subprocess
import sys

from command import CommandTest

WORKER, LOAD = (os.path.realpath(p) for p in sys.argv[4:6])


def unpacked(blob, values):
    """(rows left out, {id: values}) of components (3 values) or sites (4): see history_rows.h."""
    numbers, value, shift = [], 0, 0
    for byte in blob:
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value = shift = 0
    rows, at = {}, 0
    for i in range(1, len(numbers), values + 1):
        at += numbers[i]
        rows[at] = numbers[i + 1:i + 1 + values]
    return numbers[0], rows


def packed(left_out, rows):
    numbers, at = [left_out], 0
    for row in sorted(rows):
        numbers += [row - at, *rows[row]]
        at = row
    out = bytearray()
    for n in numbers:
        while n >= 0x80:
            out.append(n & 0x7f | 0x80)
            n >>= 7
        out.append(n)
    return bytes(out)


class HistoryTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.db = self.dir / "state" / "history.db"
        self.env["MPALLOC_HISTORY"] = str(self.db)

    def rows(self, sql, path=None):
        with sqlite3.connect(path or self.db) as db:
            found = db.execute(sql).fetchall()
        db.close()
        return found

    def simulate(self, path, every, seconds, dumps, *load):
        """A simulated time of a process; how large the database was."""
        subprocess.run([LOAD, self.dir, str(dumps), *map(str, load)], check=True,
                       env={**self.env, "MPALLOC_SAMPLE": "exact"})
        regions = [self.dir / f"{i}.mp" for i in range(dumps)]
        done = subprocess.run([WORKER, path, str(every), str(seconds), *regions], env=self.env,
                              check=True, stdout=subprocess.PIPE, text=True, timeout=3000)
        return json.loads(done.stdout)

    def expect_a_month(self, path):
        tiers = dict(self.rows("SELECT tier, count(*) FROM points GROUP BY tier", path))
        self.assertLessEqual(abs(tiers[0] - 366), 20)
        self.assertLessEqual(abs(tiers[1] - 1380), 20)
        self.assertLessEqual(abs(tiers[2] - (30 * 144 - 144)), 20)
        span = self.rows("SELECT max(time_s) - min(time_s) FROM points", path)[0][0]
        self.assertLessEqual(abs(span - 30 * 86400), 1200)
        self.assertEqual(self.rows("PRAGMA integrity_check", path), [("ok",)])
        # Nothing is left behind of points that went, and each has all that belongs to it.
        for table in ("parts", "details"):
            self.assertEqual(self.rows(f"SELECT count(*) FROM {table}", path),
                             self.rows("SELECT count(*) FROM points", path))
        # A verdict that was said all the time is said once.
        longest, = self.rows("SELECT max(last_s - first_s) FROM verdicts", path)[0]
        self.assertGreater(longest, 25 * 86400)
        # The highest of what was thinned out is kept.
        highest = self.rows("SELECT max(live_high_bytes), max(live_bytes) FROM points WHERE "
                            "tier = 2", path)[0]
        self.assertGreaterEqual(highest[0], highest[1])
