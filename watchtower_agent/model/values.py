"""`dataclass`, as Python's own, but made quickly: that was two fifths of what it takes to load the agent.

Python's writes each method as text and compiles that, whether or not anybody ever calls it. Here making, comparing and
hashing are written when they are first called, and showing and being frozen are functions that every class shares; all
else is Python's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from reprlib import recursive_repr
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - so that others may import it from here
else:

    def dataclass(
        *, frozen: bool = False, slots: bool = False, kw_only: bool = False, eq: bool = True
    ) -> Callable[[type[T]], type[T]]:
        """As Python's own, with the options that the agent uses."""

        def made(cls: type[T]) -> type[T]:
            if cls.__doc__ is None:  # left out: Python would write the signature in its place, which takes long
                cls.__doc__ = cls.__name__
            own = vars(cls)
            shows, compares, hashes = ("__repr__" not in own, eq and "__eq__" not in own, "__hash__" not in own)
            # Python is not told that it is frozen, since it would compile two methods for that. So it can't find fault
            # with a class that is frozen below one that is not; mypy does.
            value = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
            _makes(value, frozen=frozen)
            if frozen:
                _freeze(value)
            if shows:
                value.__repr__ = _repr
            if compares:
                _compares(value, hashes=hashes and frozen)
                if hashes and not frozen:
                    value.__hash__ = None
            return value

        return made


@recursive_repr()
def _repr(value: Any) -> str:  # noqa: ANN401 - of any class
    shown = (f"{each.name}={getattr(value, each.name)!r}" for each in dataclasses.fields(value) if each.repr)
    return f"{type(value).__qualname__}({', '.join(shown)})"


def _freeze(cls: Any) -> None:  # noqa: ANN401 - any class
    """Let nothing in it be changed, as Python does; copies are still made."""
    cls.__setattr__, cls.__delattr__ = _set, _delete
    cls.__getstate__, cls.__setstate__ = _state, _restore


def _set(_value: object, name: str, _new: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete(_value: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(value: Any) -> list[object]:  # noqa: ANN401 - of any class
    return [getattr(value, each.name) for each in dataclasses.fields(value)]


def _restore(value: Any, state: Sequence[object]) -> None:  # noqa: ANN401 - of any class
    for each, content in zip(dataclasses.fields(value), state, strict=True):
        object.__setattr__(value, each.name, content)


def _makes(cls: Any, *, frozen: bool) -> None:  # noqa: ANN401 - any class
    """Let it be made of its fields."""
    if "__init__" in vars(cls):
        return

    def make(value: object, /, *given: object, **named: object) -> None:
        _write_init(cls, frozen=frozen)
        cls.__init__(value, *given, **named)

    cls.__init__ = make


def _write_init(cls: Any, *, frozen: bool) -> None:  # noqa: ANN401 - any class
    """Write out how it is made. What it is made with has names with two underscores, which no field has."""
    written: dict[str, Any] = {"__set": object.__setattr__, "__none": _Nothing}
    positional, named, lines = ["__self"], list[str](), list[str]()
    for each in dataclasses.fields(cls):
        name, default, content = each.name, "", each.name
        if each.default is not dataclasses.MISSING:
            written[f"__default_{name}"] = each.default
            default = f"__default_{name}"
        elif each.default_factory is not dataclasses.MISSING:
            written[f"__new_{name}"] = each.default_factory
            default, content = "__none", f"__new_{name}() if {name} is __none else {name}"
        if each.init:
            (named if each.kw_only else positional).append(f"{name}={default}" if default else name)
        elif default:
            content = f"__new_{name}()" if default == "__none" else default
        else:
            continue  # whoever wrote the class sets it
        if not frozen:
            lines.append(f" __self.{name}={content}\n")
        elif isinstance(slot := getattr(cls, name, None), MemberDescriptorType):
            written[f"__put_{name}"] = slot.__set__  # half of what it takes to find it by its name
            lines.append(f" __put_{name}(__self,{content})\n")
        else:
            lines.append(f" __set(__self,{name!r},{content})\n")
    if hasattr(cls, "__post_init__"):
        lines.append(" __self.__post_init__()\n")
    parameters = ",".join([*positional, *(["*", *named] if named else [])])
    exec(f"def __init__({parameters}):\n{''.join(lines) or ' pass'}", written)  # noqa: S102 - as Python's own
    written["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = written["__init__"]


class _Nothing:
    """What a field was given for which nothing was given."""


def _compares(cls: Any, *, hashes: bool) -> None:  # noqa: ANN401 - any class
    """Let it compare by its fields, and hash by them."""

    def equal(value: object, other: object) -> Any:  # noqa: ANN401 - NotImplemented is of no type that has a name
        _write(cls, hashes=hashes)
        return cls.__eq__(value, other)

    def hashed(value: object) -> int:
        _write(cls, hashes=hashes)
        return int(cls.__hash__(value))

    cls.__eq__ = equal
    if hashes:
        cls.__hash__ = hashed


def _write(cls: Any, *, hashes: bool) -> None:  # noqa: ANN401 - any class
    """Write out what is slow when it goes by names: these are names of our own fields, and nothing from outside."""
    names = [each.name for each in dataclasses.fields(cls) if each.compare]
    mine, others = ("".join(f"{whose}.{name}," for name in names) for whose in ("self", "other"))
    written: dict[str, Any] = {}
    exec(  # noqa: S102 - as Python's own
        f"def __eq__(self, other):\n"
        f" return ({mine}) == ({others}) if other.__class__ is self.__class__ else NotImplemented\n"
        f"def __hash__(self):\n"
        f" return hash(({mine}))\n",
        written,
    )
    cls.__eq__ = written["__eq__"]
    if hashes:
        cls.__hash__ = written["__hash__"]
