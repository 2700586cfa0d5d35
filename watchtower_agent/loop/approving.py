"""Approvals, from the question to what came of the answer: remembered, told, over in time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field, replace
from typing import Any, Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.approval import Approval, ApprovalAnswered, ApprovalState
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Dropped, Edge, Held
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.policies.guards.approvals import OPEN, Approvals
from watchtower_agent.policies.waiting import Waiting, key_of, waiting_from_json, waiting_json
from watchtower_agent.policies.wording import as_written

KIND: Final = "approval"
"""Of the records that the store keeps."""


@dataclass(slots=True)
class Approving:
    """Keeps approvals over time.

    Attributes:
        publication: What is to be remembered goes into its effects of the step.
        approvals: What people are asked about; the guards look at them, and ask.
    """

    publication: Publication
    approvals: Approvals
    _fired_before: set[tuple[str, str]] = field(default_factory=set)
    """Policies and ids of targets: this run of the agent has not seen yet that the condition fires."""

    # --- from run to run ------------------------------------------------------------------------------

    def resume(self, resume: Resume, now: Instant) -> Iterator[Waiting]:
        """Take in what an earlier run asked and was answered. One whose time came meanwhile ends in the first step.

        Yields:
            What conditions wanted that people are asked about: it is wanted still, unless they turn out not to hold.
        """
        boots = Boots.restored(resume.records.get("clock", {}), now)
        known = [_restored(stored) for stored in resume.records.get(KIND, {}).values()]
        for approval, is_over in sorted((each for each in known if each), key=lambda each: each[0].at.wall):
            carried = replace(approval, asked=boots.carried(approval.asked, now), at=boots.carried(approval.at, now))
            if is_over:
                self.approvals.over[approval.id] = carried
                continue
            self.approvals.live[approval.decision.id] = carried
            if not carried.decision.from_event and carried.state is not ApprovalState.BEGUN:
                yield self._wanted_before(carried.decision)

    def _wanted_before(self, decision: Decision) -> Waiting:
        self._fired_before.add((decision.policy, decision.target.id))
        return Waiting(decision=decision, since=decision.decided_at)

    def fired_before(self, policy: str, target_id: str) -> bool:
        """Whether an earlier run of the agent saw that condition fire, and this one has not yet."""
        return (policy, target_id) in self._fired_before

    def is_open_about(self, waiting: Waiting | None) -> bool:
        """Whether people are asked about it, or have approved it and it waits for its guards."""
        approval = None if waiting is None else self.approvals.of(waiting.decision)
        return approval is not None and approval.state in OPEN

    def asked_about(self, policy: str, target_id: str) -> Decision | None:
        """What people are asked about that a policy wants of its target, or what they answered; None: nothing."""
        of_policy = (each.decision for each in self.approvals.live.values() if each.decision.policy == policy)
        return next((each for each in of_policy if each.target.id == target_id), None)

    def fires(self, edge: Edge) -> None:
        """A condition fires."""
        self._fired_before.discard((edge.policy, edge.target.id))

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        self.approvals.changed |= self.approvals.over.keys() | {each.id for each in self.approvals.live.values()}
        self._remember()

    # --- answered, over in time -----------------------------------------------------------------------

    def take(self, answered: ApprovalAnswered, now: Instant) -> None:
        """Do as a person answers. What is not open any more by now is not."""
        approval = next((each for each in self.approvals.waiting() if each.id == answered.approval), None)
        if approval is None or (approval.state is ApprovalState.GIVEN and answered.approves):
            return  # two people at once: the first has it done
        if approval.left(now) > 0:
            self.approvals.answer(approval, approves=answered.approves, because=answered.because, now=now)

    def look(self, agenda: Agenda, now: Instant) -> Iterator[Dropped]:
        """End those whose time has come.

        Args:
            agenda: What an event or a schedule wanted is given up with its question; what a condition wants is asked
                about anew, as long as it does.
            now: The present.

        Yields:
            What is given up.
        """
        for approval in [each for each in self.approvals.waiting() if each.left(now) <= 0]:
            within = as_written(approval.length)
            nobody = approval.state is ApprovalState.ASKED
            why = f"nobody answered within {within}" if nobody else f"it was approved and not let pass within {within}"
            self.approvals.end(approval.decision.id, ApprovalState.EXPIRED, why, now)
            if approval.decision.from_event:
                yield from agenda.give_up(approval.decision, why, now)

    # --- what becomes of the wish ---------------------------------------------------------------------

    def dropped(self, dropped: Dropped, now: Instant) -> None:
        """It is not wanted any more."""
        self.approvals.end(dropped.decision.id, ApprovalState.WITHDRAWN, dropped.reason, now)

    def stopped(self, held: Held, now: Instant) -> None:
        """A guard stops it for good."""
        if held.final:
            approval = self.approvals.of(held.decision)
            if approval is not None and approval.state in OPEN:
                self.approvals.end(held.decision.id, ApprovalState.WITHDRAWN, held.reason, now)

    def ended(self, outcome: Outcome, now: Instant) -> None:
        """An action has ended. One that was not done after all may be wanted still, under the same approval."""
        decision_id, result = outcome.decision.id, outcome.result
        if result is Result.ABANDONED:
            if "guard" not in outcome.numbers:
                self.approvals.end(decision_id, ApprovalState.WITHDRAWN, outcome.reason, now)
        elif result is not Result.INTERRUPTED or outcome.numbers.get("engine_did_it") is not False:
            became = f"{'was ' if result is Result.INTERRUPTED else ''}{result}"
            self.approvals.end(decision_id, ApprovalState.USED, f"it {became}: {outcome.reason}", now)

    def again(self, former: Decision, decision: Decision, now: Instant, *, fires: bool) -> None:
        """What was begun was not done, and is wanted still under another id.

        Args:
            former: As it was begun.
            decision: As it is wanted now.
            now: The present.
            fires: Its condition fires: an earlier run may have begun it.
        """
        if former.id in self.approvals.live:
            self.approvals.again(former.id, decision, now)
            if not decision.from_event and not fires:
                self._fired_before.add((decision.policy, decision.target.id))

    def follow(self, agenda: Agenda, under_way: Collection[str], now: Instant) -> None:
        """Withdraw what nobody wants any more, for whatever reason.

        Args:
            agenda: What is wanted.
            under_way: Ids of decisions that are being done.
            now: The present.
        """
        for approval in list(self.approvals.live.values()):
            decision = approval.decision
            waiting = agenda.waiting.get(key_of(decision))
            if decision.id in under_way or (waiting is not None and approval.is_for(waiting.decision)):
                continue
            same = waiting is not None and waiting.decision.id == decision.id
            why = "what would be done has changed" if same else "it is not wanted any more"
            self.approvals.end(decision.id, ApprovalState.WITHDRAWN, why, now)
        live = {(each.decision.policy, each.decision.target.id) for each in self.approvals.live.values()}
        self._fired_before &= live

    def turned(self) -> Iterator[Approval]:
        """Remember what has changed, and say what people are told of it."""
        turns, self.approvals.turns = self.approvals.turns, []
        self._remember()
        yield from turns

    def _remember(self) -> None:
        if not self.approvals.changed:
            return
        live = {each.id: each for each in self.approvals.live.values()}
        for approval_id in sorted(self.approvals.changed):
            over = self.approvals.over.get(approval_id)
            approval = over or live.get(approval_id)
            value = None if approval is None else _stored(approval, is_over=over is not None)
            self.publication.out.records.append(Record(kind=KIND, key=approval_id, value=value))
        self.approvals.changed.clear()


def as_notice(approval: Approval) -> Notice:
    """What policies `on: {policy: approval_…}` are set off by."""
    decision = approval.decision
    what = f"{decision.verb} of {decision.target.name} by {decision.policy}"
    ask = f"approve {approval.id}: {decision.reason}"
    return Notice(
        kind=EventKind.POLICY,
        action=f"approval_{approval.state}",
        subject=decision.policy,
        severity=approval.severity,
        reason=f"{what}: {approval.why or ask}",
        data={"policy": decision.policy, "target": decision.target.name, "approval": approval.id},
        at=approval.at.wall,
        correlation_id=decision.correlation_id,
    )


def _stored(approval: Approval, *, is_over: bool) -> dict[str, object]:
    decision = approval.decision
    return {
        "id": approval.id,
        "decision": waiting_json(Waiting(decision=decision, since=decision.decided_at)),
        "from_event": decision.from_event,
        "asked": approval.asked.stored(),
        "length": approval.length,
        "state": approval.state.value,
        "at": approval.at.stored(),
        "because": approval.because,
        "why": approval.why,
        "over": is_over,
    }


def _restored(stored: Mapping[str, Any]) -> tuple[Approval, bool] | None:
    """What the store remembers of an approval, and whether it is over; None when that can't be read."""
    try:
        asked, at = Instant.restored(stored["asked"]), Instant.restored(stored["at"])
        if asked is None or at is None:
            return None
        decision = replace(waiting_from_json(stored["decision"]).decision, from_event=stored["from_event"] is True)
        approval = Approval(
            id=str(stored["id"]),
            decision=decision,
            asked=asked,
            length=float(stored["length"]),
            state=ApprovalState(stored["state"]),
            at=at,
            because=str(stored["because"]),
            why=str(stored["why"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
    return approval, stored.get("over") is True
