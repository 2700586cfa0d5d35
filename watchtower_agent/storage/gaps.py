"""Losses that only the store knows of, and what a gap event in the outbox says of losses."""

from __future__ import annotations

import json

from watchtower_agent.model.values import dataclass

GAP_TOPIC_PART = "/event/agent/event_gap/"
"""On such topics events tell of losses; one is declared once an event that names its cause was committed."""
OVERFLOW = "outbox_overflow"
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
class Told:
    """What a gap event says, read from the message itself: so it holds for rows that an earlier agent wrote.

    Attributes:
        cause: `outbox_overflow` and the like; empty when the message can't be read.
        dropped: Events that the outbox dropped; 0 when it speaks of another loss.
        window: Since when and until when, seconds since the epoch; None where it does not say.
    """

    cause: str = ""
    dropped: int = 0
    window: tuple[float, float] | None = None

    @classmethod
    def by(cls, payload: bytes) -> Told:
        """Read it."""
        try:
            data = json.loads(payload)["data"]
            cause = str(data["cause"])
            dropped = int(data["count"]) if cause == OVERFLOW else 0
            known = data.get("since") is not None and data.get("until") is not None
            return cls(
                cause=cause,
                dropped=dropped,
                window=(float(data["since"]), float(data["until"])) if known else None,
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def carried(self) -> OutboxDrop | None:
        """What the next gap event has to tell in place of this one, which is dropped."""
        if self.window is None:
            return None
        return OutboxDrop(count=self.dropped, since=self.window[0], until=self.window[1])
