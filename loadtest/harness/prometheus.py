"""A Prometheus that scrapes nodes for the time of a run, and what is asked of any."""
import json
import os
import pathlib
import shutil
import time
import urllib.parse
import urllib.request

from .processes import ROOT, Process, free_port

SCRAPE = "1s"


def find():
    """The program, from scripts/setup or the PATH; None when there is none."""
    local = ROOT / "target/tools/prometheus"
    return str(local) if os.access(local, os.X_OK) else shutil.which("prometheus")


class Prometheus(Process):
    def __init__(self, folder, targets):
        """`targets` are pairs of a node's name and the host:port of its internal listener."""
        folder = pathlib.Path(folder)
        config = {
            "global": {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE},
            "scrape_configs": [{
                "job_name": "hubbub",
                "static_configs": [{"targets": [at], "labels": {"node": name}} for name, at in targets],
            }],
        }
        # JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps(config))
        port = free_port()
        self.targets = len(targets)
        self.url = f"http://127.0.0.1:{port}"
        super().__init__("prometheus", [
            find(), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ], folder / "prometheus.log")

    def wait_until_ready(self):
        """Until every target was scraped: it takes its time to look for them."""

        def scraped():
            try:
                return at(self.url, "count(up == 1)", time.time()) == [({}, float(self.targets))]
            except OSError:
                return False

        self.wait_for(scraped, "the first scrape")


def _ask(url, path, **parameters):
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{query}", timeout=30) as answer:
        return json.load(answer)["data"]["result"]


def over_time(url, query, begin, end):
    """Pairs of labels and points (time, value) of each series between two times."""
    step = max(1.0, (end - begin) / 500)
    found = _ask(url, "query_range", query=query, start=begin, end=end, step=f"{step:.0f}s")
    return [(series["metric"], [(at, float(value)) for at, value in series["values"]]) for series in found]


def at(url, query, when):
    """Pairs of labels and value at one time."""
    return [(series["metric"], float(series["value"][1])) for series in _ask(url, "query", query=query, time=when)]
