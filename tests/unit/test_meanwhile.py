"""`engine/up` tells what changed while the engine was out of reach."""

from __future__ import annotations

from typing import Any

from tests.support.core import INFO, Host
from tests.support.schema import validate_message
from watchtower_agent.model.engine_event import Origin
from watchtower_agent.model.observation import EngineFound, EngineLost, GapObserved

NONE = {"count": 0, "names": []}
TELL = "  - {name: tell, on: {engine: [down, up]}, then: {notify: {}}}"


def host(policies: str = "", *, containers: int = 3) -> Host:
    made = Host(policies, first_start=True)
    for number in range(containers):
        made.docker.create(f"c{number}", silent=True)
    made.connect()
    made.clock.advance(60)
    made.clear()
    return made


def loses(agent: Host) -> None:
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.clock.advance(12.5)


def finds(agent: Host, *, restarted: bool = False) -> None:
    agent.see(EngineFound(info=INFO, restarted=restarted, at=agent.clock.wall))


def story(agent: Host) -> list[str]:
    for step in agent.steps:
        for message in step.events:
            validate_message(message.topic, message.payload)
    return [each["topic"].split("/event/")[1] for each in agent.published()]


def up(agent: Host) -> dict[str, Any]:
    (told,) = [each for each in agent.published() if "/event/engine/up/" in each["topic"]]
    data: dict[str, Any] = told["data"]
    return data


def test_what_was_replayed_and_what_the_listing_showed_are_told_before_and_summed_up() -> None:
    agent = host()
    loses(agent)
    agent.docker.crash("c0")
    agent.docker.start("c0")
    agent.docker.rename("c1", "renamed")
    finds(agent)
    agent.read(origin=Origin.REPLAY)
    agent.docker.create("new")
    agent.docker.remove("c2", force=True)
    agent.docker.lose_events()
    agent.docker.create("live")
    agent.read()
    agent.relist()

    told = story(agent)
    assert told[0] == "engine/down/self"
    assert told[-1] == "engine/up/self"
    assert set(told[1:-1]) >= {"container/die/c0", "container/create/new", "container/destroy/c2"}
    data = up(agent)
    assert data["changes"] == {
        "created": {"count": 1, "names": ["new"]},
        "started": {"count": 2, "names": ["c0", "new"]},
        "ended": {"count": 2, "names": ["c0", "c2"]},
        "renamed": {"count": 1, "names": ["renamed"]},
        "removed": {"count": 1, "names": ["c2"]},
    }
    assert (data["replayed_events"], data["synthetic_events"]) == (3, 4)
    assert (data["down_seconds"], data["restarted"]) == (12.5, False)
    assert "gap" not in data
    assert data["reason"] == (
        "the engine answers after 12.5 s: version 26.1 at unix:///run/docker.sock; "
        "meanwhile created: new; started: c0, new; ended: c0, c2; renamed: renamed; removed: c2"
    )


def test_a_restart_of_the_daemon_and_lost_events_are_told() -> None:
    agent = host()
    loses(agent)
    finds(agent, restarted=True)
    since = agent.clock.wall - 12.5
    agent.see(GapObserved(reason="engine_restarted", since=since, until=agent.clock.wall))
    agent.see(GapObserved(reason="outbox_overflow", since=0.0, until=agent.clock.wall))
    agent.relist()

    data = up(agent)
    assert data["restarted"] is True
    assert data["gap"] == {"causes": ["engine_restarted"], "since": since, "until": agent.clock.wall}
    assert data["changes"]["ended"] == NONE
    assert data["reason"].endswith("it was restarted; no container came or went meanwhile; events may have been lost")


def test_an_engine_that_is_lost_before_it_was_listed_had_not_come_up() -> None:
    agent = host(TELL)
    loses(agent)
    finds(agent, restarted=True)
    agent.docker.crash("c0")
    agent.read(origin=Origin.REPLAY)
    loses(agent)
    finds(agent)
    agent.relist()

    assert [each for each in story(agent) if each.startswith("engine/")] == ["engine/down/self", "engine/up/self"]
    assert len(agent.told) == 2
    data = up(agent)
    assert (data["down_seconds"], data["restarted"]) == (25.0, True)
    assert data["changes"]["ended"]["names"] == ["c0"]


def test_the_next_outage_tells_of_itself_alone() -> None:
    agent = host()
    loses(agent)
    agent.docker.crash("c0")
    agent.connect(origin=Origin.REPLAY)
    agent.clear()
    loses(agent)
    agent.connect()

    data = up(agent)
    assert data["down_seconds"] == 12.5
    assert data["changes"] == dict.fromkeys(("created", "started", "ended", "renamed", "removed"), NONE)


def test_many_names_are_counted_and_few_are_listed() -> None:
    agent = host(containers=50)
    loses(agent)
    for number in range(50):
        agent.docker.crash(f"c{number}")
    agent.connect(origin=Origin.REPLAY)

    data = up(agent)
    assert data["changes"]["ended"]["count"] == 50
    assert data["changes"]["ended"]["names"] == [f"c{number}" for number in range(20)]
    assert "ended: c0, c1, c2 and 47 more" in data["reason"]


def test_a_first_start_has_nothing_to_compare_with() -> None:
    agent = Host(first_start=True)
    agent.docker.create("c0", silent=True)
    agent.connect()

    assert not {"changes", "replayed_events", "down_seconds", "gap"} & set(up(agent))


def test_an_agent_that_was_away_tells_what_it_missed() -> None:
    agent = host()
    agent.dies(away=30.0)
    agent.docker.crash("c0")
    agent.comes_back()

    data = up(agent)
    assert data["changes"]["ended"]["names"] == ["c0"]
    assert "down_seconds" not in data


def test_a_listing_that_comes_after_the_engine_was_lost_again_does_not_tell_that_it_is_up() -> None:
    agent = host()
    loses(agent)
    finds(agent)
    loses(agent)
    agent.relist()
    assert [told for told in story(agent) if "engine/" in told] == ["engine/down/self"]
    agent.connect()
    assert [told for told in story(agent) if "engine/" in told] == ["engine/down/self", "engine/up/self"]
    assert up(agent)["down_seconds"] == 25.0
