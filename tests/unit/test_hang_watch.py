"""A container that hangs while the engine answers: told once, with its return; a lost engine is another matter."""

from __future__ import annotations

from dataclasses import replace

from tests.support.core import Host, container_id
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import ContainerObserved, EngineLost, InspectionHung


def host() -> Host:
    made = Host("", first_start=True)
    made.docker.create("c0", silent=True)
    made.connect()
    made.tick()
    return made


def hangs(agent: Host, *, tries: int = 1) -> None:
    agent.see(
        InspectionHung(
            container_id=container_id("c0"), waited=10.0, tries=tries, reason="no answer", at=agent.clock.wall
        )
    )


def answers(agent: Host) -> None:
    seen = agent.pipeline.state.containers[container_id("c0")].container
    agent.see(
        ContainerObserved(container_id=container_id("c0"), container=seen, after_position=1000, at=agent.clock.wall)
    )


def said(agent: Host) -> list[tuple[str, object]]:
    return [(told.action, told.data["container"]) for told in agent.of(Notice) if told.action.startswith("container_")]


def test_it_is_told_once_and_its_return_too() -> None:
    agent = host()
    for tries in (1, 2, 3):
        agent.clock.advance(15)
        agent.ping()
        hangs(agent, tries=tries)
    assert said(agent) == [("container_hangs", "c0")]
    assert list(agent.pipeline.hanging) == [container_id("c0")]
    answers(agent)
    answers(agent)
    assert said(agent) == [("container_hangs", "c0"), ("container_answers", "c0")]
    assert not agent.pipeline.hanging


def test_an_engine_that_gives_no_sign_of_life_may_be_what_hangs() -> None:
    agent = host()
    agent.clock.advance(10)
    hangs(agent)
    assert said(agent) == []
    agent.ping()
    hangs(agent, tries=2)
    assert said(agent) == [("container_hangs", "c0")]


def test_a_lost_engine_is_told_as_that() -> None:
    agent = host()
    agent.ping()
    hangs(agent)
    agent.see(EngineLost(reason="frozen", at=agent.clock.wall))
    assert not agent.pipeline.hanging
    hangs(agent, tries=2)
    assert said(agent) == [("container_hangs", "c0")], "before, and not again"


def test_one_that_was_removed_hangs_no_more() -> None:
    agent = host()
    agent.ping()
    hangs(agent)
    agent.docker.remove("c0")
    agent.deliver()
    assert not agent.pipeline.hanging
    hangs(agent, tries=2)
    assert said(agent) == [("container_hangs", "c0")]


def test_who_was_never_inspected_is_asked_about_first() -> None:
    agent = host()
    agent.docker.create("c1")
    agent.deliver()
    record = agent.record("c1")
    assert agent.pipeline.urgent(agent.pipeline.state.containers) == frozenset()
    record.container = replace(record.container, detail=None)
    assert agent.pipeline.urgent(agent.pipeline.state.containers) == {container_id("c1")}


def test_who_a_held_decision_is_about_is_asked_about_first() -> None:
    agent = Host("  - {name: p, select: {name: c0}, on: {container: die}, then: {start: {}}, mode: approve}\n")
    agent.docker.create("c0")
    agent.docker.create("c1")
    agent.connect()
    agent.docker.crash("c0")
    agent.deliver()
    assert agent.waiting == ["p"]
    assert agent.pipeline.urgent(agent.pipeline.state.containers) == {container_id("c0")}
