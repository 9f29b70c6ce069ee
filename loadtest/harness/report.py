"""The report of one run: a page in Markdown, and plots of what Prometheus saw."""
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

from . import prometheus
from .processes import ROOT

PYTHON = ROOT / "target/venv/bin/python"
# A rate over a few scrapes: short enough to show a second's trouble, long enough to be calm.
WINDOW = "5s"

DELAY = f"histogram_quantile({{}}, sum by (le) (rate(hubbub_delivery_seconds_bucket[{WINDOW}])))"
# name, title, unit, then pairs of a query and the label of its series; None: the node.
PLOTS = [
    ("delay", "From accepted publish to written socket", "milliseconds",
     [(f"1000 * {DELAY.format(0.5)}", "p50"), (f"1000 * {DELAY.format(0.99)}", "p99")]),
    ("rates", "Deliveries", "a second",
     [(f"sum by (node, instance) (rate(hubbub_deliveries_total[{WINDOW}]))", None)]),
    ("published", "Events published", "a second",
     [(f"sum by (node, instance) (rate(hubbub_events_published_total[{WINDOW}]))", None)]),
    ("connections", "Connections", "open", [("sum by (node, instance) (hubbub_connections)", None)]),
    ("memory", "Resident memory", "MiB", [("process_resident_memory_bytes / 1048576", None)]),
    ("cpu", "CPU", "cores", [(f"rate(process_cpu_seconds_total[{WINDOW}])", None)]),
]
# title, metric, the labels to tell apart.
COUNTS = [
    ("resumes", "hubbub_resumes_total", ["result"]),
    ("resets", "hubbub_resets_total", ["cause"]),
    ("sockets closed", "hubbub_sockets_closed_total", ["code"]),
    ("slow readers", "hubbub_slow_consumers_total", ["dialect"]),
    ("bodies withheld", "hubbub_bodies_withheld_total", ["reason"]),
    ("rejections", "hubbub_rejections_total", ["stage", "reason"]),
]
STATISTICS = ["count", "rate", "med", "p(95)", "p(99)", "max"]


def collect(url, begin, end, marks):
    """What the plots show, as data."""
    plots = []
    for name, title, unit, queries in PLOTS:
        series = []
        for query, label in queries:
            for labels, points in prometheus.over_time(url, query, begin, end):
                told = label or labels.get("node") or labels.get("instance", "all")
                series.append({"label": told, "points": [(at - begin, value) for at, value in points]})
        plots.append({"name": name, "title": title, "unit": unit, "log": name == "delay", "series": series, "seconds": end - begin,
                      "marks": [{"at": at - begin, "text": text} for at, text in marks]})
    return plots


def counts(url, begin, end):
    """Rows of what the nodes counted in the run; one that is gone keeps its figures."""
    rows = []
    window = f"{end - begin:.0f}s"
    for title, metric, labels in COUNTS:
        query = f"sum by ({', '.join(labels)}) (last_over_time({metric}[{window}])) > 0"
        found = [f"{' '.join(seen[label] for label in labels)}: {value:.0f}" for seen, value in prometheus.at(url, query, end)]
        rows.append((title, ", ".join(sorted(found)) or "none"))
    return rows


def draw(plots, folder):
    """The names of the pictures; none, with a reason, when matplotlib is missing."""
    data = folder / "plots.json"
    data.write_text(json.dumps(plots))
    script = pathlib.Path(__file__).with_name("plots.py")
    if not os.access(PYTHON, os.X_OK):
        return [], "target/venv is missing: run scripts/setup"
    done = subprocess.run([PYTHON, script, data, folder], capture_output=True, text=True)
    if done.returncode != 0:
        return [], (done.stderr.strip().splitlines() or ["matplotlib failed"])[-1]
    return [(plot["title"], f"{plot['name']}.png") for plot in plots], ""


def _value(metric, statistic):
    # A counter's count says more than its rate over the whole run.
    if statistic == "rate" and metric["type"] == "counter":
        return ""
    value = metric["values"].get(statistic)
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"


def metrics_table(summary):
    lines = ["| metric | " + " | ".join(STATISTICS) + " | thresholds |", "|" + "---|" * (len(STATISTICS) + 2)]
    for name, metric in sorted(summary["metrics"].items()):
        rules = metric.get("thresholds", {})
        if not rules and name.startswith(("http_", "iteration", "ws_", "vus", "data_", "group_", "checks")):
            continue
        verdicts = ", ".join(f"{'' if found['ok'] else '**FAILED** '}`{rule}`" for rule, found in rules.items())
        lines.append(f"| `{name}` | " + " | ".join(_value(metric, part) for part in STATISTICS) + f" | {verdicts} |")
    return lines


def write(folder, run, summary, url):
    """Writes `report.md` and its pictures into `folder`; `run` says what was done."""
    verdict = {0: "passed", 99: "**failed**"}.get(run["code"], f"**did not run to its end** (exit code {run['code']})")
    lines = [f"# {run['script']}: {verdict}", "", f"`{run['command']}`", ""]
    lines += [f"- {run['where']}", f"- {run['engine']}, {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}",
              f"- {run['seconds']:.0f} s"]
    lines += [f"- after {at - run['begin']:.0f} s: {text}" for at, text in run["marks"]]
    if summary is not None:
        if summary["says"]:
            lines += [f"- {summary['says']}"]
        lines += ["", "## What the clients saw", "", *metrics_table(summary)]
    if url is not None:
        plots = collect(url, run["begin"], run["end"], run["marks"])
        lines += ["", "## What the nodes counted", "", "| | |", "|---|---|"]
        lines += [f"| {title} | {text} |" for title, text in counts(url, run["begin"], time.time())]
        pictures, problem = draw(plots, folder)
        lines += ["", "## Over time", ""]
        lines += [f"![{title}]({file})" for title, file in pictures] if pictures else [f"No plots: {problem}."]
    page = folder / "report.md"
    page.write_text("\n".join(lines) + "\n")
    return page


def read_summary(path):
    """What the script wrote at its end; None when it did not get there."""
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        print(f"no summary: {error}", file=sys.stderr)
        return None
