"""The tables: for the terminal and for README, from a result and nothing else.

A result is the dictionary that `run.py` and `scale.py` write as JSON. It must not know how a figure
was measured.
"""
import pathlib
import statistics

import machine

# A proxy that had less of its core than this was not what held the load up.
SATURATED = 0.9


def markdown(result):
    """All tables of a result of `run.py`, as Markdown."""
    names = [proxy["name"] for proxy in result["proxies"]]
    titles = {proxy["name"]: proxy["title"] for proxy in result["proxies"]}
    parts = [
        f"{machine.line(result['machine'])}; `{result['command']}`. {how(result)}",
        "CPU time of the proxy's process for one call, in µs, of which in user mode; lower is "
        "better. The last column is corgate's by the best of the others', the median of the "
        "rounds and their range.",
        table(["scene", *(titles[name] for name in names), "ratio"], cpu_rows(result, names)),
        "Calls a second, one core for the proxy. ≥: the load's core was the busier one, so the "
        "proxy could do more.",
        table(["scene", *(titles[name] for name in names)], rate_rows(result, names)),
    ]
    latencies = latency_rows(result, names)
    if latencies:
        parts += ["Latency in ms at a fixed rate, p50 / p99 / p99.9: half of what the slowest of "
                  "them can do, the same for all, corrected for coordinated omission.",
                  table(["scene", "calls/s", *(titles[name] for name in names)], latencies)]
    parts += ["What each is, what it lacks of the contract, and its resident memory after the "
              "rounds.",
              table(["proxy", "version", "lacks", "memory", "with 10,000 routes"],
                    proxy_rows(result))]
    parts += lacks(result)
    return "\n\n".join(parts)


def how(result):
    """How it was measured, in one sentence."""
    set_to = result["settings"]
    text = (f"{set_to['rounds']} interleaved rounds of {set_to['seconds']} s for each scene, "
            "medians; ")
    text += ("proxies on one core, load and bank on the other."
             if result["machine"]["cores"] > 1 else "everything on one core.")
    others = [got["others"] for figures in result["figures"].values()
              for got in figures.values() if "others" in got]
    if others and result["machine"]["cores"] > 1:
        # Beyond a few in a hundred, the figures are those of a crowd.
        share = 100 * statistics.median(others)
        text += f" Others had {share:.0f} % of the proxies' core meanwhile."
    return text


def table(heads, rows):
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def figure(result, scene, name):
    """A proxy's figures in a scene; empty if there are none."""
    return result["figures"].get(scene["key"], {}).get(name, {})


def cell(result, scene, name, key, text):
    """A figure as text, or why there is none."""
    found = figure(result, scene, name)
    if key in found:
        return text(found)
    return "void" if name in result["void"].get(scene["key"], {}) else ""


def cpu_rows(result, names):
    """A row for each scene: CPU of each proxy, and the ratio."""
    rows = []
    for scene in result["scenes"]:
        cells = [cell(result, scene, name, "cpu_us",
                      lambda got: f"{got['cpu_us']:.1f} ({got['user_us']:.1f})") for name in names]
        if any(cells):
            rows.append([scene["title"], *cells, ratio(result, scene)])
    return rows


def ratio(result, scene):
    """corgate's CPU by that of the best of the others."""
    others = {name: got for name, got in result["ratios"].get(scene["key"], {}).items() if got}
    if not others:
        return ""
    name = max(others, key=lambda each: statistics.median(others[each]))
    got = others[name]
    return f"{statistics.median(got):.2f} ({got[0]:.2f} to {got[-1]:.2f})"


def rate_rows(result, names):
    """A row for each scene: calls a second of each proxy."""
    def text(got):
        return ("≥ " if got["busy"] < SATURATED else "") + f"{got['rate']:,.0f}"
    rows = [[scene["title"], *(cell(result, scene, name, "rate", text) for name in names)]
            for scene in result["scenes"]]
    return [row for row in rows if any(row[1:])]


def latency_rows(result, names):
    """A row for each scene with a fixed rate."""
    def text(got):
        return " / ".join(f"{each:.2f}" for each in got["latency_ms"])
    rows = []
    for scene in result["scenes"]:
        cells = [cell(result, scene, name, "latency_ms", text) if scene["open_loop"] else ""
                 for name in names]
        if any(cells) and result["rates"].get(scene["key"]):
            rows.append([scene["title"], f"{result['rates'][scene['key']]:,}", *cells])
    return rows


def proxy_rows(result):
    """A row for each proxy."""
    return [[proxy["title"], proxy["version"], f"{len(proxy['lacks'])} of {proxy['cases']}",
             megabytes(proxy.get("resident")), megabytes(proxy.get("resident_many"))]
            for proxy in result["proxies"]]


def megabytes(size):
    """Bytes as MB."""
    return f"{size / 1e6:.0f} MB" if size else ""


def lacks(result):
    """What each proxy lacks, and what was skipped or void, as one list."""
    lines = [f"- {proxy['title']} lacks: " + "; ".join(proxy["lacks"]) + "."
             for proxy in result["proxies"] if proxy["lacks"]]
    lines += [f"- Skipped: {skipped}." for skipped in result["skipped"]]
    for key, proxies in result["void"].items():
        lines += [f"- Void: {key}, {name}: {reasons[-1]}" for name, reasons in proxies.items()]
    return ["\n".join(lines)] if lines else []


def scale_markdown(result):
    """The tables of a result of `scale.py`."""
    parts = [f"{machine.line(result['machine'])}; `{result['command']}`. {result['how']}"]
    for curve in result["curves"]:
        rows = [[f"{point['count']:,}", f"{point['cpu_us']:.1f}", f"{point['user_us']:.1f}",
                 megabytes(point["resident"]), f"{point['start_seconds']:.1f} s"]
                for point in curve["points"]]
        parts += [curve["what"], table([curve["unit"], "µs a call", "of which user",
                                        "resident memory", "start"], rows)]
        parts += ["\n".join(f"- {note}" for note in curve["notes"])] if curve["notes"] else []
    return "\n\n".join(parts)


def plain(text):
    """Markdown for the terminal: tables in columns."""
    lines, block = [], []
    for line in text.splitlines() + [""]:
        if line.startswith("|"):
            block.append([each.strip() for each in line.strip("|").split("|")])
            continue
        if block:
            lines += columns([row for row in block if set(row[0]) != {"-"}])
            block = []
        lines.append(line)
    return "\n".join(lines)


def columns(rows):
    """Rows as text, each column as wide as its widest cell."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    def padded(row):
        first, rest = row[0].ljust(widths[0]), zip(row[1:], widths[1:])
        return "  ".join([first, *(text.rjust(width) for text, width in rest)])
    return [padded(row) for row in rows]


def write_between(path, name, text):
    """Puts text between README's markers of this name."""
    page = pathlib.Path(path)
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{path} has no `{begin.strip()}` and `{end}`")
    page.write_text(f"{before}{begin}\n{text}\n\n{end}{after}")
