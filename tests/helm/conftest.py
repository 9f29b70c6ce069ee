"""What the tests of the chart share: rendering it, and looking at what came out."""

import base64
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "helm/hubbub"
# Where the generator lives.
sys.path.insert(0, str(ROOT / "helm"))
HELM = shutil.which("helm", path=f"{ROOT / 'target/tools'}:{os.environ['PATH']}")
BINARY = pathlib.Path(os.environ.get("HUBBUB_BIN") or ROOT / "target/debug/hubbub")
OLDEST = "1.30.0"
CI = sorted(path.name for path in (CHART / "ci").glob("*-values.yaml"))
SECRET = "for-the-tests-only-for-the-tests-only"


class Refused(Exception):
    """Helm did not take the values."""


def helm(*arguments, values=None):
    """Runs helm; values come by stdin."""
    command = [HELM, *map(str, arguments)]
    text = None
    if values is not None:
        command += ["--values", "-"]
        text = yaml.safe_dump(values)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """The fast one; a key twice is an error, as it is to Kubernetes."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key twice: {sorted(keys)}"
        return super().construct_mapping(node, deep)


def documents(text):
    """The YAML documents of a text."""
    return [document for document in yaml.load_all(text, Loader) if document]


@functools.cache
def rendered(values, ci, release, version, chart):
    arguments = ["template", release, chart, "--namespace", "ns", "--kube-version", version]
    if ci:
        arguments += ["--values", CHART / "ci" / ci]
    return helm(*arguments, values=json.loads(values))


def render(values=None, ci=None, release="t", version=OLDEST, chart=CHART, again=False):
    """The manifests for these values, on top of those of a file in ci/. What was rendered is remembered, unless
    `again` asks for another run."""
    take = rendered.__wrapped__ if again else rendered
    return documents(take(json.dumps(values or {}), ci, release, version, chart))


def one(manifests, kind, name=None):
    """The manifest of this kind, and name when there are several."""
    found = [
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and name in (None, manifest["metadata"]["name"])
    ]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return found[0]


def kinds(manifests):
    return {manifest["kind"] for manifest in manifests}


def pod(manifests):
    return one(manifests, "Deployment")["spec"]["template"]["spec"]


def variables(container):
    return {variable["name"]: variable for variable in container["env"]}


def toml(manifests):
    maps = [m for m in manifests if m["kind"] == "ConfigMap" and "hubbub.toml" in m["data"]]
    assert len(maps) == 1
    return maps[0]["data"]["hubbub.toml"]


def decoded(secret):
    return {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}


def nested(path, value):
    """`a.b.c` and a value as a tree."""
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


def merged(left, right):
    """Two trees; the right one wins."""
    if not (isinstance(left, dict) and isinstance(right, dict)):
        return right
    return {key: merged(left.get(key, {}), right.get(key, left.get(key))) for key in {**left, **right}}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate and its key, for the paths that the configuration names."""
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    files = ["-keyout", folder / "tls.key", "-out", folder / "tls.crt"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return folder
