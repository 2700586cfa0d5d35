"""Whether the engine's ring still tells all that happened since the agent last listened. Pure.

The ring lives in the daemon's memory and keeps the last 256 events, in the order in which they happened. Stamps are not
to be trusted for that order: somebody may have set the clock back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from watchtower_agent.engine.calls import EngineGreeting
from watchtower_agent.model.engine_event import Cursor, EngineEvent
from watchtower_agent.model.values import dataclass

RING = 256
"""Events that the engine keeps for a replay, of all types together."""

OVERLAP_NS = 1_000_000_000
"""Stamps in the ring can be slightly out of order, and a replay goes back no further than to the first older one."""

_SLACK = 1.0
"""Seconds by which the start of a process is known, at least."""


class Peer(Enum):
    """What is known of the daemon behind the socket."""

    SAME = "same"
    """The one that took the agent's last subscription."""
    ANOTHER = "another"
    """It, or a proxy before it, was started since."""
    UNKNOWN = "unknown"
    """That is not to be known: over TCP, or where init holds the socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """What the engine remembers.

    Attributes:
        events: In the order in which they happened.
        full: It holds so many that older ones may have been dropped.
        whole: All that it remembers, not only what is stamped since some time.
    """

    events: Sequence[EngineEvent]
    full: bool
    whole: bool

    def place(self, cursor: Cursor) -> int | None:
        """Where the cursor's event stands; None when it is not there."""
        return next((place for place, event in enumerate(self.events) if event.id == cursor.event_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuity:
    """What the ring tells.

    Attributes:
        complete: Nothing happened since the cursor but what the ring holds.
        restarted: The daemon is known to have been restarted since.
        cause: Of the gap, unless complete.
        known: Events of the ring that are no news: they precede all that was ever handled.
        missed: Those that are news unless they were handled, where a replay by stamps would leave some of them out.
    """

    complete: bool
    restarted: bool = False
    cause: str = ""
    known: Sequence[EngineEvent] = ()
    missed: Sequence[EngineEvent] = ()


def peer(before: EngineGreeting | None, now: EngineGreeting, since: float | None) -> Peer:
    """Whether it is the daemon that was listened to.

    Args:
        before: What it said when this process last connected; None before that.
        now: What it says.
        since: When it was last listened to, on its own clock; None when that clock was stepped back meanwhile.
    """
    if before is not None and _build(before) != _build(now):
        return Peer.ANOTHER
    if before is not None and before.process is not None and now.process is not None:
        return Peer.SAME if before.process == now.process else Peer.ANOTHER
    if now.info.started_at is not None and since is not None:
        if now.info.started_at > since + _SLACK:
            return Peer.ANOTHER
        if now.info.started_at < since - _SLACK:
            return Peer.SAME
    return Peer.UNKNOWN


def _build(greeting: EngineGreeting) -> tuple[str, ...]:
    """What a running daemon never changes."""
    info = greeting.info
    return info.id, info.version, info.data_root, info.cgroup_driver, info.cgroup_version


def judge(
    cursor: Cursor,
    ring: Ring,
    who: Peer,
    *,
    handled: Callable[[EngineEvent], bool],
    stepped_back: bool,
    now_ns: int,
) -> Continuity:
    """What the ring tells of the time since the cursor.

    Args:
        cursor: The last event handled, or the time since which the agent listens.
        ring: The whole one, unless it holds the cursor's event and the clock is in order.
        who: Of the daemon.
        handled: Whether an event was handed over, by this run or an earlier one.
        stepped_back: The cursor, or the last audit, is later than the engine's clock.
        now_ns: The engine's clock.
    """
    place = ring.place(cursor)
    if place is not None:
        # With the cursor's event in it, it is the same daemon's ring, and what followed is there too. So is what the
        # stream lost before the cursor; but what precedes all that was handled was there before the agent.
        first = next((number for number, event in enumerate(ring.events[:place]) if handled(event)), place)
        known, missed = ring.events[:first], ring.events[first:]
        return Continuity(complete=True, known=known, missed=missed if ring.whole else ())
    if cursor.event_id:
        # A ring that is not full has dropped nothing: it must hold the event, or it was begun since.
        restarted = who is Peer.ANOTHER or (not ring.full and (bool(ring.events) or not stepped_back))
        known, missed = (), ring.events
    else:
        older = not stepped_back and any(event.time_ns < cursor.time_ns for event in ring.events)
        if older or (who is Peer.SAME and not ring.full and not stepped_back):
            return Continuity(complete=True)
        restarted = who is Peer.ANOTHER
        # What is stamped before the position is from before it, or of the clock that was stepped back: not to be told
        # apart, but for what has just happened.
        news = {event.id for event in ring.events if event.time_ns >= cursor.time_ns or _just_now(event, now_ns)}
        known = [event for event in ring.events if event.id not in news]
        missed = [event for event in ring.events if event.id in news]
    if stepped_back:
        return Continuity(complete=False, restarted=restarted, cause="clock_stepped_back", known=known, missed=missed)
    return Continuity(complete=False, restarted=restarted, cause="engine_restarted" if restarted else "")


def _just_now(event: EngineEvent, now_ns: int) -> bool:
    return now_ns - OVERLAP_NS <= event.time_ns <= now_ns
