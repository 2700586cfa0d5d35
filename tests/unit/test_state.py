"""Listings and inspections against events: what is concluded, what is not, and what is never made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.core import INFO, Docker, Host, container_id, event, now
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.engine_event import Origin
from watchtower_agent.model.message import StateMessage
from watchtower_agent.model.observation import (
    ContainerObserved,
    EngineFound,
    EngineLost,
    EventsObserved,
    InventoryObserved,
)
from watchtower_agent.state import views


def host() -> Host:
    made = Host(first_start=True)
    made.docker.create(silent=True)
    made.connect()
    made.clock.advance(60)
    made.tick()
    return made


def inspection(agent: Host) -> ContainerObserved:
    return ContainerObserved(
        container_id=container_id("web"),
        container=agent.docker.containers.get(container_id("web")),
        after_position=agent.position,
        at=agent.clock.wall,
    )


# --- inspections against events --------------------------------------------------------------------------------------


def test_an_inspection_ahead_of_its_event_makes_nothing_up() -> None:
    agent = host()
    agent.clear()
    agent.docker.crash()
    agent.see(inspection(agent))
    agent.clock.advance(0.2)
    agent.deliver()
    agent.tick(3)

    assert [action for action, _ in agent.actions_seen()] == ["die"]


@pytest.mark.parametrize(
    ("happens", "seen"),
    [
        (lambda docker: docker.crash(), ["die"]),
        (lambda docker: docker.restart(), ["die", "start"]),
        (lambda docker: docker.pause(), ["pause"]),
        (lambda docker: (docker.restart(), docker.pause()), ["die", "start", "pause"]),
        (lambda docker: docker.remove(force=True), ["die", "destroy"]),
        (lambda docker: (docker.rename("web", "shop"), docker.rename("shop", "web")), []),
    ],
)
def test_what_a_second_inspection_confirms_is_told(happens: Callable[[Docker], None], seen: list[str]) -> None:
    agent = host()
    agent.clear()
    happens(agent.docker)
    agent.docker.lose_events()
    agent.see(inspection(agent))
    assert agent.facts == []
    agent.clock.advance(1.6)
    agent.see(inspection(agent))

    assert agent.actions_seen() == [(action, "synthetic") for action in seen]
    agent.inspect()
    agent.clock.advance(1.6)
    agent.inspect()
    assert len(agent.actions_seen()) == len(seen)


def test_the_health_of_a_new_container_is_no_event() -> None:
    agent = Host()
    agent.docker.create(check=True)
    agent.deliver()
    agent.tick(3)

    assert [action for action, _ in agent.actions_seen()] == ["create", "start"]
    assert agent.record().container.health is Health.STARTING


def test_an_inspection_that_events_overtook_is_asked_for_again() -> None:
    agent = host()
    seen = inspection(agent)
    agent.docker.crash()
    agent.read()
    agent.to_inspect.clear()

    agent.see(seen)

    assert agent.record().container.status is ContainerStatus.EXITED
    assert list(agent.to_inspect) == [container_id("web")]


def test_what_an_inspection_shows_before_the_listing_is_left_to_the_replay() -> None:
    agent = host()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.clear()
    agent.docker.crash()
    for found in (False, True):
        if found:
            agent.see(EngineFound(info=INFO, restarted=False, at=agent.clock.wall))
        for _ in range(2):  # the answer to a question of before may come that late
            agent.see(inspection(agent))
            agent.clock.advance(1.6)
    assert agent.actions_seen() == []
    agent.read(origin=Origin.REPLAY)
    agent.relist()
    agent.deliver()

    assert agent.actions_seen() == [("die", "replay")]


def test_what_a_second_inspection_confirms_is_told_though_the_clock_was_stepped_back_between() -> None:
    agent = host()
    agent.clear()
    agent.docker.crash()
    agent.docker.lose_events()
    agent.see(inspection(agent))
    agent.clock.step_wall(-3600)
    agent.clock.advance(1.6)
    agent.see(inspection(agent))

    assert agent.actions_seen() == [("die", "synthetic")]


def test_an_inspection_of_the_life_before_a_restart_tells_nothing_of_the_one_after() -> None:
    agent = host()
    seen = inspection(agent)
    agent.clock.advance(0.5)
    agent.docker.restart()
    agent.read()
    agent.to_inspect.clear()
    began = agent.record().started

    agent.see(seen)

    detail = agent.record().container.detail
    assert agent.record().started == began
    assert detail is not None
    assert (detail.pid, detail.started_at) == (0, None), "not known yet, rather than the former one's"
    assert list(agent.to_inspect) == [container_id("web")]


def test_what_was_asked_before_a_rename_does_not_undo_it() -> None:
    agent = host()
    seen = inspection(agent)
    agent.docker.rename("web", "shop")
    agent.read()
    agent.see(seen)

    assert agent.record("shop").container.name == "shop"


def test_an_event_settles_a_doubt() -> None:
    agent = host()
    agent.docker.crash()
    agent.see(inspection(agent))
    agent.read()
    agent.clock.advance(5)
    agent.docker.start()
    agent.clear()
    agent.see(inspection(agent))
    assert agent.facts == []
    agent.deliver()

    assert agent.actions_seen() == [("start", "stream")]


def test_a_late_event_does_not_bring_a_removed_container_back() -> None:
    agent = host()
    agent.docker.remove(force=True)
    agent.deliver()
    agent.see(EventsObserved(events=(event("die", at=agent.clock.wall, position=agent.position + 1),)))

    assert not agent.pipeline.state.containers
    assert agent.retained("container/web") is None


def test_exec_events_neither_meet_a_container_nor_outdate_aninspection() -> None:
    agent = host()
    seen = inspection(agent)
    agent.see(EventsObserved(events=(event("exec_start", position=99), event("exec_die", "other", position=100))))
    agent.to_inspect.clear()
    agent.see(seen)

    assert not agent.to_inspect
    assert list(agent.pipeline.state.containers) == [container_id("web")]


# --- listings --------------------------------------------------------------------------------------------------------


def test_the_first_listing_ever_is_a_baseline() -> None:
    agent = Host(first_start=True)
    agent.docker.create("web", silent=True)
    agent.docker.create("db", silent=True)

    agent.connect()

    assert agent.actions_seen("web") == []
    assert agent.retained("container/web") is not None
    assert agent.retained("container/db") is not None


@pytest.mark.parametrize(
    ("happens", "seen"),
    [
        (lambda docker: docker.crash(), ["die"]),
        (lambda docker: docker.stop(), ["die"]),
        (lambda docker: docker.restart(), ["die", "start"]),
        (lambda docker: docker.pause(), ["pause"]),
        (lambda docker: docker.remove(force=True), ["die", "destroy"]),
        (lambda docker: (docker.crash(), docker.remove()), ["die", "destroy"]),
        (lambda _: None, []),
    ],
    ids=["crash", "stop", "restart", "pause", "rm -f", "crash and rm", "nothing"],
)
def test_what_was_missed_comes_as_synthetic_events(happens: Callable[[Docker], None], seen: list[str]) -> None:
    agent = host()
    agent.clear()
    agent.dies()
    happens(agent.docker)
    agent.clock.advance(1)
    agent.comes_back(lost=True)
    agent.tick(2)

    assert agent.actions_seen() == [(action, "synthetic") for action in seen]


@pytest.mark.parametrize(
    ("running", "seen"), [(True, ["create", "start"]), (False, ["create"])], ids=["running", "created"]
)
def test_a_container_made_while_nobody_looked(seen: list[str], *, running: bool) -> None:
    agent = host()
    agent.docker.create("new", status=ContainerStatus.RUNNING if running else ContainerStatus.CREATED)
    agent.comes_back(lost=True)

    assert agent.actions_seen("new") == [(action, "synthetic") for action in seen]


def test_a_life_that_began_and_ended_while_nobody_looked() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.tick(1)
    agent.clear()
    agent.docker.start()
    agent.clock.advance(5)
    agent.docker.crash(code=3)
    agent.docker.lose_events()
    agent.relist()
    agent.tick(3)

    assert agent.actions_seen() == [("start", "synthetic"), ("die", "synthetic")]
    assert agent.record().exit_code == 3
    assert agent.record().restarts == 1


def test_a_listing_says_nothing_of_a_container_with_later_events() -> None:
    agent = host()
    agent.docker.create("gone", silent=True)
    agent.relist()
    agent.clear()
    asked_after, listing = agent.position, agent.docker.listing()
    agent.docker.crash()
    agent.docker.remove("gone", force=True)
    agent.docker.create("new")
    agent.deliver()

    agent.see(InventoryObserved(containers=listing, after_position=asked_after, at=agent.clock.wall))
    agent.tick(3)

    assert {origin for name in ("web", "gone", "new") for _, origin in agent.actions_seen(name)} == {"stream"}
    assert {r.container.name for r in agent.pipeline.state.containers.values()} == {"web", "new"}


def test_on_the_first_start_who_is_not_listed_after_its_events_is_gone() -> None:
    agent = Host(first_start=True)
    agent.see(EngineFound(info=INFO, restarted=False, at=agent.clock.wall))
    agent.docker.create()
    agent.read()
    agent.docker.remove(force=True)
    agent.docker.lose_events()
    agent.relist()

    assert agent.pipeline.state.containers == {}
    assert agent.retained("container/web") is None


def test_on_the_first_start_events_are_newer_than_the_listing_that_was_asked_for_before_them() -> None:
    agent = Host(first_start=True)
    agent.docker.create("web", silent=True)
    agent.docker.create("gone", silent=True)
    listing = agent.docker.listing()
    agent.docker.crash("web")
    agent.docker.remove("gone", force=True)
    agent.docker.create("new")
    agent.read()
    agent.see(InventoryObserved(containers=listing, after_position=0, at=agent.clock.wall))

    known = {r.container.name: r.container.status for r in agent.pipeline.state.containers.values()}
    assert known == {"web": "exited", "new": "running"}


def test_a_rename_clears_the_old_state_topic() -> None:
    agent = host()
    agent.docker.rename("web", "shop")
    agent.deliver()

    assert agent.retained("container/web") is None
    assert (agent.retained("container/shop") or {})["name"] == "shop"


def test_a_name_that_was_taken_over_keeps_its_topic() -> None:
    agent = host()
    agent.docker.rename("web", "old")
    agent.docker.create("web", identity="f" * 64)
    agent.deliver()

    cleared = [state.topic for step in agent.steps for state in step.states if not state.payload]
    assert cleared == []
    assert (agent.retained("container/web") or {})["id"] == "f" * 64
    assert (agent.retained("container/old") or {})["id"] == container_id("web")


def test_a_removed_container_leaves_no_topic_and_no_record() -> None:
    agent = host()
    agent.docker.remove(force=True)
    agent.deliver()

    assert agent.retained("container/web") is None
    assert now(agent.store.load()).records.get("container") is None


def test_ghosts_of_an_earlier_run_are_cleared_and_nothing_else() -> None:
    agent = host()
    base = "watchtower/v1/h1"
    topics = [f"{base}/state/container/ghost", f"{base}/status"]
    now(agent.store.commit(Commit(states=tuple(StateMessage(topic=topic, payload=b"{}") for topic in topics))))

    agent.comes_back()

    left = {state.topic for state in now(agent.store.all_states()) if state.payload}
    assert left == {*topics[1:], f"{base}/info", f"{base}/state/container/web"}


def test_a_tasks_container_and_one_that_is_called_as_the_task_have_topics_of_their_own() -> None:
    task = f"web.1.{'k' * 25}"
    agent = Host(first_start=True)
    for name in (task, "web.1"):
        agent.docker.create(name, silent=True)
    agent.connect()
    agent.clock.advance(60)
    agent.tick()

    base = "watchtower/v1/h1/state/container"
    of_task, of_other = f"{base}/web_1_f2059589", f"{base}/web_1_a7cc004e"
    states = {each.topic: each.payload for each in now(agent.store.all_states()) if "/state/" in each.topic}
    assert {topic: json.loads(payload)["name"] for topic, payload in states.items()} == {
        of_task: task,
        of_other: "web.1",
    }
    agent.docker.remove(task, force=True)
    agent.deliver()
    left = {each.topic for each in now(agent.store.all_states()) if "/state/" in each.topic and each.payload}
    assert left == {of_other}


def test_the_topic_that_an_earlier_release_gave_a_container_called_as_a_task_is_cleared() -> None:
    agent = Host(first_start=True)
    agent.docker.create("web.1", silent=True)
    agent.connect()
    former = "watchtower/v1/h1/state/container/web_1_f2059589"
    now(agent.store.commit(Commit(states=(StateMessage(topic=former, payload=b"{}"),))))

    agent.comes_back()

    states = {each.topic: each.payload for each in now(agent.store.all_states()) if "/state/" in each.topic}
    assert not states.pop(former)
    assert [topic.rpartition("/")[2] for topic, payload in states.items() if payload] == ["web_1_a7cc004e"]


def test_what_was_retained_under_an_earlier_name_of_the_host_is_cleared_with_its_status() -> None:
    agent = host()
    former = [
        "watchtower/v1/h2/state/container/web",
        "watchtower/v1/h2/state/container/info",
        "watchtower/v1/h2/info",
        "site/a/v1/h1/info",
    ]
    now(agent.store.commit(Commit(states=tuple(StateMessage(topic=topic, payload=b"{}") for topic in former))))

    agent.comes_back()

    written = {state.topic: state.payload for state in now(agent.store.all_states())}
    cleared = {topic for topic, payload in written.items() if not payload}
    assert cleared == {*former, "watchtower/v1/h2/status", "site/a/v1/h1/status"}
    assert set(written) - cleared == {"watchtower/v1/h1/info", "watchtower/v1/h1/state/container/web"}
    assert now(agent.store.load()).records["host"] == {"name": {"is": "h1"}}


def test_a_sample_of_an_earlier_life_is_not_this_ones() -> None:
    agent = host()
    agent.clock.advance(1)
    batch = agent.sample({"memory_percent": 99.0})
    agent.see(batch)
    assert agent.pipeline.state.metric(container_id("web"), "memory.percent", agent.clock.now()) == 99.0
    agent.clock.advance(0.2)
    agent.docker.restart()
    agent.deliver()

    assert agent.pipeline.state.metric(container_id("web"), "memory.percent", agent.clock.now()) is None


@pytest.mark.parametrize(("age", "known"), [(3.0, True), (3.01, False)])
def test_a_sample_counts_for_three_intervals(age: float, *, known: bool) -> None:
    agent = host()
    agent.see(agent.sample({"memory_percent": 50.0, "host_memory_percent": 40.0}))
    agent.clock.advance(age)

    moment = agent.clock.now()
    assert (agent.pipeline.state.metric(container_id("web"), "memory.percent", moment) is not None) is known
    assert (agent.pipeline.state.host_metric("host.memory.percent", moment) is not None) is known


@pytest.mark.parametrize(("age", "known"), [(4.0, True), (12.0, True), (12.01, False)])
def test_a_sample_that_took_long_counts_for_three_of_its_own_lengths(age: float, *, known: bool) -> None:
    agent = host()
    batch = replace(agent.sample({"memory_percent": 50.0, "host_memory_percent": 40.0}), duration=4.0)
    agent.clock.advance(4.0)
    agent.see(batch)
    agent.clock.advance(age - 4.0)

    moment, state = agent.clock.now(), agent.pipeline.state
    record = state.containers[container_id("web")]
    assert (state.metric(container_id("web"), "memory.percent", moment) is not None) is known
    assert (state.host_metric("host.memory.percent", moment) is not None) is known
    assert ("memory.percent" in views.view(state, record, moment).last_sample) is known
    assert bool(views.table(state, moment).columns) is known


def test_whom_to_sample_is_told_when_it_changes_only() -> None:
    agent = host()
    agent.clear()
    agent.docker.health()
    agent.deliver()
    agent.tick(2)
    assert [step.watch for step in agent.steps if step.watch is not None] == []

    agent.docker.crash()
    agent.deliver()

    assert [step.watch for step in agent.steps if step.watch is not None] == [()]
