"""/metrics says what mpalloc serve sent elsewhere, and how that went.

    test_pushed.py COMMAND TARGET LIBRARY
"""

import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "push"))

from receiver import Receiver  # noqa: E402

from metrics_names import PUSHES, base  # noqa: E402
from scraping import TEXT, ScrapeTest  # noqa: E402
from serving import main  # noqa: E402

DONE = "mpalloc_exporter_pushes_total"


class Pushed(ScrapeTest):
    def receiver(self):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        return receiver

    def configure(self, text):
        config = self.dir / "mpalloc.yaml"
        config.write_text(text)
        return config

    def serve_to(self, otlp, pyroscope):
        self.start("quiet")
        return self.serve("--config", self.configure(
            f"otlp: {{endpoint: '{otlp.url}', interval: 1s}}\n"
            f"push: [{{to: pyroscope, url: '{pyroscope.url}', interval: 1s}},"
            f" {{to: pyroscope, url: '{pyroscope.url}/second', interval: 1s}}]\n"))

    def test_what_was_sent_refused_and_waits(self):
        otlp, pyroscope = self.receiver(), self.receiver()
        otlp.usual = (400, {}, b"no")
        pyroscope.answers = [(503, {}, b"")]
        server = self.serve_to(otlp, pyroscope)
        families = self.scrape_when(
            server, lambda f: base(DONE) in f
            and self.value(f, DONE, to="pyroscope", result="delivered") >= 2
            and self.value(f, DONE, to="otlp", result="refused") >= 1, "all are told")
        for name, (kind, labels) in PUSHES.items():
            f = families[base(name)]
            self.assertEqual(f.type, kind, name)
            self.assertTrue(f.documentation.endswith("."), name)
            samples = [s for s in f.samples if s.name == name]
            self.assertEqual({s.labels["to"] for s in samples}, {"otlp", "pyroscope"}, name)
            self.assertEqual({frozenset(s.labels) for s in samples}, {frozenset(labels)}, name)
        self.assertGreaterEqual(
            self.value(families, "mpalloc_exporter_push_retries_total", to="pyroscope"), 1)
        self.assertEqual(
            self.value(families, "mpalloc_exporter_push_retries_total", to="otlp"), 0)
        self.assertGreater(
            self.value(families, "mpalloc_exporter_push_bytes_total", to="pyroscope"), 100)
        self.assertEqual(self.value(families, DONE, to="otlp", result="delivered"), 0)
        self.check_families_are_together(self.text)
        self.scrape(server, accept=TEXT)
        self.assertEqual(self.promtool("check", "metrics", text=self.text), "")

    def test_what_waits(self):
        otlp, pyroscope = self.receiver(), self.receiver()
        otlp.usual = (503, {"Retry-After": "60"}, b"")
        server = self.serve_to(otlp, pyroscope)
        self.scrape_when(
            server, lambda f: "mpalloc_exporter_push_waiting" in f
            and self.value(f, "mpalloc_exporter_push_waiting", to="otlp") >= 2, "two wait")

    def test_nothing_is_said_where_nothing_is_sent_and_a_reload_changes_it(self):
        otlp, pyroscope = self.receiver(), self.receiver()
        server = self.serve_to(otlp, pyroscope)
        self.scrape_when(server, lambda f: base(DONE) in f, "it is sent")
        self.configure("{}")
        server.process.send_signal(signal.SIGHUP)
        self.scrape_when(server, lambda f: base(DONE) not in f, "it is not sent any more")
        self.assertEqual(server.stop(), 0, server.log())


if __name__ == "__main__":
    main()
