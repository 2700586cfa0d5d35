"""Carries intents out: one at a time per target, in parallel across targets, each asked about once more before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from watchtower_agent.actions.restart_engine import restart_engine
from watchtower_agent.actions.verbs import ACTIONS
from watchtower_agent.errors import (
    AbsentError,
    ConflictError,
    HandsOffError,
    IncompleteError,
    PermanentError,
    RemovedError,
    UnansweredError,
    WatchtowerError,
)
from watchtower_agent.model.decision import Decision, Dropped, Held, Number, TargetKind, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Intent, Outcome, Result, Unsettled
from watchtower_agent.ports.clock import Clock
from watchtower_agent.ports.engine import Engine
from watchtower_agent.ports.engine_unit import EngineUnit

AT_ONCE = 64
"""Actions under way at the same time, as many as the engine has threads for. So many that none waits behind slow stops:
what waits for its turn has been told as started."""

_SIGNS_OF_LIFE: Final = ("engine.responding", "engine.connected")
"""Where a decision names one of these as false, the engine is restarted because it does not answer."""


class Executor:
    """Starts a task per intent; every intent ends in exactly one outcome, or in a question that an inspection settles.

    Args:
        engine: Where to write.
        clock: The host's clocks.
        recheck: Asks once more whether it is wanted still, and every guard; anything but None means that the action
            is abandoned.
        done: Takes how it ended, on the event loop.
        at_once: Actions that may be under way at the same time, and as many more that scale.
        unit: The engine's own service; None: it is not restarted.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        recheck: Callable[[Intent, Instant], Held | Dropped | None],
        done: Callable[[Outcome | Unsettled], None],
        at_once: int = AT_ONCE,
        unit: EngineUnit | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._recheck = recheck
        self._done = done
        self._unit = unit
        self._room = asyncio.Semaphore(at_once)
        # Scaling waits for minutes until a clone is well, and needs no thread for that: no restart waits behind it.
        self._room_to_scale = asyncio.Semaphore(at_once)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def under_way(self) -> int:
        """How many actions have been started and not ended."""
        return len(self._tasks)

    def start(self, intent: Intent) -> None:
        """Carry it out. The pipeline never has two intents open for one target."""
        target = intent.decision.target.id
        task = asyncio.create_task(self._carry_out(intent), name=f"action {intent.decision.verb} {target[:12]}")
        self._tasks[target] = task
        task.add_done_callback(lambda ended: self._forget(target, ended))

    def _forget(self, target: str, ended: asyncio.Task[None]) -> None:
        # The outcome may have led to the target's next action before this task was seen to end.
        if self._tasks.get(target) is ended:
            del self._tasks[target]

    async def finish(self, within: float) -> None:
        """Wait for the actions under way, so that their outcomes are known.

        Args:
            within: Seconds. What takes longer is found out at the next start, like after a crash.
        """
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=within)

    async def _carry_out(self, intent: Intent) -> None:
        async with self._room_to_scale if intent.decision.verb is Verb.SCALE else self._room:
            self._done(await self._outcome(intent))

    async def _outcome(self, intent: Intent) -> Outcome | Unsettled:
        decision = intent.decision
        begun = self._clock.now()
        stopped = self._recheck(intent, begun)
        if stopped is not None:
            # A guard's name says that it is wanted still; what came too late is over.
            guard = {"guard": stopped.guard.value, **stopped.numbers} if isinstance(stopped, Held) else {}
            return Outcome(
                decision=decision,
                result=Result.ABANDONED,
                reason=f"just before the write: {stopped.reason}",
                started_at=begun.wall,
                finished_at=begun.wall,
                numbers=guard,
                asked=False,
            )
        try:
            numbers = await self._act(decision)
        except UnansweredError as error:
            if decision.target.kind is not TargetKind.SERVICE:  # what no inspection of one container can settle
                return Unsettled(intent=intent, reason=str(error), answered=False, started_at=begun.wall)
            return self._ended(decision, begun, Result.FAILED, str(error), {"unanswered": True})
        except Exception as error:  # noqa: BLE001 - every intent ends in an outcome: without one its target is blocked for ever
            refused = isinstance(error, WatchtowerError) and not isinstance(error, AbsentError)
            if refused and decision.verb is Verb.RESTART:  # it may have got as far as the stop
                return Unsettled(intent=intent, reason=str(error), answered=True, started_at=begun.wall)
            return self._ended(decision, begun, *_failure(decision, error))
        return self._ended(decision, begun, Result.SUCCEEDED, "", numbers)

    async def _act(self, decision: Decision) -> Mapping[str, Number]:
        if decision.verb is not Verb.RESTART_ENGINE:
            return await ACTIONS[decision.verb](self._engine, decision) or {}
        if self._unit is None:
            raise PermanentError("there is no service of the engine to restart")
        silent = any(decision.numbers.get(name) is False for name in _SIGNS_OF_LIFE)
        return await restart_engine(self._unit, self._clock, silent=silent)

    def _ended(
        self, decision: Decision, begun: Instant, result: Result, reason: str, numbers: Mapping[str, Number]
    ) -> Outcome:
        ended = self._clock.now()
        seconds = ended.monotonic - begun.monotonic
        return Outcome(
            decision=decision,
            result=result,
            reason=reason or f"took {seconds:.1f} s",
            started_at=begun.wall,
            finished_at=ended.wall,
            numbers={"seconds": round(seconds, 3), **numbers},
        )


def _failure(decision: Decision, error: Exception) -> tuple[Result, str, Mapping[str, Number]]:
    """How an action ended that raised, why, and with which numbers."""
    name = decision.target.name
    match error:
        case RemovedError():
            return Result.ABANDONED, f"someone removed {name} during the {decision.verb}", {}
        case AbsentError():
            return Result.ABANDONED, f"{name} was removed before the engine was asked", {}
        case HandsOffError():
            return Result.ABANDONED, str(error), {}
        case ConflictError():
            return Result.FAILED, str(error), {"conflict": True}
        case WatchtowerError():
            return Result.FAILED, str(error), error.numbers if isinstance(error, IncompleteError) else {}
        case _:
            return Result.FAILED, f"a defect of the agent: {type(error).__name__}: {error}", {}
