"""mpalloc serve under mpalloc itself: a day of it in a minute does not grow, and leaks nothing.

    test_own.py COMMAND TARGET LIBRARY [SCRAPES]

A day is 5,760 scrapes, one in 15 s, beside processes that come and go, streams and clients.
"""

import contextlib
import json
import subprocess
import sys
import threading

from serving import COMMAND, LIBRARY, ServeTest, main

SCRAPES = int(sys.argv[4]) if len(sys.argv) > 4 else 600


class Own(ServeTest):
    def own(self, *words, **more):
        return self.command(*words, env={"MPALLOC_DIR": str(self.dir / "own")}, **more)

    def live(self, server):
        return json.loads(self.own("snapshot", server.pid, "--json").stdout)["live_bytes"]

    def growth(self, server):
        """Bytes per hour, a 95 % interval; None: too short a time, of which the start is most."""
        trend = json.loads(self.own("report", server.pid, "--json").stdout)["trend"]
        return trend["bytes_per_hour"] if trend["points"] >= 30 else None

    def serve_on_mpalloc(self, **env):
        own = self.dir / "own"
        own.mkdir(mode=0o700)
        return self.serve("--interval", "100ms", MPALLOC_DIR=str(own), LD_PRELOAD=LIBRARY, **env)

    def live_a_while(self, server, scrapes):
        ends = threading.Event()

        def come_and_go():
            while not ends.is_set():
                p = self.start("quiet")
                p.stdin.close()
                p.wait(30)

        def watch():
            while not ends.is_set():
                with contextlib.closing(server.connection()) as c:
                    c.request("GET", "/api/v1/events?every=500ms")
                    c.getresponse().readline()

        others = [threading.Thread(target=f) for f in (come_and_go, watch)]
        for t in others:
            t.start()
        try:
            with contextlib.closing(server.connection()) as c:
                for i in range(scrapes):
                    for path in ("/metrics", "/api/v1/processes", "/nothing")[:1 + 2 * (i % 5 == 0)]:
                        c.request("GET", path)
                        c.getresponse().read()
        finally:
            ends.set()
            for t in others:
                t.join()

    def test_a_day_does_not_grow(self):
        for _ in range(3):
            self.start("busy")
        server = self.serve_on_mpalloc()
        self.live_a_while(server, SCRAPES // 3)
        before = self.live(server)
        self.live_a_while(server, SCRAPES)
        after = self.live(server)
        self.live_a_while(server, SCRAPES)
        end = self.live(server)
        print(f"live after {SCRAPES // 3} scrapes: {before >> 10} KiB, {SCRAPES} later "
              f"{after >> 10} KiB, {SCRAPES} later {end >> 10} KiB")
        self.assertLess(end, max(before, after) * 1.05 + 256 * 1024)
        growth = self.growth(server)
        while growth is None and SCRAPES >= 5760:
            self.live_a_while(server, SCRAPES // 6)
            growth = self.growth(server)
        if growth and growth["low"] > 0:  # by chance, one time in forty: a leak goes on
            self.live_a_while(server, SCRAPES)
            growth = self.growth(server)
        lost = json.loads(self.own("leaks", "--scan", server.pid, "--json").stdout)
        for what, g in (("all", growth), ("leaks", lost["growth_bytes_per_hour"])):
            if g:
                print(f"growth of {what}: {g['low'] / 1024:.0f} to {g['high'] / 1024:.0f} KiB/h")
                self.assertLessEqual(g["low"], 0, what)
                self.assertGreaterEqual(g["high"], 0, what)
        self.assertEqual([l for l in lost["leaks"] if l["kind"] in ("lost", "growing")], [])
        self.assertEqual(server.stop(), 0)

    def test_its_end_leaves_nothing_lost(self):
        self.start("busy")
        server = self.serve_on_mpalloc(
            MPALLOC_LEAK_CHECK="1", MPALLOC_LEAK_EXIT="99", MPALLOC_SAMPLE="exact")
        self.live_a_while(server, 50)
        code = server.stop()
        self.assertEqual(code, 0, server.log())

    def test_run_fails_on_no_leak(self):
        log = self.dir / "run.log"
        with open(log, "w") as err:
            p = subprocess.Popen([COMMAND, "run", "--fail-on", "leak", "--sample", "exact", "--",
                                  COMMAND, "serve", "--listen", "127.0.0.1:0", "--no-history",
                                  "--dir", self.dir], env=self.env, stderr=err)
        self.addCleanup(self.end_server, p)
        self.wait_for(lambda: "listening on" in log.read_text(), "it listens")
        p.terminate()
        self.assertEqual(p.wait(60), 0, log.read_text())


if __name__ == "__main__":
    main()
