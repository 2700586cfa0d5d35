"""What would happen next to one target by one policy, and when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from watchtower_agent.model.decision import Guard, Mode
from watchtower_agent.policies.conditions.closeness import Compared
from watchtower_agent.policies.conditions.tree import Comparison, Literal, Name, Tree
from watchtower_agent.policies.explanation import Case, Next, Outlook
from watchtower_agent.policies.guards.account import Statement
from watchtower_agent.policies.patience import given_up_at, holding_at, open_at
from watchtower_agent.policies.policy import OnTrigger, ScheduleTrigger, WhenTrigger
from watchtower_agent.policies.wording import lasting, valued

_MOST: Final = 2
"""Comparisons that are named."""
_TRIGGERS: Final = 4
"""Events that are named."""
_MAY_ACT: Final = frozenset(
    {Outlook.HELD, Outlook.TURN, Outlook.COUNTING, Outlook.EVENT, Outlook.TIME, Outlook.NOW, Outlook.UNDER_WAY}
)


def next_of(case: Case) -> Next:
    """What comes next."""
    coming = _next(case)
    words = "; ".join(filter(None, (coming.words, case.stopped_by)))
    if case.follows and coming.outlook is not Outlook.FOLLOWS:
        words += f"; {case.follows}"
    budget = _budget(case) if coming.outlook in _MAY_ACT else ""
    return replace(coming, words=words, budget=budget)


def stop_by(case: Case) -> str:
    """How what a policy wants of a container is about to have it stopped, as its breaker opens; empty: it is not."""
    name, waiting = case.policy.name, case.waiting
    if waiting is None:
        return ""
    holding = case.holding
    final = _final(holding) is not None
    if waiting.decision.last_resort:
        held = f", held by {_joined([each.guard.value for each in holding])}" if holding else ""
        return "" if final else f"policy {name} stops it, as its breaker is open (on_open: stop){held}"
    stopped = None if final or not holding else _stopped(case, holding, case.now.wall)
    return "" if stopped is None else f"policy {name} wants a {case.verb}, held by {stopped}"


def _next(case: Case) -> Next:  # noqa: PLR0911 - one return per outlook
    if case.mismatches and case.waiting is None and case.follows:
        return Next(outlook=Outlook.FOLLOWS, words=case.follows)
    if case.mismatches and case.waiting is None:
        return Next(outlook=Outlook.NOT_SELECTED, words=f"nothing: the policy does not select {case.target.name}")
    if case.policy.mode is Mode.OFF:
        return Next(outlook=Outlook.OFF, words="nothing: the policy is off")
    if case.under_way is not None:
        decision = case.under_way.decision
        lasts = lasting(max(0.0, case.now.wall - case.under_way.at))
        words = f"{decision.verb} under way for {lasts} by policy {decision.policy}: {decision.reason}"
        return Next(outlook=Outlook.UNDER_WAY, words=words)
    if case.waiting is not None:
        return _waits(case)
    if case.by_hand:
        return _by_hand(case)
    match case.policy.trigger:
        case WhenTrigger():
            return _condition(case, case.policy.trigger)
        case OnTrigger():
            return _event(case, case.policy.trigger)
        case ScheduleTrigger():
            return _time(case, case.policy.trigger)
        case _:
            return Next(outlook=Outlook.NOTHING, words="nothing: it needs no change")


# --- what is wanted ---------------------------------------------------------------------------------------------------


def _waits(case: Case) -> Next:
    """A decision is on the agenda."""
    holding = case.holding
    if not holding:
        return Next(outlook=Outlook.TURN, words=f"{case.verb} is wanted, and is done when its turn comes")
    if (final := _final(holding)) is not None:
        return _never(f"{case.verb} is wanted, and is not done", final)
    at, how = _held(case, holding, case.now.wall, done=f", then done{_unless(case)}")
    return Next(outlook=Outlook.HELD, words=f"{case.verb} is held by {how}", at=at)


def _by_hand(case: Case) -> Next:
    holding = case.holding
    if case.so_already:
        return Next(outlook=Outlook.NOTHING, words=f"nothing: {case.so_already}")
    if not holding:
        return Next(outlook=Outlook.NOW, words=f"{case.does} at once", at=case.now.wall)
    if (final := _final(holding)) is not None:
        return _never(f"{case.verb} would not be done", final)
    at, how = _held(case, holding, case.now.wall, done=", then done")
    return Next(outlook=Outlook.HELD, words=f"{case.verb} would be held by {how}", at=at)


# --- what sets it off -------------------------------------------------------------------------------------------------


def _condition(case: Case, trigger: WhenTrigger) -> Next:
    close, standing = case.close, case.standing
    if close is None or close.truth is None:
        what = _names(close.comparisons if close is not None else (), truth=None)
        return Next(outlook=Outlook.UNKNOWN, words=f"not known: {what or 'its condition'} is not known")
    if not close.truth:
        return _not_true(case, trigger, close.comparisons)
    if standing is None:
        left = trigger.hold
    elif case.policy.then.verb is None and standing.firing:
        return Next(
            outlook=Outlook.TOLD, words="it fires and has told so; it tells again once that has ended and come anew"
        )
    else:
        left = max(0.0, trigger.hold - standing.held_for)
    return _counting(case, left, _unless(case))


def _counting(case: Case, left: float, unless: str) -> Next:
    """The condition is true, or will be: what comes when it has been for long enough.

    Args:
        case: The policy and its target.
        left: Seconds until then.
        unless: What may come between.
    """
    fires_at = case.now.wall + left
    holding = holding_at(case, fires_at)
    soon = f"in {lasting(left)}" if left > 0 else "with the next sample"
    if not holding:
        words = f"{case.does} {soon}{unless}"
        return Next(outlook=Outlook.COUNTING, words=words, at=fires_at)
    if (final := _final(holding)) is not None:
        return _never(f"fires {soon}{unless}; {case.verb} is then not done", final)
    at, how = _held(case, holding, fires_at, done=", then done")
    words = f"fires {soon}{unless}; {case.verb} is then held by {how}"
    return Next(outlook=Outlook.COUNTING, words=words, at=at)


def _not_true(case: Case, trigger: WhenTrigger, comparisons: Sequence[Compared]) -> Next:
    why = _names(comparisons, truth=False) or "its condition is not true"
    words, standing = f"nothing: {why}", case.standing
    if case.true_in is not None and standing is None:
        coming = _counting(case, case.true_in + trigger.hold, " unless anything else changes")
        return replace(coming, outlook=Outlook.NOTHING, words=f"nothing yet: {why}; {coming.words}")
    if standing is not None and standing.firing and standing.ended_for is not None:
        kept = lasting(max(0.0, trigger.keep - standing.ended_for))
        words += f"; it goes on firing for {kept} (keep_for), which does nothing"
    return Next(outlook=Outlook.NOTHING, words=words)


def _event(case: Case, trigger: OnTrigger) -> Next:
    events = sorted(f"{kind} {action}" for kind, action in trigger.events)
    more = f" or {len(events) - _TRIGGERS} more" if len(events) > _TRIGGERS else ""
    on = f"on {' or '.join(events[:_TRIGGERS])}{more}"
    close = case.close
    if close is not None and close.truth is False:
        why = _names(close.comparisons, truth=False) or "its filter (where) is not true"
        return Next(outlook=Outlook.NOTHING, words=f"nothing {on}: {why}")
    if close is not None and close.truth is None:
        on += ", if where is true of it"
    return _then(case, on, case.now.wall, Outlook.EVENT, at=None)


def _time(case: Case, trigger: ScheduleTrigger) -> Next:
    now, schedule = case.now.wall, trigger.schedule
    at = schedule.after(now)
    if at is None:
        return Next(outlook=Outlook.NOTHING, words="nothing: its schedule has no further time")
    return _then(case, f"at {schedule.shown(at, now)} (in {lasting(at - now)})", at, Outlook.TIME, at=at)


def _then(case: Case, when: str, moment: float, outlook: Outlook, *, at: float | None) -> Next:
    """What is done when it is set off, as far as guards can tell now."""
    holding = holding_at(case, moment)
    if not holding:
        return Next(outlook=outlook, words=f"{case.does} {when}", at=at)
    if (final := _final(holding)) is not None:
        return _never(f"{case.verb} is wanted {when}, and is not done", final)
    released, how = _held(case, holding, moment)
    words = f"{case.verb} is wanted {when}; as things are it would be held by {how}"
    return Next(outlook=outlook, words=words, at=None if at is None else released)


# --- guards -----------------------------------------------------------------------------------------------------------


def _final(holding: Sequence[Statement]) -> Statement | None:
    return next((each for each in holding if each.final), None)


def _never(words: str, final: Statement) -> Next:
    return Next(outlook=Outlook.NEVER, words=f"{words}: {final.reason}")


def _held(case: Case, holding: Sequence[Statement], wanted_at: float, *, done: str = "") -> tuple[float | None, str]:
    """When it is done at the earliest, None where it is not, or one can't tell; and which guards hold it, for how long.

    Args:
        case: The policy and its target.
        holding: The guards that hold it, none of them for good.
        wanted_at: When it is wanted, seconds since the epoch.
        done: What is said of its being done, where it is known when.
    """
    if (stopped := _stopped(case, holding, wanted_at)) is not None:
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
        parts.append(f"{_joined(open_ended)} for as long as that lasts")
    latest = max(timed.values(), default=None)
    if latest is not None and (opens_at := open_at(case.policy, latest)) > latest:
        timed[Guard.OUTSIDE_WINDOW.value] = latest = opens_at  # its window is closed by then
    known = latest if not parts else None
    if latest is not None:
        least = " at the earliest" if len(timed) + len(parts) > 1 else ""
        opens = " (its breaker opens: one more is wanted than the budget allows)" if tried_at is not None else ""
        parts.append(f"{_joined(list(timed))} for {lasting(latest - case.now.wall)}{least}{opens}")
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


def _stopped(case: Case, holding: Sequence[Statement], wanted_at: float) -> str | None:
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
    guards = _joined([each.guard.value for each in before])
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


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def _budget(case: Case) -> str:
    """How much of the target's budget is gone, where any is."""
    said = next((each for each in case.statements if each.guard is Guard.BUDGET and not each.holds), None)
    used = said.numbers.get("used") if said is not None else None
    if said is None or not used:
        return ""
    per = said.numbers.get("per")
    within = f" in {lasting(per)}" if isinstance(per, int | float) else ""
    return f"budget {used} of {said.numbers.get('max')}{within}"


