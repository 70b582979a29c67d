"""mpalloc serve: what is found, what is answered, and who may ask.

    test_serve.py COMMAND TARGET LIBRARY
"""

import base64
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from serving import COMMAND, ServeTest, UnixConnection, Answer, main


class Found(ServeTest):
    def test_processes_come_die_and_go(self):
        server = self.serve()
        self.assertEqual(self.rows(server), {})
        p = self.start()
        one = self.wait_for(lambda: self.rows(server), "the process is found")
        (name, row), = one.items()
        self.assertRegex(name, rf"^{p.pid}-\d+$")
        self.assertEqual((row["pid"], row["state"], row["name"]), (p.pid, "running", "target"))
        p.kill()
        p.wait()
        self.wait_for(lambda: self.rows(server)[name]["state"] == "died", "its death is seen")
        q = self.start("quiet")
        self.wait_for(lambda: len(self.rows(server)) == 2, "another one is found")
        q.stdin.close()
        q.wait()
        self.wait_for(lambda: list(self.rows(server)) == [name], "one that exits is gone")

    def test_a_snapshot_is_that_of_the_command(self):
        p = self.start("quiet")
        server = self.serve()
        mine = self.document("snapshot", p.pid)
        theirs = server.json(f"/api/v1/processes/{p.pid}/snapshot")
        for key in ("live_bytes", "live_blocks", "components", "size_classes", "pools"):
            self.assertEqual(theirs[key], mine[key], key)
        name = next(iter(self.rows(server)))
        self.assertEqual(server.json(f"/api/v1/processes/{name}/snapshot")["process"]["pid"], p.pid)
        self.assertEqual(server.json("/api/v1/processes/target/snapshot")["process"]["pid"], p.pid)
        self.start("quiet")
        self.wait_for(lambda: len(self.rows(server)) == 2, "both are found")
        self.problem(server.ask("/api/v1/processes/target/snapshot"), 404, "several")
        self.problem(server.ask("/api/v1/processes/1-1/snapshot"), 404, "no process")

    def test_a_hostile_region_is_an_entry_and_harms_no_other(self):
        p = self.start()
        (self.dir / "77-1.mp").write_bytes(os.urandom(65536))
        (self.dir / "78-1.mp").write_bytes(b"")
        (self.dir / "79-1.mp").symlink_to("/etc/passwd")
        os.mkfifo(self.dir / "80-1.mp")
        whole = bytearray(self.region_of(p).read_bytes())
        whole[4096:] = os.urandom(len(whole) - 4096)
        (self.dir / "81-1.mp").write_bytes(whole)
        server = self.serve()
        rows = self.rows(server)
        self.assertEqual(len(rows), 6)
        for name in ("77-1", "78-1", "79-1", "80-1"):
            self.assertEqual(rows[name]["state"], "damaged")
            self.assertTrue(rows[name]["error"])
            self.problem(server.ask(f"/api/v1/processes/{name}/snapshot"), 502, ".")
        self.assertEqual(server.json(f"/api/v1/processes/{p.pid}/snapshot")["process"]["pid"], p.pid)

    def test_one_that_is_scribbled_over_while_it_is_read(self):
        p = self.start()
        server = self.serve()
        name = next(iter(self.wait_for(lambda: self.rows(server), "it is found")))
        with open(self.region_of(p), "r+b") as f:
            size = os.path.getsize(self.region_of(p))
            for i in range(60):
                f.seek(int.from_bytes(os.urandom(4), "little") % (size - 4096))
                f.write(os.urandom(4096))
                f.flush()
                self.assertIn(server.ask(f"/api/v1/processes/{name}/snapshot").status,
                              (200, 502))
            f.seek(0)
            f.write(bytes(4096))
            f.flush()
        self.wait_for(lambda: self.rows(server)[name]["state"] == "damaged", "it is seen")
        self.assertIsNone(server.process.poll(), server.log())


