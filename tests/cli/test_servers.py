"""Names from servers of debug information (debuginfod), and from none.

    test_servers.py SYMBOL_WORKER MPALLOC LIBRARY

Debian's debuginfod serves what was stripped off a program; then servers of our own that have
the wrong file, are silent, slow, or not there at all.
"""

import contextlib
import http.server
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

from test_symbols import C_PROGRAM, Answer, Elf, run

WORKER, MPALLOC, LIBRARY = map(os.path.realpath, sys.argv[1:4])

LEAK = r"""
#include <stdlib.h>
#include <string.h>
__attribute__((noinline)) void *keep_page(void)
{
    return memset(malloc(4000), 1, 4000);
}
__attribute__((noinline)) void fill_shelf(int pages)
{
    for (int i = 0; i < pages; i++) {
        *(void *volatile *)keep_page() = NULL;
    }
}
int main(void)
{
    fill_shelf(2000);
    return 0;
}
"""


def has_client():
    text = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True,
                          env={**os.environ, "PATH": os.environ["PATH"] + ":/sbin"}).stdout
    return "libdebuginfod.so.1" in text


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Handler(http.server.BaseHTTPRequestHandler):
    """/ID/debuginfo or /ID/executable: what `files` has of it; else 404."""

    def do_GET(self):
        self.server.asked.append(self.path)
        data = self.server.files.get(self.path.rsplit("/", 1)[1])
        if self.server.wait:
            self.server.stop.wait(self.server.wait)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for at in range(0, len(data), self.server.piece):
            with contextlib.suppress(OSError):
                self.wfile.write(data[at:at + self.server.piece])
            if self.server.pause and self.server.stop.wait(self.server.pause):
                return

    def log_message(self, *_):
        pass


