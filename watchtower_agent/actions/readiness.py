"""Whether a container that was just made is well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from watchtower_agent.errors import AbsentError, PermanentError, TemporaryError
from watchtower_agent.model.container import Container, ContainerDetail, ContainerStatus, Health
from watchtower_agent.ports.engine import Engine

STEADY: Final = 10.0
"""Seconds for which one without a health check has to run."""
LEAST: Final = 60.0
MOST: Final = 600.0
"""Seconds that it has at least, and at most, until it is well."""
LOOK_EVERY: Final = 0.5
"""Seconds between two looks."""


def patience(detail: ContainerDetail | None) -> float:
    """Seconds until it has to be well: its health check's start period, and as many checks as it may fail."""
    own = 0.0 if detail is None else detail.health_start_period + detail.health_interval * detail.health_retries
    return min(MOST, max(LEAST, own))


async def until_ready(
    engine: Engine,
    container_id: str,
    *,
    now: Callable[[], float] | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Wait until it is healthy or, without a health check, has run for a while.

    An engine that does not answer is asked again, until the time is over.

    Args:
        engine: Asked.
        container_id: Full id.
        now: Seconds on any clock that only goes on; None for the event loop's.
        sleep: Waits so many seconds.

    Raises:
        PermanentError: It ended, or was not well by its time.
    """
    now = now or asyncio.get_running_loop().time
    begun = now()
    steady: tuple[float | None, float] | None = None  # its StartedAt, and when it was first seen to run with it
    limit, last = LEAST, "the engine told nothing of it"
    while True:
        try:
            seen = await engine.inspect(container_id)
        except AbsentError as error:
            raise PermanentError(f"the clone {container_id[:12]} was removed by somebody before it was well") from error
        except TemporaryError as error:
            last = str(error)
        else:
            limit, last = patience(seen.detail), _state(seen)
            _raise_if_over(seen)
            if seen.health is Health.HEALTHY:
                return
            if seen.status is ContainerStatus.RUNNING and seen.health is Health.NONE:
                started = seen.detail.started_at if seen.detail else None
                if steady is None or steady[0] != started:
                    steady = (started, now())
                if now() - steady[1] >= STEADY:
                    return
            else:
                steady = None
        if now() - begun >= limit:
            raise PermanentError(f"the clone {container_id[:12]} was not well within {limit:.0f} s: {last}")
        await sleep(LOOK_EVERY)


def _raise_if_over(seen: Container) -> None:
    """One that ended, and that its restart policy does not start again, needs no waiting."""
    policy = seen.detail.restart_policy if seen.detail else "no"
    if seen.status in {ContainerStatus.EXITED, ContainerStatus.DEAD} and policy in {"", "no"}:
        raise PermanentError(f"the clone {seen.name} ended at once: {_state(seen)}")


def _state(seen: Container) -> str:
    code = seen.detail.exit_code if seen.detail else None
    if seen.status is ContainerStatus.EXITED and code is not None:
        return f"it exited with code {code}"
    return f"it is {seen.status}" + ("" if seen.health is Health.NONE else f" and {seen.health}")