class Answered(ServeTest):
    def test_paths_methods_and_sizes(self):
        server = self.serve()
        self.assertEqual(server.ask("/healthz").body, b"ok\n")
        self.assertEqual(server.ask("/readyz").body, b"ready\n")
        head = server.ask("/healthz", "HEAD")
        self.assertEqual((head.status, head.body, head.headers["Content-Length"]), (200, b"", "3"))
        self.problem(server.ask("/nothing"), 404, "/nothing")
        self.problem(server.ask("/healthz/"), 404, "/healthz/")
        wrong = server.ask("/healthz", "DELETE")
        self.problem(wrong, 405, "DELETE")
        self.assertEqual(wrong.headers["Allow"], "GET, HEAD")
        self.problem(server.ask("/api/v1/version?x=%zz"), 400, "query")
        self.problem(server.ask("/api/v1/processes/%00/snapshot"), 400, "path")
        self.problem(server.ask("/api/v1/processes/%2e%2e%2f/snapshot"), 404, r"\.\./")
        self.problem(server.ask("/" + "x" * 5000), 414, "bytes")
        self.problem(server.ask("/healthz", headers={"X": "y" * 17000}), 431, "headers")
        self.problem(server.ask("/healthz", headers={f"X{i}": "y" for i in range(70)}), 431, "64")
        self.problem(server.ask("/healthz", "GET", body=b"x" * 70000), 413, "64 KiB")
        self.problem(server.ask("/healthz", "GET", body=iter([b"x" * 40000] * 2)), 413, "64 KiB")
        self.assertIsNone(server.process.poll())

    def test_headers_that_browsers_need(self):
        answer = self.serve().ask("/healthz")
        self.assertIn("default-src 'self'", answer.headers["Content-Security-Policy"])
        for name, value in {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
                            "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
                            "Cross-Origin-Resource-Policy": "same-origin"}.items():
            self.assertEqual(answer.headers[name], value)
        self.assertNotIn("Access-Control-Allow-Origin", answer.headers)

    def test_what_is_no_http(self):
        server = self.serve()
        for data in (b"\0" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                     b"\x16\x03\x01\x02\x00\x01\x00", b"GET /healthz HTTP/1.1\r\n\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                     b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked"
                     b"\r\n\r\nffffffffffffffffffff\r\n"):
            with contextlib.closing(socket.create_connection(server.address, timeout=20)) as s:
                with contextlib.suppress(ConnectionError): # it may be refused before all is sent
                    s.sendall(data)
                    with contextlib.suppress(OSError): # ENOTCONN: it is closed already
                        s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
            self.assertEqual(server.ask("/healthz").status, 200)

    def test_who_says_no_more_gets_the_answer_and_the_end(self):
        p = self.start("quiet")
        server = self.serve()
        for path in ("/healthz", f"/debug/pprof/heap?process={p.pid}&seconds=1"):
            with contextlib.closing(socket.create_connection(server.address, timeout=20)) as s:
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                time.sleep(0.3)
                s.shutdown(socket.SHUT_WR)
                got = b""
                while part := s.recv(65536):  # a TimeoutError: it was kept open
                    got += part
            self.assertEqual(got.split()[1], b"200")

    def test_random_requests(self):
        server = self.serve()
        self.start("quiet")
        chance = random.Random(7)
        seeds = (b"GET /api/v1/processes?x=%41&y HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"POST /healthz HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 3\r\n\r\nabc",
                 b"GET /api/v1/events?every=1s&process=1 HTTP/1.0\r\nAuthorization: Basic YTpi\r\n\r\n",
                 b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        for _ in range(400):
            data = bytearray(chance.choice(seeds) * chance.choice((1, 1, 3)))
            for _ in range(chance.randrange(8)):
                at = chance.randrange(len(data))
                data[at:at + chance.randrange(3)] = chance.choice(
                    (b"", b"\0", b"\r\n", b"%", b":", b"\xff", bytes([chance.randrange(256)]),
                     b"9" * 30, b"A" * 3000))
            with socket.create_connection(server.address, timeout=20) as s:
                with contextlib.suppress(OSError):
                    s.sendall(data)
                    s.settimeout(0.003)
                    s.recv(4096)
        self.assertEqual(server.ask("/healthz").status, 200)
        self.assertIsNone(server.process.poll())

    def test_one_host(self):
        server = self.serve()
        for hosts, status in ((b"", b"400"), (b"Host: a\r\nHost: localhost\r\n", b"400"),
                              (b"Host: localhost\r\n", b"200")):
            got = server.say(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n" + hosts + b"\r\n")
            self.assertEqual(got.split()[1], status, hosts)

    def test_one_connection_serves_many_requests(self):
        server = self.serve()
        with contextlib.closing(server.connection()) as c:
            for path, status in (("/healthz", 200), ("/nothing", 404), ("/readyz", 200)) * 5:
                c.request("GET", path)
                answer = c.getresponse()
                answer.read()
                self.assertEqual(answer.status, status)


class Allowed(ServeTest):
    def test_names_of_the_host(self):
        server = self.serve("--host", "box.example")
        port = server.address[1]
        for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:80", "[::1]",
                     "10.1.2.3", "box.example", f"BOX.example:{port}", "a.localhost"):
            self.assertEqual(server.ask("/healthz", headers={"Host": host}).status, 200, host)
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[x",
                     "localhost.evil.example", "", "localhost:\xff", "localhost:80x",
                     "localhost:80:80", "[::1]:x"):
            self.problem(server.ask("/healthz", headers={"Host": host}), 421, "name")

    def test_a_host_that_is_no_text(self):
        self.start("quiet")
        server = self.serve("--unix", self.dir / "s")
        self.wait_for(lambda: self.rows(server), "it is found")
        self.problem(server.ask("/sd", headers={"Host": "localhost:\xff"}), 421, "name")
        with contextlib.closing(UnixConnection(str(self.dir / "s"))) as c:
            c.request("GET", "/sd", headers={"Host": "box\xff"})
            target, = Answer(c.getresponse()).json()
        self.assertEqual(target["targets"], ["box\\xff"])
        self.assertEqual(server.ask("/healthz").status, 200)

    def test_tokens(self):
        token = self.dir / "token"
        token.write_text("s3cret-and-long\nother\n")
        server = self.serve("--token-file", token)
        self.assertEqual(server.ask("/healthz").status, 200)
        bare = server.ask("/api/v1/processes")
        self.problem(bare, 401, "token")
        self.assertIn("Bearer", bare.headers["WWW-Authenticate"])
        page = server.ask("/api/v1/processes", headers={"Accept": "text/html"})
        self.assertIn("Basic", page.headers["WWW-Authenticate"])

        def with_it(value):
            return server.ask("/api/v1/processes", headers={"Authorization": value}).status

        def password(text):
            return "Basic " + base64.b64encode(text.encode()).decode()

        self.assertEqual(with_it("Bearer s3cret-and-long"), 200)
        self.assertEqual(with_it(password("any:s3cret-and-long")), 200)
        for wrong in ("Bearer s3cret-and-lonG", "Bearer s3cret", "Bearer ", "Bearer", "Basic",
                      "Bearer s3cret-and-longs3cret-and-long", "Basic !!!", password("x"),
                      password("s3cret-and-long:"), "Digest s3cret-and-long"):
            self.assertEqual(with_it(wrong), 401, wrong)
        token.write_text("another\n")
        server.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: with_it("Bearer another") == 200, "the new token is in force")
        self.assertEqual(with_it("Bearer s3cret-and-long"), 401)
        token.write_text("\n")
        server.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: "no token" in server.log(), "the wrong one is told")
        self.assertEqual(with_it("Bearer another"), 200)
        token.unlink()
        server.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: "No such file" in server.log(), "that it is gone is told")
        self.assertEqual(with_it("Bearer another"), 200)

    def test_a_socket_of_its_own(self):
        path = self.dir / "s"
        token = self.dir / "token"
        token.write_text("abc\n")
        server = self.serve("--unix", path, "--token-file", token, listen=())
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        with contextlib.closing(UnixConnection(str(path))) as c:
            c.request("GET", "/api/v1/processes", headers={"Host": "any.example"})
            self.assertEqual(Answer(c.getresponse()).status, 200)
        self.assertEqual(server.stop(), 0)
        self.assertFalse(path.exists())

    @unittest.skipIf(os.geteuid() != 0, "needs root, to be another user")
    def test_a_socket_is_for_its_owner(self):
        home = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, home)
        home.chmod(0o755)
        path = home / "s"
        self.serve("--unix", path, listen=())
        path.chmod(0o666)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "curl", "-s", "-m", "10",
             "--unix-socket", path, "http://localhost/healthz"], capture_output=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, b"")

    def test_a_deserted_socket_is_replaced_and_a_file_is_not(self):
        path = self.dir / "s"
        server = self.serve("--unix", path, listen=())
        server.process.kill()
        server.process.wait()
        self.assertTrue(path.exists())
        server = self.serve("--unix", path, listen=())
        self.assertEqual(server.ask("/healthz").status, 200)
        self.fails(1, "serve", "--unix", path, "--listen", "127.0.0.1:0", says="in use")
        self.assertEqual(server.ask("/healthz").status, 200)
        plain = self.dir / "plain"
        plain.write_text("mine")
        self.fails(1, "serve", "--unix", plain, "--listen", "127.0.0.1:0", says="in use")
        self.assertEqual(plain.read_text(), "mine")

    def test_warning_beyond_loopback(self):
        self.assertIn("warning", self.serve(listen=("0.0.0.0:0",)).log())
        self.assertNotIn("warning", self.serve(listen=("127.0.0.1:0", "[::1]:0")).log())
        token = self.dir / "token"
        token.write_text("abc\n")
        self.assertNotIn("warning", self.serve("--token-file", token, listen=("0.0.0.0:0",)).log())


