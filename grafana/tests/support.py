"""What the tests read: documents, alerts, and where things are."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "grafana"
sys.path.insert(0, str(GRAFANA))
sys.dont_write_bytecode = True

from lib import dashboards  # noqa: E402, F401


def documented_metrics():
    """The names in the table of docs/metrics.md."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    return set(re.findall(r"^\| `((?:hubbub|process)_\w+)` \|", text, re.MULTILINE))


def config_keys():
    """The keys in the tables of docs/configuration.md."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    return set(re.findall(r"^\| `([a-z_]+(?:\.[a-z_]+)+)` \|", text, re.MULTILINE))


def named_keys(text):
    """What looks like a key of the configuration between backticks."""
    sections = {key.split(".")[0] for key in config_keys()}
    named = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?:=[^`]*)?`", text)
    return {key for key in named if key.split(".")[0] in sections}