@unittest.skipUnless(has_client(), "libdebuginfod1 is not installed")
class Servers(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-servers-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        drop = "DEBUGINFOD", "MPALLOC", "LD_PRELOAD", "http_proxy", "HTTP_PROXY"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
        self.env.update(XDG_CACHE_HOME=str(self.dir / "cache"), LC_ALL="C.UTF-8",
                        DEBUGINFOD_CACHE_PATH=str(self.dir / "fetched"),
                        MPALLOC_SYMBOL_CACHE="off", MPALLOC_DIR=str(self.dir / "regions"),
                        no_proxy="127.0.0.1")

    def build(self, text=C_PROGRAM, name="program"):
        """Stripped, and what was stripped off."""
        source = self.dir / f"{name}.c"
        source.write_text(text)
        program, debug = self.dir / name, self.dir / "served" / f"{name}.debug"
        debug.parent.mkdir(exist_ok=True)
        run("gcc", "-Wl,--build-id", "-g", "-O1", "-fno-builtin", "-o", program, source)
        elf = Elf(program)
        elf.at = elf.offset("outer") if "outer" in text else 0
        run("objcopy", "--only-keep-debug", program, debug)
        run("strip", program)
        return elf, debug

    def serve(self, wait=0, pause=0, piece=1 << 20, **files):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.files, server.wait, server.pause, server.piece = files, wait, pause, piece
        server.asked, server.stop = [], threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.addCleanup(server.stop.set)
        self.env["DEBUGINFOD_URLS"] = f"http://127.0.0.1:{server.server_port}"
        return server

    def ask(self, elf, **env):
        start = time.monotonic()
        done = subprocess.run([WORKER, elf.path, elf.build_id, str(elf.bytes)],
                              input=f"{elf.at:x}\n", capture_output=True, text=True,
                              env={**self.env, **env}, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        answer = Answer(done.stdout)
        answer.seconds = time.monotonic() - start
        return answer

    def unnamed(self, elf):
        return [f"program+0x{elf.at:x}"]

    # A real one.

    def start_debuginfod(self):
        if shutil.which("debuginfod") is None:
            self.skipTest("debuginfod is not installed")
        port = free_port()
        log = open(self.dir / "log", "wb")
        self.addCleanup(log.close)
        p = subprocess.Popen(["debuginfod", "-F", "-d", str(self.dir / "index"), "-p",
                              str(port), str(self.dir / "served")], stdout=log, stderr=log,
                             env=self.env)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        return f"http://127.0.0.1:{port}", p

    def wait_for(self, url, build_id):
        for _ in range(300):
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with contextlib.suppress(OSError):
                return opener.open(f"{url}/buildid/{build_id}/debuginfo").read()
            time.sleep(0.1)
        self.fail("debuginfod does not serve: " + (self.dir / "log").read_text()[-2000:])

    def test_debian_debuginfod_names_frames_of_another_machine(self):
        elf, _ = self.build(LEAK)
        run(elf.path, env={**self.env, "LD_PRELOAD": LIBRARY, "MPALLOC_KEEP": "1",
                           "MPALLOC_SAMPLE": "64k"})
        region, = (self.dir / "regions").glob("*.mp")
        url, _ = self.start_debuginfod()
        self.wait_for(url, elf.build_id)
        words = [MPALLOC, "export", "--format", "collapsed", "--value", "allocated-bytes",
                 str(region)]

        def export(**env):
            done = subprocess.run(words, env={**self.env, **env}, capture_output=True,
                                  text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout, done.stderr

        os.unlink(elf.path)
        for replaced in False, True:
            if replaced:
                self.build(C_PROGRAM)
            text, said = export()
            self.assertNotIn("fill_shelf", text)
            self.assertIn("program+0x", text)
            self.assertRegex(said, "build id is not that" if replaced else "is gone")
            text, said = export(DEBUGINFOD_URLS=url)
            self.assertIn("main;fill_shelf;keep_page ", text)
            self.assertNotIn("program", said)
            run(MPALLOC, "flame", "-o", self.dir / "flame.html", region,
                env={**self.env, "DEBUGINFOD_URLS": url})
            self.assertIn("fill_shelf", (self.dir / "flame.html").read_text())

    # Ones of our own.

    def test_what_was_stripped_off_is_fetched_once(self):
        elf, debug = self.build()
        server = self.serve(debuginfo=debug.read_bytes())
        self.assertEqual(self.ask(elf, DEBUGINFOD_URLS="").names, self.unnamed(elf))
        self.assertEqual(server.asked, [])
        first = self.ask(elf)
        self.assertEqual((first.names, first.problems), (["outer"], []))
        os.unlink(elf.path)
        self.assertEqual(self.ask(elf).lines, first.lines)
        self.assertEqual(len(server.asked), 1, server.asked)

    def test_the_file_itself_will_do(self):
        elf, _ = self.build()
        run("gcc", "-Wl,--build-id", "-g", "-O1", "-fno-builtin", "-o", elf.path,
            self.dir / "program.c")
        self.serve(executable=elf.path.read_bytes())
        os.unlink(elf.path)
        self.assertEqual(self.ask(elf).names, ["outer"])

    def test_another_build_id_names_nothing(self):
        elf, _ = self.build()
        _, other = self.build(C_PROGRAM.replace("x > 3", "x > 4"), "other")
        for wrong in other.read_bytes(), (self.dir / "other").read_bytes(), b"\x7fELF", b"no":
            shutil.rmtree(self.dir / "fetched", ignore_errors=True)
            if not elf.path.exists():
                elf, _ = self.build()
            server = self.serve(debuginfo=wrong, executable=wrong)
            self.assertEqual(self.ask(elf).names, self.unnamed(elf))
            os.unlink(elf.path)
            answer = self.ask(elf)
            self.assertEqual(answer.names, self.unnamed(elf))
            self.assertRegex(answer.problems[0], "/program: is gone")
            self.assertGreater(len(server.asked), 0)

    def test_no_server_takes_no_time(self):
        elf, _ = self.build()
        for _ in range(2):
            answer = self.ask(elf, DEBUGINFOD_URLS=f"http://127.0.0.1:{free_port()}")
            self.assertEqual(answer.names, self.unnamed(elf))
            self.assertLess(answer.seconds, 3)
            self.assertRegex(answer.problems[0], "DEBUGINFOD_URLS: Connection refused: names")
            elf.path.unlink(missing_ok=True)

    def test_a_silent_or_slow_server_is_given_up(self):
        elf, debug = self.build()
        for trouble in {"wait": 60}, {"pause": 0.2, "piece": 10}:
            for variable in "DEBUGINFOD_TIMEOUT", "DEBUGINFOD_MAXTIME":
                shutil.rmtree(self.dir / "fetched", ignore_errors=True)
                with self.subTest(trouble, variable=variable):
                    self.serve(**trouble, debuginfo=debug.read_bytes())
                    answer = self.ask(elf, **{variable: "1"})
                    self.assertEqual(answer.names, self.unnamed(elf))
                    self.assertLess(answer.seconds, 6)
                    self.assertRegex(answer.problems[0], "DEBUGINFOD_URLS: too slow")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
