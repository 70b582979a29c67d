"""mpalloc doctor and mpalloc serve: is it there, does it answer, does it see what runs.

    test_doctor.py COMMAND TARGET LIBRARY
"""

import contextlib
import http.server
import pathlib
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from serving import ServeTest, main  # noqa: E402


class DoctorTest(ServeTest):
    def setUp(self):
        super().setUp()
        self.env.update(HOME=str(self.dir), XDG_CONFIG_HOME=str(self.dir / "config"))
        self.env.pop("MPALLOC_CONFIG", None)

    def doctor(self, *words, code=0, **more):
        d = self.document("doctor", *words, code=code, **more)
        return {c["name"]: (c["status"], c["text"]) for c in d["checks"]}

    def url(self, server):
        return "http://{}:{}".format(*server.address)

    def config(self, text):
        path = self.dir / "mpalloc.yaml"
        path.write_text(text)
        return path

    def test_a_server_that_is_there(self):
        self.start("quiet")
        server = self.serve()
        server.json("/api/v1/processes")
        found = self.doctor("--serve", self.url(server) + "/")
        self.assertEqual(set(found), {"exporter", "scrape", "processes"})
        self.assertRegex(found["exporter"][1], r"^mpalloc serve \d\S* at http://127")
        self.assertEqual(found["scrape"][0], "ok")
        self.assertRegex(found["scrape"][1], r"^\d{3,} series, \d{4,} bytes, in \d+ ms$")
        self.assertRegex(found["processes"][1], "^the server sees 1 that run")

    def test_as_the_configuration_says(self):
        server = self.serve()
        path = self.config("serve: {{listen: '{}:{}'}}\n".format(*server.address))
        found = self.doctor("--config", path)
        self.assertEqual(found["config"], ("ok", str(path)))
        self.assertEqual(found["scrape"][0], "ok")
        everywhere = self.config(f"serve: {{listen: '0.0.0.0:{server.address[1]}'}}\n")
        self.assertEqual(self.doctor("--config", everywhere)["scrape"][0], "ok")

    def test_a_server_of_other_directories(self):
        self.start("quiet")
        other = self.dir / "other"
        other.mkdir(0o700)
        server = self.serve("--dir", other)
        found = self.doctor("--serve", self.url(server))
        self.assertEqual(found["processes"][0], "warn")
        self.assertIn("sees 0 that run, fewer than this command", found["processes"][1])

    def test_tokens(self):
        token = self.dir / "token"
        token.write_text("s3cret\n")
        token.chmod(0o600)
        server = self.serve("--token-file", token)
        url = self.url(server)
        found = self.doctor("--serve", url)
        self.assertEqual(found["scrape"][0], "warn")
        self.assertIn("it asks for a token", found["scrape"][1])
        self.assertEqual(self.doctor("--serve", url, "--token-file", token)["scrape"][0], "ok")
        wrong = self.dir / "wrong"
        wrong.write_text("guess\n")
        found = self.doctor("--serve", url, "--token-file", wrong, code=1)
        self.assertIn("does not take our token", found["scrape"][1])
        address = "{}:{}".format(*server.address)
        path = self.config(f"serve: {{listen: '{address}', token_file: {token}}}\n")
        self.assertEqual(self.doctor("--config", path)["scrape"][0], "ok")
        token.chmod(0o644)
        found = self.doctor("--config", path)
        self.assertEqual(found["serve"][0], "warn")
        self.assertIn("chmod 600", found["serve"][1])

    def test_a_socket(self):
        path = self.dir / "serve.sock"
        self.serve("--unix", path, listen=())
        config = self.config(f"serve: {{listen: '127.0.0.1:1', unix: {path}}}\n")
        out = self.command("doctor", "--config", config).stdout
        self.assertRegex(out, r"ok +exporter +no server at http://127.0.0.1:1 ")
        self.assertRegex(out, r"ok +exporter +mpalloc serve \d\S* at http://localhost")
        self.assertRegex(out, r"ok +scrape +\d+ series")

    def test_nobody_is_there(self):
        with contextlib.closing(socket.socket()) as s:
            s.bind(("127.0.0.1", 0))
            address = "127.0.0.1:{}".format(s.getsockname()[1])
        found = self.doctor("--serve", f"http://{address}", code=1)
        self.assertEqual(found["exporter"][0], "fail")
        self.assertIn("no server at", found["exporter"][1])
        path = self.config(f"serve: {{listen: '{address}'}}\n")
        self.assertEqual(self.doctor("--config", path)["exporter"][0], "ok")

    def test_somebody_else_is_there(self):
        class Other(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<html>hello</html>")

            def log_message(self, *_):
                pass

        other = http.server.HTTPServer(("127.0.0.1", 0), Other)
        thread = threading.Thread(target=other.serve_forever, args=(0.05,))
        thread.start()
        self.addCleanup(other.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(other.shutdown)
        found = self.doctor("--serve", f"http://127.0.0.1:{other.server_port}", code=1)
        self.assertIn("something else than mpalloc serve", found["exporter"][1])
        path = self.config(f"serve: {{listen: '127.0.0.1:{other.server_port}'}}\n")
        self.assertEqual(self.doctor("--config", path)["exporter"][0], "warn")

    def test_bad_input(self):
        self.fails(2, "doctor", "--serve", "localhost", says="--serve takes the address")
        self.fails(2, "doctor", "--serve", "http://localhost:1", "4711", says=".")
        found = self.doctor("--config", self.config("serve: {colour: red}\n"), code=1)
        self.assertEqual(found["config"][0], "fail")
        self.assertIn("mpalloc.yaml:1", found["config"][1])
        found = self.doctor("--config", self.config(
            "serve: {listen: '127.0.0.1:1', token_file: /none}\n"), code=1)
        self.assertIn("token_file: /none cannot be read", found["serve"][1])


if __name__ == "__main__":
    main()
