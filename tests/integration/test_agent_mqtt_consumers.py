"""What is shipped for Telegraf, Node-RED and mosquitto_sub finds what it looks for in a real agent's messages."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest

from tests.support.agent import CHECKOUT, CRASHES_ON_USR1, Host
from tests.support.broker import PrivateBroker, Received
from tests.support.engine import PrivateEngine

POLICIES = """
version: 1
policies:
  - name: revive
    select: {name: web}
    on: {container: die}
    then:
      restart: {stop_timeout: 1s}
      notify: {severity: warning}
  - name: ask
    mode: approve
    select: {name: "w*"}
    when: uptime > 0s
    then: {restart: {}}
"""
MISSING = object()


def matches(topic_filter: str, topic: str) -> bool:
    """As a broker compares them."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for number, level in enumerate(wanted):
        if level == "#":
            return True
        if number >= len(levels) or level not in {"+", levels[number]}:
            return False
    return len(wanted) == len(levels)


def found(document: Any, path: str) -> Any:  # noqa: ANN401 - JSON is any of its types
    """What is at a path of names with dots between them, or in brackets; MISSING where nothing is."""
    for quoted, plain in re.findall(r'\["([^"]+)"\]|([^.\[\]]+)', path):
        document = document.get(quoted or plain, MISSING) if isinstance(document, dict) else MISSING
    return document


