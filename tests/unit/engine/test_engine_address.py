from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from watchtower_agent.engine.address import DEFAULT_URL, EngineAddress, TlsFiles, resolve_address
from watchtower_agent.errors import SettingsError


def context(folder: Path, name: str, *, host: object = "tcp://10.0.0.1:2376", current: bool = True) -> Path:
    """A context as `docker context create` writes it."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / digest / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}))
    if current:
        (folder / "config.json").write_text(json.dumps({"currentContext": name}))
    return folder / "contexts" / "tls" / digest / "docker"


def resolve(folder: Path, url: str = "", **environment: str) -> EngineAddress:
    return resolve_address(url, None, environment=environment, config_folder=folder)


def test_the_settings_come_first(tmp_path: Path) -> None:
    context(tmp_path, "remote")
    found = resolve(tmp_path, "unix:///run/mine.sock", DOCKER_HOST="tcp://h:1")
    assert (found.url, found.source, found.socket_path) == ("unix:///run/mine.sock", "settings", "/run/mine.sock")


@pytest.mark.parametrize("url", ["https://h:1/?token=s3cr3t", "tcp://h:1#s3cr3t"])
def test_a_query_is_refused_wherever_it_comes_from_and_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="it holds a query") as raised:
        resolve(tmp_path, DOCKER_HOST=url)
    assert "s3cr3t" not in str(raised.value)
    assert resolve(tmp_path, "unix:///run/a?b#c.sock").socket_path == "/run/a?b#c.sock"


def test_then_docker_host(tmp_path: Path) -> None:
    context(tmp_path, "remote")
    found = resolve(tmp_path, DOCKER_HOST="tcp://h:1", DOCKER_CONTEXT="other")
    assert (found.url, found.source, found.tls) == ("tcp://h:1", "DOCKER_HOST", None)


def test_then_the_context_of_the_cli(tmp_path: Path) -> None:
    context(tmp_path, "remote")
    found = resolve(tmp_path)
    assert (found.url, found.source, found.tls) == ("tcp://10.0.0.1:2376", "context remote", None)


def test_the_environment_names_a_context_before_the_configuration_does(tmp_path: Path) -> None:
    context(tmp_path, "remote")
    context(tmp_path, "named", host="tcp://10.0.0.2:1", current=False)
    assert resolve(tmp_path, DOCKER_CONTEXT="named").source == "context named"


@pytest.mark.parametrize("configuration", [None, "{}", '{"currentContext": "default"}', "[]"])
def test_then_the_default_socket(tmp_path: Path, configuration: str | None) -> None:
    if configuration is not None:
        (tmp_path / "config.json").write_text(configuration)
    assert resolve(tmp_path) == EngineAddress(url=DEFAULT_URL, source="default")


def test_a_context_brings_its_certificates(tmp_path: Path) -> None:
    tls = context(tmp_path, "remote")
    tls.mkdir(parents=True)
    for part in ("ca", "cert", "key"):
        (tls / f"{part}.pem").write_text("pem")
    assert resolve(tmp_path).tls == TlsFiles(ca=tls / "ca.pem", cert=tls / "cert.pem", key=tls / "key.pem")


def test_docker_tls_verify_asks_for_certificates(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no TLS file .*ca\.pem"):
        resolve(tmp_path, DOCKER_HOST="tcp://h:1", DOCKER_TLS_VERIFY="1")


@pytest.mark.parametrize(
    ("prepare", "environment", "says"),
    [
        ("", {"DOCKER_CONTEXT": "nowhere"}, "docker context 'nowhere' is unknown"),
        ("", {"DOCKER_HOST": "npipe:////./pipe/docker"}, "from DOCKER_HOST.*not supported"),
        ("", {"DOCKER_HOST": "ssh://me:hunter2@host"}, "(?!.*hunter2).*from DOCKER_HOST.*without a password"),
        ("{", {}, "config.json can't be read"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, prepare: str, environment: dict[str, str], says: str) -> None:
    if prepare:
        (tmp_path / "config.json").write_text(prepare)
    with pytest.raises(SettingsError, match=says):
        resolve(tmp_path, **environment)


def test_a_context_without_an_engine_is_said(tmp_path: Path) -> None:
    context(tmp_path, "cluster", host=None)
    with pytest.raises(SettingsError, match="names no engine"):
        resolve(tmp_path)
