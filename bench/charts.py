"""charts - line charts on logarithmic axes, several side by side

Owns: the drawing. A panel has a title, a label below, ticks, and a line a name: points of
(x, y). Colours are those of compare_svg.py.
"""
import math
from xml.sax.saxutils import escape

from compare_svg import COLOURS, text

WIDTH, HEIGHT, LEFT, TOP, GAP, FOOT = 420, 280, 78, 64, 70, 66


class Axis:
    """From the least to the most value, in pixels, each decade or doubling as long."""

    def __init__(self, values, begin, end):
        self.low, self.high = min(values), max(values)
        if self.high <= self.low:
            self.low, self.high = self.low / 1.5, self.high * 1.5
        self.begin, self.end = begin, end

    def place(self, value):
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self):
        """1, 2, 5 times a power of ten; fewer of them when there are many decades."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if len(decades) < 5 else (1,)
        return [t for t in (10.0 ** d * s for d in decades for s in steps)
            if self.low * 0.999 <= t <= self.high * 1.001]


def draw_panel(at, panel, colours):
    """panel: title, xlabel, ylabel, lines {name: [(x, y)]}, xticks [(x, text)],
    and as they like ytext, which writes a value of y, and dots."""
    points = [p for line in panel["lines"].values() for p in line]
    left, right, bottom = at + LEFT, at + LEFT + WIDTH, TOP + HEIGHT
    out = [text(left, TOP - 10, panel["title"], size=12, extra=' font-weight="bold"')]
    if not points:
        return out + [text(left, TOP + 30, "no figures")]
    x = Axis([p[0] for p in points], left, right)
    y = Axis([p[1] for p in points], bottom, TOP)
    for tick in y.ticks():
        at_y = y.place(tick)
        out.append(f'<line x1="{left}" y1="{at_y:.1f}" x2="{right}" y2="{at_y:.1f}" '
            'stroke="#ddd"/>')
        label = panel["ytext"](tick) if "ytext" in panel else f"{tick:,.10g}"
        out.append(text(left - 6, at_y + 4, label, "end", 10))
    for value, label in panel["xticks"]:
        if x.low <= value <= x.high:
            at_x = x.place(value)
            out.append(f'<line x1="{at_x:.1f}" y1="{TOP}" x2="{at_x:.1f}" y2="{bottom + 4}" '
                'stroke="#eee"/>')
            out.append(text(at_x, bottom + 16, label, "middle", 10))
    out.append(f'<path d="M{left} {TOP}V{bottom}H{right}" fill="none" stroke="#444"/>')
    for name, line in panel["lines"].items():
        places = [f"{x.place(p[0]):.1f} {y.place(p[1]):.1f}" for p in line]
        if places:
            out.append(f'<path d="M{" L".join(places)}" fill="none" '
                f'stroke="{colours[name]}" stroke-width="1.8"><title>{escape(name)}</title>'
                '</path>')
        if panel.get("dots", True):
            out += [f'<circle cx="{p.split()[0]}" cy="{p.split()[1]}" r="2.4" '
                f'fill="{colours[name]}"/>' for p in places]
    out.append(text((left + right) / 2, bottom + 34, panel["xlabel"], "middle"))
    out.append(text(left, TOP - 26, panel["ylabel"], size=10))
    return out


def draw(panels, names, foot, columns=2):
    """The whole picture: a legend, the panels in rows of some, a line below."""
    colours = {n: COLOURS[i % len(COLOURS)] for i, n in enumerate(names)}
    columns = min(columns, max(len(panels), 1))
    rows = (len(panels) + columns - 1) // columns
    width = max(columns * (LEFT + WIDTH + GAP), 500)
    each = TOP + HEIGHT + FOOT - 20
    height = 40 + rows * each + 20
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>']
    x = LEFT
    for name in names:
        out.append(f'<circle cx="{x}" cy="18" r="4" fill="{colours[name]}"/>')
        out.append(text(x + 9, 22, name, size=12))
        x += 34 + 7 * len(name)
    for number, panel in enumerate(panels):
        out.append(f'<g transform="translate(0 {30 + number // columns * each})">')
        out += draw_panel(number % columns * (LEFT + WIDTH + GAP), panel, colours)
        out.append("</g>")
    out.append(text(LEFT, height - 10, foot, size=10))
    return "\n".join(out) + "\n</svg>\n"
