"""Retained states over one connection: only the newest content of a topic, one at a time per topic."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

from watchtower_agent.errors import WatchtowerError
from watchtower_agent.model.message import StateMessage
from watchtower_agent.ports.store import Outbox
from watchtower_agent.publishing.connection import Connection, PublishResult, Verdict
from watchtower_agent.publishing.refusals import Refusals
from watchtower_agent.publishing.suspect import Evidence, Kind, Learned, Parcel

STATE_CONTENT = "application/json"


class StateDelivery:
    """Sends every retained topic once at the start, since nobody knows what the broker kept, then what changes.

    Args:
        outbox: The manifest of retained topics.
        connection: Open.
        refusals: What follows when the broker does not take one.
        evidence: What this connection shows of large messages.
        learned: What earlier connections showed.
        moved: Called when an answer makes room.
    """

    def __init__(
        self,
        outbox: Outbox,
        connection: Connection,
        refusals: Refusals,
        *,
        evidence: Evidence,
        learned: Learned,
        moved: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._connection = connection
        self._refusals = refusals
        self._evidence = evidence
        self._learned = learned
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._ready: dict[str, StateMessage] = {}
        self._held: dict[str, StateMessage] = {}
        """Newer content of topics that are on their way or blocked."""
        self._out: dict[str, StateMessage] = {}
        self._blocked: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._seen: dict[str, int] = {}
        """Newest version that was read, of topics that the outbox does not know to be delivered yet."""
        self._acked: list[StateMessage] = []
        self._first = True
        self._again = ""
        """Topics that begin so are to be sent though they were delivered."""
        self.stale = True
        """The outbox may hold newer content than was read."""

    @property
    def in_flight(self) -> int:
        """States that wait for the broker's acknowledgement."""
        return len(self._out)

    @property
    def waiting(self) -> bool:
        """Whether there is something that could be sent."""
        return bool(self._ready) or self.stale

    @property
    def blocked_topics(self) -> tuple[str, ...]:
        """Topics that the broker refuses for now."""
        return tuple(self._blocked)

    def again(self, begin: str) -> None:
        """At the next `read`, take those topics too that the broker has already."""
        self._again = begin
        self.stale = True

    def close(self) -> None:
        """No more tries."""
        for timer in self._timers.values():
            timer.cancel()

    async def tell_acknowledged(self) -> None:
        """Let the outbox mark what the broker has."""
        acked, self._acked = self._acked, []
        if not acked:
            return
        try:
            await self._outbox.states_delivered(acked)
        except WatchtowerError:
            self._acked = acked + self._acked
            raise
        # The outbox shows these no more: without this, every name that a container ever had would stay.
        for state in acked:
            if self._seen.get(state.topic) == state.version:
                del self._seen[state.topic]

    async def read(self) -> None:
        """Look for newer content."""
        if not self.stale:
            return
        self.stale = False
        again, self._again = self._again, ""
        try:
            states = await self._unsent(again)
        except WatchtowerError:
            self.stale, self._again = True, again
            raise
        self._first = False
        for state in states:
            if state.version > self._seen.get(state.topic, 0):
                self._seen[state.topic] = state.version
                waits = state.topic in self._out or state.topic in self._blocked
                (self._held if waits else self._ready)[state.topic] = state

    async def _unsent(self, again: str) -> list[StateMessage]:
        if self._first:
            return list(await self._outbox.all_states())
        states = list(await self._outbox.pending_states())
        if again:
            pending = {state.topic for state in states}
            everything = await self._outbox.all_states()
            states += [each for each in everything if each.topic.startswith(again) and each.topic not in pending]
        return states

    def send_next(self) -> bool:
        """Send one, or give it up; False when none is ready."""
        if not self._ready:
            return False
        topic = next(iter(self._ready))
        state = self._ready.pop(topic)
        if self._learned.refuses(len(state.payload)):
            self._give_up(state)
            return True
        self._out[topic] = state
        number = self._evidence.sent()
        future = self._connection.publish(
            topic, state.payload, qos=1, retain=True, content_type=STATE_CONTENT if state.payload else ""
        )
        future.add_done_callback(functools.partial(self._answered, number, state))
        return True

    def _answered(self, number: int, state: StateMessage, future: asyncio.Future[PublishResult]) -> None:
        topic, result = state.topic, future.result()
        del self._out[topic]
        match result.verdict:
            case Verdict.LOST:
                self._evidence.lost(number, Parcel(kind=Kind.STATE, key=topic, size=len(state.payload)))
                return
            case Verdict.DELIVERED:
                self._blocked.pop(topic, None)
                self._acked.append(state)
            case Verdict.NEVER:
                self._blocked.pop(topic, None)
                self._refusals.state_refused(topic, len(state.payload), result.reason)
                self._acked.append(state)  # this content has no future; the next one may
            case Verdict.LATER | Verdict.NOT_AUTHORISED:
                tries = self._blocked.get(topic, 0)
                self._blocked[topic] = tries + 1
                self._held.setdefault(topic, state)
                delay = self._refusals.refused(topic, result, tries)
                self._timers[topic] = self._loop.call_later(delay, self._try_again, topic)
        self._evidence.answered(number)
        if topic not in self._blocked and topic in self._held:
            self._ready[topic] = self._held.pop(topic)
        self._moved()

    def _give_up(self, state: StateMessage) -> None:
        """The broker hung up on one like it: this content has no future; the next one may."""
        self._acked.append(state)
        if self._learned.news(Kind.STATE):
            self._refusals.state_too_large(state.topic, len(state.payload))
        self._loop.call_soon(self._moved)  # not at once: the caller is about to send the next one

    def _try_again(self, topic: str) -> None:
        del self._timers[topic]
        self._ready[topic] = self._held.pop(topic)
        self._moved()
