"""Values behave as those of Python's own `dataclass`, which is asked the same beside each."""

from __future__ import annotations

import copy
import dataclasses
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from watchtower_agent.model import values
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


def derived(dataclass: Made, **options: bool) -> Any:  # noqa: ANN401 - a class that is made here
    @dataclass(**options)
    class Below(point(dataclass, **options)):  # type: ignore[misc] # a base that is made here
        z: int = 3

    return Below


def finished(dataclass: Made, **options: bool) -> Any:  # noqa: ANN401 - a class that is made here
    @dataclass(**options)
    class Finished:
        value: int
        given: tuple[int, ...] = ()
        _ready: bool = dataclasses.field(default=False, init=False)
        _seen: list[int] = dataclasses.field(default_factory=list, init=False)
        _twice: int = dataclasses.field(init=False)
        named: str = dataclasses.field(default="n", kw_only=True)

        def __post_init__(self) -> None:
            object.__setattr__(self, "_twice", 2 * self.value)

    return Finished


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
    ("make", "known"),
    [
        (point, [{"x": 1}, {"x": 1, "y": []}, {"x": 1, "note": "n"}, {"x": 2}, {"x": 1, "y": [3]}, {"y": []}]),
        (alone, [{"x": 1}, {"x": 1.0}, {"x": (1,)}, {"x": []}, {"z": 1}]),
        (nothing, [{}, {}]),
        (special, [{"x": 1}, {"x": 2}]),
        (derived, [{"x": 1}, {"x": 1, "z": 3}, {"x": 1, "z": 4}, {"z": 1}]),
        (finished, [{"value": 1}, {"value": 1, "given": (1,)}, {"value": 2, "named": "m"}, {"_ready": True}]),
    ],
)
def test_they_do_what_pythons_do(
    make: Callable[..., Any], known: list[dict[str, Any]], options: dict[str, bool]
) -> None:
    assert behaviour(make(ours, **options), known, options) == behaviour(
        make(dataclasses.dataclass, **options), known, options
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
        found += [told(repr, one), repr(cls.__match_args__)]
        for field in dataclasses.fields(cls):
            found.append(told(setattr, one, field.name, 5))
            if options.get("frozen"):
                found.append(told(delattr, one, field.name))
    return found


@pytest.mark.parametrize("frozen", [False, True])
def test_nothing_can_be_added(frozen: bool) -> None:  # Python's own says TypeError where one is frozen and has slots
    with pytest.raises(AttributeError):
        point(ours, frozen=frozen, slots=True)(1).other = 5


@pytest.mark.parametrize("kw_only", [False, True])
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((1,), {}),
        ((1, (2,)), {}),
        ((1, (2,)), {"named": "m"}),
        ((1, (2,), "m"), {}),
        ((), {}),
        ((1,), {"value": 1}),
        ((), {"value": 1, "_ready": True}),
        ((), {"given": (2,), "value": 1}),
    ],
)
def test_they_are_made_as_pythons_are(kw_only: bool, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    def made(dataclass: Made) -> list[str]:
        cls = finished(dataclass, frozen=True, slots=True, kw_only=kw_only)
        texts = []
        for _ in range(2):  # the first time it has to be written
            try:
                texts.append(repr(cls(*given, **named)))
            except TypeError as error:
                texts.append(str(error))
        return texts

    assert made(ours) == made(dataclasses.dataclass)


def test_nothing_is_compiled_before_it_is_asked_for() -> None:  # what hundreds of classes would cost each start
    cls = point(ours, frozen=True, slots=True)
    methods = ("__init__", "__eq__", "__hash__", "__setattr__", "__delattr__")
    assert {vars(cls)[name].__code__.co_filename for name in methods} == {values.__file__}
    assert hash(cls(1, ())) == hash(cls(1, ()))
    assert {vars(cls)[name].__code__.co_filename for name in methods[:3]} == {"<string>"}


def test_each_has_its_own_of_what_a_factory_makes() -> None:
    cls = point(ours, frozen=True, slots=True)
    assert cls(1).y is not cls(1).y
    shared: list[int] = []
    assert cls(1, shared).y is shared


def test_what_is_made_first_in_a_class_below_is_whole() -> None:
    cls = derived(ours, frozen=True, slots=True)
    assert repr(cls(1, [2], "n", 4)).endswith("Below(x=1, y=[2], z=4)")
    assert repr(cls.__mro__[1](1, [2], "n")).endswith("Point(x=1, y=[2])")


def test_how_it_is_made_may_be_written_by_hand() -> None:
    @ours(slots=True)
    class Own:
        x: int

        def __init__(self) -> None:
            self.x = 7

    assert Own().x == 7


@ours(frozen=True, slots=True, kw_only=True)
class Packed:
    x: int


def test_a_frozen_one_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Packed(x=1))) == Packed(x=1)


def test_one_that_contains_itself_is_shown() -> None:
    value = point(ours, slots=True)(1)
    value.y.append(value)
    assert repr(value).endswith("Point(x=1, y=[...])")


def test_values_of_other_classes_are_not_equal() -> None:
    assert point(ours, frozen=True)(1) != point(ours, frozen=True)(1)
