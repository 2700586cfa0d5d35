"""`metrics`: every name of the catalogue, with present values where an agent runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.command_line import piped
from tests.support.control import FakeControl
from tests.support.terminal import Terminal
from watchtower_agent.cli.quantities import reading
from watchtower_agent.policies.catalogue import CATALOGUE
from watchtower_agent.serving.control import ControlServer

READINGS: dict[str, object] = {
    "container": None,
    "values": {
        "host.cpu.percent": 12.34,
        "host.disk.free": 3 * 2**30,
        "engine.responding": True,
        "engine.latency": 0.0012,
    },
    "ranges": {
        "memory.percent": {"known": 3, "least": 1.0, "most": 93.25},
        "pids": {"known": 1, "least": 7, "most": 7},
        "status": {"known": 3, "words": {"running": 2, "exited": 1}},
        "name": {"known": 3, "different": 3},
        "io.read": {"known": 0},
    },
}


async def asked(socket: Path, *arguments: str, readings: Mapping[str, object] = READINGS) -> tuple[int, str, str]:
    control = FakeControl()
    control.readings = readings
    async with ControlServer(control, socket):
        done = await asyncio.to_thread(piped, socket, "metrics", *arguments)
    return done.returncode, done.stdout, done.stderr


async def test_every_name_with_type_unit_and_meaning(socket: Path) -> None:
    code, out, errors = await asked(socket)

    assert (code, errors) == (0, "")
    lines = out.splitlines()
    assert all(line == line.rstrip() for line in lines)
    head = lines[0]
    assert head.split() == ["name", "type", "unit", "now", "meaning"]
    for entry in CATALOGUE.values():
        (line,) = [line for line in lines[1:] if line.split()[:1] == [entry.name]]
        assert line.index(str(entry.type), 28) == head.index("type")
        assert entry.meaning in line
        assert not entry.unit or line.index(f" {entry.unit} ") + 1 == head.index("unit")
    by_name = {
        line.split()[0]: line[head.index("now") : head.index("meaning")].strip() for line in lines if line.strip()
    }
    assert by_name["memory.percent"] == "1.0 % … 93.2 %"
    assert by_name["pids"] == "7"
    assert by_name["status"] == "2 running, 1 exited"
    assert by_name["name"] == "3 different"
    assert by_name["io.read"] == by_name["host.load1"] == "-"
    assert by_name["host.cpu.percent"] == "12.3 %"
    assert by_name["host.disk.free"] == "3.0 GiB"
    assert by_name["engine.responding"] == "yes"
    assert by_name["engine.latency"] == "1 ms"
    assert 'labels["k"]' in out


async def test_the_values_of_one_container(socket: Path) -> None:
    readings = {"container": "web\x1b", "values": {"memory.percent": 42.0, "image": "a\nb", "status": "running"}}
    code, out, _ = await asked(socket, "web", readings=readings)
    assert code == 0
    assert r"a container: web\x1b" in out
    assert "42.0 %" in out
    assert r"a\nb" in out
    assert all(line.isprintable() for line in out.splitlines())

    code, out, errors = await asked(socket, "wbe")
    assert (code, out) == (1, "")
    assert "there is no container 'wbe'; did you mean web?" in errors


def test_without_an_agent_there_are_no_values_and_it_says_so(socket: Path) -> None:
    done = piped(socket, "metrics")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split() == ["name", "type", "unit", "meaning"]
    assert set(CATALOGUE) <= {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    assert done.stderr.startswith("watchtower-agent: no present values: No agent answers at ")
    answer = json.loads(piped(socket, "metrics", "--json").stdout)
    assert (answer["values_from_agent"], [each["now"] for each in answer["metrics"]]) == (
        False,
        [None] * len(CATALOGUE),
    )
    assert "No agent answers" in answer["reason"]
    named = piped(socket, "metrics", "web")
    assert (named.returncode, named.stdout) == (3, "")


async def test_for_programs(socket: Path) -> None:
    _, out, _ = await asked(socket, "--json")
    answer = json.loads(out)
    by_name = {each["name"]: each for each in answer["metrics"]}
    assert by_name.keys() == CATALOGUE.keys()
    assert answer["reason"] is None
    assert by_name["memory.percent"]["range"] == {"known": 3, "least": 1.0, "most": 93.25}
    assert by_name["host.cpu.percent"] | {"meaning": ""} == {
        "name": "host.cpu.percent",
        "scope": "host",
        "type": "percent",
        "unit": "%",
        "meaning": "",
        "sampled": True,
        "values": [],
        "now": 12.34,
        "range": None,
    }


async def test_at_80_columns_each_name_has_one_line(socket: Path) -> None:
    control = FakeControl()
    control.readings = READINGS
    terminal = Terminal("metrics", "--socket", str(socket), columns=80, lines=90)
    async with ControlServer(control, socket), terminal:
        assert await terminal.ended() == 0
        seen = await terminal.until(lambda seen: any("event.age" in line for line in seen))
    names = [line.split()[0] for line in seen[1:] if line.startswith("  ")]
    assert [name for name in names if name in CATALOGUE] == list(CATALOGUE)


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (None, "cpu.percent", "-"),
        (float("nan"), "cpu.percent", "nan"),
        (82, "cpu.percent", "82.0 %"),
        (1536 * 2**20, "memory.usage", "1.5 GiB"),
        (1536.0, "network.receive", "1.5 KiB/s"),
        (75.0, "uptime", "1 min"),
        (12345, "pids", "12,345"),
        (0.5, "cpu.cores", "0.50"),
        (False, "engine.connected", "no"),
        ("run\x1bning", "status", r"run\x1bning"),
        (2**70, "memory.usage", "1073741824.0 TiB"),
    ],
)
def test_values_have_their_units(value: object, name: str, text: str) -> None:
    assert reading(value, CATALOGUE[name]) == text
