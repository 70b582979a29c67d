"""mpalloc serve with 200 processes, 500 clients, and clients that are slow on purpose.

    test_load.py COMMAND TARGET LIBRARY
"""

import contextlib
import http.client
import os
import socket
import statistics
import threading
import time

from serving import ServeTest, cpu_seconds, main, resident_kib

PROCESSES = 200
PATH = os.environ.get("LOAD_PATH", "/metrics")


class Load(ServeTest):
    def many(self, count):
        for _ in range(count):
            self.start("quiet")

    def scrape(self, server, count, source=None):
        """Seconds that each of so many took, the connection and all."""
        took = []
        for _ in range(count):
            begun = time.monotonic()
            c = http.client.HTTPConnection(*server.address, timeout=30, source_address=source)
            with contextlib.closing(c):
                c.request("GET", PATH)
                answer = c.getresponse()
                body = answer.read()
            took.append(time.monotonic() - begun)
            self.assertEqual(answer.status, 200, body[:200])
        return took

    def test_two_hundred_processes(self):
        self.many(PROCESSES)
        server = self.serve()
        self.wait_for(lambda: len(self.rows(server)) == PROCESSES, "all are found")
        self.scrape(server, 3)
        time.sleep(3)  # the first look at each is more work than any other
        begun, used = time.monotonic(), cpu_seconds(server.pid)
        took = []
        for _ in range(6):
            time.sleep(5)
            took += self.scrape(server, 1)
        share = (cpu_seconds(server.pid) - used) / (time.monotonic() - begun)
        resident = resident_kib(server.pid)
        print(f"scrape {statistics.median(took) * 1e3:.1f} ms (most {max(took) * 1e3:.1f}), "
              f"resident {resident / 1024:.1f} MiB, {share:.2%} of a processor")
        self.assertLess(statistics.median(took), 0.1)
        self.assertLess(resident, 100 * 1024)
        self.assertLess(share, 0.02)

    def test_many_clients_and_slow_ones_do_not_stop_scrapes(self):
        self.many(20)
        server = self.serve()
        self.wait_for(lambda: len(self.rows(server)) == 20, "all are found")
        ends = threading.Event()
        counts = [0] * 500

        def client(i):
            with contextlib.closing(server.connection()) as c:
                while not ends.is_set():
                    try:
                        c.request("GET", "/api/v1/processes")
                        c.getresponse().read()
                        counts[i] += 1
                    except (OSError, http.client.HTTPException):
                        c.close()
                    ends.wait(0.5)

        slow = []
        for _ in range(300):
            s = socket.create_connection(server.address)
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            slow.append(s)
            self.addCleanup(s.close)
        clients = [threading.Thread(target=client, args=(i,)) for i in range(500)]
        for t in clients:
            t.start()

        def drip():
            while not ends.wait(1):
                for s in slow:
                    with contextlib.suppress(OSError):
                        s.send(b"x")

        dripper = threading.Thread(target=drip)
        dripper.start()
        took = []
        try:
            for _ in range(15):
                took += self.scrape(server, 1, source=("127.0.0.2", 0))
                time.sleep(1)
        finally:
            ends.set()
            for t in (*clients, dripper):
                t.join()
        print(f"scrape {statistics.median(took) * 1e3:.1f} ms (most {max(took) * 1e3:.1f}); "
              f"{sum(c > 0 for c in counts)} of 500 clients were answered, {sum(counts)} times")
        self.assertGreater(sum(c > 0 for c in counts), 490)
        self.assertLess(max(took), 5)
        gone = 0
        for s in slow:
            s.settimeout(15)
            with contextlib.suppress(ConnectionResetError):
                while s.recv(4096):
                    pass
            gone += 1
        self.assertEqual(gone, 300)
        self.assertLess(len(os.listdir(f"/proc/{server.pid}/fd")), 100)


if __name__ == "__main__":
    main()
