"""mpalloc serve goes on in a history that was begun anew: with points, and with alerts.

    test_kept.py COMMAND TARGET LIBRARY
"""

import contextlib
import shutil
import sqlite3

from serving import ServeTest, main


class Kept(ServeTest):
    def setUp(self):
        super().setUp()
        self.db = self.dir / "kept" / "history.db"
        self.db.parent.mkdir()
        config = self.dir / "mpalloc.yaml"
        config.write_text("alerts: [{name: Some, when: live, above: 1, for: 0s}]\n")
        self.p = self.start("quiet")
        self.server = self.serve("--config", config, "--interval", "200ms",
                                 MPALLOC_HISTORY=str(self.db))
        self.wait_for(self.alerts, "an alert is kept")

    def rows(self, what):
        """None: not to be read yet."""
        if not self.db.exists():
            return None
        with contextlib.suppress(sqlite3.Error):
            with contextlib.closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as db:
                return db.execute(what).fetchall()
        return None

    def alerts(self):
        return self.rows("SELECT name, state FROM alerts WHERE name = 'Some'")

    def check_goes_on(self):
        self.assertEqual(self.wait_for(self.alerts, "the alert is in the new one"),
                         [("Some", "firing")])
        self.p.kill()
        self.p.wait()
        self.wait_for(lambda: self.alerts() == [("Some", "resolved")], "and how it ended")
        self.assertEqual(self.server.stop(), 0)

    def test_one_that_was_moved_away(self):
        away = self.dir / "away"
        away.mkdir()
        for file in self.db.parent.glob("history.db*"):
            shutil.move(file, away)
        self.wait_for(lambda: self.rows("SELECT * FROM points"), "points are in the new one")
        self.check_goes_on()
        self.assertIn("history", self.server.log())

    def test_one_that_is_damaged(self):
        with contextlib.closing(sqlite3.connect(self.db)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with open(self.db, "r+b") as f:
            f.seek(200)
            f.write(b"\x5a" * (self.db.stat().st_size - 200))
        self.wait_for(lambda: list(self.db.parent.glob("history.db.damaged-*")),
                      "it is moved aside")
        self.check_goes_on()


if __name__ == "__main__":
    main()
