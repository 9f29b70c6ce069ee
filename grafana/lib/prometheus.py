"""The two questions that a dashboard asks Prometheus."""

import json
import math
import urllib.error
import urllib.parse
import urllib.request


class QueryError(Exception):
    """Prometheus refused an expression or did not answer."""


class Prometheus:
    """A server at `url`, such as `http://127.0.0.1:9090`."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def now(self, expr):
        """Labels and value of each series of `expr` now, without those that are no number."""
        rows = self._ask("query", {"query": expr})["result"]
        values = [(row["metric"], float(row["value"][1])) for row in rows]
        return [(labels, value) for labels, value in values if math.isfinite(value)]

    def over_time(self, expr, begin, end, step):
        """Labels, times and values of each series; what is no number is left out."""
        question = {"query": expr, "start": begin, "end": end, "step": step}
        series = []
        for row in self._ask("query_range", question)["result"]:
            points = [(at, float(value)) for at, value in row["values"]]
            points = [(at, value) for at, value in points if math.isfinite(value)]
            if points:
                series.append((row["metric"], *zip(*points)))
        return series

    def _ask(self, what, question):
        body = urllib.parse.urlencode(question).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{what}", data=body, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:300]
            raise QueryError(f"{question['query']}: {said}") from error
        except (OSError, ValueError, KeyError) as error:
            raise QueryError(f"{self.url}: {error}") from error
