"""compare_svg - the ratios of a comparison as a picture, one row a workload

Owns: the drawing. Does not own: the figures; it takes the document that --json writes.
"""
import math
from xml.sax.saxutils import escape

from benchlib import is_ours

TOP, LEFT, PANEL, GAP = 74, 150, 300, 36
COLOURS = ("#0b6e99", "#d1495b", "#edae49", "#66a182", "#5b5f97", "#8d6a4f", "#2e4057",
    "#e377c2", "#9a9a00", "#17a2a2", "#7f7f7f", "#a05195")
LEAST, MOST = 0.2, 5.0  # what lies beyond is drawn at the edge
TICKS = (0.25, 0.5, 1, 2, 4)


def place(ratio):
    """Where on a logarithmic axis, in pixels from the left of the panel."""
    ratio = min(max(ratio, LEAST), MOST)
    return PANEL * math.log(ratio / LEAST) / math.log(MOST / LEAST)


def text(x, y, what, anchor="start", size=11, extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
        f'{extra}>{escape(what)}</text>')


def ratios_of(document, names):
    """The panels: (title, {workload: {name: (ratio, interval)}}, {name: mean})."""
    base, envelope = document["baseline"], document["envelope"]
    panels = []
    for metric, what in (("time", "time"), ("rss", "peak RSS")):
        rows = {w: {n: (r[n][metric + "_ratio"], r[n][metric + "_interval"])
            for n in names if metric + "_ratio" in r[n]}
            for w, r in document["summary"].items()}
        means = {n: m[metric]["mean"] for n, m in document["means"].items() if n in names}
        panels.append((f"{what} / {base}, less is better", rows, means))
    ours = [n for n in envelope["time"] if is_ours(n)]
    for metric, what in (("time", "time / the best peer"), ("rss", "RSS / the leanest peer")):
        if ours and len(document["peers"][metric]) > 1:
            each = {n: envelope[metric][n] for n in ours if n in envelope[metric]}
            rows = {w: {n: (e["workloads"][w]["ratio"], e["workloads"][w]["interval"])
                for n, e in each.items() if w in e["workloads"]}
                for w in document["summary"]}
            panels.append((what, rows, {n: e["mean"] for n, e in each.items()}))
    return panels


def draw_row(left, y, row, found, names, colours):
    out = []
    for shift, name in enumerate(names):
        if name not in found:
            continue
        ratio, between = found[name]
        at_y = y + row * (shift + 1) / (len(names) + 1)
        if between:
            out.append(f'<line x1="{left + place(between[0]):.1f}" y1="{at_y:.1f}" '
                f'x2="{left + place(between[1]):.1f}" y2="{at_y:.1f}" '
                f'stroke="{colours[name]}" stroke-width="1.5"/>')
        out.append(f'<circle cx="{left + place(ratio):.1f}" cy="{at_y:.1f}" r="2.8" '
            f'fill="{colours[name]}"><title>{escape(name)} {ratio:.3f}</title></circle>')
    return out


def draw_panel(left, panel, row, names, colours):
    title, rows, means = panel
    bottom = TOP + row * (len(rows) + 1)
    out = [text(left, TOP - 24, title, size=12, extra=' font-weight="bold"')]
    for tick in TICKS:
        x = left + place(tick)
        colour, width = ("#444", 1.2) if tick == 1 else ("#ddd", 1)
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}" '
            f'stroke="{colour}" stroke-width="{width}"/>')
        out.append(text(x, TOP - 8, f"{tick:g}", "middle", 10))
    shown = [n for n in names if any(n in found for found in rows.values())]
    for at, found in enumerate(rows.values()):
        out += draw_row(left, TOP + row * at, row, found, shown, colours)
    return out + draw_row(left, bottom - row, row, {n: (m, None) for n, m in means.items()},
        shown, colours)


def draw(document):
    summary, baseline = document["summary"], document["baseline"]
    names = [n for n in document["allocators"] if n != baseline]
    colours = {n: COLOURS[i % len(COLOURS)] for i, n in enumerate(names)}
    panels = ratios_of(document, names)
    row = max(18, 5 * len(names) + 4)
    width = LEFT + len(panels) * (PANEL + GAP)
    height = TOP + row * (len(summary) + 1) + 30
    machine = document["machine"]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>']
    x = LEFT
    for name in names:
        out.append(f'<circle cx="{x}" cy="20" r="4" fill="{colours[name]}"/>')
        out.append(text(x + 9, 24, name, size=12))
        x += 30 + 8 * len(name)
    for at, name in enumerate([*summary, "geometric mean"]):
        y = TOP + row * at
        if at % 2 == 0:
            out.append(f'<rect x="0" y="{y}" width="{width}" height="{row}" '
                'fill="#f5f5f5"/>')
        out.append(text(LEFT - 10, y + row / 2 + 4, name, "end",
            extra=' font-weight="bold"' if at == len(summary) else ""))
    for at, panel in enumerate(panels):
        out += draw_panel(LEFT + at * (PANEL + GAP), panel, row, names, colours)
    out.append(text(LEFT, height - 10, f"median ratio of {document['rounds']} runs, "
        f"95 % interval; {machine['cpu']}, {machine['cores']} cores", size=10))
    return "\n".join(out) + "\n</svg>\n"
