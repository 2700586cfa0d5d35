"""Replicas are made and removed one after the other; every way in which that ends early is told with its numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.core import NOW, FakeClock
from tests.support.fake_engine import FakeEngine
from watchtower_agent.actions.executor import Executor
from watchtower_agent.actions.readiness import LEAST, MOST, STEADY, until_ready
from watchtower_agent.actions.scale_clones import grow, shrink
from watchtower_agent.errors import (
    AbsentError,
    ForbiddenError,
    IncompleteError,
    PermanentError,
    TemporaryError,
    UnansweredError,
    WatchtowerError,
)
from watchtower_agent.model.container import Container, ContainerDetail, ContainerStatus, Health
from watchtower_agent.model.decision import Decision, Number, Target, TargetKind, Verb
from watchtower_agent.model.outcome import Intent, Outcome, Result, Unsettled
from watchtower_agent.model.service import CLONE_OF, SwarmService
from watchtower_agent.ports.engine import Engine

MIB = 2**20


def identity(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def running(name: str = "web", *, health: Health = Health.NONE, **known: object) -> Container:
    detail = ContainerDetail(started_at=NOW, **known)  # type: ignore[arg-type] # fields of any type, given by name
    status = ContainerStatus.RUNNING
    return Container(
        id=identity(name), name=name, image="web:1", status=status, health=health, created_at=NOW, detail=detail
    )


def decision(
    verb: Verb = Verb.SCALE, target: TargetKind = TargetKind.SERVICE, target_id: str = "group:web", **parameters: Number
) -> Decision:
    return Decision(
        id="d1",
        policy="busy",
        target=Target(kind=target, id=target_id, name="web"),
        verb=verb,
        reason="",
        parameters=parameters,
        correlation_id="c",
        decided_at=NOW,
        expires_at=NOW + 2,
    )


class Bench:
    """An executor on an engine in memory."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.left: list[Outcome | Unsettled] = []
        self._executor = Executor(self.engine, FakeClock(), recheck=lambda *_: None, done=self.left.append)

    async def run(self, asked: Decision) -> Outcome:
        self._executor.start(Intent(decision=asked, at=NOW))
        await self._executor.finish(within=5)
        (outcome,) = self.left
        assert isinstance(outcome, Outcome)
        return outcome


# A Swarm.


async def test_a_swarm_is_told_the_number_that_was_decided_for_the_version_that_was_seen() -> None:
    bench = Bench()
    bench.engine.services["s1"] = SwarmService(id="s1", name="web", replicas=2, version=7)
    outcome = await bench.run(decision(service_id="s1", to=5, version=7))
    assert (outcome.result, outcome.numbers["to"]) == (Result.SUCCEEDED, 5)
    assert bench.engine.calls == [("scale_service", "s1", 5, 7)]
    assert bench.engine.services["s1"].replicas == 5


async def test_a_service_that_was_changed_meanwhile_is_a_conflict_and_not_tried_again() -> None:
    bench = Bench()
    bench.engine.services["s1"] = SwarmService(id="s1", name="web", replicas=2, version=8)
    outcome = await bench.run(decision(service_id="s1", to=5, version=7))
    assert (outcome.result, outcome.numbers["conflict"]) == (Result.FAILED, True)
    assert "version 8, not 7" in outcome.reason
    assert len(bench.engine.calls) == 1


async def test_a_swarm_that_gives_no_answer_is_looked_at_by_whoever_decides_next() -> None:
    bench = Bench()
    bench.engine.fail["scale_service"] = UnansweredError("the engine did not answer in time")
    outcome = await bench.run(decision(service_id="s1", to=5, version=7))
    assert (outcome.result, outcome.reason) == (Result.FAILED, "the engine did not answer in time")
    assert outcome.numbers["unanswered"] is True


async def test_a_service_that_is_gone_is_nothing_to_be_scaled() -> None:
    outcome = await Bench().run(decision(service_id="s1", to=5, version=7))
    assert (outcome.result, outcome.reason) == (Result.ABANDONED, "web was removed before the engine was asked")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"service_id": "s1", "to": 3}, "names no service, number or version"),
        ({"service_id": "s1", "to": True, "version": 7}, "names no service, number or version"),
        ({"original": "x"}, "names no original, or not how many"),
        ({}, "names no clones to remove"),
        ({"remove": ","}, "names no clones to remove"),
    ],
)
async def test_a_decision_that_says_too_little_is_refused(parameters: dict[str, Number], words: str) -> None:
    bench = Bench()
    outcome = await bench.run(replace(decision(), parameters=parameters))
    assert outcome.result is Result.FAILED
    assert words in outcome.reason
    assert bench.engine.calls == []


# Clones.


