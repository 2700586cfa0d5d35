"""The store as the loop sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from watchtower_agent.model.commit import Commit
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.message import EventMessage, StateMessage
from watchtower_agent.model.observation import Resume, StoreReset
from watchtower_agent.model.outcome import Intent, Result
from watchtower_agent.ports.clock import Clock
from watchtower_agent.ports.store import LedgerRow, StoreFacts
from watchtower_agent.storage.dead_telling import DeadTelling
from watchtower_agent.storage.file import StoreFolder
from watchtower_agent.storage.gaps import DeadLetters, OutboxDrop
from watchtower_agent.storage.tables import Tables
from watchtower_agent.storage.writer import Writer

_LAZY_ROWS = 500
_LAZY_SECONDS = 1.0
"""Acknowledged rows leave the outbox with the next commit, after this many of them, or after this time."""
_HARD_LIMIT_SPARE = 64 * 1024 * 1024
"""Bytes beside the outbox: ledger, records, retained topics, dead letters, free pages."""

T = TypeVar("T")


class SqliteStore:
    """Implements the ports `Store` and `Outbox` on one SQLite file.

    A call that finds the writer idle is committed at once; calls that arrive during a commit form the next
    transaction together. Each returns when its own transaction is on the disk.

    Args:
        directory: The agent's state folder; made when missing.
        clock: Tells when something was committed.
        max_size: Bytes that undelivered events may take; past that the oldest are dropped.
        hard_limit: Bytes of the whole file; past that every write raises TemporaryError. None: room for twice
            the outbox and 64 MiB.
        on_dropped: Called in the event loop when the cap dropped events, and after `load` for a drop that a crash
            left undeclared. A drop is declared by an `agent/event_gap` event with its cause and count; when that is
            dropped before the broker had it, the next drop counts what it told.
        on_buried: Called in the event loop when an event was moved to the dead letters, and after `load` for those
            that a crash left undeclared; many in a row are told together. Never for a gap event, whose own loss the
            next dead letter tells.
        on_reset: Called in the event loop when the file turned out to be damaged while running and was set aside:
            beside the call that found it there is what could be read back, under a new install id. At the start
            `Resume.store_was_reset` says it instead.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        max_size: int = 256 * 1024 * 1024,
        hard_limit: int | None = None,
        on_dropped: Callable[[OutboxDrop], None] | None = None,
        on_buried: Callable[[DeadLetters], None] | None = None,
        on_reset: Callable[[StoreReset], None] | None = None,
    ) -> None:
        max_bytes = 2 * max_size + _HARD_LIMIT_SPARE if hard_limit is None else hard_limit
        self._folder = StoreFolder(directory, max_bytes=max_bytes)
        self._clock = clock
        self._writer = Writer(self._folder, clock=clock, max_size=max_size, on_reset=on_reset or (lambda _reason: None))
        self._on_dropped = on_dropped
        self._dead = DeadTelling(on_buried or (lambda _letters: None))
        self._lazy_events: list[int] = []
        self._lazy_states: list[tuple[str, int]] = []
        self._lazy_timer: asyncio.TimerHandle | None = None

    # --- life ------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open or make the file. A damaged one is set aside; `load` says so.

        Raises:
            FatalError: Another agent uses the folder, it can't be used, or the file is from a newer agent.
            TemporaryError: The disk is full or failing.
        """
        self._folder.lock()
        try:
            await self._writer.open()
        except BaseException:
            self._folder.unlock()
            raise

    async def close(self) -> None:
        """Write what waits and close the file."""
        self._dead.close()
        self._flush_lazily()
        await self._writer.close()
        self._folder.unlock()

    # --- port Store ------------------------------------------------------------------------------------------------

    async def load(self) -> Resume:
        """Everything an earlier run left."""
        resume, drop, dead = await self._call(
            lambda tables: (tables.resume(), tables.losses.drop(), tables.losses.dead())
        )
        if drop is not None and self._on_dropped is not None:
            self._on_dropped(drop)
        if dead is not None:
            self._dead.add(dead)
        return resume

    async def commit(self, commit: Commit) -> None:
        """Make it durable: on return it survives kill -9 and power loss. Calls are written in order."""
        if commit.empty:
            return
        at = self._clock.now().wall
        dropped = await self._call(lambda tables: tables.write(commit, at=at))
        if dropped is not None and self._on_dropped is not None:
            self._on_dropped(dropped)

    async def open_intents(self) -> Sequence[Intent]:
        """Intents without an outcome, oldest first: what a crash interrupted."""
        return await self._call(lambda tables: tables.ledger.open_intents())

    async def history(
        self,
        *,
        limit: int,
        policy: str | None = None,
        target: str | None = None,
        verb: Verb | None = None,
        result: Result | None = None,
    ) -> Sequence[LedgerRow]:
        """The newest rows of the ledger, newest first. `target` is a name or an id."""
        return await self._call(
            lambda tables: tables.ledger.history(limit=limit, policy=policy, target=target, verb=verb, result=result)
        )

    async def facts(self) -> StoreFacts:
        """Depth and size of the outbox, and what was dropped."""
        return await self._call(lambda tables: tables.facts())

    # --- port Outbox -----------------------------------------------------------------------------------------------

    async def pending_events(self, *, after: int, limit: int) -> Sequence[EventMessage]:
        """Undelivered events with a sequence above `after`, in order."""
        return await self._call(lambda tables: tables.pending_events(after, limit))

    async def pending_states(self) -> Sequence[StateMessage]:
        """Retained topics whose newest content the broker has not acknowledged."""
        return await self._call(lambda tables: tables.states(pending_only=True))

    async def all_states(self) -> Sequence[StateMessage]:
        """The newest content of every retained topic in the manifest."""
        return await self._call(lambda tables: tables.states(pending_only=False))

    async def events_delivered(self, sequences: Sequence[int]) -> None:
        """The broker acknowledged these. May be lost in a crash: then they are sent again."""
        self._lazy_events.extend(sequences)
        self._schedule_lazily()

    async def states_delivered(self, states: Sequence[StateMessage]) -> None:
        """The broker acknowledged these versions. A cleared topic leaves the manifest."""
        self._lazy_states.extend((state.topic, state.version) for state in states)
        self._schedule_lazily()

    async def bury(self, message: EventMessage, *, reason: str) -> None:
        """Move an event that the broker will never take to the dead letters."""
        at = self._clock.now().wall
        self._flush_lazily()
        answer = self._writer.submit(lambda tables: tables.bury(message, reason=reason, at=at))
        answer.add_done_callback(self._buried)
        await asyncio.shield(answer)

    def _buried(self, answer: asyncio.Future[DeadLetters | None]) -> None:
        # Not after the wait: whoever asked is gone once the connection has ended, and it is to be told all the same.
        if answer.cancelled() or answer.exception() is not None:
            return
        dead = answer.result()
        if dead is not None:
            self._dead.add(dead)

    # --- in the event loop -----------------------------------------------------------------------------------------

    async def _call(self, work: Callable[[Tables], T]) -> T:
        self._flush_lazily()  # every call sees what was acknowledged before it
        return await self._writer.submit(work)

    def _schedule_lazily(self) -> None:
        if len(self._lazy_events) + len(self._lazy_states) >= _LAZY_ROWS:
            self._flush_lazily()
        elif self._lazy_timer is None:
            self._lazy_timer = asyncio.get_running_loop().call_later(_LAZY_SECONDS, self._flush_lazily)

    def _flush_lazily(self) -> None:
        if self._lazy_timer is not None:
            self._lazy_timer.cancel()
            self._lazy_timer = None
        if not self._writer.running or not (self._lazy_events or self._lazy_states):
            return
        sequences, self._lazy_events = self._lazy_events, []
        versions, self._lazy_states = self._lazy_states, []

        def forget(tables: Tables) -> None:
            tables.forget_events(sequences)
            tables.mark_states(versions)

        def done(answer: asyncio.Future[None]) -> None:
            if not answer.cancelled() and answer.exception() is not None:
                self._lazy_events.extend(sequences)  # the disk is full: once more with a later call
                self._lazy_states.extend(versions)

        self._writer.submit(forget).add_done_callback(done)
