"""Dashboards as they are committed: what a reader of the JSON needs."""

import json
import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "dashboards"


def load(folder=FOLDER):
    """Every dashboard of the folder, by its file's name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def panels(page):
    """The panels that ask something."""
    return [panel for panel in page["panels"] if panel["type"] != "row"]


def queries(page):
    """Every expression of a dashboard, annotations included."""
    found = [target["expr"] for panel in panels(page) for target in panel["targets"]]
    return found + [note["target"]["expr"] for note in page["annotations"]["list"]]


def metrics(text):
    """The names of metrics in `text`, histograms without the ends of their series."""
    names = re.findall(r"\b(?:hubbub|process)_[a-z0-9_]+", text)
    return {re.sub(r"_(bucket|count|sum)$", "", name) if "_seconds_" in name else name for name in names}


def filled(expr, variables):
    """`expr` with its variables replaced, as Grafana does."""
    for name, value in variables.items():
        expr = expr.replace("${" + name + "}", value).replace("$" + name, value)
    return expr


def label(template, labels):
    """A legend such as `{{instance}} p99` for a series."""
    text = re.sub(r"{{\s*(\w+)\s*}}", lambda found: labels.get(found[1], ""), template)
    return text.strip() or "value"
