"""What the sender needs of a connection to the broker, whatever library makes it."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Final, Protocol

from watchtower_agent.model.values import dataclass


class Verdict(StrEnum):
    """What became of one message."""

    DELIVERED = "delivered"
    """The broker took responsibility for it."""
    LATER = "later"
    """The broker can't take it now: over quota, busy, or for a reason it keeps to itself."""
    NEVER = "never"
    """It will never be taken as it is: too large, malformed, a topic name that is not valid."""
    NOT_AUTHORISED = "not_authorised"
    """This user may not publish on that topic."""
    LOST = "lost"
    """The connection ended first: it may or may not have arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """A verdict and the broker's own words for it."""

    verdict: Verdict
    reason: str = ""


class Connection(Protocol):
    """One connection to the broker, from its acceptance to its end."""

    @property
    def window(self) -> int:
        """How many messages may wait for the broker's acknowledgement at once."""
        ...

    @property
    def reports_refusals(self) -> bool:
        """Whether the broker says when it refuses a message (MQTT 5); else an acknowledgement is all there is."""
        ...

    @property
    def silent(self) -> bool:
        """Whether it was given up because the broker acknowledged nothing: then that did not hang up on a message."""
        ...

    @property
    def blames_packet(self) -> bool:
        """Whether the broker ended it with the reason that a packet of ours can't be taken (MQTT 5)."""
        ...

    @property
    def excuses_packet(self) -> bool:
        """Whether it ended for a reason that is none of our packets' (MQTT 5): the broker shuts down, or is busy."""
        ...

    @property
    def largest_packet(self) -> int | None:
        """Bytes of a packet that the broker takes at most; None where it does not say."""
        ...

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool = False,
        content_type: str = "",
        user_properties: tuple[tuple[str, str], ...] = (),
        expiry: int | None = None,
    ) -> asyncio.Future[PublishResult]:
        """Hand the message to the network, in order of calls. The future always ends with a result, never an error.

        Args:
            topic: Full topic.
            payload: Bytes; empty with `retain` clears the topic.
            qos: 0 or 1. With 0 it is delivered once it left for the network.
            retain: The broker keeps it as the topic's content.
            content_type: MQTT 5 only.
            user_properties: MQTT 5 only.
            expiry: Seconds after which the broker may drop it, MQTT 5 only.
        """
        ...


_NOT_AUTHORISED = 0x87
NEVER: Final = frozenset({0x81, 0x82, 0x90, 0x95, 0x99})
"""Malformed, protocol error, topic name, too large, payload format: the same message fares no better next time."""


def result_of(code: int, name: str) -> PublishResult:
    """What a PUBACK's reason code means for the message: delivered, to be tried again, or never.

    Args:
        code: As the broker sent it.
        name: What the specification calls it.
    """
    if code < 0x80:  # noqa: PLR2004 - the specification's border between success and failure
        return PublishResult(verdict=Verdict.DELIVERED)
    reason = f"{name} (0x{code:02X})"
    if code == _NOT_AUTHORISED:
        return PublishResult(verdict=Verdict.NOT_AUTHORISED, reason=reason)
    return PublishResult(verdict=Verdict.NEVER if code in NEVER else Verdict.LATER, reason=reason)
