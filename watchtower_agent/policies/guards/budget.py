"""How many actions there may be, and what a breaker lets pass when more are wanted. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from watchtower_agent.model.decision import Guard, Held, TargetKind
from watchtower_agent.policies.guards.breakers import Breaker
from watchtower_agent.policies.guards.ledger import Scope, scopes_of
from watchtower_agent.policies.guards.question import Question
from watchtower_agent.policies.policy import Budget
from watchtower_agent.policies.wording import as_written


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A budget of which nothing is left.

    Attributes:
        scope: Whose.
        budget: Which.
        free_in: Seconds until there is room for one.
    """

    scope: Scope
    budget: Budget
    free_in: float

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"{_actions(self.budget.most)} {_where(self.scope)} within {as_written(self.budget.per)}"


def breaker(q: Question) -> Held | None:
    """An open breaker lets nothing pass; after its time it lets one probe."""
    for scope in scopes_of(q.decision):
        known = q.breakers.by.get(scope)
        if known is None or _was_let_pass(q, known):
            continue
        numbers = {
            "scope": scope.kind.value,
            "opened_by": known.policy,
            "times_opened": known.times,
            "probe_after": known.wait,
        }
        if known.probe is not None:
            probe = known.probe.decision
            tried = f"its breaker is half-open: whether the {probe.verb} of {probe.target.name} helps is to be seen"
            return q.hold(Guard.BREAKER, tried, numbers=numbers)
        if (left := known.left(q.now)) > 0:
            what = f"{_actions(known.budget.most)} {_where(scope)} within {as_written(known.budget.per)}"
            again = f", nor did {_tried(known.times - 1)} since" if known.times > 1 else ""
            return q.hold(
                Guard.BREAKER,
                f"the breaker is open: {what} did not help{again}; one is tried {as_written(known.wait)} after that",
                numbers=numbers,
                release_in=left,
            )
    return None


def _was_let_pass(q: Question, known: Breaker) -> bool:
    """Its probe, and what had begun when it opened: that was within the budget."""
    if known.probe is not None and known.probe.decision.id == q.decision.id:
        return True
    begun = q.ledger.begun(q.decision)
    return begun is not None and begun.monotonic <= known.since.monotonic


def budget(q: Question) -> Held | None:
    """No more actions than there may be, a probe among them."""
    spent = used_up(q)
    if spent is None:
        return None
    return q.hold(
        Guard.BUDGET,
        f"{spent.words}: more are not allowed (budget)",
        numbers={
            "scope": spent.scope.kind.value,
            "max": spent.budget.most,
            "per": spent.budget.per,
        },
        release_in=spent.free_in,
    )


def used_up(q: Question) -> Spent | None:
    """The first budget that the decision would exceed; None when there is room in each."""
    for scope, allowed in _budgets(q):
        begin = q.now.monotonic - allowed.per
        acts = q.ledger.newest(scope, allowed.most, begin, other_than=q.decision.id)
        if len(acts) == allowed.most:
            return Spent(scope=scope, budget=allowed, free_in=acts[-1].at.monotonic - begin)
    return None


def _budgets(q: Question) -> Iterator[tuple[Scope, Budget]]:
    for scope in scopes_of(q.decision):
        yield scope, q.protection.host_budget if scope.kind is TargetKind.HOST else q.policy.budget


def _actions(many: int) -> str:
    return "1 action" if many == 1 else f"{many} actions"


def _where(scope: Scope) -> str:
    return "on this host" if scope.kind is TargetKind.HOST else f"on {scope.name}"


def _tried(many: int) -> str:
    return "the one tried" if many == 1 else f"the {many} tried"
