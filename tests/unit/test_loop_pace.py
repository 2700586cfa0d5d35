"""A storm is taken in gulps: what waits, for how long, and what is never held back."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, strategies as st

from tests.support.core import Host, container_id
from watchtower_agent.loop.pace import Pace, Settling
from watchtower_agent.model.message import StateMessage
from watchtower_agent.model.sample import SampleBatch


def test_alone_nothing_waits_and_a_burst_goes_through() -> None:
    pace = Pace(burst=3, interval=0.5)
    for _ in range(3):
        assert pace.wait(10.0) == 0
        pace.went(10.0)
    assert pace.wait(10.0) == pytest.approx(0.5)
    assert pace.wait(10.4) == pytest.approx(0.1)
    assert pace.wait(10.5) == 0


def test_a_step_with_many_states_counts_for_several_and_later_ones_wait_for_it() -> None:
    pace = Pace(burst=3, interval=0.5)
    pace.went(10.0, weight=5.0)
    assert pace.wait(10.0) == pytest.approx(1.5)
    assert pace.wait(11.5) == 0


@given(gaps=st.lists(st.floats(0, 0.2), min_size=1, max_size=200))
def test_over_any_time_no_more_go_than_the_burst_and_one_each_interval(gaps: list[float]) -> None:
    pace, now, went = Pace(burst=5, interval=0.1), 0.0, 0
    for gap in gaps:
        now += gap
        if pace.wait(now) == 0:
            pace.went(now)
            went += 1
    assert went <= 5 + now / 0.1 + 1e-6


def test_a_clock_that_stands_still_or_goes_back_earns_nothing() -> None:
    pace = Pace(burst=1, interval=1.0)
    pace.went(10.0)
    assert pace.wait(5.0) == pytest.approx(1.0)


def settling(*, at_once: int = 10, burst: int = 10, interval: float = 0.1) -> Settling:
    return Settling(quiet=0.2, longest=1.0, at_once=at_once, pace=Pace(burst=burst, interval=interval))


def nobody(_: Iterable[str]) -> frozenset[str]:
    """None is urgent."""
    return frozenset()


def test_who_is_quiet_is_due_and_turmoil_ends_the_wait_at_last() -> None:
    asked = settling()
    asked.want(["calm", "wild"], 0.0)
    for tenth in range(1, 10):
        asked.want(["wild"], tenth / 10)
    assert asked.due(0.15, {"calm", "wild"}, nobody) == []
    assert asked.due(0.25, {"calm", "wild"}, nobody) == ["calm"]
    assert asked.due(0.95, {"calm", "wild"}, nobody) == []
    assert asked.due(1.0, {"calm", "wild"}, nobody) == ["wild"]
    assert not asked


def test_only_so_many_are_due_at_a_time_and_who_is_gone_is_forgotten() -> None:
    asked = settling(at_once=2)
    asked.want(["a", "b", "c", "gone"], 0.0)
    assert asked.due(1.0, {"a", "b", "c"}, nobody) == ["a", "b"]
    assert asked.due(1.0, {"a", "b", "c"}, nobody) == ["c"]
    assert not asked


def test_when_many_are_quiet_those_that_something_waits_for_come_first_and_the_others_by_and_by() -> None:
    asked = settling(burst=2, interval=0.1)
    known = {"a", "b", "c", "d", "e"}
    asked.want(["a", "b", "c", "d", "e"], 0.0)
    assert asked.due(0.2, known, lambda ids: known & set(ids) & {"e"}) == ["a", "b", "e"]
    assert asked.due(0.25, known, nobody) == []
    assert asked.due(0.31, known, nobody) == ["c"]
    asked.want(["d"], 0.9)
    assert asked.due(1.0, known, nobody) == ["d"], "none waits for longer than that"
    assert not asked


def host(names: int = 1) -> Host:
    made = Host(first_start=True)
    for number in range(names):
        made.docker.create(f"web{number}", silent=True)
    made.connect()
    made.clock.advance(60)
    made.clear()
    return made


def states(agent: Host) -> list[StateMessage]:
    return [state for step in agent.steps for state in step.states if "/state/container/" in state.topic]


def rename(agent: Host, old: str, new: str) -> None:
    agent.docker.rename(old, to=new)
    agent.read()


def test_in_a_storm_states_are_held_back_and_records_are_not() -> None:
    agent = host()
    for number in range(50):
        rename(agent, f"web{number}", f"web{number + 1}")
    held = [step for step in agent.steps if step.events and not step.states]
    assert len(held) >= 20
    assert all(step.records for step in held)
    assert 0 < agent.pipeline.rest(agent.clock.monotonic, at_most=1.0) <= 0.25
    agent.clock.advance(0.25)
    agent.see()
    assert agent.retained("container/web50") is not None
    assert agent.pipeline.rest(agent.clock.monotonic, at_most=1.0) == 1.0


def test_a_storm_over_many_containers_is_not_mostly_states() -> None:
    agent = host(30)
    for turn in range(80):
        if turn == 40:
            agent.steps.clear()
        for number in range(30):
            rename(agent, f"web{number}-{turn}" if turn else f"web{number}", f"web{number}-{turn + 1}")
        agent.clock.advance(0.25)
        agent.see()
    told = len(states(agent))
    assert 10 * 30 <= told <= 10 * 90, "in 10 s, the newest of each and what it was called before"


def test_names_too_short_lived_to_be_published_are_not_cleared_and_no_ghost_is_left() -> None:
    agent = host()
    for number in range(50):
        rename(agent, f"web{number}", f"web{number + 1}")
    agent.clock.advance(0.25)
    agent.see()
    shown: set[str] = set()
    for state in states(agent):
        if state.payload:
            shown.add(state.topic)
        else:
            assert state.topic in shown | {"watchtower/v1/h1/state/container/web0"}
            shown.discard(state.topic)
    assert shown == {"watchtower/v1/h1/state/container/web50"}


def test_the_last_step_holds_nothing_back() -> None:
    agent = host()
    for number in range(50):
        rename(agent, f"web{number}", f"web{number + 1}")
    effects = agent.pipeline.step((), agent.clock.now(), last=True)
    assert "watchtower/v1/h1/state/container/web50" in {state.topic for state in effects.states}


def test_what_is_removed_while_held_back_is_cleared() -> None:
    agent = host(2)
    for number in range(1, 40):
        rename(agent, f"web{number}", f"web{number + 1}")
    agent.docker.remove("web0", force=True)
    agent.read()
    assert container_id("web0") not in agent.pipeline.state.containers
    agent.clock.advance(0.25)
    agent.see()
    assert StateMessage(topic="watchtower/v1/h1/state/container/web0", payload=b"") in states(agent)


def test_the_first_samples_of_containers_are_told_at_once() -> None:
    agent = Host(first_start=True)
    agent.docker.create("web", silent=True)
    before = agent.see(SampleBatch(at=agent.clock.now(), interval=1.0, duration=0.0, targets=(), columns={}, host={}))
    assert before.metrics, "the host's own"
    agent.connect()
    agent.clock.advance(0.1)
    first = agent.see(agent.sample({"memory.usage": 1.0}))
    again = agent.see(agent.sample({"memory.usage": 1.0}))
    assert first.metrics
    assert not again.metrics
