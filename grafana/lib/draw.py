"""One dashboard as a picture, with its panels where Grafana puts them."""

import datetime
import textwrap

import matplotlib

matplotlib.use("Agg")

from matplotlib import dates, pyplot, ticker  # noqa: E402

from .units import shown  # noqa: E402

INK, PALE, PAPER, CARD = "#d8d9da", "#8e9196", "#111217", "#1b1d23"
COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0", "#96d98d", "#ffee52"]
NAMED = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}
LEGEND_ROWS = 4
COLUMN_INCHES, ROW_INCHES = 0.85, 0.42

pyplot.rcParams.update({
    "font.size": 8, "text.color": INK, "axes.labelcolor": INK, "xtick.color": PALE, "ytick.color": PALE,
    "axes.edgecolor": "#33363d", "grid.color": "#2a2d34", "axes.facecolor": CARD, "figure.facecolor": PAPER,
    "text.parse_math": False,
})


def draw(page, found, path):
    """Writes the picture of `page`; `found` has the series of each panel by its id."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in page["panels"])
    width, height = 24 * COLUMN_INCHES, (bottom + 2) * ROW_INCHES
    figure = pyplot.figure(figsize=(width, height), dpi=80)
    figure.text(0.01, 1 - 0.9 * ROW_INCHES / height, page["title"], fontsize=14, weight="bold")

    def box(place, left, below, right, above):
        x, w = place["x"] * COLUMN_INCHES, place["w"] * COLUMN_INCHES
        y, h = height - (place["y"] + place["h"] + 1.5) * ROW_INCHES, place["h"] * ROW_INCHES
        return [(x + left) / width, (y + below) / height, (w - left - right) / width, (h - below - above) / height]

    for panel in page["panels"]:
        place = panel["gridPos"]
        if panel["type"] == "row":
            at = box(place, 0.15, 0.1, 0, 0)
            figure.text(at[0], at[1], panel["title"], fontsize=11, color=INK, weight="bold")
            continue
        card = figure.add_axes(box(place, 0.06, 0.06, 0.06, 0.06))
        card.set_xticks([])
        card.set_yticks([])
        figure.text(*box(place, 0.15, place["h"] * ROW_INCHES - 0.28, 0, 0)[:2], panel["title"], weight="bold")
        series = found[panel["id"]]
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if not series:
            card.text(0.5, 0.5, "no data", color=NAMED["red"], ha="center", va="center", fontsize=14)
        elif panel["type"] == "table":
            _table(card, panel, series)
        elif panel["type"] == "stat":
            _number(card, panel, series, unit)
        else:
            right = 0.75 if any(line["right"] for line in series) else 0.2
            # So many names of lines stand side by side below the axis.
            abreast = place["w"] * 3 // 8
            rows = min(-(-len(series) // abreast), LEGEND_ROWS)
            axes = figure.add_axes(box(place, 0.75, 0.5 + 0.17 * rows, right, 0.4))
            _lines(axes, panel, series, abreast)
    figure.savefig(path)
    pyplot.close(figure)


def _lines(axes, panel, series, abreast):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    custom = panel["fieldConfig"]["defaults"]["custom"]
    second = axes.twinx() if any(line["right"] for line in series) else None
    base, handles = {}, []
    for number, line in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        times = [datetime.datetime.fromtimestamp(at) for at in line["times"]]
        values = list(line["values"])
        if line["right"]:
            handles += second.plot(times, values, color=colour, linewidth=1, linestyle="--", label=line["name"])
            continue
        if custom["stacking"]["mode"] == "normal":
            below = [base.get(at, 0) for at in line["times"]]
            values = [value + under for value, under in zip(values, below)]
            base.update(zip(line["times"], values))
            axes.fill_between(times, below, values, color=colour, alpha=0.25, linewidth=0)
        handles += axes.plot(times, values, color=colour, linewidth=1.2, label=line["name"])
    _scale(axes, unit)
    if second:
        _scale(second, next(line["right"] for line in series if line["right"]))
    top = axes.get_ylim()[1]
    for step in panel["fieldConfig"]["defaults"].get("thresholds", {"steps": []})["steps"]:
        # A bound far above the lines would flatten them.
        if step["value"] is not None and step["value"] <= top * 4:
            axes.axhline(step["value"], color=NAMED[step["color"]], linewidth=0.8, linestyle=(0, (6, 4)))
    if "max" in panel["fieldConfig"]["defaults"]:
        axes.set_ylim(top=panel["fieldConfig"]["defaults"]["max"] * 1.03)
    axes.grid(True, linewidth=0.6)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
    room = abreast * LEGEND_ROWS
    if len(handles) > room:
        more = len(handles) - room + 1
        handles = handles[:room - 1] + axes.plot([], [], color=CARD, label=f"… and {more} more")
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(-0.08, -0.1), ncols=abreast, frameon=False,
                fontsize=7, handlelength=1, columnspacing=1, labelspacing=0.25)


def _scale(axes, unit):
    low, high = axes.get_ylim()
    axes.set_ylim(0, high if high > 0 and low != -high else 1)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(4))
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, unit))


def _number(card, panel, series, unit):
    line = series[-1]
    card.text(0.5, 0.48, shown(line["values"][-1], unit), color=_colour(panel, line["values"][-1]),
              fontsize=19, ha="center", va="center", weight="bold", transform=card.transAxes)
    small = card.inset_axes([0.0, 0.0, 1.0, 0.25])
    small.axis("off")
    small.fill_between(line["times"], line["values"], color=COLOURS[0], alpha=0.3, linewidth=0)


def _colour(panel, value):
    colour = "green"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    return NAMED[colour]


def _table(card, panel, series):
    named = panel["transformations"][0]["options"]["renameByName"]
    rows = [[line["labels"].get(name, shown(line["values"][-1], "short")) for name in named] for line in series[:12]]
    rows = [[textwrap.shorten(cell, 40) for cell in row] for row in rows]
    made = card.table(cellText=rows, colLabels=list(named.values()), loc="upper left", cellLoc="left",
                      bbox=[0.02, 0.86 - 0.1 * (len(rows) + 1), 0.96, 0.1 * (len(rows) + 1)])
    made.auto_set_font_size(False)
    made.set_fontsize(8)
    for cell in made.get_celld().values():
        cell.set(facecolor=CARD, edgecolor="#2a2d34")
        cell.get_text().set_color(INK)
