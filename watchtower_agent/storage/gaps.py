"""Losses that only the store knows of, and what a gap event in the outbox says of losses."""

from __future__ import annotations

import json

from watchtower_agent.model.observation import SEQUENCES_NAMED
from watchtower_agent.model.values import dataclass

GAP_TOPIC_PART = "/event/agent/event_gap/"
"""On such topics events tell of losses; one is declared once an event that names its cause was committed."""
OVERFLOW = "outbox_overflow"
DEAD = "dead_letter"
RESET = "store_reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxDrop:
    """Events that the byte cap dropped before the broker had them.

    Attributes:
        count: How many. Where a gap event is among them, those that it told of are counted too.
        since: When the oldest of them was committed, seconds since the epoch.
        until: When the newest of them was.
    """

    count: int
    since: float
    until: float

    def joined(self, later: OutboxDrop | None) -> OutboxDrop:
        """Both as one."""
        if later is None:
            return self
        return OutboxDrop(
            count=self.count + later.count, since=min(self.since, later.since), until=max(self.until, later.until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """What is in the outbox, noted with each transaction: where its pages are damaged later, so many are lost.

    Attributes:
        count: Events.
        since: When the oldest since the outbox was last empty was committed, seconds since the epoch; None without any.
        until: When the newest was.
    """

    count: int = 0
    since: float | None = None
    until: float | None = None

    def text(self) -> str:
        """As the store keeps it. Written with nearly every transaction, so not by way of a dictionary."""
        return json.dumps([self.count, self.since, self.until])

    @classmethod
    def read(cls, text: str) -> Undelivered:
        """What the store keeps."""
        count, since, until = json.loads(text)
        return cls(count=count, since=since, until=until)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Events that the broker will never take.

    Attributes:
        count: How many. Where a gap event is among them, the lost events that it told of are counted too.
        since: When the oldest of them was committed, seconds since the epoch.
        until: When the newest of them was.
        sequences: The first of them.
    """

    count: int
    since: float
    until: float
    sequences: tuple[int, ...] = ()

    def joined(self, later: DeadLetters | None) -> DeadLetters:
        """Both as one."""
        if later is None:
            return self
        return DeadLetters(
            count=self.count + later.count,
            since=min(self.since, later.since),
            until=max(self.until, later.until),
            sequences=(*self.sequences, *later.sequences)[:SEQUENCES_NAMED],
        )

    def without(self, count: int, sequences: tuple[int, ...]) -> DeadLetters | None:
        """What is left once so many were told of; None: nothing."""
        if self.count <= count:
            return None
        left = tuple(each for each in self.sequences if each not in sequences)
        return DeadLetters(count=self.count - count, since=self.since, until=self.until, sequences=left)

    @classmethod
    def read(cls, text: str) -> DeadLetters:
        """What the store remembers of them."""
        found = json.loads(text)
        return cls(**{**found, "sequences": tuple(found["sequences"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a gap event says, read from the message itself: so it holds for rows that an earlier agent wrote.

    Attributes:
        cause: `outbox_overflow` and the like; empty when the message can't be read.
        count: Events of the outbox that did not arrive: dropped, dead letters, or lost with a damaged store. 0 when it
            speaks of another loss, or does not know.
        sequences: Those of them that it names.
        window: Since when and until when, seconds since the epoch; None where it does not say.
    """

    cause: str = ""
    count: int = 0
    sequences: tuple[int, ...] = ()
    window: tuple[float, float] | None = None

    @classmethod
    def by(cls, payload: bytes) -> Told:
        """Read it."""
        try:
            data = json.loads(payload)["data"]
            cause = str(data["cause"])
            count = int(data.get("count") or 0) if cause in {OVERFLOW, DEAD, RESET} else 0
            known = data.get("since") is not None and data.get("until") is not None
            return cls(
                cause=cause,
                count=count,
                sequences=tuple(int(each) for each in data.get("sequences", ())) if cause == DEAD else (),
                window=(float(data["since"]), float(data["until"])) if known else None,
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def carried(self) -> OutboxDrop | None:
        """What the next gap event has to tell in place of this one, which is dropped."""
        if self.window is None:
            return None
        return OutboxDrop(count=self.count, since=self.window[0], until=self.window[1])
