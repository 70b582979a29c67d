"""The page of mpalloc flame in Firefox: drawn, quiet, in the colours of the system.

    test_firefox.py COMMAND TARGET LIBRARY

What it shows is test_flame.py's matter, in Chromium; here is what browsers differ in. Skipped
without Firefox. MPALLOC_TEST_SHOTS=DIRECTORY keeps pictures.
"""

import os
import pathlib
import shutil
import struct
import sys
import tempfile
import unittest
import zlib

import firefox
import flame_profile
import test_flame

SHOTS = os.environ.get("MPALLOC_TEST_SHOTS")


def pixels(path):
    """The rows of a PNG of 8 bits a channel, and the bytes of a pixel."""
    data = path.read_bytes()
    width, height, depth, kind = struct.unpack("!IIBB", data[16:26])
    assert depth == 8 and kind in (2, 6)
    each = 4 if kind == 6 else 3
    packed, at = b"", 8
    while at < len(data):
        size, name = struct.unpack("!I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + size] if name == b"IDAT" else b""
        at += size + 12
    raw, rows, before = zlib.decompress(packed), [], bytes(width * each)
    for y in range(height):
        line = raw[y * (width * each + 1):(y + 1) * (width * each + 1)]
        how, row = line[0], bytearray(line[1:])
        for i, value in enumerate(row):
            left = row[i - each] if i >= each else 0
            corner = before[i - each] if i >= each else 0
            if how == 4:
                guess = left + before[i] - corner
                near = [(abs(guess - v), n, v) for n, v in enumerate((left, before[i], corner))]
                row[i] = (value + min(near)[2]) & 255
            elif how:
                row[i] = (value + (left, before[i], (left + before[i]) // 2)[how - 1]) & 255
        rows.append(bytes(row))
        before = row
    return rows, each


class Firefox(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mpalloc-firefox-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def start(self, dark):
        browser = firefox.Firefox(self.dir / f"profile-{dark}", dark)
        self.addCleanup(browser.close)
        return browser

    def shot(self, browser, name):
        path = self.dir / f"{name}.png"
        browser.screenshot(path)
        if SHOTS:
            shutil.copy(path, SHOTS)
        return pixels(path)

    def test_drawn_and_quiet(self):
        page = self.dir / "page.html"
        page.write_text(flame_profile.render(test_flame.SMALL))
        for dark, back in (False, (255, 255, 255)), (True, (31, 28, 22)):
            browser = self.start(dark)
            for width, height in (800, 600), (390, 700):
                browser.resize(width, height)
                browser.open(page)
                self.assertIsNotNone(browser.wait("document.documentElement.dataset.drawn"))
                self.assertEqual(browser.run("document.documentElement.scrollWidth"), width)
                self.assertEqual(browser.run(
                    "performance.getEntriesByType('resource').map((e) => e.name)"), [])
                left, top, right, bottom = browser.run(
                    "(b => [b.left, b.top, b.right, b.bottom])"
                    "(document.querySelector('#graph').getBoundingClientRect())")
                self.assertGreater(bottom - top, 100)
                rows, each = self.shot(browser, f"firefox-{'dark' if dark else 'light'}-{width}")
                inside = [row[i * each:i * each + 3] for row in rows[int(top) + 2:int(bottom) - 2]
                          for i in range(int(left), int(right))]
                # Boxes are of warm colours: much more red than blue.
                warm = sum(p[0] > p[2] + 60 for p in inside)
                self.assertGreater(warm, len(inside) / 10)
                if width == 800:  # more room than stacks: something is left empty
                    self.assertGreater(inside.count(bytes(back)), len(inside) / 10)
                else:
                    self.assertEqual(inside.count(b"\xff\xff\xff") if dark else 0, 0)
            self.assertEqual(browser.logged(), [])
            # That it would have been heard.
            browser.run("console.error('heard')")
            browser.run("setTimeout(() => { throw new Error('thrown') }, 0)")
            browser.wait("false", seconds=0.3)
            self.assertEqual([text for text in browser.logged() if "heard" in text
                              or "thrown" in text], ["heard", "Error: thrown"])


if __name__ == "__main__":
    if firefox.find() is None:
        print("skipped: Firefox is not installed (apt-get install firefox-esr)")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=1)
