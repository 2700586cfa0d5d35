"""Looks at what the engine keeps on its disk, and deletes from it: each removal looked at before and measured after."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from watchtower_agent.errors import AbsentError, KeptError, WatchtowerError
from watchtower_agent.model.removal import (
    DiskListed,
    DiskUnlisted,
    Fate,
    Kind,
    Look,
    Removal,
    Removed,
    Retagged,
    Retagging,
    Space,
)
from watchtower_agent.ports.engine import Engine

Measure = Callable[[], Awaitable[Space | None]]
"""How much space there is on the data-root's file system at this moment; None: that can't be told."""
Answer = DiskListed | DiskUnlisted | Removed | Retagged


class Disk:
    """The engine's disk, for the loop. Every question has exactly one answer.

    Args:
        engine: Asked.
        measure: How much space there is.
        sink: Takes the answers, on the event loop; never blocks.
    """

    def __init__(self, engine: Engine, *, measure: Measure, sink: Callable[[Answer], None]) -> None:
        self._engine = engine
        self._measure = measure
        self._sink = sink
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self, look: Look) -> None:
        """Ask what there is."""
        self._start(self._looked(look), f"disk {look}")

    def remove(self, removal: Removal) -> None:
        """Delete it if it may be still."""
        self._start(self._removed(removal), f"removing {removal.kind} {removal.id[:20]}")

    def retag(self, retagging: Retagging) -> None:
        """Give an image its tags back."""
        self._start(self._retagged(retagging), f"retagging {retagging.id[:20]}")

    async def listing(self) -> DiskListed:
        """All that there is, for a person.

        Raises:
            WatchtowerError: The engine does not tell.
        """
        return DiskListed(disk=await self._engine.disk_usage(), look=Look.SIZES, space=await self._space())

    async def finish(self, within: float) -> None:
        """Wait for what is under way, so that its end is known.

        Args:
            within: Seconds. What takes longer is found out at the next start, like after a crash.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within)

    def _start(self, work: Coroutine[object, object, Answer], name: str) -> None:
        task = asyncio.create_task(self._tell(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, work: Coroutine[object, object, Answer]) -> None:
        self._sink(await work)

    async def _space(self) -> Space | None:
        """What can't be measured is not known: every question has an answer all the same."""
        try:
            return await self._measure()
        except Exception:  # noqa: BLE001 - no thread can be started any more, say
            return None

    async def _looked(self, look: Look) -> Answer:
        try:
            if look is Look.SIZES:
                return await self.listing()
            disk = await self._engine.disk_contents()
        except Exception as error:  # noqa: BLE001 - a question without an answer would be waited for for ever
            return DiskUnlisted(reason=_said(error), look=look)
        return DiskListed(disk=disk, look=look, space=await self._space())

    async def _removed(self, removal: Removal) -> Answer:
        fate, freed, reason = Fate.DELETED, None, ""
        try:
            freed = await self._delete(removal)
        except AbsentError:
            fate = Fate.GONE
        except KeptError as error:
            fate, reason = Fate.LEFT, error.reason
        except Exception as error:  # noqa: BLE001 - as above
            fate, reason = Fate.FAILED, _said(error)
        return Removed(removal=removal, fate=fate, freed=freed, reason=reason, space=await self._space())

    async def _retagged(self, retagging: Retagging) -> Answer:
        reason = ""
        try:
            await self._engine.tag_again(retagging.id, tags=retagging.tags)
        except AbsentError:
            pass  # the image is gone, and with it what was owed
        except Exception as error:  # noqa: BLE001 - as above
            reason = _said(error)
        return Retagged(retagging=retagging, reason=reason)

    async def _delete(self, removal: Removal) -> int | None:
        """Bytes that were freed by the engine's account, where it says."""
        match removal.kind:
            case Kind.CACHE:
                return await self._engine.remove_cache(removal.id, unused_since=removal.unused_since)
            case Kind.IMAGE:
                await self._engine.remove_image(removal.id, tags=removal.tags)
            case Kind.CONTAINER:
                await self._engine.remove_container(removal.id, finished_at=removal.stamp)
            case Kind.NETWORK:
                await self._engine.remove_network(removal.id)
            case Kind.VOLUME:
                await self._engine.remove_volume(removal.id, created_at=removal.stamp or 0.0)
        return None


def _said(error: Exception) -> str:
    of_ours = isinstance(error, WatchtowerError)
    return str(error) if of_ours else f"a defect of the agent: {type(error).__name__}: {error}"
