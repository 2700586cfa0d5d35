"""Values behave as those of Python's own `dataclass`, which is asked the same beside each."""

from __future__ import annotations

import copy
import dataclasses
import operator
from collections.abc import Callable
from typing import Any

import pytest

from watchtower_agent.model.values import dataclass as ours

Made = Callable[..., Any]


def point(dataclass: Made, **options: bool) -> Any:  # noqa: ANN401 - a class that is made here
    @dataclass(**options)
    class Point:
        x: int
        y: list[Any] = dataclasses.field(default_factory=list)
        note: str = dataclasses.field(default="", repr=False, compare=False)

    return Point


def alone(dataclass: Made, **options: bool) -> Any:  # noqa: ANN401 - a class that is made here
    @dataclass(**options)
    class Alone:
        x: object

    return Alone


def nothing(dataclass: Made, **options: bool) -> Any:  # noqa: ANN401 - a class that is made here
    @dataclass(**options)
    class Nothing:
        pass

    return Nothing


def special(dataclass: Made, **options: bool) -> Any:  # noqa: ANN401 - a class that is made here
    @dataclass(**options)
    class Special:
        x: int

        def __repr__(self) -> str:
            return "special"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    return Special


OPTIONS = [
    {"frozen": True, "slots": True, "kw_only": True},
    {"frozen": True, "slots": True},
    {"slots": True, "kw_only": True},
    {"slots": True},
    {"frozen": True, "slots": True, "eq": False},
]


def told(act: Callable[..., object], *args: object, **known: object) -> str:
    """What it gives, or raises."""
    try:
        return repr(act(*args, **known))
    except (TypeError, AttributeError) as error:
        return type(error).__name__


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    ("make", "values"),
    [
        (point, [{"x": 1}, {"x": 1, "y": []}, {"x": 1, "note": "n"}, {"x": 2}, {"x": 1, "y": [3]}, {"y": []}]),
        (alone, [{"x": 1}, {"x": 1.0}, {"x": (1,)}, {"x": []}, {"z": 1}]),
        (nothing, [{}, {}]),
        (special, [{"x": 1}, {"x": 2}]),
    ],
)
def test_they_do_what_pythons_do(
    make: Callable[..., Any], values: list[dict[str, Any]], options: dict[str, bool]
) -> None:
    assert behaviour(make(ours, **options), values, options) == behaviour(
        make(dataclasses.dataclass, **options), values, options
    )


def behaviour(cls: Any, values: list[dict[str, Any]], options: dict[str, bool]) -> list[str]:  # noqa: ANN401 - any class
    """Everything that can be asked of it."""
    found = [told(cls, **known) for known in values]
    made = [cls(**known) for known, text in zip(values, found, strict=True) if not text.endswith("Error")]
    for one in made:
        found += [told(operator.eq, one, other) for other in (*made, 1, None)]
        found += [told(operator.ne, one, other) for other in made]
        if options.get("eq", True):  # else each object has a hash of its own
            found += [told(hash, one), told(hash, one)]
        found += [told(dataclasses.asdict, one), told(operator.eq, copy.deepcopy(one), dataclasses.replace(one))]
        found += [told(setattr, one, "x", 5), told(setattr, one, "z", 5), told(repr, one)]
        if options.get("frozen"):
            found.append(told(delattr, one, "x"))
    return found


def test_one_that_contains_itself_is_shown() -> None:
    value = point(ours, slots=True)(1)
    value.y.append(value)
    assert repr(value).endswith("Point(x=1, y=[...])")


def test_values_of_other_classes_are_not_equal() -> None:
    assert point(ours, frozen=True)(1) != point(ours, frozen=True)(1)