class Tls(ServeTest):
    def identity(self, name):
        paths = self.dir / f"{name}.crt", self.dir / f"{name}.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                        paths[1], "-out", paths[0]], check=True, capture_output=True)
        return paths

    def certificate_of(self, server):
        return ssl.get_server_certificate(server.address, timeout=10)

    def test_an_encrypted_server(self):
        crt, key = self.identity("one")
        server = self.serve("--certificate", crt, "--key", key)
        done = subprocess.run(["curl", "-s", "--cacert", crt,
                               f"https://127.0.0.1:{server.address[1]}/healthz"],
                              capture_output=True)
        self.assertEqual(done.stdout, b"ok\n")
        self.assertEqual(server.say(b"GET / HTTP/1.0\r\n\r\n")[:5], b"")

    def test_bad_ones(self):
        crt, key = self.identity("one")
        other = self.identity("two")[1]
        junk = self.dir / "junk"
        junk.write_text("junk")
        listen = ("--listen", "127.0.0.1:0")
        self.fails(2, "serve", *listen, "--certificate", crt, says="both")
        self.fails(1, "serve", *listen, "--certificate", self.dir / "no", "--key", key, says="No such")
        self.fails(1, "serve", *listen, "--certificate", junk, "--key", key, says="certificate")
        self.fails(1, "serve", *listen, "--certificate", crt, "--key", other, says="certificate")

    def test_a_new_one_by_sighup(self):
        crt, key = self.identity("one")
        server = self.serve("--certificate", crt, "--key", key)
        before = self.certificate_of(server)
        new = self.identity("two")
        shutil.copy(new[0], crt)
        server.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: "kept" in server.log(), "half of a new one is refused")
        self.assertEqual(self.certificate_of(server), before)
        shutil.copy(new[1], key)
        server.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: self.certificate_of(server) == new[0].read_text(), "it is in use")


