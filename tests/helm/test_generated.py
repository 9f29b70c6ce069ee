"""What is generated in the chart is current, and what is written twice is the same."""

import re
import shutil
import subprocess
import tomllib

import yaml

import generate
from conftest import CHART, ROOT

VALUES = generate.read_values((CHART / "values.yaml").read_text())
CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text())


def test_it_is_current():
    changed, gone = generate.stale()
    assert changed + gone == [], "run scripts/helm --write"


def test_every_value_is_told():
    """Each has a comment, or lies in one that has."""
    untold = []

    def walk(values, told):
        for value in values:
            if value.children:
                walk(value.children, told or bool(value.comment))
            elif not (told or value.comment):
                untold.append(value.path)

    walk(VALUES, False)
    assert untold == []
    readme = (CHART / "README.md").read_text()
    rows = set(re.findall(r"^\| `([A-Za-z._]+)` \|", readme, re.M))
    assert {"replicaCount", "config", "redis.url", "autoscaling.behavior", "devRedis.enabled"} <= rows
    assert rows == {value.path for value in generate.flat(VALUES) if value.is_row() or value.path == "config"}


def test_the_generator_sees_a_change():
    text = (CHART / "values.yaml").read_text().replace("# Number of nodes, unless", "# Other words")
    changed = generate.table(generate.read_values(text))
    assert changed != generate.table(VALUES) and "Other words" in changed


def test_versions_agree():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == CARGO["package"]["version"]
    assert chart["version"] == CARGO["package"]["version"]


def test_charts_for_each_kind_of_deployment():
    names = {path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir()}
    assert {"single", "three", "sentinel", "cluster", "tls", "dev", "everything"} <= names


def test_the_layer_of_dependencies_can_be_built(tmp_path):
    """The Dockerfile builds dependencies from manifests and empty sources: cargo must find every target there."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    layer = dockerfile.split("AS build")[1].split("COPY src src")[0].replace("\\\n", " ")
    for sources, target in re.findall(r"^COPY (.+) (\S+)$", layer, re.M):
        for source in sources.split():
            place = tmp_path / target
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)
    commands = re.search(r"^RUN (.+)$", layer, re.M)[1].split("&& cargo build")[0]
    subprocess.run(["sh", "-c", commands.rstrip()], cwd=tmp_path, check=True)
    done = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for sources in re.findall(r"^COPY ([^-]\S*(?: \S+)*) \S+$", dockerfile, re.M):
        for source in sources.split():
            top = "dist" if source.startswith(("dist", "$")) else source
            assert f"!{top}" in ignored, f".dockerignore hides {source}"


def test_the_image_names_its_stages_and_arguments():
    dockerfile = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", dockerfile, re.M)
    assert stages == [
        ("${RUNTIME_IMAGE}", "base"),
        ("base", "prebuilt"),
        ("${BUILD_IMAGE}", "build"),
        ("base", ""),
    ]
    rust = ".".join(CARGO["package"]["rust-version"].split(".")[:2])
    assert f"ARG BUILD_IMAGE=docker.io/library/rust:{rust}-bookworm" in dockerfile
    assert "ARG RUNTIME_IMAGE=scratch" in dockerfile
