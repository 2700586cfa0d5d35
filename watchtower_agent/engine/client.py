"""The engine's verbs, behind the `Engine` port."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from urllib.parse import quote

from watchtower_agent.engine import clone_calls, disk_calls, removal_calls, resize_calls, service_calls
from watchtower_agent.engine.ancestry import Ancestry
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.cloning import CloneWish
from watchtower_agent.engine.translation import EngineTimeoutError
from watchtower_agent.engine.workers import Workers
from watchtower_agent.errors import AbsentError, PermanentError, TemporaryError, WatchtowerError
from watchtower_agent.model.container import Container
from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.service import CLONE_OF
from watchtower_agent.ports.clock import Clock

THREADS = 64
"""Calls of actions at once, each in a thread that is made when it is needed: most wait for a container to stop, which
may take minutes. They have their own threads: a restart that hangs stops neither the event stream nor inspections."""

DEFAULT_STOP_TIMEOUT = 10.0
"""Seconds; the engine's own for a container that names none."""

MARGIN = 30.0
"""Seconds an engine call may take beyond the container's stop timeout."""

DISK_TIMEOUT = 300.0
"""Seconds for what takes long on a slow disk: to count what is on it, and to delete a large image's layers."""

POLL = 1.0
"""Seconds between looks at a container whose call ran into its time limit."""


class DockerEngine:
    """Acts on containers through the docker SDK.

    Args:
        calls: The blocking API. Shared with the session, which renews it after an outage.
        clock: The host's clocks.
        margin: Seconds a call may take beyond the container's stop timeout.
        disk_timeout: Seconds for the engine's disk usage, and for a deletion.
    """

    def __init__(
        self, calls: EngineCalls, *, clock: Clock, margin: float = MARGIN, disk_timeout: float = DISK_TIMEOUT
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._margin = margin
        self._disk_timeout = disk_timeout
        self._workers = Workers("engine-action", THREADS)
        # Of its own: what takes minutes holds nothing else up.
        self._disk_worker = Workers("engine-disk", 1)
        self._ancestry = Ancestry()
        self._disk_usage: asyncio.Task[DiskUsage] | None = None

    def close(self) -> None:
        """Let the threads end."""
        self._workers.close()
        self._disk_worker.close()

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

    async def scale_service(self, service_id: str, *, replicas: int, version: int) -> None:
        """Change how many replicas a service of the Swarm is meant to have, and nothing else of it."""
        await self._workers.call(
            service_calls.scale,
            self._calls,
            service_id,
            replicas=replicas,
            version=version,
            timeout=self._margin,
        )

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
        """Make another container like that one and start it. None is left when that fails."""
        wish = CloneWish(policy=policy, decision=decision, memory=memory, cpu=cpu)
        clone = await self._workers.call(
            clone_calls.create_clone, self._calls, container_id, wish=wish, shared=shared, timeout=self._margin
        )
        try:
            await self.start(clone)
        except WatchtowerError as error:
            raise await self._workers.call(
                clone_calls.discarded, self._calls, clone, error, timeout=self._margin
            ) from error
        return clone

    async def remove_clone(self, container_id: str, *, stop_timeout: float | None) -> None:
        """Stop and remove a container that `clone` made, its anonymous volumes with it."""
        if CLONE_OF not in (await self.inspect(container_id)).labels:
            raise PermanentError(
                f"removing container {container_id[:12]}: it is no clone (it carries no label {CLONE_OF}); "
                "it was left as it is"
            )
        with contextlib.suppress(AbsentError):  # one that removes itself when it ends
            await self.stop(container_id, stop_timeout=stop_timeout)
        await self._workers.call(clone_calls.remove, self._calls, container_id, timeout=self._margin)

    async def resize(
        self, container_id: str, *, memory: int | None, cpu: float | None
    ) -> Mapping[str, float | int | None]:
        """Change a container's limits while it runs, and look whether the engine has them."""
        return await self._workers.call(
            resize_calls.resize, self._calls, container_id, memory=memory, cpu=cpu, timeout=self._margin
        )

    async def disk_usage(self) -> DiskUsage:
        """All that the engine keeps on its disk: asked for once, however many wait for the answer."""
        if self._disk_usage is None or self._disk_usage.done():
            asked = self._disk_worker.call(
                disk_calls.read_disk_usage,
                self._calls,
                self._ancestry,
                at=self._clock.now().wall,
                timeout=self._disk_timeout,
            )
            self._disk_usage = asyncio.create_task(asked, name="disk-usage")
        # Who stops waiting does not stop it for the others.
        return await asyncio.shield(self._disk_usage)

    async def disk_contents(self) -> DiskUsage:
        """All that the engine keeps, without sizes."""
        return await self._workers.call(
            disk_calls.read_disk_contents, self._calls, self._ancestry, at=self._clock.now().wall
        )

    async def remove_image(self, image_id: str, *, tags: frozenset[str]) -> None:
        """Delete an image and its tags, and no image below it."""
        await self._workers.call(
            removal_calls.remove_image, self._calls, image_id, tags=tags, timeout=self._disk_timeout
        )

    async def tag_again(self, image_id: str, *, tags: frozenset[str]) -> None:
        """Give an image tags, those that no image has."""
        await self._workers.call(removal_calls.tag_again, self._calls, image_id, tags=tags, timeout=self._disk_timeout)

    async def remove_container(self, container_id: str, *, finished_at: float | None) -> None:
        """Delete a container that does not run, and none of its volumes."""
        await self._workers.call(
            removal_calls.remove_container,
            self._calls,
            container_id,
            finished_at=finished_at,
            timeout=self._disk_timeout,
        )

    async def remove_network(self, network_id: str) -> None:
        """Delete a network of this host."""
        await self._workers.call(removal_calls.remove_network, self._calls, network_id, timeout=self._disk_timeout)

    async def remove_volume(self, name: str, *, created_at: float) -> None:
        """Delete a volume of this host, and what is in it."""
        await self._workers.call(
            removal_calls.remove_volume, self._calls, name, created_at=created_at, timeout=self._disk_timeout
        )

    async def remove_cache(self, record_id: str, *, unused_since: float) -> int:
        """Delete a record of the build cache; gives the bytes that the engine says it freed."""
        since = unused_since + self._calls.clock_offset
        return await self._workers.call(
            removal_calls.remove_cache, self._calls, record_id, unused_since=since, timeout=self._disk_timeout
        )

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
