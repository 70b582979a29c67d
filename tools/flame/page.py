"""page - the page of `mpalloc flame`: puts flame.html, flame.css and the scripts together

    page.py OUTPUT.h     the page without its data, as two arrays of C

The script and the style are named in the page's policy by their hashes, so nothing else in
it can run, whatever the data are. `page(data)` is a whole one, for tests.
"""
import base64
import hashlib
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
SCRIPTS = ("words.js", "profile.js", "tree.js", "graph.js", "page.js")  # each uses those before


def read(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def hash_of(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def parts():
    """What is before the data, and what is after."""
    style = read("flame.css")
    script = '"use strict";\n(() => {\n' + "\n".join(map(read, SCRIPTS)) + "})();\n"
    assert "</style" not in style.lower() and "</script" not in script.lower()
    whole = read("flame.html")
    for mark, text in (("@STYLE_HASH@", hash_of(style)), ("@SCRIPT_HASH@", hash_of(script)),
                       ("@STYLE@", style), ("@SCRIPT@", script)):
        assert whole.count(mark) == 1, mark
        whole = whole.replace(mark, text)
    return whole.split("@DATA@")


def page(data):
    """`data`: JSON. A "<" would let a text of it end the element that it is in."""
    head, tail = parts()
    return head + data.replace("<", "\\u003c") + tail


def array(name, text):
    values = text.encode()
    rows = (",".join(map(str, values[i:i + 24])) for i in range(0, len(values), 24))
    return f"static const unsigned char {name}[] = {{\n" + ",\n".join(rows) + "};\n"


if __name__ == "__main__":
    head, tail = parts()
    pathlib.Path(sys.argv[1]).write_text(array("page_head", head) + array("page_tail", tail))
