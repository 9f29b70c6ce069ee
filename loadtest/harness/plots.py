"""Draws what harness/report.py found in Prometheus: one PNG for each plot.

Run with the Python of target/venv, which has matplotlib: plots.py DATA.json FOLDER
"""
import json
import math
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator  # noqa: E402

SIZE = (9, 3.4)
DPI = 110
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")


def draw(plot, folder):
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    top = 0
    for series in sorted(plot["series"], key=lambda series: series["label"]):
        points = [(at, value) for at, value in series["points"] if math.isfinite(value)]
        if points:
            axes.plot([at for at, _ in points], [value for _, value in points], label=series["label"], linewidth=1.4)
            top = max(top, *(value for _, value in points))
    for mark in plot["marks"]:
        axes.axvline(mark["at"], color="black", linestyle=":", linewidth=1)
        axes.annotate(mark["text"], (mark["at"], 1), xycoords=("data", "axes fraction"), xytext=(4, -4),
                      textcoords="offset points", va="top", fontsize=8)
    axes.set_title(plot["title"], loc="left", fontsize=11)
    axes.set_xlabel("seconds since the run began")
    axes.set_ylabel(plot["unit"])
    if plot["log"]:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(PLAIN)
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(PLAIN)
    else:
        axes.set_ylim(0, top * 1.15 or 1)
    axes.set_xlim(0, plot["seconds"])
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    else:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center")
    figure.savefig(folder / f"{plot['name']}.png", dpi=DPI)
    plt.close(figure)


def main():
    data, folder = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
    for plot in data:
        draw(plot, folder)


if __name__ == "__main__":
    main()
