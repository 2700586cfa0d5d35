"""Scheduled runs, from the moment they are due to the decisions they lead to. Pure.

At most once each: the moment up to which a policy's runs are settled is durable with the decisions of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from watchtower_agent.loop import announcements
from watchtower_agent.loop.decisions import Decisions
from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.commit import Record
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import ScheduleDue
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.scheduled import correlation_of, numbers_of, run_decisions, targets_of
from watchtower_agent.policies.timetable import LATE, Run, Timetable
from watchtower_agent.state.host_state import HostState

KIND = "schedule"
"""Of the records that the store keeps."""


@dataclass(slots=True)
class Scheduling:
    """Takes in what is due, and says what is wanted of whom.

    Attributes:
        state: The host.
        publication: Where effects of the step go.
        decisions: Where what is wanted goes.
        say: Publishes a notice.
        listed: The containers were listed since the agent began: before, a run would miss those that are new.
    """

    state: HostState
    publication: Publication
    decisions: Decisions
    say: Callable[[Notice, Instant], None]
    listed: bool = False
    _timetable: Timetable = field(default_factory=Timetable)
    _waiting: dict[str, ScheduleDue] = field(default_factory=dict)

    def resume(self, stored: Mapping[str, Mapping[str, object]]) -> None:
        """Take in what the store remembers of an earlier run of the agent."""
        self._timetable.resume(stored)

    def follow(self, policies: PolicySet, now: Instant) -> None:
        """From now on these are in force."""
        self.publication.out.timetable = self._timetable.follow(policies, now)
        self._remember()

    def due(self, seen: ScheduleDue) -> None:
        """A policy's time has come."""
        self._waiting[seen.policy] = seen

    def run(self, now: Instant) -> None:
        """Carry out what is due, as soon as it is known which containers there are."""
        for policy, seen in list(self._waiting.items()):
            if not self.listed and self._selects(policy) and now.wall - seen.due < LATE:
                continue
            del self._waiting[policy]
            run = self._timetable.take(seen, self.decisions.policies, now)
            if run is not None:
                self._carry_out(run, now)
        self._remember()

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        self._timetable.remember_again()
        self._remember()

    def _carry_out(self, run: Run, now: Instant) -> None:
        correlation, numbers = correlation_of(run), numbers_of(run)
        if run.missed:
            self.say(announcements.schedule_missed(run, correlation, numbers, now.wall), now)
            return
        containers = len(targets_of(run, self.state)) if run.policy.selector is not None else None
        self.say(announcements.schedule_due(run, containers, correlation, numbers, now.wall), now)
        self.decisions.want(run_decisions(run, self.state, now), now)

    def _selects(self, policy: str) -> bool:
        return any(each.name == policy and each.selector is not None for each in self.decisions.policies.policies)

    def _remember(self) -> None:
        records = [Record(kind=KIND, key=policy, value=value) for policy, value in self._timetable.stored()]
        self.publication.out.records.extend(records)
