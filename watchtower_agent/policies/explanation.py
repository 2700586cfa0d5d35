"""Why a policy does, or does not do, something to a target: its condition, every guard, and what comes next. Pure.

An explanation asks and changes nothing: no breaker opens by it, no timer starts, nothing is entered anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from watchtower_agent.model.decision import Target, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Intent
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.conditions.closeness import Closeness, Standing
from watchtower_agent.policies.guards.account import Statement
from watchtower_agent.policies.guards.budget import Spent
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.waiting import Waiting


class Outlook(StrEnum):
    """What comes next."""

    OFF = "off"
    """The policy is not in force."""
    NOT_SELECTED = "not_selected"
    """The policy is not about the target."""
    UNDER_WAY = "under_way"
    """An action on the target is being carried out."""
    NEVER = "never"
    """It is, or would be, wanted, and a guard stops it for good."""
    HELD = "held"
    """It is wanted, and guards hold it."""
    TURN = "turn"
    """It is wanted, no guard holds it, and it waits for its turn."""
    COUNTING = "counting"
    """The condition is true, and not for long enough yet."""
    TOLD = "told"
    """The condition fires, and that was told."""
    NOTHING = "nothing"
    """The condition is not true."""
    UNKNOWN = "unknown"
    """Whether the condition is true is not known."""
    EVENT = "event"
    """An event sets it off."""
    TIME = "time"
    """A time of day sets it off."""
    FOLLOWS = "follows"
    """Another container was brought back, and this one is restarted once that is well."""
    NOW = "now"
    """It would be done now, if a person set it off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What comes next.

    Attributes:
        outlook: In a word.
        words: In a sentence.
        at: When the action is done at the earliest if nothing else changes, seconds since the epoch; None: not known,
            or nothing is.
        budget: How much of the target's budget is gone, for people; empty where none is, or nothing is to be done.
    """

    outlook: Outlook
    words: str
    at: float | None = None
    budget: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One policy and one target, as they stand.

    Attributes:
        policy: The policy.
        target: Whom it is about.
        now: The present.
        close: Its condition, or the filter on its event, as it stands for the target; None where there is none.
        true_in: Seconds until a condition that is false comes true by time alone; None: it does not.
        standing: For how long the condition has been true; None when it was not at the last tick.
        statements: What each guard says to what is wanted, or would be.
        waiting: What is wanted of the target and waits; None: nothing.
        under_way: What is being done to the target; None: nothing.
        spent: Budgets of which nothing is left though their breakers are closed: wanting the action opens them.
        by_hand: A person asks what would happen if they set it off now, whatever its trigger.
        so_already: Why there is nothing to do for the policy's action, as the target is; empty where there is.
        mismatches: What of the policy's selector does not match the target.
        stops: Names of the policies that have it stopped as its breaker opens.
        follows: After which container it is to be restarted once that is well, and why; empty: after none.
        stopped_by: What another policy is about to do to it, which ends it; empty: nothing.
    """

    policy: Policy
    target: Target
    now: Instant
    close: Closeness | None = None
    true_in: float | None = None
    standing: Standing | None = None
    statements: Sequence[Statement] = ()
    waiting: Waiting | None = None
    under_way: Intent | None = None
    spent: Sequence[Spent] = ()
    by_hand: bool = False
    so_already: str = ""
    mismatches: Sequence[str] = ()
    stops: Sequence[str] = ()
    follows: str = ""
    stopped_by: str = ""

    @property
    def holding(self) -> list[Statement]:
        """The guards that stop it."""
        return [each for each in self.statements if each.holds]

    @property
    def verb(self) -> str:
        """What the policy does, or wants now: the stop that answers a breaker, too."""
        verb = self.policy.then.verb if self.waiting is None else self.waiting.decision.verb
        return verb.value if verb is not None else "notify"

    @property
    def does(self) -> str:
        """The same of a third person: `restarts`, `notifies`."""
        if self.policy.then.verb is Verb.RESTART_ENGINE:
            return "restarts the engine"
        return f"{self.verb}s" if self.policy.then.verb is not None else "notifies"
