"""What was done too often, from the ledger to the breakers: remembered, verified, told. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from watchtower_agent.loop import announcements
from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.commit import Record
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Decision, Target, TargetKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.policies.guards.breakers import Breaker, Breakers, Probe, Turn
from watchtower_agent.policies.guards.ledger import ATTEMPTS, Ledger, Scope
from watchtower_agent.policies.policy import Backoff, Budget, PolicySet
from watchtower_agent.policies.waiting import Waiting, waiting_from_json, waiting_json
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord
from watchtower_agent.state.wellness import Wellness

BREAKER, WELL = "breaker", "well"
"""Kinds of records: breakers that are not closed; when targets had been well for long enough."""

_RUNNING_FOR: Final = 10.0
"""Seconds after which a container without a health check counts as well."""
_SPARE: Final = 30.0
"""Seconds that a probe's container gets beyond what its health check needs."""


@dataclass(slots=True)
class Breaking:
    """Keeps ledger and breakers over time.

    Attributes:
        state: The host.
        publication: What is to be remembered goes into its effects of the step.
        ledger: What was done.
        breakers: Those that are not closed.
    """

    state: HostState
    publication: Publication
    ledger: Ledger = field(default_factory=Ledger)
    breakers: Breakers = field(default_factory=Breakers)
    _wellness: Wellness = field(default_factory=Wellness)

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what the store remembers of an earlier run."""
        seen = Instant.restored(resume.records.get("clock", {}).get("seen"))

        def carried(earlier: Instant) -> Instant:
            return now.carried(earlier, seen)

        stored = resume.records.get(WELL, {}).items()
        well = {target: carried(at) for target, value in stored if (at := Instant.restored(value)) is not None}
        self.ledger.resume((replace(act, at=carried(act.at)) for act in resume.acts), well)
        for key, value in resume.records.get(BREAKER, {}).items():
            kind, _, name = key.partition("\0")
            breaker = _breaker(value, carried)
            if breaker is not None:
                self.breakers.by[Scope(TargetKind(kind), name)] = breaker

    def ended(self, outcome: Outcome, now: Instant) -> None:
        """Take in how an action ended."""
        decision = outcome.decision
        did = outcome.numbers.get("engine_did_it")
        if outcome.result is Result.ABANDONED:
            self.ledger.abandoned(decision)
            self.breakers.untried(decision)
            return
        self.ledger.ended(decision, now)
        if outcome.result is Result.INTERRUPTED and did is not True:
            self.breakers.untried(decision)
        elif outcome.result is Result.FAILED:
            self.breakers.failed(decision, now, f"the {decision.verb} of {decision.target.name} failed")
        else:
            self.breakers.done(decision, now)

    def look(
        self, policies: PolicySet, now: Instant, *, busy: Callable[[Target], bool], wanted: Container[str]
    ) -> None:
        """See who has recovered and which probes have helped, and forget what counts no more.

        Args:
            policies: Those in force.
            now: The present.
            busy: Whether an action on that target is under way.
            wanted: Names of targets of which something is wanted: their breakers wait for a probe.
        """
        tried = self.ledger.tried()
        probes = [breaker.probe for breaker in self.breakers.by.values() if breaker.probe is not None]
        names = {*tried, *(probe.decision.target.name for probe in probes)}
        names |= {scope.name for scope in self.breakers.by if scope.name}
        self._wellness.look(names, self.state, now)
        self.breakers.verify(lambda probe: self._helped(probe, now, busy), now)
        backoffs = {policy.name: policy.backoff for policy in policies.policies}
        for target in tried:
            if self._recovered(target, backoffs, now) and target not in wanted:
                self._close(target)
        self.breakers.lapse(now)
        for target in self.ledger.forget(now):
            self.publication.out.records.append(Record(kind=WELL, key=target, value=None))

    def turned(self, now: Instant) -> Iterator[tuple[Turn, Notice]]:
        """Remember how breakers have changed since this was asked last, and say what people are told of it."""
        turns, self.breakers.turns = self.breakers.turns, []
        for turn in turns:
            self._remember(turn.scope)
            if turn.why:
                yield turn, announcements.breaker_turned(turn, self.state.host, now)

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        for scope in self.breakers.by:
            self._remember(scope)
        for target, at in self.ledger.well.items():
            self.publication.out.records.append(Record(kind=WELL, key=target, value=at.stored()))

    def _remember(self, scope: Scope) -> None:
        breaker = self.breakers.by.get(scope)
        value = None if breaker is None else _stored(breaker)
        self.publication.out.records.append(Record(kind=BREAKER, key=f"{scope.kind}\0{scope.name}", value=value))

    def _helped(self, probe: Probe, now: Instant, busy: Callable[[Target], bool]) -> bool | None:
        """Whether a probe's target is well; None while that is not known."""
        decision = probe.decision
        if probe.ended is None:
            if not busy(decision.target):  # its row of the ledger was lost with the store
                self.breakers.untried(decision)
            return None
        if decision.verb not in ATTEMPTS:
            return True
        record = self._record(decision.target.name)
        since = self._wellness.since(decision.target.name)
        if record is not None and since is not None and since.monotonic >= probe.begun.monotonic:
            checked = record.container.health is not Health.NONE
            if checked or now.monotonic - since.monotonic >= _RUNNING_FOR:
                return True
        if now.monotonic - probe.ended.monotonic < _allowed(record):
            return None
        if record is None:
            self.breakers.untried(decision)  # what was removed tells nothing
            return None
        return False

    def _recovered(self, target: str, backoffs: Mapping[str, Backoff], now: Instant) -> bool:
        """Whether it has been well for long enough by now: the next attempt is the first again."""
        attempts = self.ledger.attempts(target)
        since = self._wellness.since(target)
        if not attempts or since is None:
            return False
        last = attempts[0]
        calm = backoffs.get(last.policy, Backoff()).calm(len(attempts), last.id)
        if now.monotonic - max(since.monotonic, last.at.monotonic) < calm:
            return False
        self.ledger.recovered(target, now)
        self.publication.out.records.append(Record(kind=WELL, key=target, value=now.stored()))
        return True

    def _close(self, target: str) -> None:
        """Somebody else has mended it: no probe is needed to tell that."""
        scope = Scope(TargetKind.CONTAINER, target)
        breaker = self.breakers.by.get(scope)
        if breaker is not None and breaker.probe is None:
            self.breakers.close(scope, f"{target} has been well for long enough")

    def _record(self, name: str) -> ContainerRecord | None:
        return next((each for each in self.state.containers.values() if each.container.name == name), None)


