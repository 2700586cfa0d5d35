"""Carries intents out: one at a time per target, in parallel across targets, each asked about once more before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from watchtower_agent.actions.verbs import ACTIONS
from watchtower_agent.errors import AbsentError, RemovedError, WatchtowerError
from watchtower_agent.model.decision import Dropped, Held
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.ports import Clock, Engine

_AT_ONCE = 8
"""Actions under way at the same time: as many as the engine's own thread pool takes."""


class Executor:
    """Starts a task per intent; every intent ends in exactly one outcome.

    Args:
        engine: Where to write.
        clock: The host's clocks.
        recheck: Asks once more whether it is wanted still, and every guard; anything but None means that the action
            is abandoned.
        done: Takes the outcome, on the event loop.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        recheck: Callable[[Intent, Instant], Held | Dropped | None],
        done: Callable[[Outcome], None],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._recheck = recheck
        self._done = done
        self._room = asyncio.Semaphore(_AT_ONCE)
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
        async with self._room:
            self._done(await self._outcome(intent))

    async def _outcome(self, intent: Intent) -> Outcome:
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
            )
        result, reason = Result.SUCCEEDED, ""
        try:
            await ACTIONS[decision.verb](self._engine, decision)
        except RemovedError:
            result, reason = Result.ABANDONED, f"someone removed {decision.target.name} during the {decision.verb}"
        except AbsentError:
            result, reason = Result.ABANDONED, f"{decision.target.name} was removed before the engine was asked"
        except WatchtowerError as error:
            result, reason = Result.FAILED, str(error)
        except Exception as error:  # noqa: BLE001 - every intent ends in an outcome: without one its target is blocked for ever
            result, reason = Result.FAILED, f"a defect of the agent: {type(error).__name__}: {error}"
        ended = self._clock.now()
        seconds = ended.monotonic - begun.monotonic
        return Outcome(
            decision=decision,
            result=result,
            reason=reason or f"took {seconds:.1f} s",
            started_at=begun.wall,
            finished_at=ended.wall,
            numbers={"seconds": round(seconds, 3)},
        )
