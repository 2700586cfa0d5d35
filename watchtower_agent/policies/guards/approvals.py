"""What people are asked about before it is done, and what they answered. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import field, replace
from typing import Final

from watchtower_agent.model.approval import Approval, ApprovalState
from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.waiting import named

OPEN: Final = frozenset({ApprovalState.ASKED, ApprovalState.GIVEN})
"""States that time ends."""
_ALLOWS: Final = frozenset({ApprovalState.GIVEN, ApprovalState.BEGUN})

MOST_OVER: Final = 100
"""Of those that are over, how many are remembered: whoever answers too late is told what became of it."""

_LETTERS: Final = "23456789bcdfghjkmnpqrstvwxyz"
"""None is taken for another, and they make no words."""
_DIGITS: Final = 6


@dataclass(slots=True)
class Approvals:
    """Those that wait for something, and the newest of those that are over.

    Attributes:
        live: By the id of the decision. One that was rejected is among them for as long as its wish lasts.
        over: By the id of the approval, the oldest first.
        turns: What is to be told of any since somebody looked, in order. That it is done, the action itself tells.
        changed: Ids of those that the store does not have as they are.
    """

    live: dict[str, Approval] = field(default_factory=dict)
    over: dict[str, Approval] = field(default_factory=dict)
    turns: list[Approval] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)

    def of(self, decision: Decision) -> Approval | None:
        """What was asked about exactly this; None when nothing was, or it is over."""
        approval = self.live.get(decision.id)
        return approval if approval is not None and approval.is_for(decision) else None

    def asked_about(self, decision: Decision) -> str | None:
        """Id of what is or was asked about exactly this; None when nothing was, or it is over."""
        approval = self.of(decision)
        return None if approval is None else approval.id

    def allows(self, decision: Decision, now: Instant) -> bool:
        """Whether a person has approved exactly this, and not too long ago."""
        approval = self.of(decision)
        return approval is not None and approval.state in _ALLOWS and approval.left(now) > 0

    def until(self, decision: Decision, now: Instant) -> float | None:
        """When the question about it ends by itself, seconds since the epoch; None when none is open."""
        approval = self.of(decision)
        if approval is None or approval.state not in OPEN:
            return None
        return now.wall + approval.left(now)

    def waiting(self) -> Iterator[Approval]:
        """Those that wait for an answer or for their guards, the oldest first."""
        yield from (each for each in self.live.values() if each.state in OPEN)

    def ask(self, decision: Decision, length: float, now: Instant) -> None:
        """Ask people about a decision. A question about the same wish with other parameters is withdrawn.

        Args:
            decision: What is to be done.
            length: Seconds for which the answer is waited for, and counts.
            now: The present.
        """
        if decision.id in self.live:
            self.end(decision.id, ApprovalState.WITHDRAWN, "what would be done has changed", now)
        asked = Approval(id=self._new_id(decision, now), decision=decision, asked=now, length=length, at=now)
        self._turn(asked)

    def answer(self, approval: Approval, *, approves: bool, because: str, now: Instant) -> None:
        """Take in what a person answered. What is approved can be rejected while it waits for its guards."""
        said = f": {because}" if because else ""
        turned = replace(
            approval,
            state=ApprovalState.GIVEN if approves else ApprovalState.REJECTED,
            at=now,
            because=because,
            why=f"a person {'approved' if approves else 'rejected'} it{said}",
        )
        self._turn(turned)

    def began(self, decision: Decision, now: Instant) -> Decision:
        """An action begins. Gives it as it is done: under its approval, if there is one."""
        approval = self.of(decision)
        if approval is None:
            return decision
        if approval.state is not ApprovalState.GIVEN:
            self.end(decision.id, ApprovalState.WITHDRAWN, f"{decision.policy} acts without asking by now", now)
            return decision
        self.live[decision.id] = replace(approval, state=ApprovalState.BEGUN, at=now)
        self.changed.add(approval.id)
        return replace(decision, approval=approval.id)

    def again(self, former: str, decision: Decision, now: Instant) -> None:
        """What was begun under an approval was not done, and is wanted still: the approval goes on counting.

        Args:
            former: Id of the decision that was begun.
            decision: What is wanted now: the same under another id.
            now: The present.
        """
        approval = self.live.pop(former, None)
        if approval is not None:
            self.live[decision.id] = replace(approval, decision=decision, state=ApprovalState.GIVEN, at=now)
            self.changed.add(approval.id)

    def renamed(self, container_id: str, name: str) -> None:
        """A container has another name: people are asked about it under that. Another may have the old one by now."""
        for key, approval in self.live.items():
            decision = approval.decision
            if decision.target.id == container_id and decision.target.name != name:
                self.live[key] = replace(approval, decision=named(decision, name))
                self.changed.add(approval.id)

    def end(self, decision_id: str, state: ApprovalState, why: str, now: Instant) -> None:
        """It is over, whatever it waited for. One that was rejected stays that.

        Args:
            decision_id: Of the decision that was asked about.
            state: What it is from now on.
            why: One sentence for people.
            now: The present.
        """
        approval = self.live.pop(decision_id, None)
        if approval is None:
            return
        if approval.state is not ApprovalState.REJECTED:
            approval = replace(approval, state=state, at=now, why=why)
            if state is not ApprovalState.USED:
                self.turns.append(approval)
        self.over[approval.id] = approval
        self.changed.add(approval.id)
        for oldest in list(self.over)[:-MOST_OVER]:
            del self.over[oldest]
            self.changed.add(oldest)

    def _turn(self, approval: Approval) -> None:
        self.live[approval.decision.id] = approval
        self.turns.append(approval)
        self.changed.add(approval.id)

    def _new_id(self, decision: Decision, now: Instant) -> str:
        taken = {*self.over, *(each.id for each in self.live.values())}
        number = 0
        while (drawn := _drawn(f"approval\0{decision.id}\0{now.wall!r}\0{number}")) in taken:
            number += 1
        return drawn


def _drawn(seed: str) -> str:
    """A short id, always the same for the same seed: the core draws nothing at random."""
    left = int.from_bytes(hashlib.sha256(seed.encode(errors="surrogatepass")).digest()[:8])
    drawn = ""
    for _ in range(_DIGITS):
        left, letter = divmod(left, len(_LETTERS))
        drawn += _LETTERS[letter]
    return drawn