class Ended(ServeTest):
    def test_what_is_wrong_is_one_line(self):
        for address in ("nonsense", "127.0.0.1:99999", "127.0.0.1:", "::1:80", "[::1]:x", "1.2.3:4:5"):
            self.fails(2, "serve", "--listen", address, says="is no address")
        self.fails(2, "serve", "--listen", "no.such.name.invalid:80", says="no.such.name.invalid")
        self.fails(1, "serve", "--listen", "192.0.2.1:9", says="cannot listen")
        self.fails(2, "serve", "--unix", "x" * 200, says="at most 107 bytes")
        self.fails(2, "serve", "--targets", "--unix", "/s", says="--listen")
        self.fails(2, "serve", "extra", says=".")
        self.fails(2, "serve", "--interval", "never", says="interval")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            self.fails(1, "serve", "--listen", f"127.0.0.1:{s.getsockname()[1]}", says="in use")
        secret = self.dir / "empty"
        secret.write_text("")
        self.fails(1, "serve", "--token-file", secret, says="no token")
        self.fails(1, "serve", "--token-file", self.dir / "no", says="No such file")
        self.fails(1, "serve", "--dir", secret, "--listen", "127.0.0.1:0", says="directory")

    @unittest.skipIf(os.geteuid() != 0, "needs root, to be another user")
    def test_what_is_not_permitted(self):
        key = self.dir / "key"
        key.write_text("x")
        key.chmod(0o600)
        self.dir.chmod(0o755)
        done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", COMMAND, "serve",
                               "--token-file", key], capture_output=True, text=True)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("Permission denied", done.stderr)

    def test_what_was_asked_is_answered(self):
        server = self.serve()
        with contextlib.closing(server.connection()) as c:
            c.request("GET", "/healthz")
            c.getresponse().read()
            self.assertEqual(server.stop(), 0)
        self.assertEqual(self.serve().stop(signal.SIGINT), 0)

    def test_systemd(self):
        path = str(self.dir / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(20)
            server = self.serve(NOTIFY_SOCKET=path, WATCHDOG_USEC="200000")
            self.assertEqual(s.recv(100), b"READY=1")
            self.assertEqual({s.recv(100) for _ in range(3)}, {b"WATCHDOG=1"})
            server.process.send_signal(signal.SIGHUP)
            said = [s.recv(100) for _ in range(6)]
            self.assertIn(b"READY=1", said[said.index(b"RELOADING=1"):] if b"RELOADING=1" in said else [])
            server.process.terminate()
            while s.recv(100) != b"STOPPING=1":
                pass
            self.assertEqual(server.process.wait(20), 0)

    def test_sockets_of_systemd(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            address = s.getsockname()
            # As systemd does: descriptor 3, and the number of the process itself.
            script = 'exec 3<&"$1"; export LISTEN_FDS=1 LISTEN_PID=$$; shift; exec "$@"'
            p = subprocess.Popen(["sh", "-c", script, "sh", str(s.fileno()), COMMAND, "serve",
                                  "--dir", self.dir], env=self.env, pass_fds=[s.fileno()],
                                 stderr=subprocess.PIPE, text=True)
            self.addCleanup(self.end_server, p)
            self.assertIn(f"{address[0]}:{address[1]}", p.stderr.readline())
        with socket.create_connection(address) as s:
            s.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            self.assertIn(b"200 OK", s.recv(1000))
        p.stderr.close()


if __name__ == "__main__":
    main()
