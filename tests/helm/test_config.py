"""What a pod gets as its configuration is what hubbub takes, and every key can be set.

Method: the manifests are rendered, variables and mounted files taken out of them as the kubelet would, and the real
program checks them. Paths below /etc/hubbub become paths of a folder of the test.
"""

import os
import pathlib
import re
import subprocess
import tomllib

import pytest
import yaml

import keys
from conftest import BINARY, CI, ROOT, SECRET, decoded, merged, nested, pod, render, toml

PAGE = (ROOT / "docs/configuration.md").read_text()
ROWS = keys.rows(PAGE)
# Where a key has a value of the chart that is not below `config`.
ELSEWHERE = {
    "auth.secret": ("secrets.authSecret", SECRET, "HUBBUB_AUTH__SECRET"),
    "internal.api_key": ("secrets.apiKey", SECRET, "HUBBUB_INTERNAL__API_KEY"),
    "redis.url": ("redis.url", "redis://a.example:6379", "HUBBUB_REDIS__URL"),
    "redis.password": ("redis.password", SECRET, "HUBBUB_REDIS__PASSWORD"),
}
# A value that fits, where the kind does not tell one, and what else must then be there.
SAMPLES = {
    "node.id": "a-node",
    "public.listen": "[::]:9065",
    "public.tls_cert": "/etc/hubbub/tls/tls.crt",
    "public.tls_key": "/etc/hubbub/tls/tls.key",
    "public.allowed_origins": ["https://a.example", "https://b.example"],
    "public.trusted_proxies": ["10.0.0.0/8", "fd00::/8"],
    "public.base_path": "/chat",
    "internal.listen": "0.0.0.0:9067",
    "auth.jwks_url": "https://id.example/keys",
    "redis.tls_ca": "/etc/hubbub/tls/tls.crt",
    "data.dir": "/var/lib/hubbub",
    "dialects.pydio.event_path": "/e",
    "dialects.pydio.chat_path": "/c",
    "dialects.pydio.chat_alias": "/d",
    "telemetry.log_level": "debug",
    "auth.leeway": "45s",
    "cluster.lease": "30s",
    "cluster.heartbeat": "3s",
}
REDIS = {"redis": {"url": "redis://a.example"}}
COMPANIONS = {
    "public.tls_cert": nested("config.public.tls_key", "/etc/hubbub/tls/tls.key"),
    "public.tls_key": nested("config.public.tls_cert", "/etc/hubbub/tls/tls.crt"),
    "redis.mode": merged(REDIS, nested("config.redis.sentinel_master", "m")),
    "redis.sentinel_master": merged(REDIS, nested("config.redis.mode", "sentinel")),
    "redis.username": {"redis": {"url": "redis://a.example", "password": "p"}},
    "redis.password": REDIS,
    "redis.tls_ca": {"redis": {"url": "rediss://a.example"}},
    "log.profile": REDIS,
}


def sample(key, takes):
    """A value that fits the key and is not its default."""
    if key in SAMPLES:
        return SAMPLES[key]
    bounds = re.search(r", (\S+) to (\S+)$", takes)
    if takes.startswith("one of"):
        return re.findall(r"`([^`]+)`", takes)[1]
    if takes.startswith("`true`"):
        return True
    if takes.startswith(("number", "per second")):
        return keys.number(bounds[2])
    if bounds:
        return bounds[2]
    return "sample"


def moved(text, folder):
    """The paths of the container, in the folder of the test."""
    return text.replace("/etc/hubbub/", f"{folder}/").replace("/var/run/", f"{folder}/run/")


def given(manifests, folder, certificate):
    """The environment and the file that the container of these manifests gets, with paths below `folder`."""
    spec = pod(manifests)
    container = spec["containers"][0]
    secrets = {m["metadata"]["name"]: decoded(m) for m in manifests if m["kind"] == "Secret"}
    maps = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    environment = {}
    for variable in container["env"]:
        source = variable.get("valueFrom", {})
        value = variable.get("value", "pod-name")
        if "secretKeyRef" in source:
            reference = source["secretKeyRef"]
            # One that is not in the release is the operator's.
            fallback = "redis://a.example" if "url" in reference["key"] else SECRET
            value = secrets.get(reference["name"], {}).get(reference["key"], fallback)
        environment[variable["name"]] = moved(value, folder)
    for mount in container["volumeMounts"]:
        volume = next(v for v in spec["volumes"] if v["name"] == mount["name"])
        if not mount["mountPath"].startswith("/etc/hubbub/"):
            continue
        place = folder / mount["mountPath"].removeprefix("/etc/hubbub/")
        if mount["name"] == "config":
            place.write_text(moved(maps[volume["configMap"]["name"]]["hubbub.toml"], folder))
            continue
        place.mkdir()
        if "secret" in volume:
            for name, content in secrets.get(volume["secret"]["secretName"], {}).items():
                (place / name).write_text(content)
    for name in ("tls/tls.crt", "tls/tls.key", "redis-ca/ca.crt", "ca-bundle/ca-certificates.crt"):
        place = folder / name
        place.parent.mkdir(exist_ok=True)
        source = "tls.key" if name.endswith("tls.key") else "tls.crt"
        place.write_text((certificate / source).read_text())
    # What the operator mounts.
    for file in re.findall(r'_file = "([^"]+)"', (folder / "hubbub.toml").read_text()):
        place = pathlib.Path(file)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(SECRET)
    return environment


