"""What one step of the loop makes durable, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping

from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.message import EventMessage, StateMessage
from watchtower_agent.model.outcome import Intent, Outcome
from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A small piece of remembered state; a later one with the same kind and key replaces it.

    Attributes:
        kind: `container`, `operator_intent`, `pending`, `cooldown`, …
        key: Unique within its kind.
        value: A JSON object, or None to forget it.
    """

    kind: str
    key: str
    value: Mapping[str, object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One transaction: an event's cursor, its outbox rows and the intents it led to are durable together or not at all.

    Attributes:
        cursor: The last event handled, when it moved.
        event_ids: Ids of the events handled, for dropping a replay's duplicates.
        events: Rows for the outbox, in order of sequence.
        states: Newest content of retained topics.
        intents: Ledger rows of actions about to be started.
        outcomes: Ledger rows of actions that ended.
        records: Remembered state that changed.
    """

    cursor: Cursor | None = None
    event_ids: tuple[str, ...] = ()
    events: tuple[EventMessage, ...] = ()
    states: tuple[StateMessage, ...] = ()
    intents: tuple[Intent, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    records: tuple[Record, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.cursor or self.event_ids or self.events or self.states or self.intents or self.outcomes or self.records
        )
