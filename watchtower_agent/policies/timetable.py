"""Which scheduled run is due, which was missed, which was before: at most once each, over restarts of the agent. Pure.

Of every scheduled policy the moment is kept up to which its runs are settled: its last run, or when it came into force.
It is durable together with what the run led to. A run that was missed is made up while it is less than an hour late.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final

from watchtower_agent.model.decision import Mode
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import ScheduleDue
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.policy import Policy, PolicySet, ScheduleTrigger
from watchtower_agent.policies.times.moments import Schedule

LATE: Final = 3600.0
"""Seconds after its time until which a run is made up. And so far a settled moment may lie ahead of the wall clock when
that was set back: a small correction repeats no run, and after a large one no policy waits for the old time to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One scheduled policy, for whoever watches the clock.

    Attributes:
        policy: Its name.
        schedule: When it runs.
        since: Runs up to this moment are settled, seconds since the epoch.
    """

    policy: str
    schedule: Schedule
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A scheduled run that is to be carried out now.

    Attributes:
        policy: Whose.
        schedule: When it runs.
        due: Its time, seconds since the epoch.
        late: Seconds since then.
    """

    policy: Policy
    schedule: Schedule
    due: float
    late: float

    @property
    def missed(self) -> bool:
        """Whether it is too late to make it up."""
        return self.late >= LATE


@dataclass(slots=True)
class _Settled:
    schedule: str
    until: float


@dataclass(slots=True)
class Timetable:
    """Up to when the runs of each scheduled policy are settled.

    Attributes:
        changed: Policies whose entry changed since the store was last told.
    """

    changed: set[str] = field(default_factory=set)
    _settled: dict[str, _Settled] = field(default_factory=dict)

    def resume(self, stored: Mapping[str, Mapping[str, object]]) -> None:
        """Take in what an earlier run of the agent settled."""
        for policy, record in stored.items():
            match record:
                case {"schedule": str() as schedule, "until": float() | int() as until}:
                    self._settled[policy] = _Settled(schedule, until)

    def follow(self, policies: PolicySet, now: Instant) -> tuple[Timed, ...]:
        """From now on these are in force. One that is new or has another schedule begins with its next time."""
        timed: list[Timed] = []
        for policy in policies.policies:
            if policy.mode is Mode.OFF or not isinstance(policy.trigger, ScheduleTrigger):
                continue
            schedule = policy.trigger.schedule
            known = self._settled.get(policy.name)
            if known is None or known.schedule != str(schedule) or known.until > now.wall + LATE:
                self._settle(policy.name, str(schedule), now.wall)
            timed.append(
                Timed(policy=policy.name, schedule=schedule, since=self._settled[policy.name].until),
            )
        for name in self._settled.keys() - {each.policy for each in timed}:
            del self._settled[name]
            self.changed.add(name)
        return tuple(timed)

    def take(self, seen: ScheduleDue, policies: PolicySet, now: Instant) -> Run | None:
        """The run that is due; None when it was settled before, or is of a schedule that is not in force any more."""
        known = self._settled.get(seen.policy)
        policy = policies.named(seen.policy)
        if known is None or policy is None or not isinstance(policy.trigger, ScheduleTrigger):
            return None
        if seen.schedule != known.schedule or seen.due <= known.until <= now.wall + LATE:
            return None
        late = max(0.0, now.wall - seen.due)
        run = Run(policy=policy, schedule=policy.trigger.schedule, due=seen.due, late=late)
        self._settle(seen.policy, known.schedule, now.wall if run.missed else seen.due)
        return run

    def stored(self) -> Iterator[tuple[str, dict[str, object] | None]]:
        """What the store has to write: per changed policy its entry, None to forget it."""
        for policy in sorted(self.changed):
            known = self._settled.get(policy)
            yield policy, None if known is None else {"schedule": known.schedule, "until": known.until}
        self.changed.clear()

    def remember_again(self) -> None:
        """The store was lost while running: all of it is written anew."""
        self.changed.update(self._settled)

    def _settle(self, policy: str, schedule: str, until: float) -> None:
        self._settled[policy] = _Settled(schedule, until)
        self.changed.add(policy)
