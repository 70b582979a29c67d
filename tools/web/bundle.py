"""bundle - the pages of `mpalloc serve`, as a C header

    bundle.py OUTPUT.h [UPLOT]     UPLOT: the folder of that package; without it charts are plain
    bundle.py --folder DIRECTORY [UPLOT]      the same files, for tests

Each file is kept gzipped. The flame graph is that of `mpalloc flame`, whose scripts and style
are taken from tools/flame/ as they are; `words.js` of it is a module here.
"""
import gzip
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
FLAME = FOLDER.parent / "flame"
sys.path.insert(0, str(FLAME))
import page as flame_page  # noqa: E402

MODULES = ("api.js", "chart.js", "chart_plain.js", "difference.js", "dom.js", "flame_loader.js",
           "live.js", "main.js", "overview.js", "parts.js", "process.js", "routes.js", "table.js",
           "view_components.js", "view_facts.js", "view_flame.js", "view_leaks.js",
           "view_memory.js", "view_sizes.js")
STYLES = ("base.css", "pages.css")
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
         ".txt": "text/plain; charset=utf-8"}
NO_LICENCES = "Nothing in these pages is of others.\n"


def read(path):
    return pathlib.Path(path).read_text(encoding="utf-8")


def words():
    """The words of the flame graph, for modules to import."""
    text = read(FLAME / "words.js")
    names = re.findall(r"^(?:function|const|let) (\w+)", text, re.M)
    return f"{text}\nexport {{{', '.join(names)}}};\n"


def flame_html():
    """The page of `mpalloc flame`, whose data and scripts come from beside it."""
    text = read(FLAME / "flame.html")
    for pattern, by in (
            (r'<meta http-equiv="Content-Security-Policy"[^>]*>\n', ""),
            (r"<style>@STYLE@</style>",
             '<script src="/assets/theme.js"></script>\n'
             '<link rel="stylesheet" href="/assets/flame.css">\n'
             '<link rel="stylesheet" href="/assets/embedded.css">'),
            (r'<script type="application/json" id="data">@DATA@</script>\n', ""),
            (r"<script>@SCRIPT@</script>",
             '<p id="loading" role="status">Loading…</p>\n'
             '<script type="module" src="/assets/flame_loader.js"></script>')):
        text, count = re.subn(pattern, by, text)
        assert count == 1, pattern
    assert "@" not in re.sub(r"@\w+\.css", "", text), "a mark was left"
    return text


def flame_script():
    return '"use strict";\n(() => {\n' + "\n".join(
        map(flame_page.read, flame_page.SCRIPTS)) + "})();\n"


def comment(text):
    assert "*/" not in text
    return f"/*!\n{text.strip()}\n*/\n"


def uplot(folder):
    """uPlot as a module, under its licence; a stub without it."""
    if folder is None:
        return {"uplot.js": "export default null;\n", "uplot.css": "",
                "licences.txt": NO_LICENCES}
    folder = pathlib.Path(folder)
    licence = read(folder / "LICENSE")
    return {
        "uplot.js": comment(licence) + read(folder / "dist/uPlot.iife.min.js")
        + "\nexport default uPlot;\n",
        "uplot.css": comment(licence) + read(folder / "dist/uPlot.min.css"),
        "licences.txt": "Charts are drawn by uPlot.\n\n" + licence}


def files(uplot_folder=None):
    """{name: text}"""
    all_files = {"index.html": read(FOLDER / "index.html"), "flame.html": flame_html(),
                 "flame.css": read(FLAME / "flame.css"), "flame.js": flame_script(),
                 "words.js": words(), "icon.svg": read(FOLDER / "icon.svg")}
    for name in MODULES + STYLES + ("embedded.css", "theme.js"):
        all_files[name] = read(FOLDER / name)
    all_files.update(uplot(uplot_folder))
    return dict(sorted(all_files.items()))


def header(all_files):
    lines = []
    table = []
    for i, (name, text) in enumerate(all_files.items()):
        plain = text.encode()
        packed = gzip.compress(plain, 9, mtime=0)
        rows = (",".join(map(str, packed[n:n + 24])) for n in range(0, len(packed), 24))
        lines.append(f"static const unsigned char page_bytes_{i}[] = {{\n"
                     + ",\n".join(rows) + "};\n")
        kind = TYPES[pathlib.PurePath(name).suffix]
        table.append(f'    {{"{name}", "{kind}", page_bytes_{i}, sizeof(page_bytes_{i}), '
                     f"{len(plain)}}},\n")
    return "".join(lines) + "static const struct page_file page_files[] = {\n" \
        + "".join(table) + "};\n"


def main(arguments):
    if arguments[0] == "--folder":
        target = pathlib.Path(arguments[1])
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files(*arguments[2:]).items():
            (target / name).write_text(text, encoding="utf-8")
    else:
        pathlib.Path(arguments[0]).write_text(header(files(*arguments[1:])))


if __name__ == "__main__":
    main(sys.argv[1:])
