"""firefox - Firefox without a screen, driven by WebDriver BiDi: JSON over a WebSocket"""
import base64
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import struct
import subprocess
import time

PREFS = {
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "app.update.disabledForTesting": True,
    "remote.active-protocols": 1,
    "network.proxy.type": 0,
}


def find():
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    def __init__(self, profile, dark=False):
        profile = pathlib.Path(profile)
        profile.mkdir(parents=True)
        prefs = {**PREFS, "layout.css.prefers-color-scheme.content-override": int(not dark)}
        (profile / "user.js").write_text("".join(
            f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in prefs.items()))
        env = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "DISPLAY")}
        env.update(HOME=str(profile), MOZ_HEADLESS="1")
        self.process = subprocess.Popen(
            [find(), "--headless", "--no-remote", "--profile", str(profile),
             "--remote-debugging-port", "0"], env=env, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        self.number, self.events = 0, []
        try:
            for line in self.process.stderr:
                found = re.search(r"WebDriver BiDi listening on ws://127.0.0.1:(\d+)", line)
                if found:
                    break
            self.connect(int(found[1]))
            self.call("session.new", capabilities={})
            self.call("session.subscribe", events=["log.entryAdded"])
            self.context = self.call("browsingContext.getTree")["contexts"][0]["context"]
        except BaseException:
            self.close()
            raise

    def connect(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self.socket.sendall((f"GET /session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                             "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                             "\r\n").encode())
        self.stream = self.socket.makefile("rb")
        if b"101" not in self.stream.readline():
            raise RuntimeError("no WebSocket")
        while self.stream.readline() != b"\r\n":
            pass

    def send(self, text):
        data = text.encode()
        size = (struct.pack("!B", 0x80 | len(data)) if len(data) < 126
                else struct.pack("!BH", 0x80 | 126, len(data)) if len(data) < 1 << 16
                else struct.pack("!BQ", 0x80 | 127, len(data)))
        mask = secrets.token_bytes(4)
        self.socket.sendall(b"\x81" + size + mask
                            + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def receive(self):
        """The next message, of one frame or several."""
        whole = b""
        while True:
            first, size = self.stream.read(2)
            if size == 126:
                size, = struct.unpack("!H", self.stream.read(2))
            elif size == 127:
                size, = struct.unpack("!Q", self.stream.read(8))
            whole += self.stream.read(size)
            if first & 0x80:
                return json.loads(whole)

    def call(self, method, **params):
        self.number += 1
        self.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = self.receive()
            if message.get("type") == "event":
                self.events.append(message)
            elif message.get("id") == self.number:
                if message["type"] != "success":
                    raise RuntimeError(f"{method}: {message}")
                return message["result"]

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()
        if hasattr(self, "socket"):
            self.stream.close()
            self.socket.close()

    def resize(self, width, height):
        self.call("browsingContext.setViewport", context=self.context,
                  viewport={"width": width, "height": height}, devicePixelRatio=1)

    def open(self, path, state=""):
        for url in "about:blank", pathlib.Path(path).resolve().as_uri() + state:
            self.call("browsingContext.navigate", context=self.context, url=url,
                      wait="complete")

    def run(self, expression):
        """The value of an expression, as JSON has it."""
        result = self.call("script.evaluate", expression=f"JSON.stringify({expression})",
                           target={"context": self.context}, awaitPromise=False)
        if result["type"] != "success":
            raise RuntimeError(f"{expression}: {result}")
        return json.loads(result["result"].get("value", "null"))

    def wait(self, expression, seconds=10):
        end = time.monotonic() + seconds
        while not (value := self.run(expression)) and time.monotonic() < end:
            time.sleep(0.03)
        return value

    def logged(self):
        """Of scripts, and what the policy of the page refused."""
        return [e["params"].get("text") for e in self.events]

    def screenshot(self, path):
        shot = self.call("browsingContext.captureScreenshot", context=self.context)
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))
