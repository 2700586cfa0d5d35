"""One scaled service over time: what is known of it, what was done about it, and what the store keeps of that. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import field
from typing import Final, Self

from watchtower_agent.model.boots import Boots
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.scaling.memory import Memory
from watchtower_agent.policies.scaling.recommendation import Limit
from watchtower_agent.policies.scaling.situation import Situation
from watchtower_agent.policies.scaling.tracking import Look
from watchtower_agent.policies.survey import Survey, Unseen
from watchtower_agent.state.record import ContainerRecord

EXPLAINS_FOR: Final = 30.0
"""Seconds after the end of our own change for which the number may be seen to become what we made it."""
MISSED: Final = 3
"""Samples that may be missing between two looks: after more nobody knows what was needed meanwhile."""
GATHERING: Final = Unseen(why="samples are being gathered since the agent began")
_LOOKS: Final = 15
"""Looks whose recommendations are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnChange:
    """A change of the number that the agent itself makes, or made.

    Attributes:
        before: From how many.
        to: To how many.
        version: Of the Swarm's service that was changed; less than any where there is none.
        decision: Id of the decision that led to it.
        done: The engine has said that it was done.
        made: Full ids of the clones that were made, once that is known.
        until: Until when it explains what is seen, on the monotonic clock; infinite while it is under way.
    """

    before: int
    to: int
    version: int = -1
    decision: str = ""
    done: bool = False
    made: tuple[str, ...] = ()
    until: float = math.inf

    @property
    def ended(self) -> bool:
        """It is not under way any more."""
        return math.isfinite(self.until)

    def is_between(self, number: int) -> bool:
        """Whether that many are there while it goes on."""
        return min(self.before, self.to) <= number <= max(self.before, self.to)


