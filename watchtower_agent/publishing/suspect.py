"""Finding the message that makes a broker hang up."""

from __future__ import annotations

from dataclasses import dataclass

from watchtower_agent.model.message import EventMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """An event that was on its way each time the broker hung up without acknowledging anything.

    A broker that speaks MQTT 3.1.1 has no other way to say that a packet is too large.

    Attributes:
        sequence: The event's; 0 for none.
        losses: Connections in a row that ended so.
    """

    CAREFUL_AFTER = 2
    """From here on events are sent one at a time, to know for sure which one it is."""
    GUILTY_AFTER = 5
    LARGE = 4096
    """Smaller ones are never blamed, bytes."""

    sequence: int = 0
    losses: int = 0

    @property
    def careful(self) -> bool:
        """Whether to send one event at a time."""
        return self.losses >= self.CAREFUL_AFTER

    def convicts(self, event: EventMessage) -> bool:
        """Whether this event is the one, and is to be given up."""
        return event.sequence == self.sequence and self.losses >= self.GUILTY_AFTER and len(event.payload) > self.LARGE
