"""What the HTTP API does to processes, and who may ask for it.

    test_api_actions.py COMMAND TARGET LIBRARY
"""

import signal
import threading
import time

from api import ApiTest, main


class ActionsTest(ApiTest):
    def test_actions_act(self):
        self.begin()
        done = self.post(f"{self.at}/sample", '{"interval": "64k"}').json()
        self.assertEqual(done["interval_bytes"], 65536)
        self.wait_for(lambda: self.server.json(f"{self.at}/snapshot")["sampling"]["wanted_bytes"]
                      == 65536, "figures are of after")
        self.assertIsNone(self.post(f"{self.at}/sample", '{"interval": "off"}')
                          .json()["interval_bytes"])
        self.post(f"{self.at}/sample", '{"interval": "16k"}')
        self.assertGreaterEqual(self.post(f"{self.at}/trim?timeout=20").json()["trimmed_bytes"], 0)
        before = self.server.json(f"{self.at}/leaks")
        self.assertIsNone(before["leak_check"])
        after = self.post(f"{self.at}/scan").json()
        self.assertGreaterEqual(after["leak_check"]["rounds"], 2)
        self.assertIsNotNone(self.server.json(f"{self.at}/leaks")["leak_check"])
        saved = self.post(f"{self.at}/baselines/b%C3%A4se?label=load%3Dhigh").json()["baselines"]
        self.assertEqual([(b["name"], b["label"]) for b in saved], [("bäse", "load=high")])

    def test_bodies_and_types(self):
        self.begin()
        at = f"{self.at}/sample"
        for body, says in (("", "JSON"), ("{", "JSON"), ("[]", "interval"), ("{}", "interval"),
                           ('{"interval": 5}', "interval"), ('"64k"', "interval"),
                           ('{"interval": "64k", "x": 1}', "nothing else"),
                           ('{"interval": "64k", "interval": "1k"}', "JSON"),
                           ('{"interval": "banana"}', "banana"),
                           ('{"interval": "2t"}', "1t"), ("\xff".encode("latin1"), "JSON"),
                           ("[" * 60000, "JSON")):
            with self.subTest(body=body[:30]):
                self.problem(self.server.ask(at, "POST", body,
                                             {"Content-Type": "application/json"}), 400, says)
        self.problem(self.server.ask(at, "POST", '{"interval": "64k"}',
                                     {"Content-Type": "text/plain"}), 415, "json")
        for name in ("%00", "a%0ab", "x" * 101, "%ff"):
            with self.subTest(name=name):
                answer = self.server.ask(f"{self.at}/baselines/{name}", "POST", None)
                self.problem(answer, 400, ".")
        self.problem(self.server.ask(f"{self.at}/baselines/a?label=" + "x" * 101, "POST"), 400,
                     "characters")

    def test_only_with_permission_and_from_here(self):
        self.begin()
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            self.problem(self.server.ask(f"{self.at}/trim", "POST", None, headers), 403, ".")
        server = self.serve()
        for path in ("scan", "trim", "sample", "baselines/x"):
            self.problem(server.ask(f"{self.at}/{path}", "POST", "{}",
                                    {"Content-Type": "application/json"}), 403, "allow-actions")

    def test_a_process_that_does_not_answer_delays_nobody(self):
        self.begin()
        self.target.send_signal(signal.SIGSTOP)
        self.addCleanup(self.target.send_signal, signal.SIGCONT)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(
            self.server.ask(f"{self.at}/trim?timeout=3", "POST"))) for _ in range(40)]
        began = time.monotonic()
        for t in threads:
            t.start()
        time.sleep(0.3)
        start = time.monotonic()
        self.server.json("/api/v1/processes")
        self.server.json(f"{self.at}/report")
        self.assertLess(time.monotonic() - start, 2)
        for t in threads:
            t.join()
        self.assertLess(time.monotonic() - began, 20)
        for answer in answers:
            self.problem(answer, 504, ".")
        self.problem(self.server.ask(f"{self.at}/scan?timeout=1", "POST"), 504, ".")


if __name__ == "__main__":
    main()