@dataclass(slots=True, kw_only=True)
class Scaled:
    """One service by one policy. All moments are on the monotonic clock.

    Attributes:
        target: Key of the service.
        memory: What it needed lately.
        idle_since: Since when all its metrics have been idle; None while they are not.
        hands_off_until: Until when somebody else's change is respected.
        settles_until: Until when it is waited for what somebody is doing to its containers at present.
        lost: Somebody has taken replicas away since it last was settled.
        taken: Those of them that were seen.
        originals: How many containers somebody else had made of it when it last was settled; None: not known.
        members: Containers that were there at the last look, by their ids; None: not known, or of a Swarm.
        service_id: Of the Swarm's service; empty while it is not known.
        emptied: The last replica of a Swarm's service was taken away by an agent, not by somebody else.
        own: The agent's own change, as long as not all of it was seen.
        recommended: When which numbers were recommended lately, as agents elsewhere see them, too.
        seen: The newest survey, or why there is none.
        looked: What came of the newest look; None before the first.
        promised: Bytes of this host's memory that its replicas will take and have not yet, those among them that are
            about to be made.
        acts: Whether it is for this agent to act.
        shortage: What stands between the service and what it needs, of the sort that people are told of.
        shortage_limit: Which limit that is.
        shortage_since: Since when.
        told: The limit that people were told of last.
        told_at: When it was last seen to be at work.
        another: The policy to which its containers were last seen to be left; empty where there is none.
        failures: Changes that failed in a row.
        conflicts: Changes in a row to which somebody else's came first.
        retry_at: When the next one may be tried.
        growth_failed: The last one that failed was to make clones: to remove some is no other try.
        ended: When the last one ended, however.
        failed: Why the last one failed; empty while none has.
        remembered: When its memory was last given to the store.
    """

    target: str
    memory: Memory = field(default_factory=Memory)
    idle_since: float | None = None
    hands_off_until: float = -math.inf
    settles_until: float = -math.inf
    lost: bool = False
    taken: list[ContainerRecord] = field(default_factory=list)
    originals: int | None = None
    members: dict[str, ContainerRecord] | None = None
    service_id: str = ""
    emptied: bool = False
    own: OwnChange | None = None
    recommended: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_LOOKS))
    seen: Survey | Unseen = GATHERING
    looked: Look | None = None
    promised: float = 0.0
    acts: bool = False
    shortage: str = ""
    shortage_limit: Limit | None = None
    shortage_since: float = -math.inf
    told: Limit | None = None
    told_at: float = -math.inf
    another: str = ""
    failures: int = 0
    conflicts: int = 0
    retry_at: float = -math.inf
    growth_failed: bool = False
    ended: float = -math.inf
    failed: str = ""
    remembered: float = -math.inf

    @property
    def wants(self) -> bool | None:
        """Whether its number should change; None while that is not known."""
        if self.looked is None or isinstance(self.seen, Unseen):
            return None
        return self.acts and (self.looked.recommendation.moves or bool(self.seen.litter))

    def promises(self, seen: Situation, looked: Look, *, begins: bool) -> float:
        """Bytes of the host's memory that its replicas will take soon, those that are about to be made among them.

        What it wants counts at first sight only: what has not begun by the next is held by a guard, perhaps for long.

        Args:
            seen: The service, without what others will take.
            looked: What comes of this look, which `looked` does not have yet.
            begins: Nobody has to be asked before a change begins.
        """
        if seen.room is None:
            return 0.0
        to = seen.wanted
        if self.own is not None and not self.own.ended:
            to = self.own.to
        elif begins and (self.looked is None or self.looked.recommendation.to <= self.looked.recommendation.wanted):
            to = looked.recommendation.to
        return seen.room.promised + max(0, to - seen.wanted) * (seen.room.per_replica or 0.0)

    @property
    def is_settling(self) -> bool:
        """Somebody did something to its containers, and nothing was concluded from that yet."""
        return math.isfinite(self.settles_until)

    def is_settled(self) -> None:
        """What somebody did to its containers is over."""
        self.settles_until, self.lost = -math.inf, False
        self.taken.clear()

    def begin_anew(self) -> None:
        """It is another one, of the same name."""
        self.memory, self.idle_since, self.own, self.emptied = Memory(), None, None, False
        self.hands_off_until = -math.inf
        self.recommended.clear()

    def stored(self, now: Instant) -> dict[str, object]:
        """As a JSON object for the next run: how long ago, or how far off, everything is."""

        def ago(at: float | None) -> float | None:
            return None if at is None or not math.isfinite(at) else now.monotonic - at

        return {
            "target": self.target,
            "memory": self.memory.stored(now),
            "idle": ago(self.idle_since),
            "hands_off": ago(self.hands_off_until),
            "settles": ago(self.settles_until),
            "lost": self.lost,
            "originals": self.originals,
            "service_id": self.service_id,
            "emptied": self.emptied,
            "own": None if self.own is None else [self.own.before, self.own.to, self.own.version],
            "own_until": None if self.own is None else ago(self.own.until),
        }

    @classmethod
    def restored(cls, stored: Mapping[str, object], now: Instant, boots: Boots) -> Self | None:
        """The inverse of `stored`, on the clocks of this run; None for what is no such object."""
        told, target, originals = stored.get("memory"), stored.get("target"), stored.get("originals")
        service_id = stored.get("service_id")
        memory = Memory.restored(told, now, boots) if isinstance(told, Mapping) else None
        if memory is None or not isinstance(target, str) or not isinstance(told, Mapping):
            return None
        written = Instant.restored(told.get("at"))
        origin = now.monotonic if written is None else boots.carried(written, now).monotonic

        def moment(name: str) -> float | None:
            age = stored.get(name)
            return origin - age if isinstance(age, int | float) and math.isfinite(age) else None

        def until(name: str) -> float:
            at = moment(name)
            return -math.inf if at is None else at

        return cls(
            target=target,
            memory=memory,
            idle_since=moment("idle"),
            hands_off_until=until("hands_off"),
            settles_until=until("settles"),
            lost=stored.get("lost") is True,
            originals=originals if isinstance(originals, int) else None,
            service_id=service_id if isinstance(service_id, str) else "",
            emptied=stored.get("emptied") is True,
            # One that was under way when that was written has an intent in the ledger, which tells it anew.
            own=_own(stored.get("own"), until("own_until")),
        )


def _own(value: object, until: float) -> OwnChange | None:
    match value:
        case [int() as before, int() as to, int() as version]:
            return OwnChange(before=before, to=to, version=version, until=until)
        case _:
            return None
