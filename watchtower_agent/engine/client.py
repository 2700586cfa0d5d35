"""The engine's verbs, behind the `Engine` port."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from urllib.parse import quote

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.translation import EngineTimeoutError
from watchtower_agent.engine.workers import Workers
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.container import Container
from watchtower_agent.ports import Clock

THREADS = 8
"""Actions at once. They have their own threads: a restart that hangs stops neither the event stream nor inspections."""

DEFAULT_STOP_TIMEOUT = 10.0
"""Seconds; the engine's own for a container that names none."""

MARGIN = 30.0
"""Seconds an engine call may take beyond the container's stop timeout."""

POLL = 1.0
"""Seconds between looks at a container whose call ran into its time limit."""


class DockerEngine:
    """Acts on containers through the docker SDK.

    Args:
        calls: The blocking API. Shared with the session, which renews it after an outage.
        clock: The host's clocks.
        margin: Seconds a call may take beyond the container's stop timeout.
    """

    def __init__(self, calls: EngineCalls, *, clock: Clock, margin: float = MARGIN) -> None:
        self._calls = calls
        self._clock = clock
        self._margin = margin
        self._workers = Workers("engine-action", THREADS)

    def close(self) -> None:
        """Let the threads end."""
        self._workers.close()

    async def inspect(self, container_id: str) -> Container:
        """One container with its detail."""
        return await self._workers.call(self._calls.inspect, container_id)

    async def restart(self, container_id: str, *, stop_timeout: float | None) -> None:
        """Stop and start it. The call may take as long as the stop timeout and 30 s more."""
        begun = self._clock.now()

        def restarted(container: Container) -> bool:
            started_at = container.detail.started_at if container.detail else None
            return started_at is not None and started_at >= begun.wall + self._calls.clock_offset

        try:
            await self._post(container_id, "restart", stop_timeout)
        except EngineTimeoutError:
            if not await self._came_true(container_id, restarted, stop_timeout, begun.monotonic):
                raise

    async def start(self, container_id: str) -> None:
        """Start it; no error when it runs already."""
        try:
            await self._post(container_id, "start", 0)
        except EngineTimeoutError:
            if not (await self.inspect(container_id)).running:
                raise

    async def stop(self, container_id: str, *, stop_timeout: float | None) -> None:
        """Stop it; no error when it is stopped already."""
        begun = self._clock.now().monotonic
        try:
            await self._post(container_id, "stop", stop_timeout)
        except EngineTimeoutError:
            if not await self._came_true(container_id, lambda c: not c.running, stop_timeout, begun):
                raise

    async def kill(self, container_id: str, *, signal: str | None) -> None:
        """Send it a signal, KILL by default."""
        await self._post(container_id, "kill", 0, {"signal": signal} if signal else {})

    async def pause(self, container_id: str) -> None:
        """Freeze its processes."""
        await self._post(container_id, "pause", 0)

    async def unpause(self, container_id: str) -> None:
        """Let its processes go on."""
        await self._post(container_id, "unpause", 0)

    async def _post(
        self, container_id: str, verb: str, stop_timeout: float | None, params: dict[str, str] | None = None
    ) -> None:
        query = dict(params or {})
        if verb in {"restart", "stop"} and stop_timeout is not None:
            query["t"] = str(math.ceil(stop_timeout))
        await self._workers.call(
            self._calls.post,
            f"/containers/{quote(container_id, safe='')}/{verb}",
            what=f"{verb} of container {container_id[:12]}",
            params=query,
            timeout=self._margin + (DEFAULT_STOP_TIMEOUT if stop_timeout is None else stop_timeout),
        )

    async def _came_true(
        self, container_id: str, condition: Callable[[Container], bool], stop_timeout: float | None, begun: float
    ) -> bool:
        """After a call's time limit: look whether the engine did it, before calling it failed.

        The container's own stop timeout, which may be longer than the limit, is only known now: asking for it before
        every call would delay each of them.
        """
        while True:
            try:
                container = await self.inspect(container_id)
            except TemporaryError:
                return False
            if condition(container):
                return True
            own = container.detail.stop_timeout if container.detail else None
            wanted = stop_timeout if stop_timeout is not None else own
            limit = self._margin + (DEFAULT_STOP_TIMEOUT if wanted is None else wanted)
            if self._clock.now().monotonic - begun >= limit:
                return False
            await asyncio.sleep(POLL)