def _allowed(record: ContainerRecord | None) -> float:
    """Seconds within which a probe's container has to be well."""
    detail = record.container.detail if record is not None else None
    return _SPARE + (detail.health_start_period + 2 * detail.health_interval if detail is not None else 0.0)


def _stored(breaker: Breaker) -> dict[str, object]:
    probe, budget = breaker.probe, breaker.budget
    return {
        "policy": breaker.policy,
        "budget": {"most": budget.most, "per": budget.per, "probe_after": budget.probe_after, "stops": budget.stops},
        "times": breaker.times,
        "since": breaker.since.stored(),
        "probe": None
        if probe is None
        else {
            "decision": _decision_json(probe.decision),
            "begun": probe.begun.stored(),
            "ended": probe.ended.stored() if probe.ended is not None else None,
        },
    }


def _decision_json(decision: Decision) -> dict[str, object]:
    return waiting_json(Waiting(decision=decision, since=decision.decided_at))


def _breaker(stored: Mapping[str, Any], carried: Callable[[Instant], Instant]) -> Breaker | None:
    """What the store remembers of a breaker; None when that can't be read."""
    try:
        since, probe = carried(_moment(stored["since"])), stored["probe"]
        return Breaker(
            policy=str(stored["policy"]),
            budget=Budget(**stored["budget"]),
            times=int(stored["times"]),
            since=since,
            probe=None
            if probe is None
            else Probe(
                decision=waiting_from_json(probe["decision"]).decision,
                begun=carried(_moment(probe["begun"])),
                ended=None if probe["ended"] is None else carried(_moment(probe["ended"])),
            ),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _moment(stored: Mapping[str, object]) -> Instant:
    moment = Instant.restored(stored)
    if moment is None:
        raise ValueError("this is no moment")
    return moment
