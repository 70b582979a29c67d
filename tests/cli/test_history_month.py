"""30 days of a demanding process are at most 50 MiB: 256 components, 2,000 call stacks with verdicts.

    test_history_month.py COMMAND TARGET LIBRARY HISTORY_WORKER HISTORY_LOAD
"""

import time

from command import main
from history import HistoryTest, unpacked


class Month(HistoryTest):
    def test_a_month_of_a_demanding_process_is_bounded_and_grows_no_more(self):
        self.env["MOMENTS"] = "1"
        size = self.simulate(self.db, 0, 0, 20, 256, 1000)
        print({k: f"{v / 2**20:.1f} MiB" for k, v in size.items()}, end=" ", flush=True)
        self.assertLess(size["most"], 50 << 20)
        self.assertLess(abs(size["end"] - size["month"]), size["month"] // 50)
        self.expect_a_month(self.db)
        components, sites = self.rows("SELECT components, sites FROM details LIMIT 1")[0]
        self.assertEqual(len(unpacked(components, 3)[1]), 256)
        self.assertEqual(len(unpacked(sites, 4)[1]), 128)
        self.assertGreater(self.rows("SELECT count(*) FROM verdicts")[0][0], 1000)
        kept, = self.rows("SELECT sum(kept_bytes) FROM moments")[0]
        self.assertLessEqual(kept, 12 << 20)
        self.assertGreater(kept, 4 << 20)
        run, = self.rows("SELECT pid FROM runs")[0]
        begun = time.monotonic()
        d = self.document("report", run, "--since", "3650d", schema="history")
        self.assertEqual(len(d["points"]), self.rows("SELECT count(*) FROM points")[0][0])
        print(f"report in {time.monotonic() - begun:.2f} s", end=" ", flush=True)


if __name__ == "__main__":
    main()
