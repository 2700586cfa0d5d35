"""What the agent listens to at the broker, over as many connections as it takes."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Protocol

from watchtower_agent.ports.delivery import CommandReceiver, Listener
from watchtower_agent.publishing.connection import PublishResult, Verdict

_ASK_AGAIN = 60.0
"""Seconds after which a subscription that was refused is asked for once more: somebody may have allowed it."""
_HUNG_UP_TIMES = 2
"""Connections in a row that ended while the same subscription waited for its answer: some brokers refuse in that way.
Fewer than after which a message is suspected of it (suspect.py)."""
_LEAVE_ALONE = 600.0
"""Seconds for which such a subscription is not tried again."""
_MOST_STRAYS = 100
_SETTLING = 1.0
"""Seconds after the confirmation in which commands count as late, if any came before it: more than the broker sends
unacknowledged (mosquitto: 20) may have waited there."""
_EARLIER = ((re.compile(r"(.+)/v1/[^/]+/metrics"), "/v1/+/metrics"), (re.compile(r"(.+/v1/[^/]+/command)/[^/]+"), "/+"))
"""Topics that an earlier run subscribed to by a pattern, and the pattern's end."""


class Line(Protocol):
    """What it needs of a connection."""

    def subscribe(self, topic_filter: str, *, commands: bool = False) -> asyncio.Future[PublishResult]:
        """Ask for what is published there: commands at QoS 1, all else at QoS 0.

        The future always ends with a result, never an error.
        """
        ...

    def unsubscribe(self, topic_filter: str) -> None:
        """Ask for it no more."""
        ...


