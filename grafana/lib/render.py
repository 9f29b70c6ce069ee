"""Descriptions as the JSON that Grafana imports."""

import json

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
RUNBOOK = "docs/operations.md"
GREEN, ORANGE, RED = "green", "orange", "red"


def dashboard(described, names):
    """The JSON text of a dashboard; `names` are all dashboards by name and title."""
    page = {
        "uid": f"hubbub-{described.name}",
        "title": described.title,
        "description": described.about,
        "tags": ["hubbub"],
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 41,
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [starts()]},
        "links": [link(name, title) for name, title in names.items() if name != described.name],
        "templating": {"list": variables()},
        "panels": laid_out(described.rows),
    }
    return json.dumps(page, indent=2, ensure_ascii=False) + "\n"


def starts():
    return {
        "name": "Drains",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": ORANGE,
        "target": {
            "refId": "Drains",
            "expr": 'hubbub_drain_phase{namespace=~"$namespace",instance=~"$node"} > 0',
            "legendFormat": "{{instance}} stops",
        },
    }


def link(name, title):
    return {
        "title": title,
        "type": "link",
        "icon": "dashboard",
        "tooltip": "",
        "url": f"/d/hubbub-{name}",
        "tags": [],
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }


def variables():
    everything = {"text": ["All"], "value": ["$__all"], "selected": True}
    of_series = {
        "type": "query",
        "datasource": DATASOURCE,
        "includeAll": True,
        # Also what has no such label: a Prometheus outside Kubernetes knows no namespace.
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "sort": 1,
        "current": everything,
    }

    def values(name, label, query):
        return {"name": name, "label": label, **of_series, "query": {"query": query, "refId": name}}

    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        values("namespace", "Namespace", "label_values(hubbub_ready, namespace)"),
        values("node", "Node", 'label_values(hubbub_ready{namespace=~"$namespace"}, instance)'),
    ]


def laid_out(rows):
    """Panels from left to right, in rows of 24 columns."""
    panels, y = [], 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        heading = {"type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": place}
        panels.append({"id": len(panels) + 1, **heading})
        y += 1
        x = highest = 0
        for described in row.panels:
            if x + described.width > COLUMNS:
                x, y, highest = 0, y + highest, 0
            place = {"x": x, "y": y, "w": described.width, "h": described.height}
            panels.append({"id": len(panels) + 1, **panel(described), "gridPos": place})
            x, highest = x + described.width, max(highest, described.height)
        y += highest
    return panels


def panel(described):
    kinds = {"timeseries": lines, "stat": number, "table": table}
    return {
        "type": described.kind,
        "title": described.title,
        "description": described.help + (f"\n\nAlert: {described.alert}." if described.alert else ""),
        "datasource": DATASOURCE,
        **kinds[described.kind](described),
    }


def targets(described, **more):
    letters = "ABCDEFGH"
    return [
        {
            "refId": letters[at],
            "datasource": DATASOURCE,
            "expr": query.promql(),
            "legendFormat": query.legend,
            **more,
        }
        for at, query in enumerate(described.queries)
    ]


def thresholds(described):
    """Colours from the lowest value up."""
    marks = [(described.warn, ORANGE), (described.bad, RED)]
    marks = [(value, colour) for value, colour in marks if value is not None]
    if described.low:
        # Below `bad` is red, below `warn` orange, above green.
        marks.sort(key=lambda mark: mark[0])
        colours = [colour for _, colour in marks] + [GREEN]
        values = [None] + [value for value, _ in marks]
        steps = list(zip(values, colours))
    else:
        steps = [(None, GREEN)] + sorted(marks, key=lambda mark: mark[0])
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def lines(described):
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 25 if described.stack else 8,
        "showPoints": "never",
        "spanNulls": False,
        "axisPlacement": "auto",
        "stacking": {"mode": "normal" if described.stack else "none", "group": "A"},
    }
    defaults = {"unit": described.unit, "min": 0, "color": {"mode": "palette-classic"}, "custom": custom}
    if described.highest is not None:
        defaults["max"] = described.highest
    if described.warn is not None or described.bad is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        defaults["thresholds"] = thresholds(described)
    overrides = [
        {
            "matcher": {"id": "byFrameRefID", "options": target["refId"]},
            "properties": [
                {"id": "unit", "value": query.right},
                {"id": "custom.axisPlacement", "value": "right"},
                {"id": "custom.fillOpacity", "value": 0},
                {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [6, 4]}},
                {"id": "custom.stacking", "value": {"mode": "none", "group": "B"}},
                {"id": "custom.thresholdsStyle", "value": {"mode": "off"}},
            ],
        }
        for query, target in zip(described.queries, targets(described))
        if query.right
    ]
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    return {
        "targets": targets(described),
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}},
    }


def number(described):
    defaults = {
        "unit": described.unit,
        "color": {"mode": "thresholds"},
        "thresholds": thresholds(described),
    }
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "value",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return {
        "targets": targets(described),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def table(described):
    """The instant values of one query; other labels than those of `columns` are hidden."""
    named = {"id": "organize", "options": {"renameByName": described.columns, "includeByName": {
        name: True for name in described.columns
    }}}
    return {
        "targets": targets(described, instant=True, range=False, format="table"),
        "transformations": [named],
        "fieldConfig": {"defaults": {"unit": described.unit}, "overrides": []},
        "options": {"showHeader": True, "cellHeight": "sm", "frameIndex": 0},
    }