def check(manifests, folder, certificate):
    """Runs `hubbub check-config` as the pod would start it; its output."""
    environment = given(manifests, folder, certificate)
    arguments = pod(manifests)["containers"][0]["args"]
    assert arguments[:2] == ["serve", "--config"]
    file = moved(arguments[2], folder)
    done = subprocess.run(
        [BINARY, "check-config", "--config", file],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_page_is_read():
    assert len(ROWS) > 90 and {"auth.secret", "limits.log_close_after"} <= {row[0] for row in ROWS}


@pytest.mark.parametrize("ci", [None, *CI])
def test_kinds_of_deployment_are_accepted(ci, tmp_path, certificate):
    code, output = check(render(ci=ci), tmp_path, certificate)
    assert code == 0, output
    assert "ignored" not in output, output


EXAMPLES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/kubernetes.md").read_text(), re.S)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_document_are_accepted(number, tmp_path, certificate):
    assert len(EXAMPLES) >= 15
    code, output = check(render(yaml.safe_load(EXAMPLES[number])), tmp_path, certificate)
    assert code == 0, output


def test_the_check_refuses_what_is_wrong(tmp_path, certificate):
    manifests = render({"extraEnv": [{"name": "HUBBUB_LIMITS__NO_SUCH", "value": "1"}]})
    code, output = check(manifests, tmp_path, certificate)
    assert code == 2 and "HUBBUB_LIMITS__NO_SUCH" in output


def effective(key, environment, file):
    """What the pod gets for a key: the variable wins."""
    name = "HUBBUB_" + key.replace(".", "__").upper()
    if name in environment:
        return environment[name]
    value = file
    for part in key.split("."):
        value = value[part]
    return value


@pytest.mark.parametrize(("key", "takes"), [(row[0], row[1]) for row in ROWS])
def test_every_key_can_be_set(key, takes, tmp_path, certificate):
    path, value, _ = ELSEWHERE.get(key, (f"config.{key}", None, None))
    value = sample(key, takes) if value is None else value
    manifests = render(merged(COMPANIONS.get(key, {}), nested(path, value)))
    environment = given(manifests, tmp_path, certificate)
    file = tomllib.loads((tmp_path / "hubbub.toml").read_text())
    seen = effective(key, environment, file)
    plain = str(value).replace("/etc/hubbub/", f"{tmp_path}/") if isinstance(value, str) else value
    assert seen == plain
    (folder := tmp_path / "again").mkdir()
    code, output = check(manifests, folder, certificate)
    assert code == 0, output


@pytest.mark.parametrize("key", [row[0] for row in ROWS if row[1].startswith("secret")])
def test_every_secret_can_come_from_a_file(key, tmp_path, certificate):
    value = "redis://a.example" if key == "redis.url" else SECRET
    (tmp_path / "secret").write_text(value)
    values = merged(COMPANIONS.get(key, {}), nested(f"config.{key}_file", f"{tmp_path}/secret"))
    manifests = render(values)
    name = "HUBBUB_" + key.replace(".", "__").upper()
    assert name not in {variable["name"] for variable in pod(manifests)["containers"][0]["env"]}
    code, output = check(manifests, tmp_path, certificate)
    assert code == 0, output


def test_arrays_of_tables(tmp_path, certificate):
    keys_of_tokens = [
        {"kid": "a", "algorithm": "HS256", "secret_file": "/etc/hubbub/keys/a.key"},
        {"kid": "b", "algorithm": "ES256", "public_key_file": "/etc/hubbub/keys/b.pem"},
    ]
    public = subprocess.run(
        ["openssl", "ec", "-in", certificate / "tls.key", "-pubout"], check=True, capture_output=True, text=True
    ).stdout
    values = {
        "config": {"auth": {"keys": keys_of_tokens}, "internal": {"api_keys": []}},
        "keyFiles": {"files": {"a.key": SECRET, "b.pem": public}},
    }
    manifests = render(values)
    assert tomllib.loads(toml(manifests))["auth"]["keys"] == keys_of_tokens
    code, output = check(manifests, tmp_path, certificate)
    assert code == 0, output
    names = {variable["name"] for variable in pod(manifests)["containers"][0]["env"]}
    assert "HUBBUB_AUTH__SECRET" not in names, "keys in the file take the place of the generated one"
    assert "HUBBUB_INTERNAL__API_KEY" in names


@pytest.mark.parametrize("text", ['"', "\\", "a'b", "é", "#", "a\nb", "</script>", "{{ x }}"])
def test_texts_arrive_as_they_are(text):
    manifests = render({"config": {"auth": {"audience": text}}})
    assert tomllib.loads(toml(manifests))["auth"]["audience"] == text