# --- conditions -------------------------------------------------------------------------------------------------------


def _unless(case: Case) -> str:
    trigger = case.policy.trigger
    if case.waiting is not None and case.waiting.decision.from_event:
        return " unless it is overtaken"
    if not isinstance(trigger, WhenTrigger):
        return ""
    return " unless healthy" if _is_about_health(trigger.condition.tree) else " unless its condition ends"


def _is_about_health(tree: Tree) -> bool:
    match tree:
        case Comparison(Name("health"), "==", Literal("unhealthy")):
            return True
        case _:
            return False


def _names(comparisons: Sequence[Compared], *, truth: bool | None) -> str:
    """The comparisons of that truth, with their values: `memory.percent is 81.0 % (it takes > 90%)`."""
    found = [each for each in comparisons if each.truth is truth]
    if truth is None:
        return _joined([each.name for each in found[:_MOST]])
    said = [f"{each.name} is {valued(each.name, each.value)} (it takes {_takes(each)})" for each in found]
    return "; ".join(said[:_MOST]) + ("; …" if len(said) > _MOST else "")


def _takes(compared: Compared) -> str:
    """What it would take for a comparison to hold."""
    match compared.sign:
        case "==":
            return compared.threshold
        case "!=":
            return f"any but {compared.threshold}"
        case "in":
            return f"one of {compared.threshold}"
        case "not in":
            return f"none of {compared.threshold}"
        case sign:
            return f"{sign} {compared.threshold}"
