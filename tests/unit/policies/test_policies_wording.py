"""Why something is wanted, in few words: the cause with its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.support.core import container, event
from watchtower_agent.model.decision import Number
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.policies.conditions.condition import ConditionScope, parse_condition
from watchtower_agent.policies.wording import as_written, because_of_condition, because_of_event
from watchtower_agent.state.record import ContainerRecord

SICK_OR_FULL = 'health == "unhealthy" or memory.percent > 95%'


@pytest.mark.parametrize(
    ("text", "numbers", "words"),
    [
        ('health == "unhealthy"', {"health": "unhealthy"}, "unhealthy"),
        ('status == "exited" and exit_code != 0', {"status": "exited", "exit_code": 137}, "exited, exit code 137"),
        ("memory.percent > 90%", {"memory.percent": 93.14159}, "memory.percent 93.1 %"),
        ("memory.usage > 512MiB", {"memory.usage": 700 * 2**20}, "memory.usage 700.0 MiB"),
        ("memory.usage > 5B", {"memory.usage": 6}, "memory.usage 6 B"),
        ("memory.limit > 1TiB", {"memory.limit": 3 * 2**40}, "memory.limit 3.0 TiB"),
        ("cpu.cores > 1 and restarts > 3", {"cpu.cores": 1.23456, "restarts": 4}, "cpu.cores 1.23, restarts 4"),
        ("uptime > 10m", {"uptime": 660.0}, "uptime 11.0 min"),
        ("uptime > 10h", {"uptime": 11 * 3600.0}, "uptime 11.0 h"),
        ("uptime > 10d", {"uptime": 11 * 86400.0}, "uptime 11.0 d"),
        ("engine.latency > 1ms", {"engine.latency": 0.0042}, "engine.latency 4.2 ms"),
        ("not engine.responding", {"engine.responding": False}, "engine.responding: no"),
        (SICK_OR_FULL, {"health": "unhealthy", "memory.percent": 0.7}, "unhealthy"),
        (SICK_OR_FULL, {"health": "healthy", "memory.percent": 96.0}, "memory.percent 96.0 %"),
        (SICK_OR_FULL, {"health": "unhealthy", "memory.percent": None}, "unhealthy"),
        (
            f'name == "web" and ({SICK_OR_FULL})',
            {"name": "web", "health": "unhealthy", "memory.percent": 0.7},
            "unhealthy",
        ),
        (
            'labels["tier"] == "web" and restarts > 3',
            {'labels["tier"]': "web", "restarts": 4},
            "restarts 4",
        ),
        ('labels["tier"] != "web"', {'labels["tier"]': "hunter2"}, 'labels["tier"] != "web"'),
        (
            "cpu.percent > 0 and cpu.cores > 0 and restarts > 0 and age > 0s and uptime > 0s",
            {"cpu.percent": 1.0, "cpu.cores": 1.0, "restarts": 1, "age": 1.0, "uptime": 1.0},
            "cpu.percent 1.0 %, cpu.cores 1, restarts 1, age 1.0 s, …",
        ),
    ],
)
def test_a_condition_says_what_makes_it_true(text: str, numbers: Mapping[str, Number], words: str) -> None:
    condition = parse_condition(text, ConditionScope.WHEN)

    assert because_of_condition(condition, numbers, held_for=0.0, hold=0.0) == words
    assert because_of_condition(condition, numbers, held_for=12.0, hold=10.0) == f"{words} for 12.0 s (for: 10s)"
    assert because_of_condition(condition, numbers, held_for=35.04, hold=0.0) == f"{words} for 35.0 s"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (event("die", exitCode="1"), "exit code 1"),
        (event("die"), "ended, exit code unknown"),
        (event("die", labels={"exitCode": "1"}), "exit code 1"),
        (event("oom"), "out of memory"),
        (event("health_status", detail="unhealthy"), "unhealthy"),
        (event("kill", signal="15"), "sent SIGTERM"),
        (event("kill", signal="64"), "sent signal 64"),
        (event("kill"), "sent a signal"),
        (event("stop"), "stopped"),
        (event("commit"), "container commit"),
        (event("pull", "web:2", kind=EventKind.IMAGE), "image pull web:2"),
        (event("destroy", "x" * 500, kind=EventKind.VOLUME), f"volume destroy {'x' * 80}"),
    ],
)
def test_an_event_says_what_happened(told: EngineEvent, words: str) -> None:
    assert because_of_event(told, ContainerRecord(container=container()), None, {}) == words


def test_a_label_that_is_called_like_an_attribute_is_not_taken_for_it() -> None:
    labelled = ContainerRecord(container=container(labels={"exitCode": "hunter2"}))

    assert (
        because_of_event(event("die", labels={"exitCode": "hunter2"}), labelled, None, {}) == "ended, exit code unknown"
    )


def test_an_end_after_an_oom_kill_says_so() -> None:
    killed = replace(ContainerRecord(container=container()), oom_kills=1)

    assert because_of_event(event("die", exitCode="137"), killed, None, {}) == "exit code 137, OOM-killed"


def test_what_the_filter_looked_at_follows_unless_the_event_told_it() -> None:
    where = parse_condition("event.exit_code != 0 and exit_code != 0 and restarts > 3", ConditionScope.WHERE)
    numbers: dict[str, Number] = {"event.exit_code": 1, "exit_code": 1, "restarts": 4}
    record = ContainerRecord(container=container())

    assert because_of_event(event("die", exitCode="1"), record, where, numbers) == "exit code 1, restarts 4"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "500ms"), (10.0, "10s"), (90.0, "90s"), (1.5, "1.5s"), (600.0, "10m"), (7200.0, "2h"), (172800.0, "2d")],
)
def test_a_duration_is_shown_as_it_is_written(seconds: float, text: str) -> None:
    assert as_written(seconds) == text
