"""Opposite actions by the same number of the host's, with no gap between: they go to and fro. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from watchtower_agent.model.decision import Verb
from watchtower_agent.policies.catalogue import CATALOGUE, Scope
from watchtower_agent.policies.conditions.tree import Reference, Windowed
from watchtower_agent.policies.linter.afterwards import after
from watchtower_agent.policies.linter.doubt import asked
from watchtower_agent.policies.linter.logic import Case, Values, cases, clash, values_of
from watchtower_agent.policies.policy import Policy, Then, WhenTrigger

DELIBERATE: Final = 600.0
"""Seconds of `for` after which what undoes another policy's action is meant to: stopped for a while, then started."""
_OPPOSITE: Final = frozenset(
    frozenset(pair) for pair in ((Verb.START, Verb.STOP), (Verb.START, Verb.KILL), (Verb.PAUSE, Verb.UNPAUSE))
)
"""The one leaves a container as the other found it."""
_MOST_WAYS: Final = 16
"""In which two conditions are true, one beside the other: about conditions with more nothing is claimed."""

_Ranges = Mapping[Reference, Values]


class Thresholds:
    """What policies ask of the host's numbers. Of each it is found out once, however many others it is compared to."""

    def __init__(self) -> None:
        self._cases: dict[str, Sequence[Case]] = {}
        self._asked: dict[str, Sequence[_Ranges]] = {}
        self._left: dict[tuple[str, Verb | None], Sequence[_Ranges]] = {}

    def to_and_fro(self, one: Policy, other: Policy) -> tuple[str, str] | None:
        """What is wrong with two policies of the same containers, and what would be right; None: nothing is.

        Args:
            one: Written before the other, and in force as well.
            other: That which is told of.
        """
        if frozenset({one.then.verb, other.then.verb}) not in _OPPOSITE:
            return None
        for first, second in ((one, other), (other, one)):
            numbers = self._without_gap(first, second)
            if numbers:
                message = (
                    f"this and the {one.then.verb} by policy {one.name} ({one.place}) go to and fro: there is no gap "
                    f"between what they ask of {numbers}"
                )
                return message, "let the one begin well away from where the other ends, as at > 90% and at < 70%"
        return None

    def _without_gap(self, first: Policy, second: Policy) -> str:
        """Numbers of the host's by which the second may undo what the first did, with these as they were."""
        wants, undoes = first.trigger, second.trigger
        if not isinstance(wants, WhenTrigger) or not isinstance(undoes, WhenTrigger):
            return ""
        if max(wants.hold, undoes.hold) >= DELIBERATE:
            return ""
        before = self._asked_by(first)
        later = self._left_to(second, first.then) if before else ()
        if len(before) * len(later) > _MOST_WAYS:
            return ""
        for ranges in later:
            if any(_meet(was, ranges) for was in before):
                return " and ".join(map(str, ranges))
        return ""

    def _asked_by(self, policy: Policy) -> Sequence[_Ranges]:
        """What it asks of such numbers, by the ways in which it fires; of a way that asks nothing of them nothing."""
        if policy.name not in self._asked:
            every = (dict(_ranges(case)) for case in self._cases_of(policy))
            self._asked[policy.name] = [ranges for ranges in every if ranges]
        return self._asked[policy.name]

    def _left_to(self, policy: Policy, then: Then) -> Sequence[_Ranges]:
        """What has to be so for it to fire right after that action, where that is about such numbers alone."""
        key = policy.name, then.verb
        if key not in self._left:
            known, left = after(then, same=False), []
            for case in self._cases_of(policy):
                unsure, ranges = {part.reference for part in case if not known.sure(part)}, dict(_ranges(case))
                if unsure and unsure <= ranges.keys():
                    left.append({each: ranges[each] for each in ranges if each in unsure})
            self._left[key] = left
        return self._left[key]

    def _cases_of(self, policy: Policy) -> Sequence[Case]:
        if policy.name not in self._cases:
            tree = asked(policy)
            every = cases(tree) if tree is not None else ()
            self._cases[policy.name] = [case for case in every or () if not clash(case)]
        return self._cases[policy.name]


def _ranges(case: Case) -> Iterator[tuple[Reference, Values]]:
    """The numbers of the host's that it asks for, each with what it may be."""
    for reference in dict.fromkeys(part.reference for part in case):
        name = reference.window.name if isinstance(reference, Windowed) else str(reference)
        entry = CATALOGUE.get(name)
        if entry is None or entry.scope is not Scope.HOST:
            continue
        values = any_value = values_of(reference)
        for part in case:
            values = values.narrowed(part) if part.reference == reference else values
        if values.among is None and values != any_value:
            yield reference, values


def _meet(one: _Ranges, other: _Ranges) -> bool:
    """Whether the one asks for all numbers that the other does, and for values that overlap or touch."""
    return all(
        each in one and max(one[each].low, values.low) <= min(one[each].high, values.high)
        for each, values in other.items()
    )
