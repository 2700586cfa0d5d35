"""A page of `top` and the readings of `metrics`: what is known at this moment, in order, bounded."""

from __future__ import annotations

import json
import math
from array import array
from dataclasses import replace
from typing import Any

import pytest

from tests.support.core import Host
from watchtower_agent.loop.overview import MOST_ROWS, Sort
from watchtower_agent.loop.readings import container_values, find, host_values, ranges
from watchtower_agent.model.container import Health
from watchtower_agent.model.observation import EngineLost
from watchtower_agent.policies.catalogue import CATALOGUE, Scope
from watchtower_agent.serving.protocol import LARGEST_ANSWER

LEAK = """
- name: leak
  select: {name: "web*"}
  when: memory.percent > 90%
  for: 10s
  then: {restart: {}}
  cooldown: 30s
- name: busy
  select: {name: "*"}
  when: cpu.percent > 50%
  mode: shadow
  then: {restart: {}}
- name: oom
  select: {name: "*"}
  on: {container: [oom, die]}
  then: {notify: {}}
- name: dropped
  select: {name: "*"}
  mode: "off"
  when: cpu.percent > 0%
  then: {notify: {}}
- name: disk
  when: host.disk.percent > 80%
  then: {notify: {}}
"""


def by_name(frame: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in frame["containers"] if each["name"] == name)


def watcher(of: dict[str, Any], policy: str) -> dict[str, Any]:
    return next(each for each in of["watchers"] if each["policy"] == policy)


def test_which_policies_watch_a_container_and_how_close_each_is() -> None:
    host = Host(LEAK)
    host.docker.create("web")
    host.docker.create("db")
    host.deliver()
    host.tick(memory_percent=81.0, cpu_percent=10.0, host_disk_percent=40.0)

    frame = host.top()

    assert frame["total"] == 2
    web, db = by_name(frame, "web"), by_name(frame, "db")
    assert [each["policy"] for each in web["watchers"]] == ["leak", "busy", "oom"]
    assert [each["policy"] for each in db["watchers"]] == ["busy", "oom"]
    leak = watcher(web, "leak")
    assert (leak["true"], leak["firing"], leak["closeness"], leak["for"], leak["held_for"]) == (
        False,
        False,
        pytest.approx(0.9),
        10.0,
        0.0,
    )
    (compared,) = leak["comparisons"]
    assert (compared["name"], compared["value"], compared["sign"], compared["threshold"], compared["limit"]) == (
        "memory.percent",
        81.0,
        ">",
        "90%",
        90,
    )
    assert watcher(web, "oom")["on"] == ["container die", "container oom"]
    (disk,) = frame["watchers"]
    assert (disk["policy"], disk["closeness"], disk["does"]) == ("disk", 0.5, "notify")
    assert frame["policies"] == {"in_force": 4, "firing": 0, "counting": 0, "held": 0, "problems": 0}
    assert (frame["host"]["host.disk.percent"], frame["host"]["host.load1"]) == (40.0, None)
    assert frame["engine"]["engine.connected"] is True


def test_the_time_held_counts_until_it_fires_and_the_guard_names_itself() -> None:
    host = Host(LEAK)
    host.docker.create("web")
    host.deliver()
    host.tick(5, memory_percent=95.0)
    counting = watcher(by_name(host.top(), "web"), "leak")
    assert (counting["true"], counting["firing"], counting["closeness"]) == (True, False, 1.0)
    assert counting["held_for"] == pytest.approx(4.0)
    assert host.top()["policies"]["counting"] == 1

    host.tick(6, memory_percent=95.0)
    assert watcher(by_name(host.top(), "web"), "leak")["under_way"] is True
    host.carry_out()
    host.tick(11, memory_percent=95.0)

    fired = watcher(by_name(host.top(), "web"), "leak")
    assert (fired["firing"], fired["guard"], fired["under_way"]) == (True, "cooldown", False)
    assert 0 < fired["release_at"] - host.clock.wall < 30
    assert "cooldown: 30s" in fired["guard_reason"]
    assert host.top()["policies"] | {"in_force": 0} == {
        "in_force": 0,
        "firing": 1,
        "counting": 0,
        "held": 1,
        "problems": 0,
    }


def test_time_in_which_a_value_is_not_known_does_not_count() -> None:
    host = Host(LEAK)
    host.docker.create("web")
    host.deliver()
    host.tick(5, memory_percent=95.0)
    host.tick(2)
    unknown = watcher(by_name(host.top(), "web"), "leak")
    assert (unknown["true"], unknown["closeness"]) == (None, None)
    assert unknown["held_for"] == pytest.approx(5.0, abs=1.01)
    host.tick(memory_percent=95.0)
    assert watcher(by_name(host.top(), "web"), "leak")["held_for"] == pytest.approx(unknown["held_for"], abs=0.01)
    host.tick(memory_percent=10.0)
    assert watcher(by_name(host.top(), "web"), "leak")["held_for"] == 0.0


def test_what_the_agent_does_not_know_any_more_is_not_told() -> None:
    host = Host(LEAK)
    host.docker.create("web")
    host.deliver()
    host.tick(memory_percent=81.0)
    host.see(EngineLost(reason="it was stopped", at=host.clock.wall))
    host.clock.advance(10)

    frame = host.top()

    web = by_name(frame, "web")
    assert (web["status"], web["health"], web["uptime"], web["values"]["memory.percent"]) == (None, None, None, None)
    assert watcher(web, "leak")["true"] is None
    assert watcher(web, "leak")["closeness"] is None
    engine = frame["engine"]
    assert (engine["engine.connected"], engine["engine.responding"], engine["engine.latency"]) == (False, False, None)
    assert engine["last_error"] == "it was stopped"


