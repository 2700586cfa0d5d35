"""Every restart and start that the engine carried out, until it is known whether it helped: remembered, told. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any, Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.ledger import ATTEMPTS
from watchtower_agent.policies.verification import Effect, Verdict, Verification, judged, judged_at_the_next
from watchtower_agent.policies.waiting import decision_from_json, decision_json
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.wellness import Wellness

KIND: Final = "verifying"
"""Of the records that the store keeps: what is looked at, by the target's id."""


@dataclass(slots=True)
class Verifying:
    """Keeps verifications over time: at most one per target, of the newest attempt.

    Attributes:
        state: The host.
        publication: Where verdicts are told, and what is to be remembered goes.
        by: Target id -> what is looked at.
    """

    state: HostState
    publication: Publication
    by: dict[str, Verification] = field(default_factory=dict)
    _wellness: Wellness = field(default_factory=Wellness)

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what the store remembers of an earlier run."""
        boots = Boots.restored(resume.records.get("clock", {}), now)
        for target, stored in resume.records.get(KIND, {}).items():
            known = _restored(stored, lambda earlier: boots.carried(earlier, now))
            if known is not None:
                self.by[target] = known

    def ended(self, outcome: Outcome, now: Instant) -> None:
        """Take in how an action ended: if the engine has brought a target back, whether that helps is to be seen."""
        decision = outcome.decision
        done = outcome.result is Result.SUCCEEDED or outcome.numbers.get("engine_did_it") is True
        if not done or decision.verb not in ATTEMPTS:
            return
        record = self.state.containers.get(decision.target.id)
        operator = record.operator if record is not None else None
        self.by[decision.target.id] = Verification(
            outcome=outcome, since=now, operator_at=operator.at if operator is not None else None
        )
        self._remember(decision.target.id)

    def acts(self, decision: Decision, now: Instant) -> Iterator[Verdict]:
        """The agent acts on a target again: what came of the attempt before is told now or never."""
        asked = self.by.get(decision.target.id) if decision.verb is not Verb.NOTIFY else None
        if asked is not None:
            yield self._concluded(judged_at_the_next(asked, self.state, self._spell(asked), now), now)

    def sees(self, container_id: str, now: Instant) -> Iterator[Verdict]:
        """Something happened to a container: what is well now may not be when the next look comes."""
        asked = self.by.get(container_id)
        verdict = judged(asked, self.state, None, now) if asked is not None else None
        if verdict is not None:
            yield self._concluded(verdict, now)

    def look(self, now: Instant) -> Iterator[Verdict]:
        """See what has come of each."""
        self._wellness.look({self._name(asked) for asked in self.by.values()}, self.state, now)
        for asked in list(self.by.values()):
            verdict = judged(asked, self.state, self._spell(asked), now)
            if verdict is not None:
                yield self._concluded(verdict, now)

    def looks_at(self, decision: Decision) -> bool:
        """Whether what came of it is still to be seen."""
        asked = self.by.get(decision.target.id)
        return asked is not None and asked.decision.id == decision.id

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        for target in self.by:
            self._remember(target)

    def _spell(self, asked: Verification) -> Instant | None:
        return self._wellness.since(self._name(asked))

    def _name(self, asked: Verification) -> str:
        """As its container is called now."""
        record = self.state.containers.get(asked.decision.target.id)
        return asked.decision.target.name if record is None else record.container.name

    def _concluded(self, verdict: Verdict, now: Instant) -> Verdict:
        outcome = verdict.verification.outcome
        target = outcome.decision.target.id
        del self.by[target]
        self._remember(target)
        if verdict.effect is not Effect.UNTOLD:
            known = replace(outcome, numbers={**outcome.numbers, **verdict.numbers}, verified_at=now.wall)
            if verdict.effect is Effect.INEFFECTIVE:
                known = replace(known, result=Result.INEFFECTIVE, reason=verdict.why)
                record = self.state.containers.get(target)
                self.publication.tell(known, outcome.decision.correlation_id, now, record=record)
            self.publication.out.outcomes.append(known)
        return verdict

    def _remember(self, target: str) -> None:
        asked = self.by.get(target)
        value = None if asked is None else _stored(asked)
        self.publication.out.records.append(Record(kind=KIND, key=target, value=value))


def _stored(asked: Verification) -> dict[str, object]:
    outcome = asked.outcome
    return {
        "decision": decision_json(outcome.decision),
        "result": outcome.result.value,
        "reason": outcome.reason,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
        "numbers": dict(outcome.numbers),
        "moment": outcome.moment.stored() if outcome.moment is not None else None,
        "since": asked.since.stored(),
        "operator_at": asked.operator_at,
    }


def _restored(stored: Mapping[str, Any], carried: Callable[[Instant], Instant]) -> Verification | None:
    """What the store remembers of one; None when that can't be read."""
    try:
        since = Instant.restored(stored["since"])
        operator_at = stored["operator_at"]
        outcome = Outcome(
            decision=decision_from_json(stored["decision"]),
            result=Result(stored["result"]),
            reason=str(stored["reason"]),
            started_at=float(stored["started_at"]),
            finished_at=float(stored["finished_at"]),
            numbers=dict(stored["numbers"]),
            # As the ledger has it: it is written there again.
            moment=Instant.restored(stored["moment"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
    if since is None:
        return None
    return Verification(
        outcome=outcome,
        since=carried(since),
        operator_at=None if operator_at is None else float(operator_at),
    )
