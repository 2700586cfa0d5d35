"""What the loop and the delivery ask of the state file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from watchtower_agent.model.commit import Commit
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.message import EventMessage, StateMessage
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One line of the history: an intent and, once there is one, its outcome."""

    intent: Intent
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """How the store is doing.

    Attributes:
        outbox_depth: Events that the broker has not acknowledged yet.
        outbox_bytes: Their size.
        outbox_oldest: The oldest one's commit time, seconds since the epoch; None when empty.
        dropped: Events dropped by the byte cap since the store was made.
        dead_letters: Events that the broker will never take, as many as are kept.
        buried: How many there were since the store was made.
    """

    outbox_depth: int
    outbox_bytes: int
    outbox_oldest: float | None
    dropped: int
    dead_letters: int
    buried: int


class Store(Protocol):
    """The one durable file. Every call raises TemporaryError when the disk is full or failing."""

    async def load(self) -> Resume:
        """Everything an earlier run left."""
        ...

    async def commit(self, commit: Commit) -> None:
        """Make it durable: on return it survives kill -9 and power loss. Calls are written in order."""
        ...

    async def open_intents(self) -> Sequence[Intent]:
        """Intents without an outcome, oldest first: what a crash interrupted."""
        ...

    async def history(
        self,
        *,
        limit: int,
        policy: str | None = None,
        target: str | None = None,
        verb: Verb | None = None,
        result: Result | None = None,
    ) -> Sequence[LedgerRow]:
        """The newest rows of the ledger, newest first."""
        ...

    async def facts(self) -> StoreFacts:
        """Depth and size of the outbox, and what was dropped."""
        ...


class Outbox(Protocol):
    """The sending side's view of the store: what is still to be delivered."""

    async def pending_events(self, *, after: int, limit: int) -> Sequence[EventMessage]:
        """Undelivered events with a sequence above `after`, in order."""
        ...

    async def pending_states(self) -> Sequence[StateMessage]:
        """Retained topics whose newest content the broker has not acknowledged."""
        ...

    async def all_states(self) -> Sequence[StateMessage]:
        """The newest content of every retained topic in the manifest."""
        ...

    async def events_delivered(self, sequences: Sequence[int]) -> None:
        """The broker acknowledged these. May be lost in a crash: then they are sent again."""
        ...

    async def states_delivered(self, states: Sequence[StateMessage]) -> None:
        """The broker acknowledged these versions. A cleared topic leaves the manifest."""
        ...

    async def bury(self, message: EventMessage, *, reason: str) -> None:
        """Move an event that the broker will never take to the dead letters."""
        ...
