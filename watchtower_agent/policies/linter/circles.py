"""Policies whose `depends` make them wait for each other, so that none of them would ever act. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from watchtower_agent.model.decision import Mode, Verb
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.linter.coverage import covers
from watchtower_agent.policies.linter.doubt import Doubt
from watchtower_agent.policies.policy import Place, Policy
from watchtower_agent.policies.selector import Patterns, Selector

_MOST_LOOKED_AT: Final = 200_000
"""Pairs of a container and a selector: a folder of a thousand policies takes no longer than a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Thing:
    """Containers that the policies speak of: one by its exact name, or those of one selector."""

    name: str
    selector: Selector


def circles(policies: Sequence[Policy]) -> Iterator[Doubt]:
    """Each circle once, at the `depends` of one of its policies.

    Containers are in a circle if every policy that acts on one of them waits for another one of them. What two
    patterns, or two labels, have in common nobody knows: those that select the same are taken for the same.
    """
    acting = [each for each in policies if each.mode is not Mode.OFF and each.selector is not None and _waits_for(each)]
    things = list(_things(acting))
    selectors = sum(1 + len(each.depends) for each in acting)
    things = things[: _MOST_LOOKED_AT // max(1, selectors)]
    waits = _waits(things, acting)
    stuck = {name for name, of in waits.items() if of}
    while True:
        while free := {name for name in stuck if not all(stuck & needs for needs in waits[name].values())}:
            stuck -= free
        if not stuck:
            return
        circle = _circle(min(stuck, key=list(waits).index), waits, stuck)
        yield _told(circle, waits, {each.place: each for each in acting})
        stuck -= set(circle)


def _waits_for(policy: Policy) -> bool:
    """Whether it does what waits for other containers, if it says so."""
    return policy.then.verb not in {None, Verb.RESIZE}


def _things(policies: Sequence[Policy]) -> Iterator[_Thing]:
    known: set[str] = set()
    for policy in policies:
        selected = [policy.selector] if policy.selector is not None and policy.depends else []
        for thing in (each for selector in (*selected, *policy.depends) for each in _apart(selector)):
            if thing.name not in known:
                known.add(thing.name)
                yield thing


def _apart(selector: Selector) -> Iterator[_Thing]:
    names = selector.names
    if names is not None and selector == Selector(names=names) and all(map(names.name, names.texts)):
        for text in names.texts:
            yield _Thing(name=text, selector=Selector(names=Patterns((text,))))
    else:
        yield _Thing(name=repr(selector), selector=selector)


def _waits(things: Sequence[_Thing], policies: Sequence[Policy]) -> dict[str, dict[Place, set[str]]]:
    """For each thing every policy that acts on it, with the names of what it waits for before it does."""
    waits: dict[str, dict[Place, set[str]]] = {thing.name: {} for thing in things}
    for policy in policies:
        needed = {each.name for each in things if any(covers(item, each.selector) for item in policy.depends)}
        targets = {
            each.name for each in things if policy.selector is not None and covers(policy.selector, each.selector)
        }
        for target in targets:
            # As the guard has it: nothing waits for itself, and targets of one policy not for each other.
            waits[target][policy.place] = needed - (targets if target in needed else {target})
    return waits


def _circle(begin: str, waits: Mapping[str, Mapping[Place, set[str]]], stuck: set[str]) -> list[str]:
    """One way from thing to thing that comes back to where it was."""
    way = [begin]
    while True:
        needs = next(iter(waits[way[-1]].values())) & stuck
        following = min(needs, key=list(waits).index)
        if following in way:
            return way[way.index(following) :]
        way.append(following)


def _told(
    circle: Sequence[str], waits: Mapping[str, Mapping[Place, set[str]]], policies: Mapping[Place, Policy]
) -> Doubt:
    places = list(dict.fromkeys(next(iter(waits[each])) for each in circle))
    first = policies[min(places, key=list(policies).index)]
    others = ", ".join(f"{policies[place].name} ({place})" for place in places if place != first.place)
    return Doubt(
        policy=first,
        path=("depends",),
        message=f"{first.name} and {others} wait for each other, so that none of them would ever act",
        remedy="take one of them out of depends",
    )
