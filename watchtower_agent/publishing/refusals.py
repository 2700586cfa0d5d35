"""What follows when the broker does not take a message: when to try again, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable

from watchtower_agent.model.message import EventMessage
from watchtower_agent.publishing.connection import PublishResult, Verdict

_STATE_STAYS = "What the broker kept of it is out of date; everything else is delivered."
_RAISE = "Raise the broker's limit (mosquitto: max_packet_size), and use MQTT 5 where it can: there the broker says so."


class Refusals:
    """The rules for refused messages on one connection.

    Each kind of refusal is told once per connection: a thousand topics have one cause.

    Args:
        alarm: Told a short name and one sentence for what a person has to put right.
        retry: Seconds (first, longest) between tries of a message that the broker can't take now.
        park: Seconds between tries on a topic that this user may not publish on.
    """

    def __init__(self, alarm: Callable[[str, str], None], *, retry: tuple[float, float], park: float) -> None:
        self._alarm = alarm
        self._retry = retry
        self._park = park
        self._alarmed: set[str] = set()

    def refused(self, topic: str, result: PublishResult, tries: int) -> float:
        """A message that waits now, with whatever follows it on its topic.

        Returns:
            Seconds until it is to be tried again.
        """
        if result.verdict is Verdict.NOT_AUTHORISED:
            self._once(
                "mqtt_not_authorised",
                f"The broker does not let this agent publish on {topic}: {result.reason}. What is meant for it "
                f"waits in the outbox and is tried again every {self._park:g} s. Allow the agent's user to write on "
                "that topic and its other ones.",
            )
            return self._park
        first, longest = self._retry
        delay = float(min(longest, first * 2 ** min(tries, 20)))
        self._once(
            "mqtt_quota",
            f"The broker can't take what is meant for {topic} now: {result.reason}. It waits in the outbox; the next "
            f"try is in {delay:g} s. Look at the broker's limits and its log if this lasts.",
        )
        return delay

    def buried(self, event: EventMessage, reason: str) -> None:
        """An event that was moved to the dead letters."""
        self._once(
            "mqtt_dead_letter",
            f"The broker will never take event {event.sequence} on {event.topic} ({len(event.payload)} bytes): "
            f"{reason}. It was moved to the dead letters; the others go on. Look at the broker's limits.",
        )

    def state_refused(self, topic: str, size: int, reason: str) -> None:
        """A retained state that can't be published as it is."""
        self._once(
            "mqtt_state_refused",
            f"The broker will never take the state on {topic} ({size} bytes): {reason}. {_STATE_STAYS} Look at the "
            f"broker's limits; fewer labels (mqtt.labels) make states smaller.",
        )

    def state_too_large(self, topic: str, size: int) -> None:
        """A retained state on which, or on a smaller message, the broker hung up."""
        self._once(
            "mqtt_state_refused",
            f"The state on {topic} ({size} bytes) is not sent: the broker ended the connection each time a message "
            f"about as large as that was. {_STATE_STAYS} The same holds for other states of that size, until the "
            f"agent is restarted. {_RAISE} Fewer labels (mqtt.labels) make states smaller.",
        )

    def metrics_too_large(self, topic: str, size: int, *, room: int, parts: int, left_out: int) -> None:
        """Metrics that are sent in parts, or not at all, since the broker does not take as much at once."""
        what = f"are sent in parts of at most {room} bytes" if parts else "are not sent"
        rest = f" {left_out} containers, too large for any part, are left out." if left_out and parts else ""
        self._once(
            "mqtt_metrics_refused",
            f"The metrics on {topic} ({size} bytes) {what}: the broker does not take as much at once.{rest} {_RAISE}",
        )

    def metrics_refused(self, topic: str, result: PublishResult) -> None:
        """Metrics that can't be published as they are."""
        self._once("mqtt_metrics_refused", f"The broker will never take the metrics on {topic}: {result.reason}.")

    def reply_refused(self, topic: str, result: PublishResult) -> None:
        """A reply that can't be published as it is."""
        self._once(
            "mqtt_reply_refused",
            f"The broker will never take the reply on {topic}: {result.reason}. Whether its command was done stands in "
            "the agent's log and events.",
        )

    def _once(self, name: str, sentence: str) -> None:
        if name not in self._alarmed:
            self._alarmed.add(name)
            self._alarm(name, sentence)
