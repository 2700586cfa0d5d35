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
from watchtower_agent.policies.patience import holding_at
from watchtower_agent.policies.policy import OnTrigger, ScheduleTrigger, WhenTrigger
from watchtower_agent.policies.release import final_of, held_by, listed, stopped_by
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
    final = final_of(holding) is not None
    if waiting.decision.last_resort:
        held = f", held by {listed([each.guard.value for each in holding])}" if holding else ""
        return "" if final else f"policy {name} stops it, as its breaker is open (on_open: stop){held}"
    stopped = None if final or not holding else stopped_by(case, holding, case.now.wall)
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
    if (final := final_of(holding)) is not None:
        return _never(f"{case.verb} is wanted, and is not done", final)
    at, how = held_by(case, holding, case.now.wall, done=f", then done{_unless(case)}")
    return Next(outlook=Outlook.HELD, words=f"{case.verb} is held by {how}", at=at)


def _by_hand(case: Case) -> Next:
    holding = case.holding
    if case.so_already:
        return Next(outlook=Outlook.NOTHING, words=f"nothing: {case.so_already}")
    if not holding:
        return Next(outlook=Outlook.NOW, words=f"{case.does} at once", at=case.now.wall)
    if (final := final_of(holding)) is not None:
        return _never(f"{case.verb} would not be done", final)
    at, how = held_by(case, holding, case.now.wall, done=", then done")
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
    if (final := final_of(holding)) is not None:
        return _never(f"fires {soon}{unless}; {case.verb} is then not done", final)
    at, how = held_by(case, holding, fires_at, done=", then done")
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
    if (final := final_of(holding)) is not None:
        return _never(f"{case.verb} is wanted {when}, and is not done", final)
    released, how = held_by(case, holding, moment)
    words = f"{case.verb} is wanted {when}; as things are it would be held by {how}"
    return Next(outlook=outlook, words=words, at=None if at is None else released)


# --- guards -----------------------------------------------------------------------------------------------------------


def _never(words: str, final: Statement) -> Next:
    return Next(outlook=Outlook.NEVER, words=f"{words}: {final.reason}")


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
        return listed([each.name for each in found[:_MOST]])
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
