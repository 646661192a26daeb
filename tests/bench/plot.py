"""plot.py: line charts beside each other as one SVG, the horizontal axis in powers of ten."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 300, 260, 46, 34, 44, 14
COLOURS = ("#1b6ca8", "#c44e2b", "#3a8a4d")


def x_of(value, panel, low, high):
    """0 has its place a step left of 1."""
    log = [math.log10(v) if v > 0 else -1.0 for v in (value, low, high)]
    return panel * WIDTH + LEFT + (log[0] - log[1]) / (log[2] - log[1]) * (WIDTH - LEFT - RIGHT)


def step_of(top):
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
        if top / step <= 6:
            return step
    return top


def panel_svg(number, title, axis, lines, top):
    xs = sorted({x for _, points in lines for x, _ in points})
    low, high = xs[0], xs[-1]
    left, right = number * WIDTH + LEFT, (number + 1) * WIDTH - RIGHT
    base = HEIGHT - BOTTOM

    def y_of(value):
        return base - value / top * (base - TOP)

    out = ['<text x="%d" y="16" font-weight="bold">%s</text>' % (left, escape(title))]
    step = step_of(top)
    for i in range(int(top / step + 0.001) + 1):
        y = y_of(i * step)
        out.append('<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>'
                   % (left, y, right, left - 5, y + 4, round(i * step, 2)))
    for x in xs:
        at = x_of(x, number, low, high)
        text = "%d" % x if x < 1000 else "%dk" % (x // 1000) if x < 1000000 else "%dM" % (x // 1000000)
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>' % (at, base + 15, text))
    out.append('<text x="%d" y="%d" text-anchor="middle">%s</text>' % ((left + right) // 2, base + 32, escape(axis)))
    for i, (name, points) in enumerate(lines):
        places = [(x_of(x, number, low, high), y_of(y)) for x, y in points]
        out.append('<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>'
                   % (COLOURS[i], " ".join("%.1f,%.1f" % place for place in places)))
        out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (*place, COLOURS[i]) for place in places]
        out.append('<text x="%.1f" y="%.1f" text-anchor="end" fill="%s">%s</text>'
                   % (places[-1][0], places[-1][1] - 8, COLOURS[i], escape(name)))
    return out


def svg(what, panels):
    """panels: (title, axis, [(name, [(x, y), ...]), ...]); what: of the vertical axes, which are alike."""
    top = 1.25 * max(y for _, _, lines in panels for _, points in lines for _, y in points)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">'
           % (WIDTH * len(panels), HEIGHT), '<rect width="100%" height="100%" fill="white"/>',
           '<text transform="translate(12 %d) rotate(-90)" text-anchor="middle">%s</text>' % (HEIGHT // 2, escape(what))]
    for number, panel in enumerate(panels):
        out += panel_svg(number, *panel, top)
    return "\n".join(out + ["</svg>\n"])
