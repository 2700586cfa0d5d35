"""What the agent does all the time, as named tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

from watchtower_agent.errors import FatalError

log = structlog.get_logger("watchtower_agent")


class Tasks:
    """Named tasks; one that ends by itself, however, ends the agent: a supervisor starts it again, whole.

    Args:
        stop: Set when one ended by itself.

    Attributes:
        failed: One did.
    """

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[str] = set()
        self.failed = False

    def start(self, work: Coroutine[object, object, None], name: str) -> None:
        """From now on this is done."""
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._notice_end)

    def _notice_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None and (task.get_name() in self._ending or self._stop.is_set()):
            return
        self.failed = True
        log.critical(
            "task_ended",
            task=task.get_name(),
            error=str(error) if error else "it returned",
            consequence="the agent ends; what is not delivered is on disk",
            exc_info=error if not isinstance(error, FatalError) else None,
        )
        self._stop.set()

    async def cancel(self, name: str) -> None:
        """End it, and wait until it has ended."""
        task = self._tasks[name]
        self._ending.add(name)
        task.cancel()
        await asyncio.wait([task])

    async def wait(self, name: str) -> None:
        """Wait until it has ended, which it was told to."""
        self._ending.add(name)
        await asyncio.wait([self._tasks[name]])
