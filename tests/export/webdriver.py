"""A page in headless Chromium, through the HTTP interface of chromedriver."""

import base64
import json
import re
import subprocess
import urllib.request


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Browser:
    def __init__(self, directory):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        try:
            for line in self.driver.stdout:
                found = re.search(r"started successfully on port (\d+)", line)
                if found:
                    break
            self.base = f"http://127.0.0.1:{found[1]}/session"
            options = {"args": ["--headless", "--no-sandbox", "--disable-gpu",
                                "--disable-dev-shm-usage", "--window-size=1300,1500",
                                f"--user-data-dir={directory}/chromium"]}
            self.base += "/" + self.post("", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": options}}})["sessionId"]
        except BaseException:
            self.driver.kill()
            self.driver.wait()
            raise

    def request(self, method, path, body=None):
        request = urllib.request.Request(
            self.base + path, method=method, data=body and json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        with DIRECT.open(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def post(self, path, body):
        return self.request("POST", path, body)

    def open(self, url):
        self.post("/url", {"url": url})

    def find(self, css):
        found = self.post("/element", {"using": "css selector", "value": css})
        return "/element/" + next(iter(found.values()))

    def type(self, element, text):
        self.post(element + "/value", {"text": text})

    def run(self, script):
        return self.post("/execute/sync", {"script": script, "args": []})

    def screenshot(self):
        return base64.b64decode(self.request("GET", "/screenshot"))

    def close(self):
        try:
            self.request("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
