"""compare_svg - the ratios of a comparison as a picture, one row a workload

Owns: the drawing. Does not own: the figures; it takes the document that --json writes.
"""
import math
from xml.sax.saxutils import escape

ROW, TOP, LEFT, PANEL, GAP = 18, 74, 150, 330, 40
COLOURS = ("#0b6e99", "#d1495b", "#edae49", "#66a182", "#5b5f97", "#8d6a4f", "#2e4057")
LEAST, MOST = 0.2, 5.0  # what lies beyond is drawn at the edge
TICKS = (0.25, 0.5, 1, 2, 4)


def place(ratio):
    """Where on a logarithmic axis, in pixels from the left of the panel."""
    ratio = min(max(ratio, LEAST), MOST)
    return PANEL * math.log(ratio / LEAST) / math.log(MOST / LEAST)


def text(x, y, what, anchor="start", size=11, extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
        f'{extra}>{escape(what)}</text>')


def draw_panel(left, title, metric, document, names, colours):
    summary = document["summary"]
    bottom = TOP + ROW * len(summary)
    out = [text(left, TOP - 24, title, size=12, extra=' font-weight="bold"')]
    for tick in TICKS:
        x = left + place(tick)
        colour, width = ("#444", 1.2) if tick == 1 else ("#ddd", 1)
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}" '
            f'stroke="{colour}" stroke-width="{width}"/>')
        out.append(text(x, TOP - 8, f"{tick:g}", "middle", 10))
    for at, rows in enumerate(summary.values()):
        for shift, name in enumerate(names):
            row = rows[name]
            if metric + "_ratio" not in row:
                continue
            y = TOP + ROW * at + ROW * (shift + 1) / (len(names) + 1)
            x, between = left + place(row[metric + "_ratio"]), row[metric + "_interval"]
            if between:
                out.append(f'<line x1="{left + place(between[0]):.1f}" y1="{y:.1f}" '
                    f'x2="{left + place(between[1]):.1f}" y2="{y:.1f}" '
                    f'stroke="{colours[name]}" stroke-width="1.5"/>')
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.8" fill="{colours[name]}">'
                f'<title>{escape(name)} {row[metric + "_ratio"]:.3f}</title></circle>')
    return out


def draw(document):
    summary, baseline = document["summary"], document["baseline"]
    names = [n for n in document["allocators"] if n != baseline]
    colours = {n: COLOURS[i % len(COLOURS)] for i, n in enumerate(names)}
    width = LEFT + 2 * PANEL + GAP + 20
    height = TOP + ROW * len(summary) + 30
    machine = document["machine"]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>']
    x = LEFT
    for name in names:
        out.append(f'<circle cx="{x}" cy="20" r="4" fill="{colours[name]}"/>')
        out.append(text(x + 9, 24, name, size=12))
        x += 30 + 8 * len(name)
    for at, name in enumerate(summary):
        y = TOP + ROW * at
        if at % 2 == 0:
            out.append(f'<rect x="0" y="{y}" width="{width}" height="{ROW}" '
                'fill="#f5f5f5"/>')
        out.append(text(LEFT - 10, y + ROW * 0.7, name, "end"))
    out += draw_panel(LEFT, f"time / {baseline}, less is better", "time", document, names,
        colours)
    out += draw_panel(LEFT + PANEL + GAP, f"peak RSS / {baseline}, less is better", "rss",
        document, names, colours)
    out.append(text(LEFT, height - 10, f"{document['rounds']} runs, median of ratios, "
        f"95 % interval; {machine['cpu']}, {machine['cores']} cores", size=10))
    return "\n".join(out) + "\n</svg>\n"
