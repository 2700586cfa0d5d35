"""A person is asked whether something may be done: the question, the answer, and what came of it."""

from __future__ import annotations

from enum import StrEnum

from watchtower_agent.model.decision import Decision, Severity
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass


class ApprovalState(StrEnum):
    """How far it has come."""

    ASKED = "asked"
    """It waits for an answer."""
    GIVEN = "given"
    """Approved: it waits for its guards."""
    BEGUN = "begun"
    """What was approved is being done."""
    USED = "used"
    """What was approved was done, or tried."""
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Nobody answered in time, or it was approved and its guards did not let it pass in time."""
    WITHDRAWN = "withdrawn"
    """What was asked about is not wanted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a person was asked about, and how far it has come.

    Attributes:
        id: Short, to be typed by a person; unique among all that are remembered.
        decision: What is to be done, as it was published: exactly this is approved.
        asked: When it was asked for.
        length: Seconds for which it can be given and used, as time passes: a step of the wall clock does not count.
        state: How far it has come.
        at: Since when it has been so.
        because: What the person said who answered, empty if nothing.
        why: How it came to be so, one sentence for people; empty while it waits for an answer.
    """

    id: str
    decision: Decision
    asked: Instant
    length: float
    state: ApprovalState = ApprovalState.ASKED
    at: Instant
    because: str = ""
    why: str = ""

    def left(self, now: Instant) -> float:
        """Seconds until it can't be given or used any more; not more than 0 once it can't."""
        return self.length - (now.monotonic - self.asked.monotonic)

    @property
    def expires_at(self) -> float:
        """When it can't be given or used any more, on the wall clock that `at` is on, seconds since the epoch."""
        return self.at.wall + self.left(self.at)

    @property
    def severity(self) -> Severity:
        """How loudly it is told: a question, and one that nobody answered, are for people."""
        loud = self.state in {ApprovalState.ASKED, ApprovalState.EXPIRED}
        return Severity.WARNING if loud else Severity.INFO

    def is_for(self, decision: Decision) -> bool:
        """Whether this is exactly what was asked about: the same wish, target, verb and parameters."""
        own = self.decision
        return (
            own.id == decision.id
            and own.target.id == decision.target.id
            and own.verb is decision.verb
            and dict(own.parameters) == dict(decision.parameters)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAnswered:
    """A person answers.

    Attributes:
        approval: Id of the approval.
        approves: True to have it done, False to reject it.
        because: Why, in the person's words.
    """

    approval: str
    approves: bool
    because: str = ""