async def test_clones_are_made_one_after_the_other_each_well_before_the_next() -> None:
    engine = FakeEngine()
    web = engine.put(running())
    seen: list[tuple[str, int]] = []

    async def ready(_: Engine, container_id: str) -> None:
        seen.append((container_id, len(engine.containers)))

    numbers = await grow(engine, decision(original=web, to=3, add=2, shared=True), ready=ready)
    first, second = (container_id for container_id, _ in seen)
    assert numbers == {"added": 2, "clones": f"{first},{second}"}
    assert [count for _, count in seen] == [2, 3]
    assert engine.calls == [("clone", web, "busy", "d1", True)] * 2


async def test_a_clone_gets_the_limits_that_were_decided() -> None:
    engine = FakeEngine()
    web = engine.put(running())

    async def ready(_: Engine, __: str) -> None:
        pass

    await grow(engine, decision(original=web, to=2, add=1, shared=False, memory=0, cpu=0.5), ready=ready)
    assert engine.calls == [("clone", web, "busy", "d1", False, 0, 0.5)]


async def test_a_clone_that_does_not_become_well_is_removed_and_the_rest_not_made() -> None:
    engine = FakeEngine()
    web = engine.put(running())

    async def ready(_: Engine, container_id: str) -> None:
        if engine.containers[container_id].name == "web-clone-2":
            raise PermanentError("the clone was not well within 60 s: it is running and starting")

    with pytest.raises(IncompleteError, match=r"not well within 60 s.*; it was removed again; 1 of 3 was done") as told:
        await grow(engine, decision(original=web, to=4, add=3, stop_timeout=3), ready=ready)
    assert [each.name for each in engine.containers.values()] == ["web", "web-clone-1"]
    assert told.value.numbers == {"added": 1, "clones": list(engine.containers)[1]}
    assert engine.calls[-1][0::2] == ("remove_clone", 3.0)


async def test_a_clone_that_could_not_even_be_removed_is_said_to_be_there() -> None:
    engine = FakeEngine()
    web = engine.put(running())

    async def never(*_: object) -> None:
        raise PermanentError("the clone ended at once")

    engine.fail["remove_clone"] = TemporaryError("the engine is gone")
    with pytest.raises(IncompleteError, match="the clone ended at once; it was not removed: the engine is gone"):
        await grow(engine, decision(original=web, to=2, add=1), ready=never)


@pytest.mark.parametrize(
    ("error", "numbers"),
    [
        (PermanentError("it is in the host's network"), {}),
        (TemporaryError("all ports are allocated"), {}),
        (UnansweredError("no answer in time"), {"unanswered": True}),
        (AbsentError("no such container"), {}),
    ],
)
async def test_what_was_made_before_a_failure_stays_and_is_told(
    error: WatchtowerError, numbers: dict[str, Number]
) -> None:
    engine = FakeEngine()
    web = engine.put(running())

    async def ready(*_: object) -> None:
        engine.fail["clone"] = error

    with pytest.raises(IncompleteError) as told:
        await grow(engine, decision(original=web, to=3, add=2), ready=ready)
    (clone,) = set(engine.containers) - {web}
    assert told.value.numbers == {"added": 1, "clones": clone, **numbers}
    assert str(error) in str(told.value)


@pytest.mark.parametrize(("removed", "words"), [(False, "web does not run any more"), (True, "was removed meanwhile")])
async def test_who_stops_or_removes_the_original_meanwhile_gets_no_clone(*, removed: bool, words: str) -> None:
    engine = FakeEngine()
    web = engine.put(running())

    async def ready(_: Engine, container_id: str) -> None:
        if engine.containers[container_id].name == "web-clone-2":
            if removed:
                del engine.containers[web]
            else:
                await engine.stop(web, stop_timeout=None)

    with pytest.raises(IncompleteError, match=rf"{words}; it was removed again; 1 of 3 was done"):
        await grow(engine, decision(original=web, to=4, add=3), ready=ready)
    assert [each.name for each in engine.containers.values() if each.id != web] == ["web-clone-1"]


async def test_an_original_that_is_gone_before_any_clone_was_made_is_an_end_like_any_others() -> None:
    outcome = await Bench().run(decision(original=identity("web"), to=2, add=1))
    assert (outcome.result, outcome.reason) == (Result.ABANDONED, "web was removed before the engine was asked")


async def test_what_is_not_let_through_is_among_the_outcomes_numbers() -> None:
    engine = FakeEngine()
    web = engine.put(running())
    endpoint = "GET /containers/{id}/changes"
    engine.fail["clone"] = ForbiddenError(f"cloning it: {endpoint} is not let through (403)", endpoint=endpoint)
    with pytest.raises(IncompleteError, match="not let through") as found:
        await grow(engine, decision(original=web, to=2, add=1, shared=False))
    assert found.value.numbers == {"added": 0, "clones": "", "forbidden": endpoint}


async def test_what_stands_against_clones_is_the_outcomes_reason() -> None:
    bench = Bench()
    web = bench.engine.put(running())
    bench.engine.fail["clone"] = PermanentError("it has the host's port 80")
    outcome = await bench.run(decision(original=web, to=2, add=1))
    assert (outcome.result, outcome.reason) == (Result.FAILED, "scaling web: it has the host's port 80")
    assert outcome.numbers["added"] == 0


