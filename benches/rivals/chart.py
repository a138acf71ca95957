"""The charts, as SVG: bars for the proxies, curves for the scale.

Written by hand, so that nothing has to be installed. It must not know how a figure was measured.
"""
import html
import math

COLOURS = {"corgate": ("#0b6e4f", "#7fc8a9"), "haproxy": ("#1f4e8c", "#93b7e3"),
           "nginx": ("#8a5a00", "#e3bd74"), "envoy": ("#7a2a6b", "#d3a0c8")}
WIDTH, LEFT, RIGHT, BAR, GAP = 860, 250, 90, 11, 14
HANDSHAKES = ("handshake", "resumed")


def text(x, y, words, size=12, anchor="start", weight="normal"):
    """A line of text."""
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'font-weight="{weight}" fill="#222">{html.escape(words)}</text>')


def rect(x, y, width, height, colour):
    """A filled rectangle."""
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0, width):.1f}" height="{height}" '
            f'fill="{colour}"/>')


def page(height, parts, title):
    """The whole picture."""
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'font-family="sans-serif" role="img"><title>{html.escape(title)}</title>')
    return "\n".join([head, rect(0, 0, WIDTH, math.ceil(height), "#fff"), *parts, "</svg>", ""])


def bars(result):
    """CPU for each call by scene and proxy: user mode dark, the kernel light."""
    title = "CPU time of the proxy for one call, µs (lower is better)"
    parts, y = [text(16, 26, title, 15, weight="bold")], 46
    x = 16
    for proxy in result["proxies"]:
        dark, light = COLOURS[proxy["name"]]
        parts += [rect(x, y - 9, 8, 10, dark), rect(x + 8, y - 9, 8, 10, light),
                  text(x + 21, y, proxy["title"])]
        x += 130
    parts.append(text(x, y, "dark: user mode, light: kernel"))
    y += 14
    for handshakes in (False, True):
        scenes = [scene for scene in result["scenes"]
                  if (scene["key"] in HANDSHAKES) == handshakes
                  and result["figures"].get(scene["key"])]
        if scenes:
            y = group(result, scenes, y, parts)
    return page(y + 10, parts, title)


def group(result, scenes, y, parts):
    """Scenes that share an axis; returns where the next group begins."""
    most = max(got["cpu_us"] for scene in scenes
               for got in result["figures"][scene["key"]].values() if "cpu_us" in got)
    scale = (WIDTH - LEFT - RIGHT) / most
    y += 8
    for scene in scenes:
        figures = result["figures"][scene["key"]]
        rows = [proxy["name"] for proxy in result["proxies"]
                if "cpu_us" in figures.get(proxy["name"], {})]
        parts.append(text(LEFT - 10, y + BAR * len(rows) / 2 + 4, scene["title"], anchor="end"))
        for name in rows:
            got, (dark, light) = figures[name], COLOURS[name]
            user = got["user_us"] * scale
            parts += [rect(LEFT, y, user, BAR - 1, dark),
                      rect(LEFT + user, y, got["cpu_us"] * scale - user, BAR - 1, light),
                      text(LEFT + got["cpu_us"] * scale + 5, y + 9, f"{got['cpu_us']:.1f}", 10)]
            y += BAR
        y += GAP
    return y


def curves(result):
    """CPU and memory by count, each curve in a row of two panels, counts on a logarithmic axis."""
    title = "corgate by size: CPU for one call, and resident memory"
    parts, y = [text(16, 26, title, 15, weight="bold")], 60
    for curve in result["curves"]:
        points = curve["points"]
        if len(points) < 2:
            continue
        parts.append(text(16, y - 8, curve["what"], 12, weight="bold"))
        panel(parts, 60, y + 8, curve["unit"], "µs a call", points, lambda got: got["cpu_us"])
        panel(parts, 490, y + 8, curve["unit"], "MB", points, lambda got: got["resident"] / 1e6)
        y += 210
    return page(y, parts, title)


def panel(parts, x, y, unit, measure, points, value):
    """One curve with its axes."""
    width, height, dark = 320, 130, COLOURS["corgate"][0]
    low, high = (math.log10(points[at]["count"]) for at in (0, -1))
    most = 1.15 * max(value(point) for point in points)
    parts.append(f'<path d="M{x},{y} V{y + height} H{x + width}" fill="none" stroke="#888"/>')
    at = []
    for point in points:
        across = x + width * (math.log10(point["count"]) - low) / (high - low)
        up = y + height * (1 - value(point) / most)
        at.append(f"{across:.1f},{up:.1f}")
        parts += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{dark}"/>',
                  text(across, up - 8, f"{value(point):.0f}", 10, "middle"),
                  text(across, y + height + 15, f"{point['count']:,}", 10, "middle")]
    parts += [f'<polyline points="{" ".join(at)}" fill="none" stroke="{dark}" stroke-width="2"/>',
              text(x + width / 2, y + height + 31, unit, 11, "middle"),
              text(x - 8, y + 6, measure, 10, "end")]
