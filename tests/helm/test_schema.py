"""values.schema.json refuses what is wrong: unknown names at every depth, and wrong types of every value.

Method: the schema itself is walked, and a wrong value is put at each place; a sample of them goes through helm, to
see that it obeys the schema.
"""

import copy
import json
import re

import jsonschema
import pytest
import yaml

from conftest import CHART, Refused, merged, nested, render

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
# A value that is none of the type.
WRONG = {"string": 7, "integer": "seven", "number": "seven", "boolean": "yes", "object": "text", "array": "text"}


def places(schema, path=""):
    """Path and schema of every value that the schema describes, but for items of lists."""
    for name, below in schema.get("properties", {}).items():
        place = f"{path}.{name}" if path else name
        yield place, below
        yield from places(below, place)


PLACES = dict(places(SCHEMA))


def fits(values):
    """Whether these values, on top of the defaults, are taken."""
    return VALIDATOR.is_valid(merged(VALUES, values))


def closed_objects(schema, path=""):
    """Path of every object that has its names listed."""
    if "properties" in schema:
        yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from closed_objects(below, f"{path}.{name}" if path else name)


def test_the_schema_is_one_and_the_defaults_fit():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert list(VALIDATOR.iter_errors(VALUES)) == [] and fits({})


def test_every_value_has_its_place():
    def leaves(tree, path=""):
        for key, value in tree.items():
            below = f"{path}.{key}" if path else key
            yield below
            if isinstance(value, dict) and below in PLACES and "properties" in PLACES[below]:
                yield from leaves(value, below)

    assert [path for path in leaves(VALUES) if path not in PLACES] == []


def test_unknown_names_are_refused_everywhere():
    objects = list(closed_objects(SCHEMA))
    assert len(objects) > 60
    for path, schema in objects:
        assert schema.get("additionalProperties") is False, f"{path} takes any name"
        place = f"{path}.unknown" if path else "unknown"
        assert not fits(nested(place, "x")), f"{place} is taken"


def test_unknown_names_in_lists_are_refused():
    lists = [(path, schema) for path, schema in PLACES.items() if schema.get("type") == "array"]
    closed = [(path, schema) for path, schema in lists if schema["items"].get("properties")]
    assert len(closed) >= 10
    for path, schema in closed:
        entry = {name: "x" for name in schema["items"].get("required", [])}
        assert not fits(nested(path, [{**entry, "unknown": "x"}])), f"{path}[].unknown is taken"


def test_wrong_types_are_refused_everywhere():
    count = 0
    for path, schema in PLACES.items():
        kinds = schema.get("type", schema.get("enum") and "string")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        for kind, wrong in WRONG.items():
            value = {"a": 1} if kind not in ("object",) and "object" not in kinds else wrong
            if kind in kinds:
                assert not fits(nested(path, value)), f"{path} takes {value}"
                count += 1
        if kinds == ["string"]:
            assert not fits(nested(path, 7)), f"{path} takes a number"
        if kinds == ["boolean"]:
            assert not fits(nested(path, "true")), f"{path} takes a text"
    assert count > 250


@pytest.mark.parametrize(
    "values",
    [
        {"unknown": 1},
        {"image": {"tags": "x"}},
        {"config": {"limits": {"outbox_event": 1}}},
        {"config": {"limits": {"outbox_events": "many"}}},
        {"config": {"limits": {"outbox_events": 7}}},
        {"config": {"limits": {"outbox_bytes": 65536}}},
        {"config": {"limits": {"outbox_bytes": "64KB"}}},
        {"config": {"shutdown": {"drain": 30}}},
        {"config": {"shutdown": {"drain": "30"}}},
        {"config": {"telemetry": {"log_format": "yaml"}}},
        {"config": {"auth": {"secret": "x" * 40}}},
        {"config": {"auth": {"keys": [{"kid": "a", "algorithm": "HS256", "secret": "x" * 40}]}}},
        {"config": {"auth": {"keys": [{"kid": "a", "algorithm": "none"}]}}},
        {"config": {"internal": {"api_key": "x"}}},
        {"config": {"internal": {"api_keys": [{"name": "a", "key": "x"}]}}},
        {"config": {"redis": {"url": "redis://a"}}},
        {"config": {"redis": {"password": "x"}}},
        {"config": {"public": {"listen": "0.0.0.0:0"}}},
        {"config": {"shutdown": {"drain": None}}},
        {"config": {"public": None}},
        {"ingress": None},
        {"redis": {"ca": None}},
        {"tls": {"enabled": None}},
        {"service": {"port": None}},
        {"probes": {"startup": {"periodSeconds": None}}},
        {"probes": {"liveness": {"successThreshold": 2}}},
        {"podDisruptionBudget": {"maxUnavailable": "150%"}},
        {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "101%"}}},
        {"fullnameOverride": "1chat"},
        {"podLabels": {"a": "b c"}},
        {"image": {"tag": "v 1"}},
        {"extraEnv": [{"name": "A", "valueFrom": {}}]},
        {"config": {"dialects": {"room": {"enabled": "yes"}}}},
        {"secrets": {"authSecret": "short"}},
        {"redis": {"url": "http://a"}},
        {"replicaCount": "3"},
        {"replicaCount": -1},
        {"service": {"type": "ExternalName"}},
        {"service": {"port": 70000}},
        {"internalService": {"type": "LoadBalancer"}},
        {"resources": {"limit": {}}},
        {"resources": {"limits": {"memory": "a lot"}}},
        {"podSecurityContext": {"runAsNonroot": True}},
        {"securityContext": {"capabilities": {"dropp": []}}},
        {"ingress": {"hosts": [{"host": "a", "paths": [{"pathtype": "Prefix"}]}]}},
        {"autoscaling": {"behavior": {"scaleUp": {"policies": [{"type": "Nodes"}]}}}},
        {"tolerations": [{"effect": "Never"}]},
        {"extraEnv": [{"name": "A", "value": 1}]},
        {"extraEnv": {"A": "b"}},
        {"extraEnv": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "keys": "b"}}}]},
        {"extraVolumes": [{"name": "a", "emptydir": {}}]},
        {"affinity": {"nodeAffinity": {"required": []}}},
        {"networkPolicy": {"egress": {"to": [{"ports": [{"protocol": "ICMP"}]}]}}},
    ],
)
def test_helm_refuses_them(values):
    with pytest.raises(Refused, match=r"values don't meet the specifications|coalesce|cannot overwrite"):
        render(values)


def without(path):
    """The defaults but for this one, as Helm makes them from null; None when there is none."""
    values = copy.deepcopy(VALUES)
    *above, name = path.split(".")
    table = values
    for part in above:
        table = table.get(part, {}) if isinstance(table, dict) else {}
    return values if isinstance(table, dict) and table.pop(name, None) is not None else None


@pytest.mark.parametrize("ci", ["everything-values.yaml", "dev-values.yaml"])
def test_nothing_can_be_taken_away_that_a_template_needs(ci):
    """Null takes a default away: the schema or a check refuses that, or nothing comes of it."""
    taken = [path for path in PLACES if (values := without(path)) and VALIDATOR.is_valid(values)]
    assert len(taken) > 50
    for path in taken:
        try:
            render(nested(path, None), ci=ci)
        except Refused as refused:
            assert re.search("values don't meet|execution error at", str(refused)), f"{path}: {refused}"


def test_a_parent_chart_may_say_global_and_enabled():
    assert render({"global": {"registry": "x"}, "enabled": True})
