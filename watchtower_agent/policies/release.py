"""When the guards that hold what is wanted let go of it, and what comes of it until then: in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from watchtower_agent.model.decision import Guard
from watchtower_agent.policies.explanation import Case
from watchtower_agent.policies.guards.account import Statement
from watchtower_agent.policies.patience import given_up_at, open_at
from watchtower_agent.policies.wording import lasting


def final_of(holding: Sequence[Statement]) -> Statement | None:
    """The guard that holds it for good, if one does."""
    return next((each for each in holding if each.final), None)


def held_by(case: Case, holding: Sequence[Statement], wanted_at: float, *, done: str = "") -> tuple[float | None, str]:
    """When it is done at the earliest, None where it is not, or one can't tell; and which guards hold it, for how long.

    Args:
        case: The policy and its target.
        holding: The guards that hold it, none of them for good.
        wanted_at: When it is wanted, seconds since the epoch.
        done: What is said of its being done, where it is known when.
    """
    if (stopped := stopped_by(case, holding, wanted_at)) is not None:
        return None, stopped
    tried_at = _tried_at(case, holding, wanted_at)
    timed: dict[str, float] = {}
    open_ended: list[str] = []
    parts: list[str] = []
    for each in holding:
        at = tried_at if tried_at is not None and each.guard is Guard.BUDGET else each.release_at
        if at is not None:
            timed[each.guard.value] = at
        elif each.guard is Guard.MODE:
            parts.append(_until_approved(each))
        else:
            open_ended.append(each.guard.value)
    if open_ended:
        parts.append(f"{listed(open_ended)} for as long as that lasts")
    latest = max(timed.values(), default=None)
    if latest is not None and (opens_at := open_at(case.policy, latest)) > latest:
        timed[Guard.OUTSIDE_WINDOW.value] = latest = opens_at  # its window is closed by then
    known = latest if not parts else None
    if latest is not None:
        least = " at the earliest" if len(timed) + len(parts) > 1 else ""
        opens = " (its breaker opens: one more is wanted than the budget allows)" if tried_at is not None else ""
        parts.append(f"{listed(list(timed))} for {lasting(latest - case.now.wall)}{least}{opens}")
    how = ", and by ".join(parts)
    if (given_up := given_up_at(case, holding, wanted_at)) is not None:
        return None, how + _given_up(case, given_up, wanted_at, certain=known is not None)
    return known, how if known is None else f"{how}{done}"


def _given_up(case: Case, at: float, wanted_at: float, *, certain: bool) -> str:
    """That it waits no longer than until then; it may be let pass before, where that is not certain."""
    waits = f"in {lasting(at - case.now.wall)}" if case.waiting is not None else f"after {lasting(at - wanted_at)}"
    return f", and given up {waits}{'' if certain else ' if it still is'}"


def _until_approved(mode: Statement) -> str:
    """The one mode that lets go: a person has to say yes."""
    asked = mode.numbers.get("approval")
    return "mode until a person approves it" + (f" (approve {asked})" if asked else "")


def stopped_by(case: Case, holding: Sequence[Statement], wanted_at: float) -> str | None:
    """What holds it until the container's breaker opens, which stops the container; None: it is not stopped by that."""
    asked_at = _asked_at(holding, wanted_at)
    if asked_at is None or not case.stops:
        return None
    before = _before_budget(holding)
    opens = any(each.scope.is_target and case.now.wall + each.free_in > asked_at for each in case.spent)
    if not opens or given_up_at(case, before, wanted_at) is not None:
        return None
    who = "it is stopped" if case.policy.name in case.stops else f"policy {case.stops[0]} stops it"
    stops = f"its breaker opens (one more is wanted than the budget allows), and {who} (on_open: stop)"
    if not before:
        return f"budget: {stops}"
    guards = listed([each.guard.value for each in before])
    return f"{guards} for {lasting(asked_at - case.now.wall)}; then {stops}"


def _before_budget(holding: Sequence[Statement]) -> list[Statement]:
    guards = [each.guard for each in holding]
    return list(holding[: guards.index(Guard.BUDGET)])


def _asked_at(holding: Sequence[Statement], wanted_at: float) -> float | None:
    """When a budget that is used up is asked; None: none is, or what is asked before holds for who knows how long."""
    if not any(each.guard is Guard.BUDGET for each in holding):
        return None
    before = [each.release_at for each in _before_budget(holding)]
    return None if None in before else max([wanted_at, *(at for at in before if at is not None)])


def _tried_at(case: Case, holding: Sequence[Statement], wanted_at: float) -> float | None:
    """When one passes the breakers that open, and the budgets: these are used up when it is asked. None: none opens."""
    asked_at = tried_at = _asked_at(holding, wanted_at)
    if asked_at is None or tried_at is None:
        return None
    for each in case.spent:
        free_at = case.now.wall + each.free_in
        if free_at > tried_at:
            tried_at = max(tried_at + each.budget.probe_after, free_at)  # what is tried needs room, too
    return tried_at if tried_at > asked_at else None


def listed(names: list[str]) -> str:
    """Several, as in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