def several() -> Host:
    host = Host(LEAK)
    for name in ("web-a", "web-b", "db", "idle"):
        host.docker.create(name)
        host.deliver()
        host.clock.advance(10)
    host.docker.create("gone")
    host.docker.stop("gone")
    host.deliver()
    host.docker.crash("db")
    host.docker.start("db")
    host.deliver()
    host.tick()
    batch = host.pipeline.state.samples
    assert batch is not None
    order = [host.docker.containers[target.container_id].name for target in batch.targets]
    numbers = {
        "cpu.percent": {"web-a": 10.0, "web-b": 20.0, "db": 30.0},
        "memory.percent": {"web-a": 85.0, "web-b": 20.0, "db": 5.0},
        "pressure.io": {"idle": 3.0},
        "pressure.cpu": {"db": 2.0, "idle": 0.0},
        "network.receive": {"web-a": 1.0, "web-b": 7.0},
        "network.transmit": {"web-a": 9.0},
        "io.write": {"db": 4.0},
    }
    columns = {name: array("d", [known.get(each, math.nan) for each in order]) for name, known in numbers.items()}
    host.see(replace(batch, columns=columns))
    return host


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("policy", ["web-a", "db", "web-b"]),
        ("cpu", ["db", "web-b", "web-a", "gone", "idle"]),
        ("memory", ["web-a", "web-b", "db", "gone", "idle"]),
        ("pressure", ["idle", "db", "gone"]),
        ("restarts", ["db", "gone", "idle"]),
        ("uptime", ["db", "idle", "web-b", "web-a", "gone"]),
        ("network", ["web-a", "web-b", "db"]),
        ("io", ["db", "gone"]),
        ("name", ["db", "gone", "idle", "web-a", "web-b"]),
    ],
)
def test_every_order_and_what_is_not_known_comes_last(sort: str, first: list[str]) -> None:
    host = several()
    names = [each["name"] for each in host.top(sort=Sort(sort))["containers"]]
    assert names[: len(first)] == first
    assert sorted(names) == ["db", "gone", "idle", "web-a", "web-b"]
    backwards = [each["name"] for each in host.top(sort=Sort(sort), backwards=True)["containers"]]
    if sort == "cpu":
        assert backwards == ["web-a", "web-b", "db", "gone", "idle"]
    assert sorted(backwards) == sorted(names)


def test_pages_follow_each_other() -> None:
    host = several()
    pages = [host.top(sort=Sort.NAME, offset=offset, limit=2) for offset in (0, 2, 4, 6)]
    assert [[each["name"] for each in page["containers"]] for page in pages] == [
        ["db", "gone"],
        ["idle", "web-a"],
        ["web-b"],
        [],
    ]
    assert {page["total"] for page in pages} == {5}


def test_a_page_is_bounded_whatever_names_and_policies_hold() -> None:
    face = "\U0001f468"
    condition = " and ".join(f'labels["{face * 90}{number}"] != "{face * 90}"' for number in range(4))
    policies = "".join(
        f"""
- name: {"x" * 60}{number}
  select: {{name: "*"}}
  when: {condition}
  then: {{restart: {{}}}}
"""
        for number in range(8)
    )
    host = Host(policies, first_start=True)
    for number in range(MOST_ROWS + 50):
        host.docker.create(
            face * 65536 if number < 3 else f"{face * 5000}{number}", identity=f"{number:064x}", silent=True
        )
    host.connect()
    host.tick(cpu_percent=float("nan"))

    frame = host.top(limit=10_000)

    assert len(frame["containers"]) == MOST_ROWS
    assert frame["total"] == MOST_ROWS + 50
    assert len(frame["containers"][0]["watchers"]) == 5
    assert frame["containers"][0]["watched_by"] == 8
    assert len(json.dumps(frame)) < LARGEST_ANSWER


# --- readings -----------------------------------------------------------------------------------------------------


def test_every_name_has_a_reading() -> None:
    host = several()
    state, moment = host.pipeline.state, host.clock.now()
    record = find(state, "web-a")
    assert record is not None
    scopes = {scope: {name for name, entry in CATALOGUE.items() if entry.scope is scope} for scope in Scope}
    assert host_values(state, moment).keys() == scopes[Scope.HOST] | scopes[Scope.ENGINE]
    assert container_values(state, record, moment).keys() == scopes[Scope.CONTAINER]
    found = dict(ranges(state, moment))
    assert found.keys() == scopes[Scope.CONTAINER]
    assert found["cpu.percent"] == {"known": 3, "least": 10.0, "most": 30.0}
    assert found["status"] == {"known": 5, "words": {"running": 4, "exited": 1}}
    assert found["name"] == {"known": 5, "different": 5}
    assert found["pids"] == {"known": 0}


def test_a_container_is_found_by_name_or_by_what_only_its_id_begins_with() -> None:
    host = several()
    state = host.pipeline.state
    record = find(state, "web-a")
    assert record is not None
    assert find(state, record.container.id[:12]) is record
    assert find(state, "") is None
    assert find(state, "web") is None


def test_health_of_one_with_a_check() -> None:
    host = Host(LEAK)
    host.docker.create("web", check=True)
    host.docker.health("web", Health.UNHEALTHY)
    host.deliver()
    assert by_name(host.top(), "web")["health"] == "unhealthy"