async def test_clones_are_removed_in_the_order_of_the_decision() -> None:
    engine = FakeEngine()
    web = engine.put(running())
    made = [await engine.clone(web, policy="busy", decision="d0", shared=False) for _ in range(3)]
    gone = identity("gone")
    numbers = await shrink(engine, decision(remove=",".join([made[2], gone, made[1]]), stop_timeout=3))
    assert numbers == {"removed": 3}, "one that is gone already is as good"
    assert list(engine.containers) == [web, made[0]]
    assert engine.calls[-3:] == [("remove_clone", each, 3.0) for each in (made[2], gone, made[1])]


async def test_no_original_is_ever_removed() -> None:
    bench = Bench()
    web = bench.engine.put(running())
    clone = await bench.engine.clone(web, policy="busy", decision="d0", shared=False)
    other = bench.engine.put(running("other"))
    outcome = await bench.run(decision(remove=f"{clone},{web},{other}"))
    assert (outcome.result, outcome.numbers["removed"]) == (Result.FAILED, 1)
    assert CLONE_OF in outcome.reason
    assert set(bench.engine.containers) == {web, other}


# Limits.


async def test_limits_are_changed_and_the_outcome_tells_what_was_before() -> None:
    bench = Bench()
    web = bench.engine.put(running(memory_limit=64 * MIB, cpu_granted=0.5))
    asked = decision(Verb.RESIZE, TargetKind.CONTAINER, web, memory=96.0 * MIB)
    outcome = await bench.run(asked)
    assert outcome.result is Result.SUCCEEDED
    before = {"memory_before": 64 * MIB, "memory_swap_before": 128 * MIB, "cpu_before": 0.5}
    assert outcome.numbers == {**before, "seconds": 0.0}
    assert bench.engine.calls == [("resize", web, 96 * MIB, None)]


# Whether a clone is well.


class Life:
    """How a clone does, second by second; sleeping is what makes them pass."""

    def __init__(self, at: Callable[[float, Container], Container], clone: Container) -> None:
        self.engine = FakeEngine()
        self.engine.put(clone)
        self.engine.on_inspect = lambda seen: at(self.now, seen)
        self.now = 0.0
        self._clone = clone.id

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def until_ready(self) -> float:
        await until_ready(self.engine, self._clone, now=lambda: self.now, sleep=self.sleep)
        return self.now


async def test_one_with_a_health_check_is_well_once_it_is_healthy() -> None:
    life = Life(
        lambda now, seen: replace(seen, health=Health.HEALTHY if now >= 25 else Health.STARTING),
        running(health=Health.STARTING),
    )
    assert await life.until_ready() == 25


async def test_one_without_is_well_once_it_has_run_for_a_while_in_one_life() -> None:
    def at(now: float, seen: Container) -> Container:
        assert seen.detail
        if 3 <= now < 5:
            return replace(seen, status=ContainerStatus.RESTARTING)
        return replace(seen, status=ContainerStatus.RUNNING, detail=replace(seen.detail, started_at=NOW + (now >= 8)))

    assert await Life(at, running(restart_policy="always")).until_ready() == 8 + STEADY


async def test_one_that_ends_and_is_not_started_again_needs_no_waiting() -> None:
    def at(now: float, seen: Container) -> Container:
        assert seen.detail
        over = replace(seen.detail, exit_code=3)
        return seen if now < 2 else replace(seen, status=ContainerStatus.EXITED, detail=over)

    life = Life(at, running())
    with pytest.raises(PermanentError, match="the clone web ended at once: it exited with code 3"):
        await life.until_ready()
    assert life.now == 2


@pytest.mark.parametrize(
    ("start_period", "retries", "limit"), [(0.0, 2, LEAST), (100.0, 4, 180.0), (9e9, 4, MOST), (0.0, -9, LEAST)]
)
async def test_each_has_as_long_as_its_health_check_says_within_bounds(
    start_period: float, retries: int, limit: float
) -> None:
    check = running(
        health=Health.STARTING, health_start_period=start_period, health_interval=20.0, health_retries=retries
    )
    life = Life(lambda _, seen: seen, check)
    with pytest.raises(PermanentError, match=f"was not well within {limit:.0f} s: it is running and starting"):
        await life.until_ready()
    assert limit <= life.now <= limit + 1


async def test_an_engine_that_does_not_answer_is_asked_again_and_one_removed_is_not_waited_for() -> None:
    life = Life(lambda _, seen: replace(seen, health=Health.HEALTHY), running(health=Health.STARTING))
    life.engine.fail["inspect"] = TemporaryError("the engine is down")
    assert await life.until_ready() == 0.5
    life.engine.containers.clear()
    with pytest.raises(PermanentError, match="was removed by somebody before it was well"):
        await life.until_ready()
