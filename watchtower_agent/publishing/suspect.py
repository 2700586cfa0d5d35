"""Finding the message that makes a broker hang up."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from watchtower_agent.model.values import dataclass

LARGE: Final = 4096
"""Smaller ones are not blamed, bytes, but where the broker does so itself."""
_HANGS_UP_WITHIN = 2.0
"""Seconds in which a broker that does not take a message ends the connection."""


class Kind(StrEnum):
    """What a message is."""

    EVENT = "event"
    STATE = "state"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A message as far as it can be blamed.

    Attributes:
        kind: What it is.
        key: By which it is known again on the next connection: an event's sequence, else the topic.
        size: Bytes of its payload.
    """

    kind: Kind
    key: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A message that was on its way each time the broker hung up.

    A broker that speaks MQTT 3.1.1 has no other way to say that a packet is too large. With MQTT 5 some say why they
    end a connection.

    Attributes:
        parcel: The message; None for none.
        losses: Connections in a row that ended so.
        ends: Connections in a row that ended with any message on its way.
        blames: The newest of the losses in a row of which the broker said that a packet of ours is why.
    """

    CAREFUL_AFTER = 2
    """From here on messages are sent one at a time, to know for sure which one it is."""
    GUILTY_AFTER = 5

    parcel: Parcel | None = None
    losses: int = 0
    ends: int = 0
    blames: int = 0

    @property
    def careful(self) -> bool:
        """Whether to send one message at a time, and metrics so that they are acknowledged."""
        return self.ends >= self.CAREFUL_AFTER

    @property
    def convicted(self) -> Parcel | None:
        """The message that is to be given up; None while it is not known for sure."""
        if self.parcel is None:
            return None
        found = self.parcel.size > LARGE and self.losses >= self.GUILTY_AFTER
        told = self.parcel.kind is Kind.EVENT and self.blames >= self.GUILTY_AFTER
        return self.parcel if found or told else None


class Evidence:
    """What one connection shows of the messages that were sent over it.

    Args:
        earlier: What the connections before it showed.
        clock: Seconds.
    """

    def __init__(self, earlier: Suspect, clock: Callable[[], float]) -> None:
        self._earlier = earlier
        self._clock = clock
        self._number = 0
        self._lost: list[tuple[int, Parcel]] = []
        self._unproven: dict[Parcel, tuple[int, float]] = {}

    def sent(self) -> int:
        """The number of a message that is handed to the network now; a broker takes them in that order."""
        self._number += 1
        return self._number

    def answered(self, number: int) -> None:
        """The broker answered that one: it has taken what was sent before it too."""
        if self._unproven:
            self._unproven = {parcel: sent for parcel, sent in self._unproven.items() if sent[0] > number}

    def lost(self, number: int, parcel: Parcel) -> None:
        """The connection ended before that one was answered."""
        self._lost.append((number, parcel))

    @staticmethod
    def doubts(parcel: Parcel) -> bool:
        """Whether it is large enough to be blamed."""
        return parcel.size > LARGE

    def unproven(self, number: int, parcel: Parcel) -> None:
        """That one is never answered (QoS 0): it is under suspicion for a moment."""
        if parcel.size > LARGE:
            self._unproven[parcel] = (number, self._clock())

    def suspect(self, *, blamed: bool = False) -> Suspect:
        """What the end of this connection says of what was on its way.

        Args:
            blamed: The broker said that a packet of ours is why.
        """
        recent = self._clock() - _HANGS_UP_WITHIN
        open_ = [*self._lost, *((number, parcel) for parcel, (number, at) in self._unproven.items() if at >= recent)]
        if not open_:
            return Suspect()
        # The first that was not taken is the one that ended it; but an answer may be lost, and a small one is innocent.
        _, first = min(open_, key=lambda found: (found[1].size <= LARGE, found[0]))
        known = self._earlier.parcel
        again = known is not None and (known.kind, known.key) == (first.kind, first.key)
        return Suspect(
            parcel=first,
            losses=1 + (self._earlier.losses if again else 0),
            ends=self._earlier.ends + 1,
            blames=(1 + (self._earlier.blames if again else 0)) if blamed else 0,
        )


class Learned:
    """What brokers were found not to take. Kept over connections, until the agent ends."""

    def __init__(self) -> None:
        self._too_large: int | None = None
        self._told: set[Kind] = set()

    def learn(self, parcel: Parcel) -> None:
        """A message of that size was convicted. What ails a small one is not its size."""
        if parcel.size <= LARGE:
            return
        if self._too_large is None or parcel.size < self._too_large:
            self._too_large = parcel.size

    def refuses(self, size: int) -> bool:
        """Whether a payload of so many bytes need not be tried: it is about as large as one that was convicted."""
        # The same topic's next content is seldom of the same size to the byte, and each try costs connections.
        return self._too_large is not None and size >= self._too_large - self._too_large // 8

    @property
    def room(self) -> int | None:
        """Bytes of a payload that is worth a try where a larger one can be made smaller; None: any."""
        return None if self._too_large is None else max(LARGE, self._too_large // 2)

    def news(self, kind: Kind) -> bool:
        """Whether nobody was told yet that messages of that kind are too large; true once."""
        first = kind not in self._told
        self._told.add(kind)
        return first
