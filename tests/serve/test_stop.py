"""mpalloc serve ends in time, whoever it tells hangs.

    test_stop.py COMMAND TARGET LIBRARY
"""

import socket
import threading
import time

from serving import ServeTest, main

IN_TIME = 9  # seconds: what was asked may take 5, what waits 3


class Silent:
    """A server that takes connections and requests, and never answers."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.taken = []
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        while True:
            try:
                self.taken.append(self.socket.accept()[0])
            except OSError:
                return

    def close(self):
        self.socket.close()
        for s in self.taken:
            s.close()


class Stop(ServeTest):
    def check_end(self, server, silent):
        self.wait_for(lambda: silent.taken, "the server that hangs is told")
        begun = time.monotonic()
        self.assertEqual(server.stop(), 0, server.log())
        self.assertLess(time.monotonic() - begun, IN_TIME, server.log())
        self.assertNotIn("not answered within", server.log())

    def silent(self):
        silent = Silent()
        self.addCleanup(silent.close)
        return silent

    def serve_with(self, text):
        config = self.dir / "mpalloc.yaml"
        config.write_text(text)
        self.start("quiet")
        return self.serve("--config", config, "--interval", "200ms")

    def serve_alerts(self, sinks):
        return self.serve_with("alerts: [{name: Some, when: live, above: 1, for: 0s}]\n"
                               f"sinks: [{sinks}]\n")

    def test_a_webhook_that_hangs(self):
        silent = self.silent()
        self.check_end(self.serve_alerts(
            f"{{webhook: 'http://127.0.0.1:{silent.port}/', timeout: 60s}}"), silent)

    def test_an_alertmanager_that_hangs(self):
        silent = self.silent()
        self.check_end(self.serve_alerts(
            f"{{alertmanager: 'http://127.0.0.1:{silent.port}', timeout: 60s}}"), silent)

    def test_a_program_that_hangs(self):
        mark = self.dir / "mark"
        server = self.serve_alerts(
            f"{{exec: [sh, -c, 'echo >{mark}; exec sleep 100'], timeout: 60s}}")
        self.wait_for(mark.exists, "the program runs")
        begun = time.monotonic()
        self.assertEqual(server.stop(), 0, server.log())
        self.assertLess(time.monotonic() - begun, IN_TIME, server.log())

    def test_servers_that_figures_and_profiles_are_sent_to(self):
        silent = self.silent()
        url = f"http://127.0.0.1:{silent.port}"
        self.check_end(self.serve_with(
            f"otlp: {{endpoint: '{url}', interval: 1s}}\n"
            f"push: [{{to: pyroscope, url: '{url}', interval: 1s}},"
            f" {{to: parca, url: '{url}', interval: 1s}}]\n"), silent)


if __name__ == "__main__":
    main()
