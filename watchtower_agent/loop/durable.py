"""What a step has to have on the disk: tried until it is written, but not for ever once the agent has to end."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.commit import Commit
from watchtower_agent.ports.clock import Clock
from watchtower_agent.ports.store import Store

log = structlog.get_logger(__name__)

LAST_WRITE_MAY_TAKE: Final = 5.0
"""Seconds for which an agent that was told to end waits for a store that fails, or does not answer."""
_RETRY_FIRST, _RETRY_MOST = 0.1, 5.0
"""Seconds between tries to write to a store that fails."""
_RETRY_ENDING = 0.5
"""The longest of these while the agent ends."""
_STALLED_AFTER = 2.0
"""Seconds after which a write that has not returned is told."""
_NAMED = 20
"""Topics of events that are named when they were not written."""


class Durable:
    """Writes one commit after the other.

    Args:
        store: Makes durable.
        clock: The host's clocks.
        last_write_within: Seconds for which is tried once the agent has to end.

    Attributes:
        given_up: Something was not written as the agent had to end: whatever comes later must not be, either, or the
            next start would go on after it.
    """

    def __init__(self, store: Store, clock: Clock, *, last_write_within: float = LAST_WRITE_MAY_TAKE) -> None:
        self._store = store
        self._clock = clock
        self._last_write_within = last_write_within
        self._ending = False
        self._limit: asyncio.Timeout | None = None
        self._error = ""
        self._stalled_since: float | None = None
        self.given_up = False

    @property
    def error(self) -> str:
        """Why nothing can be written at this moment; empty while it can."""
        if self._stalled_since is None:
            return self._error
        waited = self._clock.now().monotonic - self._stalled_since
        return f"a write has waited for {waited:.0f} s: the disk of the state folder does not answer"

    def ends(self) -> None:
        """From now on what is not written in time is given up."""
        self._ending = True
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._last_write_within)

    async def write(self, commit: Commit) -> bool:
        """Try until it is written: nothing is published or done that is not, and nothing is forgotten meanwhile.

        Returns:
            Whether it is. It always is unless the agent ends.
        """
        if self.given_up:
            _tell_of_loss(commit, self.error)
            return False
        try:
            async with asyncio.timeout(self._last_write_within if self._ending else None) as self._limit:
                await self._write(commit)
        except TimeoutError:
            self.given_up = True
            _tell_of_loss(commit, self.error)
            return False
        finally:
            self._limit = None
        return True

    async def _write(self, commit: Commit) -> None:
        wait = _RETRY_FIRST
        while True:
            begun = self._clock.now().monotonic
            stalled = asyncio.get_running_loop().call_later(_STALLED_AFTER, self._stalled, begun)
            try:
                await self._store.commit(commit)
            except TemporaryError as error:
                stalled.cancel()  # it has answered
                if not self._error:
                    log.warning(
                        "store_failing", error=str(error), consequence="the agent holds everything until it works"
                    )
                self._error = str(error)
                self._stalled_since = None
                await asyncio.sleep(min(wait, _RETRY_ENDING) if self._ending else wait)
                wait = min(_RETRY_MOST, wait * 2)
            else:
                if was := self.error:
                    log.warning("store_works_again", was=was)
                self._error, self._stalled_since = "", None
                return
            finally:
                stalled.cancel()

    def _stalled(self, begun: float) -> None:
        """A disk that hangs raises no error: it is said all the same."""
        self._stalled_since = begun
        log.warning("store_stalled", error=self.error, consequence="the agent holds everything until it works")


def _tell_of_loss(commit: Commit, error: str) -> None:
    if commit.empty:
        return
    log.error(
        "store_given_up",
        error=error,
        events=len(commit.events),
        topics=[each.topic for each in commit.events[:_NAMED]],
        not_begun=[f"{each.decision.verb} {each.decision.target.name}" for each in commit.intents[:_NAMED]],
        ended=[f"{each.decision.verb} {each.decision.target.name}" for each in commit.outcomes[:_NAMED]],
        consequence="the agent ends without it; the next start goes on from what was written last, and finds by the"
        " engine's memory and by its containers what happened since",
    )
