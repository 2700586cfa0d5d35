"""What goes to the broker, as the store and the MQTT client see it: topic and bytes."""

from __future__ import annotations

from dataclasses import field

from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMessage:
    """One event, to be delivered at least once, in order within its topic. QoS 1, never retained.

    Attributes:
        sequence: The agent's running number, unique and growing over restarts. Also its key in the outbox.
        topic: Full topic.
        payload: A CloudEvent in structured JSON.
        properties: MQTT 5 user properties that mirror the CloudEvent's attributes.
    """

    sequence: int
    topic: str
    payload: bytes
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMessage:
    """A retained topic's newest content. QoS 1, retained; only the newest of a topic is kept.

    Attributes:
        topic: Full topic.
        payload: JSON; empty clears the topic.
        version: Grows with every change of that topic; set by the store.
    """

    topic: str
    payload: bytes
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsMessage:
    """A measurement that is worthless later: QoS 0, not retained, held in memory only.

    Attributes:
        topic: Full topic.
        payload: JSON.
        expiry: Seconds after which the broker may drop it (MQTT 5).
    """

    topic: str
    payload: bytes
    expiry: int = field(default=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyMessage:
    """The answer to a command that came over MQTT: QoS 0, not retained, held in memory only.

    Attributes:
        topic: Full topic.
        payload: JSON.
        expiry: Seconds after which the broker may drop it (MQTT 5).
    """

    topic: str
    payload: bytes
    expiry: int = field(default=60)
