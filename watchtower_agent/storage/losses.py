"""What was lost and nobody was told of yet: it is remembered until a gap event that tells it was committed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace

from watchtower_agent.model.message import EventMessage
from watchtower_agent.model.observation import StoreReset
from watchtower_agent.storage.gaps import (
    DEAD,
    GAP_TOPIC_PART,
    OVERFLOW,
    RESET,
    DeadLetters,
    OutboxDrop,
    Told,
)
from watchtower_agent.storage.ledger_text import text_of
from watchtower_agent.storage.meta import Meta

_DROP, _DEAD, _SILENT, _RESET = "undeclared_drop", "undeclared_dead", "silent_dead", "reset"


class Losses:
    """Events that the outbox dropped, dead letters, and a store that was set aside.

    Args:
        meta: Where they are remembered.
    """

    def __init__(self, meta: Meta) -> None:
        self._meta = meta

    def declare(self, events: Iterable[EventMessage]) -> None:
        """What the gap events among them tell needs no other one."""
        for told in (Told.by(event.payload) for event in events if GAP_TOPIC_PART in event.topic):
            if told.cause == OVERFLOW:
                self._drop_declared(told.count)
            elif told.cause == DEAD:
                whole = self.dead()
                self._remember_dead(_DEAD, whole and whole.without(told.count, told.sequences))
            elif told.cause == RESET:
                self._meta.set(_RESET, None)
                self._meta.set("reset_reason", None)

    # --- dropped ---------------------------------------------------------------------------------------------------

    def drop(self) -> OutboxDrop | None:
        """Dropped events that no gap event speaks of yet."""
        text = self._meta.get(_DROP)
        return None if text is None else OutboxDrop(**json.loads(text))

    def dropped(self, more: OutboxDrop) -> None:
        """These, too."""
        self._meta.set(_DROP, text_of(asdict(more.joined(self.drop()))))

    def _drop_declared(self, count: int) -> None:
        """A gap event of so many was committed; what was dropped since stays undeclared."""
        whole = self.drop()
        left = 0 if whole is None else whole.count - count
        # The window stays: among what was dropped since may be a gap event whose own window reaches further back.
        text = None if whole is None or left <= 0 else text_of({**asdict(whole), "count": left})
        self._meta.set(_DROP, text)

    # --- dead letters ----------------------------------------------------------------------------------------------

    def dead(self) -> DeadLetters | None:
        """Dead letters that no gap event speaks of yet."""
        text = self._meta.get(_DEAD)
        return None if text is None else DeadLetters.read(text)

    def buried(self, message: EventMessage, committed: float) -> DeadLetters | None:
        """One more is a dead letter.

        Args:
            message: That one.
            committed: When it was, seconds since the epoch.

        Returns:
            What a gap event has to tell of now. None for a gap event: a broker that takes none would be sent another
            one for ever. That it is gone, and what it told, is told with the next dead letter.
        """
        lost = DeadLetters(count=1, since=committed, until=committed, sequences=(message.sequence,))
        of_gap = GAP_TOPIC_PART in message.topic
        if of_gap and (told := Told.by(message.payload)).window is not None:
            since, until = told.window
            lost = DeadLetters(count=told.count, since=since, until=until, sequences=told.sequences).joined(lost)
        silent = self._silent()
        lost = lost if silent is None else silent.joined(lost)
        if of_gap:
            self._remember_dead(_SILENT, lost)
            return None
        self._remember_dead(_SILENT, None)
        before = self.dead()
        self._remember_dead(_DEAD, lost if before is None else before.joined(lost))
        return lost

    def _silent(self) -> DeadLetters | None:
        """Gap events, and what they told, that the next dead letter is to tell."""
        text = self._meta.get(_SILENT)
        return None if text is None else DeadLetters.read(text)

    def _remember_dead(self, key: str, letters: DeadLetters | None) -> None:
        self._meta.set(key, None if letters is None else text_of(asdict(letters)))

    # --- a store that was set aside ----------------------------------------------------------------------------------

    def reset(self) -> StoreReset | None:
        """What became of the store before this one, as long as no gap event speaks of it."""
        return read_reset(self._meta.get)

    def write_reset(self, reset: StoreReset) -> None:
        """It is to be told."""
        self._meta.set(_RESET, text_of(asdict(reset)))

    def arrived(self) -> None:
        """The broker has an event that is not here: it was lost with the store before, and had arrived."""
        if (reset := self.reset()) is not None and reset.count:
            self.write_reset(replace(reset, count=reset.count - 1))

    def read_all(self) -> None:
        """Read all of it, so that what can't be read is found before it is needed."""
        self.drop()
        self.dead()
        self._silent()


def read_reset(meta: Callable[[str], str | None]) -> StoreReset | None:
    """What `meta` says of the store before; agents before this one noted the sentence alone."""
    text = meta(_RESET)
    if text is not None:
        return StoreReset(**json.loads(text))
    why = meta("reset_reason")
    return StoreReset(why=why) if why else None
