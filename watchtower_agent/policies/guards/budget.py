"""How many actions there may be, and what a breaker lets pass when more are wanted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from watchtower_agent.model.decision import Decision, Guard, Held, Number
from watchtower_agent.model.outcome import Act
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.breakers import PROBES_APART, Breaker, Phase, Probe
from watchtower_agent.policies.guards.futility import counted_for, known_after
from watchtower_agent.policies.guards.ledger import ATTEMPTS, Scope, ScopeKind, scopes_of
from watchtower_agent.policies.guards.question import Passed, Question
from watchtower_agent.policies.policy import Budget, Policy
from watchtower_agent.policies.wording import as_written, lasting

_MOST_NAMED: Final = 5
"""Containers that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A budget of which nothing is left.

    Attributes:
        scope: Whose.
        budget: Which.
        free_in: Seconds until there is room for one.
        in_vain: All that it was spent on came to nothing, as far as is known.
    """

    scope: Scope
    budget: Budget
    free_in: float
    in_vain: bool = False

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"{_actions(self.budget.most)} {_where(self.scope)} within {as_written(self.budget.per)}"

    @property
    def cause(self) -> str:
        """Why a breaker opens, for people: nothing is said of use that is not known."""
        one = "is" if self.budget.most == 1 else "are"
        return f"{self.words} {'did not help' if self.in_vain else f'{one} as many as may be'}"


def breaker(q: Question) -> Held | None:
    """An open breaker lets nothing pass; after its time it lets one probe. Of several all have to let it pass."""
    holding = list(_holding(q))
    if not holding:
        return None
    return replace(holding[0], release_at=max((at for each in holding if (at := each.release_at)), default=None))


def _holding(q: Question) -> Iterator[Held]:
    """What each breaker that holds it says: that of the target, of the policy, of the host."""
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
            yield _half_open(q, scope, known.probe, {**numbers})
        elif (left := known.left(q.now)) > 0:
            what = known.cause or _opened_by(q, scope, known)
            again = f"; {_tried(known.times - 1)} since did not help" if known.times > 1 else ""
            when = f"{as_written(known.wait)} after that"
            if known.told_nothing is not None:
                of = "this policy" if scope.kind is ScopeKind.POLICY else "this host"
                when = f"{as_written(PROBES_APART)} after the last one, which told nothing of {of}"
            whose = f"the breaker of policy {scope.name}" if scope.kind is ScopeKind.POLICY else "the breaker"
            yield q.hold(
                Guard.BREAKER,
                f"{whose} is open: {what}{again}; one is tried {when}",
                numbers=numbers,
                release_in=left,
            )


def _half_open(q: Question, scope: Scope, probe: Probe, numbers: dict[str, Number]) -> Held:
    did = f"the {probe.decision.verb} of {probe.decision.target.name}"
    if scope.kind is not ScopeKind.POLICY:
        return q.hold(Guard.BREAKER, f"its breaker is half-open: whether {did} helps is to be seen", numbers=numbers)
    at_least = known_after(q.policy)
    since = probe.begun if probe.ended is None else probe.ended
    to_be_seen = f"whether {did} lasts is to be seen, for {as_written(at_least)} at least"
    return q.hold(
        Guard.BREAKER,
        f"the breaker of policy {scope.name} is half-open: {to_be_seen}",
        numbers=numbers,
        release_in=max(0.0, at_least - (q.now.monotonic - since.monotonic)),
    )


def breaker_passes(q: Question) -> Passed:
    """It is closed, or open and lets this one pass."""
    numbers: dict[str, Number] = {}
    closed: list[str] = []
    words: list[str] = []
    for scope in scopes_of(q.decision):
        known = q.breakers.by.get(scope)
        numbers[scope.kind.value] = Phase.CLOSED.value if known is None else known.phase.value
        if known is None:
            closed.append(_for(scope))
            continue
        numbers["times_opened"] = known.times
        since = lasting(q.now.monotonic - known.since.monotonic)
        words.append(f"{known.phase.replace('_', '-')} {_for(scope)} for {since}, and lets this one pass")
    if closed:
        *most, last = closed
        words.append(f"closed {', '.join(most)}{' and ' if most else ''}{last}")
    if in_vain := q.futility.in_vain(q.policy.name):
        allowed = q.policy.budget
        counted = f"{len(in_vain)} of {_targets(allowed.in_vain)} in {as_written(counted_for(q.policy))}"
        words.append(f"{counted} on which policy {q.policy.name} was of no use")
    numbers |= {"in_vain": len(in_vain), "in_vain_max": q.policy.budget.in_vain}
    return Passed(reason="; ".join(words), numbers=numbers)


def _was_let_pass(q: Question, known: Breaker) -> bool:
    """Its probe, and what had begun when it opened: that was within the budget."""
    if known.probe is not None and known.probe.decision.id == q.decision.id:
        return True
    begun = q.ledger.begun(q.decision)
    return begun is not None and begun.monotonic <= known.since.monotonic


def budget(q: Question) -> Held | None:
    """No more actions than there may be, a probe among them. Of several budgets all have to have room."""
    every = list(all_used_up(q))
    if not every:
        return None
    spent = every[0]
    return q.hold(
        Guard.BUDGET,
        f"{' and '.join(each.words for each in every)}: more are not allowed (budget)",
        numbers={
            "scope": spent.scope.kind.value,
            "used": spent.budget.most,
            "max": spent.budget.most,
            "per": spent.budget.per,
        },
        release_in=max(each.free_in for each in every),
    )


def used_up(q: Question) -> Spent | None:
    """The first budget that the decision would exceed; None when there is room in each."""
    return next(all_used_up(q), None)


def all_used_up(q: Question) -> Iterator[Spent]:
    """The budgets that the decision would exceed: of the target, of the host."""
    for scope, allowed in _budgets(q):
        acts = _counted(q, scope, allowed)
        if len(acts) == allowed.most:
            free_in = _counts_for(q, acts[-1], allowed)
            yield Spent(scope=scope, budget=allowed, free_in=free_in, in_vain=_in_vain(q.decision, acts))


def budget_passes(q: Question) -> Passed:
    """There is room in each budget."""
    numbers: dict[str, Number] = {}
    words: list[str] = []
    for scope, allowed in _budgets(q):
        acts = _counted(q, scope, allowed)
        frees = _counts_for(q, acts[-1], allowed) if acts else None
        of_host = "host_" if numbers else ""
        numbers |= {
            f"{of_host}used": len(acts),
            f"{of_host}max": allowed.most,
            f"{of_host}per": allowed.per,
            f"{of_host}oldest_counts_for": None if frees is None else round(frees, 3),
        }
        many = str(allowed.most) if words else _actions(allowed.most)
        words.append(f"{len(acts)} of {many} {_where(scope)} in {as_written(allowed.per)}")
    return Passed(reason=", ".join(words), numbers=numbers)


def _counted(q: Question, scope: Scope, allowed: Budget) -> list[Act]:
    """What counts towards a budget, newest first: no more than it allows."""
    return q.ledger.newest(scope, allowed.most, q.now.monotonic - allowed.per, other_than=q.decision.id)


def _in_vain(wanted: Decision, acts: Sequence[Act]) -> bool:
    """Of the newest that may not be known yet: that its target is to be brought back again tells it."""
    newest, *others = acts
    same = newest.target == wanted.target.name or newest.target_id == wanted.target.id != ""
    again = same and {newest.verb, wanted.verb} <= ATTEMPTS
    known = newest.helped is False or (newest.helped is None and again)
    return known and all(act.helped is False for act in others)


def _counts_for(q: Question, act: Act, allowed: Budget) -> float:
    """Seconds until an action counts no more."""
    return act.at.monotonic - (q.now.monotonic - allowed.per)


def _budgets(q: Question) -> Iterator[tuple[Scope, Budget]]:
    for scope in scopes_of(q.decision):
        if scope.kind is not ScopeKind.POLICY:  # what a policy may do is not counted, but what came of it
            yield scope, q.protection.host_budget if scope.kind is ScopeKind.HOST else q.policy.budget


def _actions(many: int) -> str:
    return "1 action" if many == 1 else f"{many} actions"


def _where(scope: Scope) -> str:
    return "on this host" if scope.kind is ScopeKind.HOST else f"on {scope.name}"


def _for(scope: Scope) -> str:
    if scope.kind is ScopeKind.HOST:
        return "for this host"
    return f"for policy {scope.name}" if scope.kind is ScopeKind.POLICY else f"for {scope.name}"


def _opened_by(q: Question, scope: Scope, known: Breaker) -> str:
    """Why it opened, where that was not written down."""
    if scope.kind is ScopeKind.POLICY:
        return futile(q.policy, ())
    return Spent(scope=scope, budget=known.budget, free_in=0.0).cause


def futile(policy: Policy, names: Sequence[str]) -> str:
    """Why a policy's own breaker opens, for people: `what it did to 5 containers within 30m was of no use: a, b, …`."""
    many, within = len(names) or policy.budget.in_vain, as_written(counted_for(policy))
    named = ", ".join(names[-_MOST_NAMED:]) + (", …" if len(names) > _MOST_NAMED else "")
    return f"what it did to {_targets(many)} within {within} was of no use{f' ({named})' if names else ''}"


def _targets(many: int) -> str:
    return "1 container" if many == 1 else f"{many} containers"


def _tried(many: int) -> str:
    return "the one tried" if many == 1 else f"the {many} tried"
