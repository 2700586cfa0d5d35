"""Make clones of a container, one after the other, each well before the next; remove clones, one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping

from watchtower_agent.actions.parameters import flag, number, seconds, text, whole
from watchtower_agent.actions.readiness import until_ready
from watchtower_agent.errors import (
    AbsentError,
    ForbiddenError,
    IncompleteError,
    PermanentError,
    TemporaryError,
    UnansweredError,
    WatchtowerError,
)
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Decision, Number
from watchtower_agent.model.outcome import FORBIDDEN
from watchtower_agent.ports.engine import Engine

Ready = Callable[[Engine, str], Awaitable[None]]
"""Waits until a container is well. Raises PermanentError when it will not be."""


async def grow(engine: Engine, decision: Decision, *, ready: Ready = until_ready) -> Mapping[str, Number]:
    """Make `add` clones of `original`. One that is not well by its time is removed again, and no further one is made.

    Args:
        engine: Where.
        decision: With `shared`: whether they may share the original's writable volumes.
        ready: Waits until a clone is well.

    Returns:
        `added`, and `clones`: their ids, joined with commas.

    Raises:
        IncompleteError: With the same numbers, of those that stay.
    """
    original, count = text(decision, "original"), whole(decision, "add")
    if original is None or count is None:
        raise PermanentError(f"scaling {decision.target.name}: the decision names no original, or not how many")
    made: list[str] = []
    for _ in range(count):
        try:
            made.append(await _clone(engine, decision, original, ready))
        except AbsentError as error:
            if not made:
                raise
            raise _incomplete(decision, error, count, _added(made)) from error
        except WatchtowerError as error:
            raise _incomplete(decision, error, count, _added(made)) from error
    return _added(made)


async def _clone(engine: Engine, decision: Decision, original: str, ready: Ready) -> str:
    await _raise_if_over(engine, original)
    clone = await engine.clone(
        original,
        policy=decision.policy,
        decision=decision.id,
        shared=flag(decision, "shared"),
        memory=whole(decision, "memory"),
        cpu=number(decision, "cpu"),
    )
    # Where the agent ends in between, the next run finds the clone by its labels.
    try:
        await ready(engine, clone)
        await _raise_if_over(engine, original)
    except WatchtowerError as error:
        raise await _removed(engine, decision, clone, error) from error
    return clone


async def _raise_if_over(engine: Engine, original: str) -> None:
    """Who stops or removes a service while it grows means the clone as well, which did not exist by then."""
    try:
        seen = await engine.inspect(original)
    except TemporaryError:
        return  # nothing is known against it
    except AbsentError as error:
        raise AbsentError(f"its original {original[:12]} was removed meanwhile") from error
    if seen.status in {ContainerStatus.EXITED, ContainerStatus.DEAD}:
        raise PermanentError(f"its original {seen.name} does not run any more")


async def _removed(engine: Engine, decision: Decision, clone: str, error: WatchtowerError) -> PermanentError:
    try:
        with contextlib.suppress(AbsentError):
            await engine.remove_clone(clone, stop_timeout=seconds(decision, "stop_timeout"))
    except WatchtowerError as second:
        return PermanentError(f"{error}; it was not removed: {second}")
    return PermanentError(f"{error}; it was removed again")


async def shrink(engine: Engine, decision: Decision) -> Mapping[str, Number]:
    """Remove the clones of `remove`, ids joined with commas, in that order. One that is gone already is as good.

    Returns:
        `removed`: how many.

    Raises:
        IncompleteError: With the same number.
    """
    clones = [each for each in (text(decision, "remove") or "").split(",") if each]
    if not clones:
        raise PermanentError(f"scaling {decision.target.name}: the decision names no clones to remove")
    removed = 0
    for clone in clones:
        try:
            with contextlib.suppress(AbsentError):
                await engine.remove_clone(clone, stop_timeout=seconds(decision, "stop_timeout"))
        except WatchtowerError as error:
            raise _incomplete(decision, error, len(clones), {"removed": removed}) from error
        removed += 1
    return {"removed": removed}


def _added(made: list[str]) -> dict[str, Number]:
    return {"added": len(made), "clones": ",".join(made)}


def _incomplete(decision: Decision, error: WatchtowerError, wanted: int, numbers: dict[str, Number]) -> IncompleteError:
    done = next(iter(numbers.values()))
    unanswered: dict[str, Number] = {"unanswered": True} if isinstance(error, UnansweredError) else {}
    if isinstance(error, ForbiddenError):
        numbers = {**numbers, FORBIDDEN: error.endpoint}
    text = f"{error}; {done} of {wanted} was done" if wanted > 1 else str(error)
    return IncompleteError(f"scaling {decision.target.name}: {text}", numbers={**numbers, **unanswered})
