"""What a dashboard says, without what Grafana wants to know about it.

Expressions are PromQL with two abbreviations: every metric gets the selector of the
variables `namespace` and `node`, and `[rate]` is the interval that Grafana computes for
rates. `process_*` metrics exist in any exporter: such an expression is narrowed down to
the processes that also export `hubbub_build_info`.
"""

import re
from dataclasses import dataclass, field

SELECTOR = 'namespace=~"$namespace",instance=~"$node"'
METRIC = re.compile(r"\b(?:hubbub|process)_[a-z0-9_]+(?![a-z0-9_(])")


@dataclass(frozen=True)
class Query:
    """One line or family of lines; `right` puts it on the right axis, in `unit`."""

    expr: str
    legend: str = "{{instance}}"
    right: str | None = None

    def promql(self):
        expr = select(self.expr).replace("[rate]", "[$__rate_interval]")
        if "process_" in expr:
            expr = f"{expr} and on (job, instance) {select('hubbub_build_info')}"
        return expr


def select(expr):
    """`expr` with the selector of the variables at each metric."""

    def selected(found):
        rest = expr[found.end():]
        return found[0] + ("" if rest.startswith("{") else "{" + SELECTOR + "}")

    expr = METRIC.sub(selected, expr)
    own = r"(\b(?:hubbub|process)_[a-z0-9_]+\{)(?!namespace=~)"
    return re.sub(own, lambda found: f"{found[1]}{SELECTOR},", expr)


@dataclass(frozen=True)
class Panel:
    """Lines over time. `help` says what is good, and what to do when the line is bad.

    `warn` and `bad` draw a line where that begins; `low` says that small is bad.
    """

    title: str
    help: str
    queries: list[Query]
    unit: str = "short"
    warn: float | None = None
    bad: float | None = None
    low: bool = False
    stack: bool = False
    highest: float | None = None
    width: int = 8
    height: int = 8
    kind: str = "timeseries"
    alert: str | None = None


@dataclass(frozen=True)
class Stat(Panel):
    """One number and its recent course."""

    width: int = 4
    height: int = 4
    kind: str = "stat"


@dataclass(frozen=True)
class Table(Panel):
    """One row for each series of a query, with its labels as columns."""

    columns: dict[str, str] = field(default_factory=dict)
    kind: str = "table"


@dataclass(frozen=True)
class Row:
    """Panels below one heading."""

    title: str
    panels: list[Panel]


@dataclass(frozen=True)
class Dashboard:
    """A page of rows."""

    name: str
    title: str
    about: str
    rows: list[Row]

    def panels(self):
        return [panel for row in self.rows for panel in row.panels]


def rate(metric, by, legend=None):
    """Occurrences per second, by labels."""
    return Query(f"sum by ({by}) (rate({metric}[rate]))", legend or braced(by))


def count(metric, by, legend=None):
    """Occurrences within the last ten minutes, by labels: for what should be rare."""
    return Query(f"sum by ({by}) (increase({metric}[10m]))", legend or braced(by))


def busy(metric, by, within="10m", legend=None):
    """Only what happened of a metric with many labels, and all of it as one line, which may be flat."""
    first = by.split(",")[0].strip()
    amount = f"increase({metric}[10m])" if within == "10m" else f"rate({metric}[rate])"
    total = f'label_replace(sum({amount}), "{first}", "all", "", "")'
    return Query(f"sum by ({by}) ({amount}) > 0 or {total}", legend or braced(by))


def quantile(rank, histogram, by="", where=""):
    """The expression of a quantile, by labels; `where` narrows down and may stand with a range of its own."""
    span = "" if where.endswith("]") else "[rate]"
    return f"histogram_quantile({rank}, sum by ({by + ', ' if by else ''}le) (rate({histogram}_bucket{where}{span})))"


def braced(labels):
    return " ".join("{{" + label.strip() + "}}" for label in labels.split(","))
