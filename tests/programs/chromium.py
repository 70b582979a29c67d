"""
chromium - a page with script and canvas, dumped by the headless browser

Its renderers and its allocator are its own; its libraries and the browser process use ours.
"""
from harness import Session, sha256

PAGE = """<!doctype html><meta charset=utf-8><title>t</title><canvas id=c width=300 height=200></canvas>
<p id=out></p><script>
const m = new Map(); for (let i = 0; i < 60000; i++) m.set('k' + i * 7919 % 10007, 'v'.repeat(i % 30));
const g = c.getContext('2d'); for (let i = 0; i < 200; i++) { g.fillStyle = `hsl(${i * 7},80%,50%)`;
g.fillRect(i * 13 % 300, i * 17 % 200, 20, 20); }
let h = 0; for (const b of g.getImageData(0, 0, 300, 200).data) h = (h * 31 + b) % 1000003;
for (let i = 0; i < 2000; i++) { const e = document.createElement('span'); e.textContent = i; document.body.append(e); }
out.textContent = [m.size, [...m].join().length, h, document.body.textContent.length].join(' ');
</script>"""


def dump(preload):
    folder = session.folder / ("preloaded" if preload else "plain")
    folder.mkdir()
    page = session.folder / "page.html"
    page.write_text(PAGE)
    result = session.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu",
        "--disable-dev-shm-usage", f"--user-data-dir={folder}", "--dump-dom", f"file://{page}"],
        preload, mapped=("chromium",) if preload else (), timeout=80)
    session.expect(result)
    return {"the page": sha256(result.out), "bytes": len(result.out)}


with Session("chromium", needs=("chromium",)) as session:
    session.note_version(("bash", "-c", "chromium --version 2>/dev/null"))
    session.both(dump)
