"""The lines of a batch, written straight from columns, say what objects made one by one would say."""

from __future__ import annotations

import json
import math
from array import array
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.facts import NOW, container, metrics_table, uptime, view
from tests.support.schema import strict_json
from watchtower_agent.model.container import Container
from watchtower_agent.model.fact import MetricsTable
from watchtower_agent.publishing.sample_lines import SampleLines

PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"
SWARM = "com.docker.swarm.service.name"
TASK = "shop_web.3.abcdefghij0123456789klmno"

texts = st.text(max_size=20) | st.sampled_from(
    ["", "\x00\x1f\x7f", '"}],"', "\\", "%s%d%%", "\x1b[2J", "a" * 65536, "é" * 300, "\ud800", "\u202e\x9b", TASK]
)
plain_texts = texts.filter(lambda text: text.isprintable())
numbers = (
    st.floats()
    | st.floats(-1e9, 1e9)
    | st.integers(-(2**70), 2**70).map(float)
    | st.sampled_from(
        [0.0, -0.0, 1.0, 0.00004, 0.00005, 99.99999, 1 / 32, 1e10, 1e10 - 1 / 8, 123456789.12345, 2.0**62]
    )
)
columns = st.one_of(
    st.lists(numbers, min_size=3, max_size=3),
    st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3),
    st.lists(st.floats(-1e12, 0), min_size=3, max_size=3),
    st.lists(st.integers(0, 2**63).map(float), min_size=3, max_size=3),
    st.lists(st.integers(0, 2**53).map(lambda number: number / 1024), min_size=3, max_size=3),
    numbers.map(lambda number: [number] * 3),
)


def clipped(text: str) -> str:
    shown = text if len(text) <= 256 else text[:255] + "…"
    return "".join("�" if "\ud800" <= char <= "\udfff" else char for char in shown)


def plainly(described: Container, values: dict[str, float]) -> dict[str, Any]:
    """One line, in as many words as it takes."""
    labels = described.labels
    line: dict[str, Any] = {"name": clipped(described.name), "id": clipped(described.id)}
    if labels.get(PROJECT):
        line["compose_project"], line["compose_service"] = clipped(labels[PROJECT]), clipped(labels.get(SERVICE, ""))
    if labels.get(SWARM):
        line["service"] = clipped(labels[SWARM])
        if described.name == TASK:
            line["task_slot"] = 3
    line["health"] = described.health.value
    if (seconds := uptime(described)) is not None:
        line["uptime"] = round(seconds, 1)
    for name, value in values.items():
        if math.isfinite(value):
            line[name] = int(value) if value == int(value) else math.floor(value * 10_000 + 0.5) / 10_000
    return line


@given(
    names=st.lists(texts, min_size=3, max_size=3),
    labels=st.dictionaries(st.sampled_from([PROJECT, SERVICE, SWARM, "secret"]), texts),
    started=st.none() | st.sampled_from([NOW - 60.25, NOW + 5]) | st.floats(0, NOW),
    table=st.dictionaries(st.sampled_from(["cpu.percent", "memory.usage", "pids", "%s", '"%d\n']), columns),
)
def test_they_say_what_objects_would_say(
    names: list[str], labels: dict[str, str], started: float | None, table: dict[str, list[float]]
) -> None:
    containers = [
        replace(container(name, labels, started_at=started), id=f"{at}{name}") for at, name in enumerate(names)
    ]
    containers[2] = replace(containers[2], detail=None)
    filled = MetricsTable(
        containers=containers,
        columns={name: array("d", column) for name, column in table.items()},
        uptimes=[uptime(each) for each in containers],
    )
    wanted = [plainly(each, {name: column[at] for name, column in table.items()}) for at, each in enumerate(containers)]
    written = SampleLines()

    for _ in range(2):  # the second time what hardly ever changes is remembered
        lines = written.of(filled)
        found = [strict_json(line.encode()) for line in lines]

        assert found == wanted
        assert [list(line) for line in found] == [list(line) for line in wanted]
        assert not any(ord(char) < 0x20 or 0x7F < ord(char) < 0xA0 or char == "\u202e" for char in "".join(lines))


@pytest.mark.parametrize("number", [1 / 32, 3 / 32, 5.00005, 0.00005, 1e9 + 1 / 32])
def test_what_lies_between_two_numbers_of_four_decimals_is_the_larger(number: float) -> None:
    (first, _) = SampleLines().of(metrics_table(view(sample={"x": number}), view(sample={"x": 0.5})))

    assert json.loads(first)["x"] == math.floor(number * 10_000 + 0.5) / 10_000


def test_whole_numbers_have_no_point() -> None:
    sample = {"memory.limit": 2.0**62, "pids": 3.0, "cpu.percent": 0.25}
    others = {"memory.limit": 1.0, "pids": 4.0, "cpu.percent": 2.0}
    for table in (metrics_table(view(sample=sample)), metrics_table(view(sample=sample), view(sample=others))):
        assert '"memory.limit":4611686018427387904,"pids":3,"cpu.percent":0.25}' in SampleLines().of(table)[0]


def test_a_container_that_is_described_anew_is_written_anew() -> None:
    lines = SampleLines()
    before, after = view("old"), view("new", {})
    lines.of(metrics_table(before))

    (line,) = lines.of(metrics_table(after))

    assert before.container.id == after.container.id
    assert json.loads(line) == plainly(after.container, dict(after.last_sample))


def test_a_table_of_nobody_has_no_lines() -> None:
    assert SampleLines().of(MetricsTable(columns={"pids": array("d")})) == []


@given(means=st.dictionaries(st.integers(0, 2), st.dictionaries(plain_texts, numbers), max_size=3))
def test_means_end_the_lines_of_those_that_have_them_and_change_no_other(means: dict[int, dict[str, float]]) -> None:
    table = metrics_table(view("a"), view("b", {}), view("c", sample={}))
    without = SampleLines().of(table)

    for place, line in enumerate(SampleLines().of(replace(table, means=means))):
        found = strict_json(line.encode())
        if place not in means:
            assert line == without[place]
            continue
        known = {text: number for text, number in means[place].items() if math.isfinite(number)}
        assert list(found)[-1] == "means"
        assert found.pop("means").keys() == known.keys()
        assert found == strict_json(without[place].encode())
