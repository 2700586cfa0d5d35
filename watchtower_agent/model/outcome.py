"""The two rows of the ledger: the intent before an engine call, the outcome after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

from watchtower_agent.model.decision import Decision, Number, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass

FORBIDDEN: Final = "forbidden"
"""Among an outcome's numbers: the request that was not let through. It will not be the next time, either."""


class Result(StrEnum):
    """How an action ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The engine refused, or did not do it in time."""
    INTERRUPTED = "interrupted"
    """The agent ended between intent and outcome; the numbers say what the engine really did."""
    ABANDONED = "abandoned"
    """Not tried: asked again just before the write, a guard said no, or the target was gone. Or someone removed the
    target while the engine was at it: nothing is left to be done."""
    INEFFECTIVE = "ineffective"
    """The engine did it, and the target was not well by its time after it. Told after one of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Written durably before the engine call.

    Attributes:
        decision: What is about to be done; its id is the intent's.
        at: Seconds since the epoch.
        started_at_before: The target's StartedAt before the call, so that after a crash the agent can tell
            whether the engine did it; None when it was not known.
        moment: The same as `at` on both clocks, for whoever counts later; None: the wall clock alone tells.
    """

    decision: Decision
    at: float
    started_at_before: float | None = None
    moment: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Written durably after the engine call.

    Attributes:
        decision: What was done; its id is the intent's.
        result: How it ended.
        reason: One sentence for people.
        started_at: When the engine call began, seconds since the epoch.
        finished_at: When it returned, seconds since the epoch.
        numbers: What the action measured (seconds taken, exit code, …).
        moment: When it was known to have ended, on both clocks; None: the wall clock alone tells.
        asked: False when the engine was not even asked: nothing can have come of it.
        verified_at: When it was seen whether it had helped, seconds since the epoch: it did, unless it is ineffective.
            None while that is not known.
    """

    decision: Decision
    result: Result
    reason: str
    started_at: float
    finished_at: float
    numbers: Mapping[str, Number] = field(default_factory=dict)
    moment: Instant | None = None
    asked: bool = True
    verified_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A call to the engine that ended without telling what became of its target: an inspection has to.

    Attributes:
        intent: What was begun.
        reason: What is known of the call's end, one sentence for people.
        answered: The engine refused: it does no more about it, though it may have done a part. False: it gave no
            answer, and may be at it still.
        started_at: When the call began, seconds since the epoch.
    """

    intent: Intent
    reason: str
    answered: bool
    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A row of the ledger as guards count it: an action that was begun, and not abandoned.

    Attributes:
        id: Of the decision.
        policy: The policy's name.
        target: The target's name, so that it counts after a recreate, too.
        target_id: The target's id, so that it counts after a rename, too.
        verb: What was done.
        at: When it ended; while it has not, when it began.
        helped: Whether it was of use; None while that is not known.
    """

    id: str
    policy: str
    target: str
    target_id: str = ""
    verb: Verb
    at: Instant
    helped: bool | None = None
