"""Intents are carried out: asked about once more before, every one ends in exactly one outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.support.core import NOW, FakeClock, Host, container_id, policy_set
from watchtower_agent.actions.executor import AT_ONCE, Executor
from watchtower_agent.errors import AbsentError, PermanentError, RemovedError, TemporaryError, UnansweredError
from watchtower_agent.model.container import Container, Health
from watchtower_agent.model.decision import Decision, Dropped, Guard, Held, Number, Target, TargetKind, Verb
from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.outcome import Intent, Outcome, Result, Unsettled
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget


class FakeEngine:
    """Notes what it is asked for; answers when it is told to."""

    def __init__(self, clock: FakeClock) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.fail: BaseException | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self._clock = clock

    async def _call(self, *call: object) -> None:
        self.calls.append(call)
        await self.gate.wait()
        self._clock.advance(0.5)
        if self.fail is not None:
            raise self.fail

    async def inspect(self, container_id: str) -> Container:
        raise AssertionError(f"nobody inspects {container_id} here")

    async def restart(self, container_id: str, *, stop_timeout: float | None) -> None:
        await self._call("restart", container_id, stop_timeout)

    async def start(self, container_id: str) -> None:
        await self._call("start", container_id)

    async def stop(self, container_id: str, *, stop_timeout: float | None) -> None:
        await self._call("stop", container_id, stop_timeout)

    async def kill(self, container_id: str, *, signal: str | None) -> None:
        await self._call("kill", container_id, signal)

    async def pause(self, container_id: str) -> None:
        await self._call("pause", container_id)

    async def unpause(self, container_id: str) -> None:
        await self._call("unpause", container_id)

    async def scale_service(self, service_id: str, *, replicas: int, version: int) -> None:
        await self._call("scale_service", service_id, replicas, version)

    async def clone(
        self,
        container_id: str,
        *,
        policy: str,
        decision: str,
        shared: bool,
        memory: int | None = None,
        cpu: float | None = None,
    ) -> str:
        raise AssertionError(f"nobody clones {container_id} here, for {policy}, {decision}, {shared}, {memory}, {cpu}")

    async def remove_clone(self, container_id: str, *, stop_timeout: float | None) -> None:
        await self._call("remove_clone", container_id, stop_timeout)

    async def resize(
        self, container_id: str, *, memory: int | None, cpu: float | None
    ) -> Mapping[str, float | int | None]:
        await self._call("resize", container_id, memory, cpu)
        return {"memory": 100, "memory_swap": -1, "cpu": None}

    async def disk_contents(self) -> DiskUsage:
        raise AssertionError("nobody asks for the disk here")

    async def disk_usage(self) -> DiskUsage:
        raise AssertionError("nobody asks for the disk here")

    async def remove_image(self, image_id: str, *, tags: frozenset[str]) -> None:
        await self._call("remove_image", image_id, tags)

    async def tag_again(self, image_id: str, *, tags: frozenset[str]) -> None:
        await self._call("tag_again", image_id, tags)

    async def remove_container(self, container_id: str, *, finished_at: float | None) -> None:
        await self._call("remove_container", container_id, finished_at)

    async def remove_network(self, network_id: str) -> None:
        await self._call("remove_network", network_id)

    async def remove_volume(self, name: str, *, created_at: float) -> None:
        await self._call("remove_volume", name, created_at)

    async def remove_cache(self, record_id: str, *, unused_since: float) -> int:
        await self._call("remove_cache", record_id, unused_since)
        return 0


class Bench:
    def __init__(self, recheck: Callable[[Intent], Held | Dropped | None] = lambda _: None) -> None:
        self.clock = FakeClock()
        self.engine = FakeEngine(self.clock)
        self.left: list[Unsettled | Outcome] = []
        self.executor = Executor(
            self.engine, self.clock, recheck=lambda intent, _: recheck(intent), done=self.left.append
        )

    @property
    def outcomes(self) -> list[Outcome]:
        return [each for each in self.left if isinstance(each, Outcome)]

    async def run(self, *intents: Intent) -> list[Outcome | Unsettled]:
        for each in intents:
            self.executor.start(each)
        await self.executor.finish(within=5)
        return self.left


def intent(name: str = "web", verb: Verb = Verb.RESTART, **parameters: Number) -> Intent:
    decision = Decision(
        id=f"{verb}-{name}",
        policy="p",
        target=Target(kind=TargetKind.CONTAINER, id=container_id(name), name=name),
        verb=verb,
        reason="",
        parameters=parameters,
        correlation_id="c",
        decided_at=NOW,
        expires_at=NOW + 2,
    )
    return Intent(decision=decision, at=NOW)


@pytest.mark.parametrize(
    ("asked", "call"),
    [
        (intent(verb=Verb.RESTART, stop_timeout=7), ("restart", 7.0)),
        (intent(verb=Verb.RESTART, stop_timeout=None), ("restart", None)),
        (intent(verb=Verb.START), ("start",)),
        (intent(verb=Verb.STOP, stop_timeout=0), ("stop", 0.0)),
        (intent(verb=Verb.STOP), ("stop", None)),
        (intent(verb=Verb.KILL, signal="SIGHUP"), ("kill", "SIGHUP")),
        (intent(verb=Verb.KILL), ("kill", None)),
        (intent(verb=Verb.PAUSE), ("pause",)),
        (intent(verb=Verb.UNPAUSE), ("unpause",)),
    ],
)
async def test_every_verb_asks_for_its_call(asked: Intent, call: tuple[object, ...]) -> None:
    bench = Bench()
    (outcome,) = await bench.run(asked)

    assert isinstance(outcome, Outcome)
    assert bench.engine.calls == [(call[0], container_id("web"), *call[1:])]
    assert (outcome.result, outcome.decision) == (Result.SUCCEEDED, asked.decision)
    assert (outcome.started_at, outcome.finished_at, outcome.numbers) == (NOW, NOW + 0.5, {"seconds": 0.5})


@pytest.mark.parametrize(
    ("error", "result", "reason"),
    [
        (TemporaryError("the engine refused (500)"), Result.FAILED, "the engine refused (500)"),
        (PermanentError("no such signal"), Result.FAILED, "no such signal"),
        (AbsentError("404"), Result.ABANDONED, "web was removed before the engine was asked"),
        (RemovedError("500"), Result.ABANDONED, "someone removed web during the start"),
        (RuntimeError("boom"), Result.FAILED, "a defect of the agent: RuntimeError: boom"),
    ],
)
async def test_every_way_to_fail_is_one_outcome(error: Exception, result: Result, reason: str) -> None:
    bench = Bench()
    bench.engine.fail = error
    (outcome,) = await bench.run(intent(verb=Verb.START))

    assert isinstance(outcome, Outcome)
    assert (outcome.result, outcome.reason, outcome.asked) == (result, reason, True)
    assert bench.executor.under_way == 0


@pytest.mark.parametrize(
    "verb", [verb for verb in Verb if verb not in {Verb.NOTIFY, Verb.SCALE, Verb.PRUNE, Verb.RESTART_ENGINE}]
)
async def test_a_call_without_an_answer_is_settled_by_whoever_looks(verb: Verb) -> None:
    bench = Bench()
    bench.engine.fail = UnansweredError("the engine did not answer in time")
    asked = intent(verb=verb)
    (left,) = await bench.run(asked)

    assert left == Unsettled(intent=asked, reason="the engine did not answer in time", answered=False, started_at=NOW)
    assert bench.executor.under_way == 0


async def test_a_restart_that_was_refused_may_have_got_as_far_as_the_stop() -> None:
    bench = Bench()
    bench.engine.fail = TemporaryError("the engine refused (500)")
    asked = intent()
    (left,) = await bench.run(asked)

    assert left == Unsettled(intent=asked, reason="the engine refused (500)", answered=True, started_at=NOW)


async def test_a_guard_that_says_no_just_before_the_write_stops_it() -> None:
    asked = intent()
    held = Held(decision=asked.decision, guard=Guard.OPERATOR_INTENT, reason="someone stopped it", numbers={"n": 1})
    bench = Bench(recheck=lambda _: held)
    (outcome,) = await bench.run(asked)

    assert isinstance(outcome, Outcome)
    assert bench.engine.calls == []
    assert outcome.result is Result.ABANDONED
    assert outcome.reason == "just before the write: someone stopped it"
    assert outcome.numbers == {"guard": "operator_intent", "n": 1}
    assert not outcome.asked


async def test_the_guards_are_asked_when_its_turn_comes_not_when_it_is_queued() -> None:
    asked: list[str] = []
    bench = Bench(recheck=lambda each: asked.append(each.decision.target.name))
    bench.engine.gate.clear()
    for number in range(AT_ONCE + 1):
        bench.executor.start(intent(f"c{number}"))
    await settled()
    assert asked == [f"c{number}" for number in range(AT_ONCE)]
    assert bench.executor.under_way == AT_ONCE + 1

    bench.engine.gate.set()
    await bench.executor.finish(within=5)

    assert asked[AT_ONCE:] == [f"c{AT_ONCE}"]
    assert len(bench.outcomes) == AT_ONCE + 1


async def test_nothing_waits_behind_stops_that_take_long() -> None:
    bench = Bench()
    bench.engine.gate.clear()
    for number in range(40):
        bench.executor.start(intent(f"c{number}"))
    await settled()
    assert len(bench.engine.calls) == 40, "each is told as started, and is"

    bench.engine.gate.set()
    await bench.executor.finish(within=5)


async def test_however_many_services_are_scaled_a_restart_need_not_wait() -> None:
    bench = Bench()
    bench.engine.gate.clear()
    for number in range(AT_ONCE + 1):
        bench.executor.start(intent(f"c{number}", verb=Verb.SCALE, service_id="s", to=2, version=1))
    bench.executor.start(intent("web"))
    await settled()
    assert [call[0] for call in bench.engine.calls] == ["scale_service"] * AT_ONCE + ["restart"]

    bench.engine.gate.set()
    await bench.executor.finish(within=5)


async def test_what_came_too_late_names_no_guard_so_it_is_not_wanted_again() -> None:
    asked = intent()
    bench = Bench(recheck=lambda _: Dropped(decision=asked.decision, reason="web was removed", at=NOW))
    (outcome,) = await bench.run(asked)

    assert isinstance(outcome, Outcome)
    assert bench.engine.calls == []
    assert (outcome.result, outcome.reason) == (Result.ABANDONED, "just before the write: web was removed")
    assert outcome.numbers == {}


def started_by_hand(host: Host) -> None:
    host.docker.start("c8")


def removed(host: Host) -> None:
    host.docker.remove("c8")


def recreated(host: Host) -> None:
    host.docker.remove("c8")
    host.docker.create("c8", identity="f" * 64)


def recovered(host: Host) -> None:
    host.docker.health("c8", Health.HEALTHY)
    host.deliver()
    host.tick()


def no_longer_asked_for(host: Host) -> None:
    host.see(policy_set(""))


CRASHED = '  - {name: revive, select: {name: "*"}, on: {container: die}, then: {start: {}}}'
SICK = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", then: {restart: {}}}'


@pytest.mark.parametrize(
    ("policy", "meanwhile", "why"),
    [
        (CRASHED, started_by_hand, "c8 has been started meanwhile"),
        (CRASHED, removed, "c8 was removed"),
        (CRASHED, recreated, "c8 was removed"),
        (CRASHED, no_longer_asked_for, "policy revive is not in force any more"),
        (SICK, recovered, "its condition does not hold any more"),
    ],
)
async def test_what_waits_for_its_turn_is_not_done_once_it_is_overtaken(
    policy: str, meanwhile: Callable[[Host], None], why: str
) -> None:
    host = Host(policy, first_start=True, protection=Protection(host_budget=Budget(most=9)))
    for number in range(9):
        host.docker.create(f"c{number}", silent=True, check=True)
    host.connect()
    host.clock.advance(60)
    for number in range(9):
        if policy == CRASHED:
            host.docker.crash(f"c{number}")
        else:
            host.docker.health(f"c{number}")
    host.deliver()
    host.tick()
    assert len(host.intents) == 9
    engine = FakeEngine(host.clock)
    engine.gate.clear()

    def done(outcome: Outcome | Unsettled) -> None:
        host.see(outcome)

    executor = Executor(engine, host.clock, recheck=host.pipeline.recheck, done=done, at_once=8)
    for each in host.intents:
        executor.start(each)
    await settled()
    assert len(engine.calls) == 8

    meanwhile(host)
    host.deliver()
    engine.gate.set()
    await executor.finish(within=5)

    assert [call[1] for call in engine.calls] == [container_id(f"c{number}") for number in range(8)]
    (late,) = [each for each in host.of(Outcome) if each.decision.target.id == container_id("c8")]
    assert (late.result, late.reason) == (Result.ABANDONED, f"just before the write: {why}")
    assert host.waiting == []
    assert len(host.intents) == 9


async def test_targets_are_acted_on_in_parallel() -> None:
    bench = Bench()
    bench.engine.gate.clear()
    bench.executor.start(intent("a"))
    bench.executor.start(intent("b"))
    await settled()

    assert len(bench.engine.calls) == 2
    bench.engine.gate.set()
    await bench.executor.finish(within=5)


async def test_the_next_action_on_a_target_is_not_lost_sight_of() -> None:
    bench = Bench()
    second = intent(verb=Verb.START)

    def done(outcome: Outcome | Unsettled) -> None:
        assert isinstance(outcome, Outcome)
        bench.left.append(outcome)
        if outcome.decision.verb is Verb.RESTART:
            bench.engine.gate.clear()
            executor.start(second)

    executor = Executor(bench.engine, bench.clock, recheck=lambda *_: None, done=done)
    executor.start(intent())
    await settled()
    assert executor.under_way == 1

    bench.engine.gate.set()
    await executor.finish(within=5)

    assert [outcome.decision.verb for outcome in bench.outcomes] == [Verb.RESTART, Verb.START]


async def test_the_end_does_not_wait_for_ever() -> None:
    bench = Bench()
    bench.engine.gate.clear()
    bench.executor.start(intent())
    await bench.executor.finish(within=0.01)

    assert bench.outcomes == []
    assert bench.executor.under_way == 1
    bench.engine.gate.set()
    await bench.executor.finish(within=5)


async def test_there_is_nothing_to_wait_for() -> None:
    await Bench().executor.finish(within=5)


async def settled() -> None:
    """Until every task waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)
