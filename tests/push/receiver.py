"""A server that takes what mpalloc push sends, and answers as it is told."""

import collections
import contextlib
import gzip
import http.server
import sys
import threading
import time

Request = collections.namedtuple("Request", "at path headers body")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        server = self.server.receiver
        with server.changed:
            server.requests.append(Request(time.monotonic(), self.path, self.headers, body))
            answer = server.answers.pop(0) if server.answers else server.usual
            server.changed.notify_all()
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(OSError):  # who asked may be gone
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # who asked may be gone
            super().handle_error(request, client_address)


class Receiver:
    """answers: of the next requests, (status, headers, body); then `usual`."""

    def __init__(self, port=0):
        self.requests = []
        self.answers = []
        self.usual = (200, {}, b"")
        self.changed = threading.Condition()
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.receiver = self
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def wait_for(self, count, seconds=20):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.requests) >= count, seconds):
                raise AssertionError(f"{len(self.requests)} requests, not {count}")
            return list(self.requests)

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