@pytest.fixture
async def spoken(
    engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> Host:
    """A host whose agent has said all sorts of things."""
    host = make_host(engine, make_broker(), POLICIES, proxied=False)
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    web = engine.run("web", *CRASHES_ON_USR1, labels=labels)
    await host.watch.until_told("policy", "approval_asked")
    engine.docker("kill", "--signal=USR1", web)
    await host.watch.until_told("action", "succeeded", "web")
    await host.watch.until_told("action", "notify", "web")
    await host.watch.until(lambda _: any('"cpu.percent"' in m.payload.decode() for m in host.watch.on("/metrics")))
    return host


# --- Telegraf ----------------------------------------------------------------------------------

TELEGRAF = tomllib.loads((CHECKOUT / "config" / "telegraf" / "watchtower-agent.conf").read_text())


def points(consumer: Mapping[str, Any], message: Received) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Tags and fields that Telegraf makes of a message, as far as the shipped configuration goes."""
    [parsing], [rules] = consumer["topic_parsing"], consumer["json_v2"]
    assert matches(parsing["topic"], message.topic)
    levels = zip(parsing["tags"].split("/"), message.topic.split("/"), strict=True)
    of_topic = {name: level for name, level in levels if name != "_"}
    document = json.loads(message.payload)
    moment = found(document, rules["timestamp_path"])
    assert rules["timestamp_format"] == "2006-01-02T15:04:05Z07:00"
    assert datetime.fromisoformat(moment).tzinfo is not None
    for each in rules.get("object", []):
        at = found(document, each["path"])
        assert at is not MISSING or each.get("optional"), each["path"]
        for content in at if isinstance(at, list) else [at]:
            left = {name: value for name, value in content.items() if name not in each.get("excluded_keys", [])}
            assert not [name for name, value in left.items() if isinstance(value, dict | list)], left
            tags = {name: left.pop(name) for name in each.get("tags", []) if name in left}
            yield of_topic | tags, left
    if "field" in rules:
        fields = {}
        for each in rules["field"]:
            value = found(document, each["path"])
            assert value is not MISSING or each.get("optional"), each["path"]
            if value is not MISSING:
                fields[each["path"].rpartition(".")[2]] = value
        yield of_topic | {each["path"]: found(document, each["path"]) for each in rules["tag"]}, fields


async def test_telegraf_finds_hosts_containers_and_events(spoken: Host) -> None:
    made: dict[str, list[tuple[dict[str, str], dict[str, Any]]]] = {}
    for consumer in TELEGRAF["inputs"]["mqtt_consumer"]:
        name = consumer["json_v2"][0]["measurement_name"]
        for topic in consumer["topics"]:
            taken = [message for message in spoken.watch.messages if matches(topic, message.topic)]
            assert taken, topic
            made.setdefault(name, []).extend(point for message in taken for point in points(consumer, message))

    host = spoken.agent.host
    assert set(made) == {"watchtower_host", "watchtower_container", "watchtower_event"}
    names = {name for tags, fields in made["watchtower_host"] for name in fields if tags == {"host": host}}
    assert {"host.cpu.percent", "host.memory.percent", "engine.connected", "engine.containers.running"} <= names
    tagged = {"host": host, "name": "web", "compose_project": "shop", "compose_service": "web"}
    of_web = [fields for tags, fields in made["watchtower_container"] if tags == tagged]
    assert {"cpu.percent", "memory.working_set", "uptime", "health"} <= of_web[-1].keys()
    die = {"host": host, "kind": "container", "action": "die", "key": "web", "severity": "warning"}
    assert [fields["exit_code"] for tags, fields in made["watchtower_event"] if tags == die] == [3]
    done = {"host": host, "kind": "action", "action": "succeeded", "key": "web", "severity": "info"}
    [of_action] = [fields for tags, fields in made["watchtower_event"] if tags == done]
    assert of_action.keys() == {"id", "subject", "reason", "policy", "duration"}
    types: dict[tuple[str, str], set[type]] = {}
    for measurement, each in made.items():
        for _, fields in each:
            for name, value in fields.items():
                types.setdefault((measurement, name), set()).add(float if isinstance(value, int) else type(value))
    assert {of: kinds for of, kinds in types.items() if len(kinds) > 1} == {}, "a field is always of one type"


# --- Node-RED ----------------------------------------------------------------------------------

FLOW = {
    node["id"]: node for node in json.loads((CHECKOUT / "config" / "node-red" / "watchtower-agent.json").read_text())
}


def _paths(node: Mapping[str, Any]) -> list[str]:
    """What a node looks for in a message."""
    match node["type"]:
        case "switch":
            return [node["property"]]
        case "template":
            return re.findall(r"\{\{\{(.+?)\}\}\}", node["template"])
        case "change":
            return [rule["to"] for rule in node["rules"]]
    return []


async def test_node_red_finds_what_its_flow_looks_for(spoken: Host) -> None:
    for node in FLOW.values():
        assert all(FLOW[to]["z"] == node["z"] for wire in node.get("wires", []) for to in wire)
    for start in (node for node in FLOW.values() if node["type"] == "mqtt in"):
        taken = [m for m in spoken.watch.messages if matches(start["topic"], m.topic) and m.payload]
        assert taken, start["topic"]
        assert FLOW[start["broker"]]["type"] == "mqtt-broker"
        messages = [{"payload": json.loads(message.payload)} for message in taken]
        node = start
        while node["wires"]:
            node = FLOW[node["wires"][0][0]]
            for path in _paths(node):
                assert any(found(message, path) is not MISSING for message in messages), f"{node['id']}: {path}"
            if node["type"] == "change":
                messages = [{"payload": found(message, node["rules"][0]["to"])} for message in messages]
            elif node["type"] == "split":
                messages = [{"payload": each} for message in messages for each in message["payload"]]
            elif node["type"] == "template":  # by all that gets there nothing is left out of its sentence
                assert all(found(message, path) is not MISSING for message in messages for path in _paths(node))
        assert node["type"] == "debug"


# --- mosquitto_sub ----------------------------------------------------------------------------------


async def test_the_commands_of_the_page_show_something(spoken: Host, engine: PrivateEngine) -> None:
    page = (CHECKOUT / "docs" / "mosquitto-sub.md").read_text()
    commands = [line for block in re.findall(r"```sh\n(.+?)```", page, re.DOTALL) for line in block.splitlines()]
    assert len(commands) >= 9
    running = []
    for command in commands:
        words = shlex.split(command.replace("/h1/", f"/{spoken.agent.host}/"))
        bounded = words if "-W" in words else [*words, "-W", "20"]
        bounded += [] if {"-C", "--retained-only"} & set(words) else ["-C", "1"]
        running.append(
            await asyncio.create_subprocess_exec(
                *bounded, "-p", str(spoken.broker.port), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        )
    await spoken.watch.until(lambda _: spoken.broker.log.count("Received SUBSCRIBE from") > len(commands))
    engine.run("wall", "sleep", "3600")  # sets off what the others wait for
    engine.docker("kill", "--signal=USR1", "web")
    engine.docker("rm", "--force", "web")
    for command, process in zip(commands, running, strict=True):
        shown, errors = await process.communicate()
        assert shown.strip(), f"{command}: {errors.decode()}"


def test_filters_match_as_a_broker_matches() -> None:
    for topic_filter, topic, expected in (
        ("a/+/c", "a/b/c", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/b/c", "a/b", False),
    ):
        assert matches(topic_filter, topic) is expected
    assert [found({"a": {"b.c": 1}}, path) for path in ('a["b.c"]', "a.b", "x.y")] == [1, MISSING, MISSING]
