"""The past as people ask for it: moments on the wall clock, all of a container's lives, and what can't be asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.core import NOW, Host, container_id
from watchtower_agent.errors import PermanentError
from watchtower_agent.loop.overview import Sort
from watchtower_agent.loop.past import past
from watchtower_agent.loop.readings import known_container
from watchtower_agent.model.window import Window, WindowFunction
from watchtower_agent.policies.conditions.subject import ContainerSubject
from watchtower_agent.policies.conditions.truth import UNKNOWN
from watchtower_agent.state.averages import Averages


def asked(host: Host, name: str, container: str | None = "web", last: float = 3600.0) -> dict[str, Any]:
    found = past(host.pipeline.state, name, container, last, host.clock.now())
    told: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    return told


def values(found: dict[str, Any]) -> list[float | None]:
    return [value for _, value in found["points"]]


def watched() -> Host:
    host = Host("")
    host.docker.create("web")
    host.docker.create("db")
    host.deliver()
    return host


def test_points_of_a_container_and_of_the_host() -> None:
    host = watched()
    host.tick(9, memory_percent=40.0, cpu_percent=10.0, host_load1=0.5)
    host.tick(10, memory_percent=60.0, cpu_percent=20.0, host_load1=1.5)
    host.tick(3, memory_percent=70.0, cpu_percent=30.0, host_load1=2.5)

    found = asked(host, "memory.percent")
    assert found | {"points": []} == {
        "name": "memory.percent",
        "unit": "%",
        "container": "web",
        "at": NOW + 22,
        "now": 70.0,
        "kept": 3600.0,
        "step": 10.0,
        "points": [],
    }
    assert found["points"] == [[NOW, 40.0], [NOW + 10, 60.0], [NOW + 20, 70.0]]
    assert asked(host, "host.load1", None)["points"] == [[NOW, 0.5], [NOW + 10, 1.5], [NOW + 20, 2.5]]
    assert asked(host, "cpu.percent", container_id("web")[:12], last=10.0)["points"] == [
        [NOW + 10, 20.0],
        [NOW + 20, 30],
    ]


def test_a_container_that_crashed_still_tells_what_its_memory_did() -> None:
    host = watched()
    host.tick(9, memory_percent=95.0)
    host.docker.crash("web", code=137)
    host.deliver()
    host.tick(10, memory_percent=5.0)
    found = asked(host, "memory.percent")
    assert (values(found), found["now"]) == ([95.0, None], None)
    host.docker.start("web")
    host.deliver()
    host.tick(10, memory_percent=7.0)
    assert values(asked(host, "memory.percent"))[:3] == [95.0, None, pytest.approx(7.0)]
    host.docker.remove("web", force=True)
    host.deliver()
    with pytest.raises(PermanentError, match="there is no container 'web'"):
        asked(host, "memory.percent")
    assert host.pipeline.state.averages.series("memory.percent", container_id("web"), host.clock.monotonic, 60) is None


def test_a_recreated_container_begins_anew() -> None:
    host = watched()
    host.tick(25, memory_percent=95.0)
    host.docker.remove("web", force=True)
    host.docker.create("web", identity="f" * 64)
    host.deliver()
    host.tick(2, memory_percent=5.0)
    assert values(asked(host, "memory.percent")) == [5.0]


@pytest.mark.parametrize("step", [-3600.0, 86400.0])
def test_moments_are_told_by_the_present_wall_clock(step: float) -> None:
    host = watched()
    host.tick(9, memory_percent=40.0)
    host.clock.step_wall(step)
    host.tick(10, memory_percent=60.0)
    assert asked(host, "memory.percent")["points"] == [[NOW + step, 40.0], [NOW + step + 10, 60.0]]


def test_what_was_never_measured_has_no_points() -> None:
    host = watched()
    found = asked(host, "cpu.percent")
    assert (found["points"], found["step"], found["now"]) == ([], None, None)
    assert asked(host, "host.pressure.io", None)["points"] == []


@pytest.mark.parametrize(
    ("name", "container", "words"),
    [
        ("cpu.precent", "web", "there is no name 'cpu.precent'; did you mean cpu.percent?"),
        ("\x1b" * 99, "web", r"there is no name '\x1b"),
        ("zzz", "web", "see: watchtower-agent metrics"),
        (
            "io.read",
            "web",
            "the past of io.read is not kept; of containers that of cpu.percent, cpu.throttled, memory.",
        ),
        ("restarts", "web", "the past of restarts is not kept; of containers that of"),
        (
            "engine.latency",
            None,
            "the past of engine.latency is not kept; of host and engine that of all that is sampled",
        ),
        ("event.action", None, "the past of event.action is not kept"),
        ("host.cpu.percent", "web", "host.cpu.percent is the host's, not a container's; leave the container out"),
        ("engine.memory", "web", "engine.memory is the engine's, not a container's"),
        ("cpu.percent", None, "cpu.percent is a container's; say whose with --of CONTAINER"),
        ("cpu.percent", "wbe", "there is no container 'wbe'; did you mean web?"),
        ("cpu.percent", "zzzzzz", "there is no container 'zzzzzz'; see: watchtower-agent top"),
    ],
)
def test_what_can_not_be_asked_is_told_with_what_can(name: str, container: str | None, words: str) -> None:
    with pytest.raises(PermanentError) as raised:
        asked(watched(), name, container)
    assert words in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


def test_where_nothing_is_kept_it_says_which_setting_keeps_it() -> None:
    host = watched()
    host.pipeline.state.averages = Averages(0.0)
    with pytest.raises(PermanentError, match=r"sampling\.history"):
        asked(host, "cpu.percent")


def test_who_takes_a_name_for_a_container_learns_how_its_past_is_drawn() -> None:
    with pytest.raises(PermanentError, match=r"watchtower-agent metrics cpu\.percent --of CONTAINER"):
        known_container(watched().pipeline.state, "cpu.percent")


def test_a_window_that_is_new_is_not_answered_from_averages() -> None:
    host = watched()
    host.tick(120, memory_percent=50.0)
    state = host.pipeline.state
    for function in WindowFunction:
        window = Window(function=function, name="memory.percent", seconds=60.0)
        state.history.ask([window])
        subject = ContainerSubject(state, host.clock.now(), host.record("web"))
        assert subject.window(window) is UNKNOWN


def test_the_trend_of_a_page_is_five_minutes_and_ends_now() -> None:
    host = watched()
    host.tick(25, cpu_percent=10.0)
    host.docker.crash("web", code=137)
    host.deliver()
    host.tick(10, cpu_percent=30.0)
    web, db = host.top(sort=Sort.NAME, backwards=True)["containers"]
    assert web["trend"] == [*[None] * 26, 10.0, 10.0, 10.0, None]
    assert db["trend"] == [*[None] * 26, 10.0, 10.0, pytest.approx((6 * 10 + 4 * 30) / 10), 30.0]
    host.tick(600, cpu_percent=5.0)
    db = next(each for each in host.top()["containers"] if each["name"] == "db")
    assert db["trend"] == [5.0] * 30
