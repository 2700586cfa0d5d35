"""What a strategy wants by now, held against what people were asked about. Pure.

A strategy works its wish out anew at every sample, and numbers that are measured are never twice the same. People would
be asked again and again, each time under another id, and be told that what they approve has changed: so what they were
asked about stays what is wanted for as long as it is near enough, and done just as it was published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from watchtower_agent.model.decision import Decision, Number, Verb
from watchtower_agent.policies.resizing.recommendation import Limit, Recommendation, Resource
from watchtower_agent.policies.scaled import TO

_NEAR: Final = 0.1
"""Share by which a wish may differ from what was asked about: no smaller change is worth making, either."""
_GOES_ON: Final = frozenset({Limit.TOLERANCE, Limit.UNKNOWN})
"""What keeps a limit as it is without speaking against the question: near enough, or nothing is known at present."""
_FROM, _ADD, _REMOVE = "from", "add", "remove"


def as_asked(wanted: Decision, asked: Decision) -> Decision:
    """What is wanted, as people were asked about it where that is near enough.

    Args:
        wanted: What a strategy wants by now.
        asked: What people were asked about, of the same policy and target.
    """
    near = {Verb.RESIZE: _resizes_alike, Verb.SCALE: _scales_alike}.get(wanted.verb)
    if near is None or asked.verb is not wanted.verb or not near(wanted, asked):
        return wanted
    return replace(wanted, parameters=asked.parameters, reason=asked.reason, numbers=asked.numbers)


def goes_on(advice: Recommendation, asked: Decision) -> bool:
    """Whether a question about larger limits goes on though they are near enough by now to be left as they are.

    What is needed swings around what is worth a change: people would be asked anew at each swing, and a rejection
    forgotten. A smaller limit needs none of that: once it is not wanted, hours pass until it is again.

    Args:
        advice: What is recommended by now: no change.
        asked: What people were asked about.
    """
    if advice.moves or asked.verb is not Verb.RESIZE or not asked.parameters:
        return False
    tolerated = {each.resource.value for each in advice.advices if each.limit in _GOES_ON}
    by_now = replace(asked, parameters={}, numbers=advice.numbers())
    return asked.parameters.keys() <= tolerated and _resizes_alike(by_now, asked)


def _resizes_alike(wanted: Decision, asked: Decision) -> bool:
    """Each limit goes the same way from where it is, about as far, and is lowered to no less than is wanted."""
    if not wanted.parameters.keys() <= asked.parameters.keys():
        return False
    for resource in (each for each in Resource if each.value in asked.parameters):
        to, now = _amount(asked.parameters, resource.value), _amount(wanted.parameters, resource.value)
        numbers = _of(resource, wanted)
        limit = _amount(numbers, "limit")
        if to is None or limit != _amount(_of(resource, asked), "limit"):
            return False
        # What is near enough to stay as it is need not be left out of what was asked about, unless it is lowered.
        goal = now if now is not None else _amount(numbers, "desired")
        least, most = _amount(numbers, "min"), _amount(numbers, "max")
        if goal is None or least is None or most is None or not least <= to <= most or abs(to - goal) > _NEAR * goal:
            return False
        lowers = limit is None or to < limit
        if lowers and (now is None or to < now):
            return False
    return True


def _of(resource: Resource, decision: Decision) -> Mapping[str, Number]:
    """The numbers about one limit, by their plain names."""
    start = f"{resource} "
    return {name.removeprefix(start): each for name, each in decision.numbers.items() if name.startswith(start)}


def _scales_alike(wanted: Decision, asked: Decision) -> bool:
    """It is a part of the way that is wanted, and not much less than all of it."""
    changing = {TO, _ADD, _REMOVE}
    if _without(wanted.parameters, changing) != _without(asked.parameters, changing):
        return False
    begun, to, now = _amount(asked.parameters, _FROM), _amount(asked.parameters, TO), _amount(wanted.parameters, TO)
    if begun is None or to is None or now is None or abs(to - now) > max(1.0, _NEAR * now):
        return False
    removes = set(_names(asked.parameters)) <= set(_names(wanted.parameters))
    return removes and (begun < to <= now or now <= to < begun)


def _without(parameters: Mapping[str, Number], left_out: set[str]) -> dict[str, Number]:
    return {name: each for name, each in parameters.items() if name not in left_out}


def _names(parameters: Mapping[str, Number]) -> list[str]:
    removed = parameters.get(_REMOVE)
    return str(removed).split(",") if removed else []


def _amount(values: Mapping[str, Number], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