class Subscriptions:
    """Subscribes anew on each connection, one after the other, and hands over what comes.

    QoS 0: what a broker would keep for an absent agent, and hand over as if it were new, is older than nobody knows. A
    number that is lost is followed by the next. From the session of an earlier connection it may bring some all the
    same: on each connection nothing counts that comes before the broker has confirmed the subscription, but what it
    marks as retained.

    Commands have QoS 1, so that their senders hear of those that came while the agent was away. They are handed over
    with a mark.

    Args:
        alarm: Told a short name and one sentence for what a person has to put right.
        url: The broker's address, for people.
        ask_again: Seconds after which what was refused is asked for once more.
    """

    def __init__(self, alarm: Callable[[str, str], None], url: str, *, ask_again: float = _ASK_AGAIN) -> None:
        self._alarm = alarm
        self._url = url
        self._ask_again = ask_again
        self._listener: Listener | None = None
        self._followed: frozenset[str] = frozenset()
        self._receiver: CommandReceiver | None = None
        self._heard: frozenset[str] = frozenset()
        self._hear: Callable[[bytes], None] | None = None
        self._commands = ""
        """Where commands come."""
        self._late_until: float | None = None
        """Some came before the confirmation: until then others may follow. None: none came."""
        self._wanted: tuple[str, ...] = ()
        self._exact: frozenset[str] = frozenset()
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._line: Line | None = None
        self._asked = ""
        """Which waits for its answer: one at a time, so that it is known on which a broker hangs up."""
        self._answer: asyncio.Future[PublishResult] | None = None
        """That answer."""
        self._confirmed: set[str] = set()
        self._not_now: set[str] = set()
        """Which were refused on this connection, or are left alone."""
        self._told: set[str] = set()
        self._hung_up: dict[str, int] = {}
        self._alone_until: dict[str, float] = {}
        self._strays: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, filters: frozenset[str], listener: Listener) -> None:
        """See `Subscriber.follow`."""
        self._listener, self._followed = listener, filters
        self._want()

    def obey(self, topic_filter: str, receiver: CommandReceiver) -> None:
        """See `CommandChannel.obey`."""
        self._commands, self._receiver = topic_filter, receiver
        self._want()

    def hear(self, topics: frozenset[str], hear: Callable[[bytes], None]) -> None:
        """From now on take what is said there at this moment, nothing that the broker had kept. Call it at most once.

        Args:
            topics: Exact ones.
            hear: Takes each payload, on the event loop.
        """
        self._heard, self._hear = topics, hear
        self._want()

    def _want(self) -> None:
        # Commands first: what comes before the confirmation is not done.
        self._wanted = (*filter(None, [self._commands]), *sorted((self._followed | self._heard) - {self._commands}))
        filters = frozenset(self._wanted)
        self._patterns = {each: _pattern(each) for each in self._wanted if "+" in each}
        self._exact = filters - self._patterns.keys()
        for each in sorted(self._confirmed - filters):
            if self._line is not None:
                self._line.unsubscribe(each)
        for known in (self._confirmed, self._not_now, self._told):
            known.intersection_update(filters)
        for counted in (self._hung_up, self._alone_until):
            for each in counted.keys() - filters:
                del counted[each]
        self._next()

    # --- one connection ---------------------------------------------------------------------------------------------

    def opened(self, line: Line) -> None:
        """A connection is there. Whatever its session knows of: everything is subscribed to again."""
        self._line = line
        self._next()

    def closed(self) -> None:
        """It has ended."""
        if self._asked:
            self._hung_up_on(self._asked)
        self._line, self._asked, self._answer, self._late_until = None, "", None, None
        self._confirmed.clear()
        self._not_now.clear()
        self._strays.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def received(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - as the client hands it over
        """A message came over the connection."""
        if self._line is not None and self._answer is not None and self._answer.done():
            self._answered(self._line, self._asked, self._answer)  # it was read together with what came right behind it
        found = [each for each, pattern in self._patterns.items() if pattern.fullmatch(topic)]
        if topic in self._exact:
            found.append(topic)
        if self._receiver is not None and self._commands in found:
            late = not retained and self._may_be_late()
            self._receiver.commanded(topic, payload, retained=retained, late=late)
            return
        if self._hear is not None and topic in self._heard & self._confirmed and not retained:
            self._hear(payload)
        if not found:
            self._stray(topic)
        elif self._followed.isdisjoint(found):
            return
        elif self._listener is not None and (retained or not self._confirmed.isdisjoint(found)):
            self._listener.received(topic, payload, retained=retained)

    def _may_be_late(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._commands not in self._confirmed:
            self._late_until = now
            return True
        return self._late_until is not None and now < self._late_until

    def _stray(self, topic: str) -> None:
        """What an earlier run of the agent subscribed to, and the broker's session remembers."""
        if self._line is None or topic in self._strays or len(self._strays) >= _MOST_STRAYS:
            return
        self._strays.add(topic)
        self._line.unsubscribe(topic)
        for pattern, end in _EARLIER:
            if (begin := pattern.fullmatch(topic)) is not None:
                self._line.unsubscribe(begin[1] + end)

    # --- one subscription after the other ---------------------------------------------------------------------------

    def _next(self) -> None:
        if self._line is None or self._asked:
            return
        now = asyncio.get_running_loop().time()
        for each in self._wanted:
            if each in self._confirmed or each in self._not_now:
                continue
            if self._alone_until.get(each, now) > now:
                self._later(each)
                continue
            self._asked = each
            self._answer = answer = self._line.subscribe(each, commands=each == self._commands)
            answer.add_done_callback(functools.partial(self._answered, self._line, each))
            return

    def _answered(self, line: Line, topic_filter: str, answer: asyncio.Future[PublishResult]) -> None:
        if line is not self._line or answer is not self._answer:
            return  # of a connection that is over, or taken already
        result = answer.result()
        if result.verdict is Verdict.LOST:
            return
        self._asked, self._answer = "", None
        self._hung_up.pop(topic_filter, None)
        if topic_filter in self._wanted:
            if result.verdict is Verdict.DELIVERED:
                self._confirmed.add(topic_filter)
                self._told.discard(topic_filter)
                if topic_filter == self._commands and self._late_until is not None:
                    self._late_until = asyncio.get_running_loop().time() + _SETTLING
            else:
                self._refused(topic_filter, result.reason)
                self._later(topic_filter)
        elif result.verdict is Verdict.DELIVERED:
            line.unsubscribe(topic_filter)  # it is not wanted any more
        self._next()

    def _hung_up_on(self, topic_filter: str) -> None:
        times = self._hung_up[topic_filter] = self._hung_up.get(topic_filter, 0) + 1
        if times >= _HUNG_UP_TIMES and topic_filter in self._wanted:
            self._alone_until[topic_filter] = asyncio.get_running_loop().time() + _LEAVE_ALONE
            self._refused(topic_filter, "it ended the connection each time it was asked")

    def _refused(self, topic_filter: str, reason: str) -> None:
        if topic_filter in self._told:
            return
        self._told.add(topic_filter)
        followed = topic_filter in self._followed
        if topic_filter == self._commands:
            missed = "No command over MQTT reaches it."
        elif followed:
            missed = "What it would learn there is unknown, so that no service shrinks by it."
        else:
            missed = "When Home Assistant starts, it finds what the broker has kept, and is not told again."
        self._alarm(
            "mqtt_subscription_refused",
            f"The broker at {self._url} does not let the agent read {topic_filter}: {reason}. {missed} Everything "
            "else goes on, and the agent asks again from time to time. Allow the agent's user to read that topic.",
        )
        if self._listener is not None and followed:
            self._listener.refused(topic_filter, f"the broker refuses it: {reason}")

    def _later(self, topic_filter: str) -> None:
        self._not_now.add(topic_filter)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._ask_again, self._once_more)

    def _once_more(self) -> None:
        self._timer = None
        self._not_now.clear()
        self._next()


def _pattern(topic_filter: str) -> re.Pattern[str]:
    return re.compile("/".join("[^/]*" if level == "+" else re.escape(level) for level in topic_filter.split("/")))
