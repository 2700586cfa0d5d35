"""How close a condition is to firing: each comparison's value beside its threshold, and for how long it has held. Pure.

A condition that is true has closeness 1. One that is false has the share of the way to the threshold where that can be
said (`memory.percent > 90%` at 81 % has gone 0.9 of it), and none where it can't: a text is the one or is not. Of an
`and` the part that has farthest to go counts, of an `or` the nearest. What is not known has no closeness.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from watchtower_agent.model.decision import Number
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.conditions.tree import (
    NEGATED,
    SIGNS,
    And,
    Comparison,
    Flag,
    Literal,
    Membership,
    Name,
    Not,
    Or,
    Reference,
    Tree,
    reader,
)
from watchtower_agent.policies.conditions.truth import UNKNOWN, Subject, Truth, Unknown, Value

ALMOST: Final = math.nextafter(1.0, 0.0)
"""The closeness of a value that stands on a threshold which it would have to pass."""
_FIRES, _TRUE = 2.0, 1.0
_SOON: Final = math.nextafter(_FIRES, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One comparison as it stands now, a `not` before it taken into its sign.

    Attributes:
        name: What is looked at: `memory.percent`, `labels["k"]`, `avg(cpu.percent, 5m)`.
        value: Its present value in the catalogue's units; None when not known.
        sign: `==` `!=` `<` `<=` `>` `>=` `in` `not in`.
        threshold: The other side as a condition writes it.
        limit: The other side's present value; None when it is not known, and for a list.
        truth: Whether it holds; None when that is not known.
        ratio: 1 when it holds; the share of the way to the threshold, below 1, where that can be said; else None.
    """

    name: str
    value: Number
    sign: str
    threshold: str
    limit: Number
    truth: Truth
    ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A condition that has been true of one target, as it was followed over time.

    Attributes:
        held_for: Seconds for which it has been true, or since the agent last acted on the target; the time in which it
            was not known does not count.
        firing: It has been true for as long as the policy asks.
        ended_for: Seconds since it ceased to be true while firing is kept (`keep_for`); None while it is true.
    """

    held_for: float
    firing: bool
    ended_for: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closeness:
    """How close a condition is to firing for one target.

    Attributes:
        truth: Whether the condition holds now; None when that is not known.
        ratio: 1 when it holds; the share of the way there, below 1, where that can be said; else None.
        comparisons: In the order of writing.
        held_for: Seconds for which it has been true; 0 when it is not.
        hold: Seconds for which it must be (`for`).
        firing: It fires.
    """

    truth: Truth
    ratio: float | None
    comparisons: tuple[Compared, ...] = ()
    held_for: float = 0.0
    hold: float = 0.0
    firing: bool = False


def closeness(tree: Tree, subject: Subject, *, hold: float = 0.0, standing: Standing | None = None) -> Closeness:
    """How close the condition is to firing for the subject.

    Args:
        tree: Of the condition.
        subject: Whom it is asked about, now.
        hold: Seconds for which it must be true.
        standing: What is known of its time, None when it was not true at the last tick.
    """
    truth, ratio = measured(tree, subject)
    return Closeness(
        truth=truth,
        ratio=ratio,
        comparisons=tuple(_compared(leaf, subject, negated=negated) for leaf, negated in _leaves(tree, negated=False)),
        held_for=standing.held_for if standing is not None else 0.0,
        hold=hold,
        firing=standing is not None and standing.firing,
    )


def rank(tree: Tree, subject: Subject, *, hold: float = 0.0, standing: Standing | None = None) -> float:
    """The closer, the higher: what fires 2, what is true at least 1, the rest its share of the way.

    Cheaper than `closeness`: it is asked about every container to put them in order.
    """
    if standing is not None and standing.firing:
        return _FIRES
    truth, ratio = measured(tree, subject)
    if truth:
        held_for = standing.held_for if standing is not None else 0.0
        return min(_TRUE + held_for / hold, _SOON) if hold > 0 else _SOON
    return ratio or 0.0


def measured(tree: Tree, subject: Subject, *, negated: bool = False) -> tuple[Truth, float | None]:
    """Truth and ratio of the whole condition, or of its opposite."""
    match tree:
        case Comparison(left, sign, right):
            value = _value(left, subject)
            limit = right.value if isinstance(right, Literal) else _value(right, subject)
            return _judged(NEGATED[sign] if negated else sign, value, limit)
        case Flag(reference):
            return _judged("!=" if negated else "==", _value(reference, subject), True)  # noqa: FBT003 - the value it is compared with
        case Membership(left, items, absent):
            value = _value(left, subject)
            if value is UNKNOWN:
                return None, None
            truth = (value in {item.value for item in items}) is (absent is negated)
            return truth, 1.0 if truth else None
        case Not(part):
            return measured(part, subject, negated=not negated)
        case And(parts) | Or(parts):
            found = [measured(part, subject, negated=negated) for part in parts]
            return _all(found) if isinstance(tree, And) is not negated else _any(found)


_Part = tuple[Truth, float | None]


def _value(reference: Reference, subject: Subject) -> Value:
    return subject.value(reference.name) if isinstance(reference, Name) else reader(reference)(subject)


def _judged(sign: str, value: Value, limit: Value) -> _Part:
    if value is UNKNOWN or limit is UNKNOWN:
        return None, None
    if SIGNS[sign](value, limit):
        return True, 1.0
    return False, _share(sign, value, limit)


def _leaves(tree: Tree, *, negated: bool) -> Iterator[tuple[Flag | Comparison | Membership, bool]]:
    """Every comparison in the order of writing, and whether its opposite is meant."""
    match tree:
        case Not(part):
            yield from _leaves(part, negated=not negated)
        case And(parts) | Or(parts):
            for part in parts:
                yield from _leaves(part, negated=negated)
        case _:
            yield tree, negated


def _all(parts: Sequence[_Part]) -> _Part:
    """The farthest of those that are not true; one of which nothing can be said leaves nothing to say."""
    away = [ratio for truth, ratio in parts if truth is False]
    if away:
        return False, None if None in away else min(ratio for ratio in away if ratio is not None)
    return (None, None) if any(truth is None for truth, _ in parts) else (True, 1.0)


def _any(parts: Sequence[_Part]) -> _Part:
    """The nearest."""
    truths = [truth for truth, _ in parts]
    if True in truths:
        return True, 1.0
    if None in truths:
        return None, None
    return False, max((ratio for _, ratio in parts if ratio is not None), default=None)


def _compared(tree: Flag | Comparison | Membership, subject: Subject, *, negated: bool) -> Compared:
    left, sign, threshold, limit = _taken_apart(tree, subject, negated=negated)
    truth, ratio = measured(tree, subject, negated=negated)
    return Compared(
        name=str(left),
        value=_number(_value(left, subject)),
        sign=sign,
        threshold=threshold,
        limit=_number(limit),
        truth=truth,
        ratio=ratio,
    )


def _taken_apart(
    tree: Flag | Comparison | Membership, subject: Subject, *, negated: bool
) -> tuple[Reference, str, str, Value]:
    """What is looked at, the sign, and the other side as text and as value."""
    match tree:
        case Flag(reference):
            return reference, "==", "false" if negated else "true", not negated
        case Comparison(left, sign, right):
            limit = right.value if isinstance(right, Literal) else _value(right, subject)
            return left, NEGATED[sign] if negated else sign, str(right), limit
        case Membership(left, items, absent):
            return left, "in" if absent is negated else "not in", f"[{', '.join(map(str, items))}]", UNKNOWN


def _number(value: Value) -> Number:
    return None if isinstance(value, Unknown) else value


def _share(sign: str, value: Value, limit: Value) -> float | None:
    """How much of the way to the threshold is gone, of a comparison that is false; None where there is no way to go."""
    if isinstance(value, bool | str | Unknown) or isinstance(limit, bool | str | Unknown) or sign[0] not in "<>":
        return None
    rising = sign[0] == ">"
    if limit < 0:  # of a fall (delta, rate): seen from the other side of zero
        value, limit, rising = -value, -limit, not rising
    part, whole = (value, limit) if rising else (limit, value)
    if not whole > 0:
        return None
    share = part / whole
    return min(max(share, 0.0), ALMOST) if math.isfinite(share) else None
