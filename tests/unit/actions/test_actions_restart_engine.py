"""Restarting the engine: looked at before, and seen to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.core import NOW, FakeClock
from watchtower_agent.actions.executor import Executor
from watchtower_agent.actions.restart_engine import restart_engine
from watchtower_agent.errors import HandsOffError, IncompleteError, PermanentError, TemporaryError
from watchtower_agent.model.decision import Decision, Target, TargetKind, Verb
from watchtower_agent.model.outcome import Intent, Outcome, Result, Unsettled
from watchtower_agent.model.unit import Sign, UnitState

BEFORE = UnitState(name="docker.service", load="loaded", active="active", sub="running", active_since=1, invocation="a")
AFTER = replace(BEFORE, active_since=1000.0, invocation="b")
STOPS = replace(BEFORE, active="deactivating", job=True)


class FakeUnit:
    """Goes through the states, one at each look, and stays in the last; time passes with each."""

    def __init__(self, clock: FakeClock, *states: UnitState | Exception, refuses: Exception | None = None) -> None:
        self._clock = clock
        self._states = list(states)
        self._refuses = refuses
        self.restarted = 0
        self.sign_before = Sign.SILENT
        self.answers_from = 0.0

    async def look(self) -> UnitState:
        self._clock.advance(1)
        seen = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        if isinstance(seen, Exception):
            raise seen
        return seen

    async def restart(self) -> None:
        if self._refuses is not None:
            raise self._refuses
        self.restarted += 1

    async def sign(self) -> Sign:
        self._clock.advance(1)
        if not self.restarted:
            return self.sign_before
        return Sign.ANSWERS if self._clock.monotonic >= self.answers_from else Sign.SILENT


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_it_ends_once_the_engine_answers(clock: FakeClock) -> None:
    unit = FakeUnit(clock, BEFORE, STOPS, TemporaryError("busy"), AFTER)
    unit.answers_from = clock.monotonic + 7
    numbers = await restart_engine(unit, clock, silent=True)
    assert (numbers["unit"], unit.restarted) == ("docker.service", 1)
    assert 5 <= float(numbers["answered_after"] or 0) < 10


async def test_an_engine_that_goes_on_as_before_was_not_restarted(clock: FakeClock) -> None:
    unit = FakeUnit(clock, BEFORE)
    with pytest.raises(IncompleteError, match=r"does not answer after . s \(active, running\): systemctl status"):
        await restart_engine(unit, clock, silent=True, within=5)


async def test_what_is_not_the_agents_to_restart_is_left_alone(clock: FakeClock) -> None:
    unit = FakeUnit(clock, replace(BEFORE, active="inactive", sub="dead"))
    with pytest.raises(HandsOffError, match="was stopped"):
        await restart_engine(unit, clock, silent=True)
    assert unit.restarted == 0


@pytest.mark.parametrize(
    ("sign", "silent", "why"),
    [
        (Sign.ANSWERS, True, "the engine answers again"),
        (Sign.OUT_OF_REACH, True, "can't get to the engine"),
        (Sign.OUT_OF_REACH, False, "can't get to the engine"),
    ],
)
async def test_an_engine_that_is_not_what_fails_is_left_alone(
    clock: FakeClock, sign: Sign, *, silent: bool, why: str
) -> None:
    unit = FakeUnit(clock, BEFORE)
    unit.sign_before = sign
    with pytest.raises(HandsOffError, match=why):
        await restart_engine(unit, clock, silent=silent)
    assert unit.restarted == 0


async def test_one_that_answers_is_restarted_for_another_reason(clock: FakeClock) -> None:
    unit = FakeUnit(clock, BEFORE, AFTER)
    unit.sign_before = Sign.ANSWERS
    await restart_engine(unit, clock, silent=False)
    assert unit.restarted == 1


async def test_one_that_fails_to_start_is_not_waited_for(clock: FakeClock) -> None:
    unit = FakeUnit(clock, BEFORE, STOPS, replace(BEFORE, active="failed", sub="failed"))
    with pytest.raises(IncompleteError, match="failed, failed") as failed:
        await restart_engine(unit, clock, silent=True)
    assert failed.value.numbers == {"unit": "docker.service", "active": "failed"}
    assert clock.monotonic < 1000 + 10


def _intent() -> Intent:
    decision = Decision(
        id="d",
        policy="p",
        target=Target(kind=TargetKind.HOST, id="engine", name="h1"),
        verb=Verb.RESTART_ENGINE,
        reason="",
        correlation_id="c",
        decided_at=NOW,
        expires_at=NOW + 2,
    )
    return Intent(decision=decision, at=NOW)


@pytest.mark.parametrize(
    ("made", "result", "reason"),
    [
        (lambda clock: FakeUnit(clock, BEFORE, AFTER), Result.SUCCEEDED, "took"),
        (
            lambda clock: FakeUnit(clock, replace(BEFORE, active="inactive", sub="dead")),
            Result.ABANDONED,
            "docker.service was stopped (dead): whoever did that starts it again",
        ),
        (lambda clock: FakeUnit(clock, BEFORE, replace(BEFORE, active="failed")), Result.FAILED, "does not answer"),
        (lambda clock: FakeUnit(clock, BEFORE, refuses=PermanentError("no")), Result.FAILED, "no"),
        (lambda clock: FakeUnit(clock, TemporaryError("hangs")), Result.FAILED, "hangs"),
        (lambda _: None, Result.FAILED, "there is no service of the engine to restart"),
    ],
)
async def test_every_intent_ends_in_an_outcome(
    clock: FakeClock, made: Callable[[FakeClock], FakeUnit | None], result: Result, reason: str
) -> None:
    left: list[Outcome | Unsettled] = []
    # The engine itself is asked for nothing.
    executor = Executor(None, clock, recheck=lambda *_: None, done=left.append, unit=made(clock))  # type: ignore[arg-type] # no engine
    executor.start(_intent())
    await executor.finish(within=20)
    (outcome,) = left
    assert isinstance(outcome, Outcome)
    assert (outcome.result, outcome.asked) == (result, True)
    assert reason in outcome.reason
