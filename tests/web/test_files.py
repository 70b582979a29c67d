"""The files of the pages, as a real server sends them: whole, packed or not, with their policy.

    test_files.py COMMAND TARGET LIBRARY
"""
import gzip
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "serve"), str(ROOT / "tools" / "web")]

from serving import PROBLEM, ServeTest, main  # noqa: E402

import bundle  # noqa: E402

UPLOT = ROOT / "tools" / "web" / "node_modules" / "uplot"


class Files(ServeTest):
    def expected(self, server):
        """What the build put in: with uPlot or without."""
        has_uplot = b"uPlot" in server.ask("/assets/uplot.js").body
        return bundle.files(UPLOT if has_uplot else None)

    def test_every_file_is_whole_and_has_its_type(self):
        server = self.serve()
        for name, text in self.expected(server).items():
            plain = server.ask(f"/assets/{name}")
            packed = server.ask(f"/assets/{name}", headers={"Accept-Encoding": "br, gzip;q=0.8"})
            self.assertEqual(plain.body, text.encode(), name)
            self.assertNotIn("Content-Encoding", plain.headers)
            self.assertEqual(packed.headers["Content-Encoding"], "gzip")
            self.assertEqual(gzip.decompress(packed.body), plain.body)
            self.assertNotEqual(packed.headers["ETag"], plain.headers["ETag"])
            kind = bundle.TYPES[pathlib.PurePath(name).suffix]
            self.assertEqual(plain.headers["Content-Type"], kind)
        refused = server.ask("/assets/base.css", headers={"Accept-Encoding": "gzip;q=0, *"})
        self.assertNotIn("Content-Encoding", refused.headers)

    def test_pages_run_nothing_but_their_own_files(self):
        server = self.serve()
        index = server.ask("/").body
        for path in ("/", "/processes/1-2", "/processes/%3Cb%3E/leaks", "/flame?process=1-2"):
            page = server.ask(path)
            self.assertEqual(page.status, 200, path)
            policy = page.headers.get_all("Content-Security-Policy")
            self.assertEqual(len(policy), 1)
            self.assertIn("default-src 'none'; script-src 'self'; style-src 'self'; ", policy[0])
            self.assertNotIn("unsafe", policy[0])
            self.assertEqual(page.headers["X-Frame-Options"], "SAMEORIGIN")
            text = page.body.decode()
            self.assertNotRegex(text, r"<script(?![^>]* src=)")
            self.assertNotRegex(text, r"<style|\sstyle=|\son\w+=|https?://(?!www\.w3\.org)")
            if not path.startswith("/flame"):
                self.assertEqual(page.body, index)
            for name in re.findall(r'(?:src|href)="/assets/([^"]+)"', text):
                self.assertEqual(server.ask(f"/assets/{name}").status, 200, name)

    def test_modules_import_what_is_there(self):
        for name, text in bundle.files().items():
            for wanted in re.findall(r'^import .*?"\./([^"]+)";', text, re.M | re.S):
                self.assertIn(wanted, bundle.files(), name)

    def test_what_is_known_is_not_sent_again(self):
        server = self.serve()
        tag = server.ask("/assets/main.js").headers["ETag"]
        again = server.ask("/assets/main.js", headers={"If-None-Match": tag})
        self.assertEqual((again.status, again.body), (304, b""))

    def test_other_names_are_no_files(self):
        server = self.serve()
        for path in ("/assets/", "/assets/nothing.js", "/assets/..%2f..%2fetc%2fpasswd",
                     "/assets/main.js%00", "/assets/main.js/"):
            answer = server.ask(path)
            self.assertIn(answer.status, (400, 404), path)
            self.assertEqual(answer.headers["Content-Type"], PROBLEM)

    def test_pages_come_without_the_token_that_figures_need(self):
        token = self.dir / "token"
        token.write_text("s3cret\n")
        server = self.serve("--token-file", token)
        self.assertEqual(server.ask("/").status, 200)
        self.assertEqual(server.ask("/assets/main.js").status, 200)
        self.assertEqual(server.ask("/api/v1/processes").status, 401)

    def test_a_build_without_uplot_has_all_else(self):
        with tempfile.TemporaryDirectory() as folder:
            header = pathlib.Path(folder) / "page_files.h"
            subprocess.run([sys.executable, ROOT / "tools/web/bundle.py", header], check=True)
            self.assertIn('{"uplot.js", ', header.read_text())
        without = bundle.files()
        self.assertEqual(without["uplot.js"], "export default null;\n")
        if UPLOT.exists():
            whole = bundle.files(UPLOT)
            self.assertEqual(set(whole), set(without))
            licence = (UPLOT / "LICENSE").read_text().strip()
            for name in ("uplot.js", "uplot.css", "licences.txt"):
                self.assertIn(licence, whole[name])


if __name__ == "__main__":
    main()
