"""Everything of mpalloc serve at once: for a build with -Db_sanitize=thread, and a stress for others.

    test_threads.py COMMAND TARGET LIBRARY [SECONDS]

ThreadSanitizer ends a server that raced with code 66, and says in its log what raced.
"""

import contextlib
import collections
import signal
import sys
import threading
import time

from serving import ServeTest, main

SECONDS = float(sys.argv[4]) if len(sys.argv) > 4 else 5
OF_ALL = ("/metrics", "/sd", "/", "/openapi.yaml", "/healthz", "/nothing", "/api/v1/version",
          "/api/v1/processes", "/api/v1/alerts", "/debug/pprof/heap")
OF_ONE = ("snapshot", "report", "components", "classes", "sites", "leaks", "advice", "alerts",
          "timeline", "history", "profile?format=pprof", "profile?format=collapsed&seconds=1")


class Threads(ServeTest):
    def test_all_at_once(self):
        config = self.dir / "mpalloc.yaml"
        config.write_text(
            "alerts: [{name: TooLarge, when: live, above: 100k, clears: 90k, for: 0s}]\n"
            "serve: {interval: 200ms}\notlp: {endpoint: 'http://127.0.0.1:9', interval: 1s}\n")
        for _ in range(4):
            self.start("busy")
        server = self.serve("--config", config, "--allow-actions")
        found = self.wait_for(lambda: len(self.rows(server)) == 4 and self.rows(server), "they are found")
        paths = [*OF_ALL, *(f"/api/v1/processes/{p}/{what}" for p in found for what in OF_ONE)]
        ends = threading.Event()
        codes = collections.Counter()

        def ask(number):
            while not ends.is_set():
                number += 7
                codes[server.ask(paths[number % len(paths)]).status] += 1

        def watch():
            while not ends.is_set():
                with contextlib.closing(server.connection()) as c:
                    c.request("GET", "/api/v1/events?every=500ms")
                    answer = c.getresponse()
                    for _ in range(4):
                        answer.readline()

        def reload():
            while not ends.wait(0.5):
                server.process.send_signal(signal.SIGHUP)

        def come_and_go():
            while not ends.is_set():
                p = self.start("quiet")
                p.stdin.close()
                p.wait()

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
        threads += [threading.Thread(target=f) for f in (watch, watch, reload, come_and_go)]
        for t in threads:
            t.start()
        time.sleep(SECONDS)
        ends.set()
        for t in threads:
            t.join()
        self.assertEqual(server.stop(), 0, server.log())
        self.assertGreater(codes[200], 50)
        self.assertEqual({c for c in codes if c >= 500}, set(), codes)


if __name__ == "__main__":
    main()
