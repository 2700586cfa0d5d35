"""Secrets in every place that may hold one, and everything that an agent says, searched for them."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent import CHECKOUT, CRASHES_ONCE, Host
from tests.support.broker import PrivateBroker, free_port
from tests.support.engine import PrivateEngine
from tests.support.http_server import HttpServer, body, http_server
from tests.support.patience import patient
from tests.support.prometheus import asked

POLICIES = """
version: 1
policies:
  - name: revive
    select: {name: web}
    on: {container: die}
    then:
      restart: {stop_timeout: 1s}
      notify: {severity: warning}
  - name: ill
    select: {name: "*"}
    when: health == "unhealthy"
    then: {notify: {severity: warning}}
  - name: asks
    mode: approve
    select: {name: web}
    when: cpu.percent >= 0%%
    then: {restart: {}}
  - name: queue
    mode: shadow
    target: {group: {labels: {app: web}}}
    scale:
      min: 1
      max: 5
      metrics:
        - {http: "%s", value: depth, target_per_replica: 10, every: 1s}
"""
_LABEL = "a label that is not to leave the host"
_PAGE = {"policy": "queue", "target": None, "offset": 0, "limit": 100}
_WITH_USER = "https://user:%s@metrics.example/q"


class Planted:
    """Secrets, each by where it was put."""

    def __init__(self) -> None:
        self.by_place: dict[str, str] = {}

    def at(self, place: str) -> str:
        """A new one, that occurs nowhere else."""
        return self.by_place.setdefault(place, f"s3cr3t{secrets.token_hex(8)}")

    def absent_from(self, said: dict[str, bytes]) -> None:
        """None of them is in anything that was said, in plain or in base64."""
        assert all(said.values()), f"nothing was said there: {[where for where, text in said.items() if not text]}"
        found = [
            f"{place} in {where}"
            for where, text in said.items()
            for place, secret in self.by_place.items()
            if any(form in text for form in (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"=")))
        ]
        assert found == []


@pytest.fixture
def planted() -> Planted:
    return Planted()


@pytest.fixture
def locked_broker(tmp_path: Path, planted: Planted) -> Iterator[PrivateBroker]:
    """Only who has the password gets in."""
    with PrivateBroker(directory=tmp_path / "broker", passwords={"agent": planted.at("the broker's password")}) as made:
        yield made


@pytest.fixture
def asked_server() -> Iterator[HttpServer]:
    with http_server(body("{}")) as server:
        yield server


def _surroundings(planted: Planted, directory: Path) -> dict[str, str]:
    """Where a service finds its credentials, and what else stands in its environment."""
    credentials, docker = directory / "credentials", directory / "docker"
    credentials.mkdir()
    docker.mkdir()
    (credentials / "mqtt__password").write_text(planted.at("the broker's password") + "\n")
    login = base64.b64encode(f"robot:{planted.at('a login at a registry')}".encode()).decode()
    (docker / "config.json").write_text(json.dumps({"auths": {"registry.example": {"auth": login}}}))
    return {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "DOCKER_CONFIG": str(docker),
        "AWS_SECRET_ACCESS_KEY": planted.at("the environment of the agent"),
    }


def _answers(host: Host) -> Iterator[tuple[str, object]]:
    """Everything that can be asked of it over the control socket, and what the commands make of it."""
    agent = host.agent
    yield "status", agent.status()
    yield "history", agent.history()
    yield "top", agent.ask("top", sort="name", backwards=False, offset=0, limit=100)
    yield "metrics", agent.ask("metrics", container=None)
    yield "metrics of a container", agent.ask("metrics", container="web")
    for policy in ("revive", "ill", "asks", "queue"):
        yield f"explain {policy}", agent.ask("explain", policy=policy, target=None, offset=0, limit=100)
        yield f"explain {policy} in words", agent.command("explain", policy)
    yield "status in words", agent.command("status")
    yield "history in words", agent.command("history")
    yield "approvals", agent.ask("approve", approval=None, reason="")
    yield "reload", agent.ask("reload")


async def test_no_secret_is_in_anything_that_it_says(
    own_engine: PrivateEngine,
    locked_broker: PrivateBroker,
    asked_server: HttpServer,
    make_host: Callable[..., Host],
    planted: Planted,
    tmp_path: Path,
) -> None:
    asked_server.behave = body(json.dumps({"depth": planted.at("what a URL answers")}))
    question = asked_server.url(f"/q?token={planted.at('the query of a URL')}")
    port = free_port()
    host = make_host(
        own_engine,
        locked_broker,
        POLICIES % question,
        settings={
            "mqtt": {"username": "agent", "exec_events": True, "metrics": {"per_container": True}},
            "http": {"listen": f"127.0.0.1:{port}"},
            "log": {"level": "debug"},
        },
        environment=_surroundings(planted, tmp_path),
    )
    own_engine.run(
        "web",
        *CRASHES_ONCE,
        planted.at("an argument of a container's command"),
        labels={"app": "web", "token": planted.at(_LABEL)},
        options=(f"--env=TOKEN={planted.at('the environment of a container')}",),
    )
    health = f"echo {planted.at('a health check and its output')}; exit 1"
    own_engine.run("ill", options=(f"--health-cmd={health}", "--health-interval=1s", "--health-retries=1"))
    own_engine.docker("exec", "ill", "true", planted.at("a command that is executed in a container"))
    await host.watch.until_told("action", "succeeded", "web")
    await host.watch.until_told("action", "notify", "ill")
    await host.watch.until_told("container", "exec_start", "ill")
    await host.watch.until(lambda _: "the answer can't be used" in json.dumps(host.agent.ask("explain", **_PAGE)))
    said = {where: json.dumps(answer).encode() for where, answer in _answers(host)}
    host.agent.write_policies(POLICIES % (_WITH_USER % planted.at("the user of a URL")))
    await host.watch.until_told("policy", "rejected")
    said["status with problems"] = json.dumps(host.agent.status()).encode()
    said["reload with problems"] = json.dumps(host.agent.ask("reload")).encode()
    said |= {path: asked(port, path)[1].encode() for path in ("/metrics", "/healthz", "/readyz")}
    said["MQTT"] = b"\n".join(message.topic.encode() + b" " + message.payload for message in host.watch.messages)
    host.agent.stop()
    said["the log"] = host.agent.log.read_bytes()
    said |= {file.name: file.read_bytes() for file in (host.agent.directory / "state").glob("store.db*")}

    # Labels the agent has to remember, for events of containers that were removed while it was away.
    label = planted.by_place.pop(_LABEL)
    planted.absent_from(said)
    planted.by_place = {_LABEL: label}
    planted.absent_from({where: text for where, text in said.items() if not where.startswith("store.db")})
    assert (host.agent.directory / "state" / "store.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"mqtt": {"password": "%s"}},
        {"mqtt": {"url": "mqtt://user:%s@broker"}},
        {"mqtt": {"url": "http://user:%s@broker"}},
        {"mqtt": {"url": "mqtt://user:a#%s@broker"}},
        {"mqtt": {"url": "mqtt://user:a/%s@broker"}},
        {"mqtt": {"url": "user:%s@broker:1883"}},
        {"mqtt": {"url": ["mqtt://user:%s@broker"]}},
        {"engine": {"url": "ssh://user:%s@engine"}},
        {"engine": {"url": "tcp://user:%s@engine:2376"}},
        {"engine": {"url": "http://user:a/%s@engine:2376", "tls": {"ca": "nowhere.pem"}}},
    ],
)
def test_a_configuration_that_is_refused_is_refused_without_its_secrets(
    wrong: dict[str, object], planted: Planted, tmp_path: Path
) -> None:
    config = tmp_path / "agent.yaml"
    (tmp_path / "policies").mkdir()
    config.write_text(json.dumps(wrong) % planted.at("agent.yaml"))
    done = subprocess.run(
        [sys.executable, "-m", "watchtower_agent", "check", "--config", str(config)],
        cwd=CHECKOUT,
        capture_output=True,
        timeout=patient(20),
        check=False,
    )
    assert done.returncode != 0
    planted.absent_from({"check": done.stdout + done.stderr})


def test_an_address_of_the_engine_with_a_user_is_refused_wherever_it_comes_from(
    planted: Planted, tmp_path: Path
) -> None:
    state = f"state_dir={tmp_path / 'state'}"
    done = subprocess.run(
        [sys.executable, "-m", "watchtower_agent", "run", "--set", state, "--set", "mqtt.url=null"],
        cwd=CHECKOUT,
        env=os.environ | {"DOCKER_HOST": f"tcp://user:{planted.at('DOCKER_HOST')}@127.0.0.1:2375"},
        capture_output=True,
        timeout=patient(20),
        check=False,
    )
    assert done.returncode != 0
    assert b"tcp://\xe2\x80\xa6@127.0.0.1:2375" in done.stderr or b"\\u2026@127.0.0.1:2375" in done.stderr
    planted.absent_from({"run": done.stdout + done.stderr})


def test_a_secret_that_can_not_be_read_and_the_environment_are_not_repeated(planted: Planted, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt__password").write_bytes(planted.at("a secret that is no text").encode() + b"\xff")
    key = tmp_path / "key.pem"
    key.write_text(planted.at("a key that is none"))
    environment = {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "WATCHTOWER_AGENT_MQTT__URL": f"amqp://user:{planted.at('the environment')}@broker",
        "WATCHTOWER_AGENT_MQTT__PASSWORDS": planted.at("a variable that is misspelt"),
        "WATCHTOWER_AGENT_MQTT__TLS__KEY": str(key),
    }
    done = subprocess.run(
        [sys.executable, "-m", "watchtower_agent", "run", "--set", f"mqtt.pasword={planted.at('the command line')}"],
        cwd=CHECKOUT,
        env=os.environ | environment,
        capture_output=True,
        timeout=patient(20),
        check=False,
    )
    assert done.returncode != 0
    planted.absent_from({"run": done.stdout + done.stderr})
