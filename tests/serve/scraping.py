"""What tests of /metrics share: the text of a scrape as families and samples."""

import re
import subprocess

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_text

from serving import ServeTest

OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class ScrapeTest(ServeTest):
    def scrape(self, server, path="/metrics", accept=OPEN):
        answer = server.ask(path, headers={"Accept": accept} if accept else {})
        self.assertEqual(answer.status, 200, answer.body)
        self.type = answer.headers["Content-Type"]
        self.text = answer.body.decode()
        read = read_open if self.type == OPEN else read_text
        return {f.name: f for f in read(self.text)}

    @staticmethod
    def value(families, name, **labels):
        """Of the one sample that has these labels."""
        found = [s.value for f in families.values() for s in f.samples
                 if s.name == name and all(s.labels.get(k) == v for k, v in labels.items())]
        assert len(found) == 1, (name, labels, found)
        return found[0]

    def scrape_when(self, server, wanted, what, path="/metrics"):
        """Scrapes until `wanted` of the families is true; returns them."""
        def look():
            families = self.scrape(server, path)
            return families if wanted(families) else None
        return self.wait_for(look, what)

    def has_insight(self, *pids):
        def look(families):
            f = families.get("mpalloc_insight_age_seconds")
            there = {s.labels.get("pid") for s in f.samples} if f else set()
            return {str(p) for p in pids} <= there
        return look

    def promtool(self, *words, text=None):
        done = subprocess.run(["promtool", *map(str, words)], input=text, text=True,
                              capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def check_families_are_together(self, text):
        """Each family once, its samples behind its head, no sample twice, no head without help."""
        seen, current, samples = set(), None, set()
        for line in text.splitlines():
            if m := re.match(r"# (TYPE|UNIT|HELP) (\S+)", line):
                if m[2] != current:
                    self.assertEqual(m[1], "TYPE", line)
                    self.assertNotIn(m[2], seen)
                    seen.add(m[2])
                    current = m[2]
            elif line != "# EOF":
                sample, name = re.match(r"((\w+)(?:\{.*?\})?) \S+(?: # .*)?$", line).groups()
                self.assertTrue(name.startswith(current), line)
                self.assertNotIn(sample, samples)
                samples.add(sample)
        return seen
