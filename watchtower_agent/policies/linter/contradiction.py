"""Two policies that do contrary things to the same containers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, islice
from typing import Final

from watchtower_agent.model.decision import Mode, Verb
from watchtower_agent.policies.catalogue import ANY_ACTION
from watchtower_agent.policies.linter.afterwards import after, ends_or_begins
from watchtower_agent.policies.linter.coverage import covers
from watchtower_agent.policies.linter.doubt import Doubt, asked
from watchtower_agent.policies.linter.logic import cases, clash, implies, possible
from watchtower_agent.policies.linter.thresholds import DELIBERATE, Thresholds
from watchtower_agent.policies.policy import OnTrigger, Policy, ScheduleTrigger, WhenTrigger
from watchtower_agent.policies.selector import Selector

_CONTRARY: Final = frozenset(
    frozenset(pair)
    for pair in (
        (Verb.START, Verb.STOP),
        (Verb.START, Verb.KILL),
        (Verb.RESTART, Verb.STOP),
        (Verb.RESTART, Verb.KILL),
        (Verb.PAUSE, Verb.UNPAUSE),
        (Verb.PAUSE, Verb.RESTART),  # a start is none: the engine refuses it of what is paused
    )
)
_ACTING: Final = frozenset({Mode.ENFORCE, Mode.APPROVE})
_MOST_PAIRS: Final = 20_000
"""Of policies that are looked at: a folder with more takes no longer to load."""


def contradictions(policies: Iterable[Policy]) -> Iterator[Doubt]:
    """Each pair once, at the policy that is written later."""
    acting = [each for each in policies if each.mode in _ACTING and each.selector is not None and _acts(each)]
    thresholds = Thresholds()
    pairs = ((one, other) for one, other in combinations(acting, 2) if _verbs(one, other) in _CONTRARY)
    for one, other in islice(pairs, _MOST_PAIRS):
        if not _same_containers(one.selector, other.selector) or _different_windows(one, other):
            continue
        found = _undone(one, other) or _at_once(one, other) or thresholds.to_and_fro(one, other)
        if found:
            message, remedy = found
            yield Doubt(policy=other, path=("then", str(other.then.verb)), message=message, remedy=remedy, at_key=True)


def _acts(policy: Policy) -> bool:
    return policy.then.verb is not None and ends_or_begins(policy.then)


def _verbs(one: Policy, other: Policy) -> frozenset[Verb | None]:
    return frozenset({one.then.verb, other.then.verb})


def _same_containers(one: Selector | None, other: Selector | None) -> bool:
    """Whether one of them certainly selects all that the other does. Of others nobody can tell."""
    return one is not None and other is not None and (covers(one, other) or covers(other, one))


def _different_windows(one: Policy, other: Policy) -> bool:
    """They may act at different times, and then people most likely mean it."""
    return bool(one.windows) and bool(other.windows) and one.windows != other.windows


def _undone(one: Policy, other: Policy) -> tuple[str, str] | None:
    for first, second in ((one, other), (other, one)):
        trigger = second.trigger
        if not isinstance(trigger, WhenTrigger) or trigger.hold >= DELIBERATE:
            continue
        every = cases(asked(second) or trigger.condition.tree) or ()
        then = after(first.then, same=False)
        if any(then.still(case) for case in every if not clash(case)):
            who = "this undoes" if second is other else "this is undone by"
            what = f"the {one.then.verb} by policy {one.name} ({one.place})"
            a = "an" if one.then.verb is Verb.UNPAUSE else "a"
            whom = what if second is other else f"policy {one.name} ({one.place}), which does {a} {one.then.verb}"
            return f"{who} {whom} of the same containers", "leave one of them out, or let them select different ones"
    return None


def _at_once(one: Policy, other: Policy) -> tuple[str, str] | None:
    if not (_together(one, other) or _together(other, one)):
        return None
    message = (
        f"{other.then.verb} here and {one.then.verb} by policy {one.name} ({one.place}) are contrary, "
        "and both are wanted of the same containers at the same time"
    )
    return message, "leave one of them out, or add to each what the other is not for"


def _together(one: Policy, other: Policy) -> bool:
    """Whether the other wants to act whenever the one does."""
    match one.trigger, other.trigger:
        case WhenTrigger(), WhenTrigger():
            first, second = asked(one), asked(other)
            return first is not None and possible(first) and implies(first, second)
        case OnTrigger() as first_on, OnTrigger() as second_on:
            first_where = first_on.where.tree if first_on.where is not None else None
            second_where = second_on.where.tree if second_on.where is not None else None
            filters = (first_where is None or possible(first_where)) and implies(first_where, second_where)
            return filters and _same_events(first_on, second_on)
        case ScheduleTrigger() as first_run, ScheduleTrigger() as second_run:
            return first_run.schedule == second_run.schedule
    return False


def _same_events(one: OnTrigger, other: OnTrigger) -> bool:
    return any(
        kind == kind_other and (action == action_other or ANY_ACTION in {action, action_other})
        for kind, action in one.events
        for kind_other, action_other in other.events
    )
