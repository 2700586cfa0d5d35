"""A sampler that a reading holds up: said once, and conditions that need no samples are asked still."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.support.core import NOW, Host
from watchtower_agent.loop.sample_watch import SampleWatch
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import EngineLost

DEAF = "  - {name: deaf, when: not engine.connected, for: 5s, then: {notify: {}}}\n"
HOT = '  - {name: hot, select: {name: "*"}, when: memory.percent > 90%, then: {restart: {}}, cooldown: 1s}\n'
LEAK = '  - {name: leak, select: {name: "*"}, when: "max(memory.percent, 5s) > 90%", then: {notify: {}}}\n'


def host(policies: str = "") -> Host:
    made = Host(policies, first_start=True)
    made.docker.create(silent=True)
    made.connect()
    made.tick(3, memory_percent=1.0)
    return made


def silence(agent: Host, seconds: int) -> None:
    """The loop's heartbeats, and no samples."""
    for _ in range(seconds):
        agent.clock.advance(1.0)
        agent.ping()
        agent.see()


def said(agent: Host) -> list[tuple[str, object]]:
    notices = [notice for notice in agent.of(Notice) if notice.kind is EventKind.AGENT]
    return [(notice.action, notice.data["collector"]) for notice in notices if "sampling" in notice.action]


def test_a_few_ticks_that_do_not_come_are_no_matter() -> None:
    agent = host()
    silence(agent, 10)
    assert said(agent) == []


def test_it_is_said_once_and_the_return_too() -> None:
    agent = host()
    silence(agent, 60)
    assert said(agent) == [("sampling_degraded", "sampler")]
    assert "does not answer" in agent.pipeline.failing["sampler"]
    agent.tick(5, memory_percent=1.0)
    assert said(agent) == [("sampling_degraded", "sampler"), ("sampling_restored", "sampler")]
    assert agent.pipeline.failing == {}


def test_what_it_waits_for_is_told_where_that_is_known() -> None:
    said: list[Notice] = []
    watch = SampleWatch(1.0, lambda notice, _now: said.append(notice))
    for second in range(20):
        watch.held_up(Instant(wall=NOW + second, monotonic=float(second)), "the collector disk waits for /data")
    (notice,) = said
    assert "for 13 s: the collector disk waits for /data." in notice.reason


def test_a_first_tick_that_never_ends_is_said() -> None:
    agent = Host(first_start=True)
    silence(agent, 20)
    assert said(agent) == [("sampling_degraded", "sampler")]


def test_an_agent_that_was_held_up_itself_accuses_nobody() -> None:
    agent = host()
    agent.clock.advance(300)
    agent.ping()
    agent.see()
    agent.clock.advance(0.9)
    agent.see()
    agent.tick(12)
    assert said(agent) == []
    silence(agent, 8)
    assert said(agent) == []


def test_what_needs_no_samples_fires_and_what_needs_them_does_not() -> None:
    agent = host(DEAF + HOT + LEAK)
    agent.tick(memory_percent=95.0)
    agent.carry_out()
    done, told = len(agent.did), len(agent.told)
    silence(agent, 15)
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    silence(agent, 10)
    assert [outcome.decision.policy for outcome in agent.told[told:]] == ["deaf"]
    assert len(agent.did) == done, "what was last sampled is out of date"


def test_conditions_are_asked_once_an_interval_and_not_at_every_step() -> None:
    watch = SampleWatch(1.0, lambda _notice, _now: None)
    steps = [tenth / 10 for tenth in range(300)]
    asked = [at for at in steps if watch.held_up(Instant(wall=NOW + at, monotonic=at))]
    assert asked[0] == pytest.approx(12.1, abs=0.11)
    assert all(later - earlier == pytest.approx(1.0, abs=0.11) for earlier, later in pairwise(asked))
