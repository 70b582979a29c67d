"""mpalloc run --serve: one process, shown for as long as it runs.

    test_beside.py COMMAND TARGET LIBRARY
"""

import re
import signal
import socket
import subprocess

from serving import COMMAND, Server, ServeTest, main
from command import TARGET


class Beside(ServeTest):
    def run_beside(self, *words, listen="127.0.0.1:0"):
        log = self.dir / "run.log"
        with open(log, "w") as err:
            p = subprocess.Popen([COMMAND, "run", "--serve", listen, "--", *map(str, words)],
                                 env={**self.env, "XDG_CONFIG_HOME": str(self.dir)}, text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err)
        self.addCleanup(self.end_it, p)
        server = Server(p, log, None)
        self.wait_for(lambda: "listening on" in server.log() or p.poll() is not None, "it listens")
        found = re.search(r"http://(.*):(\d+)$", server.log(), re.M)
        self.assertTrue(found, server.log())
        server.address = (found[1], int(found[2]))
        return server

    @staticmethod
    def end_it(p):
        p.kill()
        p.wait()
        p.stdin.close()
        p.stdout.close()

    def test_one_process_and_none_besides(self):
        other = self.start()
        server = self.run_beside(TARGET, "busy")
        self.assertEqual(server.process.stdout.readline(), "ready\n")
        row, = self.wait_for(lambda: self.rows(server), "it is shown").values()
        self.assertEqual((row["name"], row["state"]), ("target", "running"))
        self.assertNotEqual(row["pid"], other.pid)
        self.assertEqual(server.json("/api/v1/processes/target/snapshot")["process"]["pid"], row["pid"])
        server.process.stdin.close()
        self.assertEqual(server.process.wait(20), 0)
        server.process.stdin = open("/dev/null")
        with self.assertRaises(OSError):
            socket.create_connection(server.address, timeout=5)
        self.assertEqual([p.name.split("-")[0] for p in self.dir.glob("*.mp")], [str(other.pid)], server.log())

    def test_its_end_is_that_of_the_program(self):
        server = self.run_beside("sh", "-c", "read line; exit 7")
        server.process.stdin.write("x\n")
        server.process.stdin.flush()
        self.assertEqual(server.process.wait(20), 7)
        server = self.run_beside("sh", "-c", "read line; kill -9 $$")
        server.process.stdin.write("x\n")
        server.process.stdin.flush()
        self.assertEqual(server.process.wait(20), -signal.SIGKILL)

    def test_signals_reach_the_program(self):
        server = self.run_beside("sh", "-c", "trap 'exit 9' TERM; echo set; while :; do sleep 0.1; done")
        self.assertEqual(server.process.stdout.readline(), "set\n")
        server.process.terminate()
        self.assertEqual(server.process.wait(20), 9)

    def test_bad_addresses_before_it_runs(self):
        mark = self.dir / "ran"
        for address, code in (("nonsense", 2), ("192.0.2.1:80", 1)):
            self.fails(code, "run", "--serve", address, "--", "touch", mark, says=address)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            self.fails(1, "run", "--serve", f"127.0.0.1:{s.getsockname()[1]}", "--", "touch", mark,
                       says="in use")
        self.assertFalse(mark.exists())

    def test_with_a_report(self):
        done = self.command("run", "--serve", "127.0.0.1:0", "--report", "--", TARGET, "exit", "3",
                            code=3, env={"XDG_CONFIG_HOME": str(self.dir)})
        self.assertIn("target", done.stderr)


if __name__ == "__main__":
    main()
