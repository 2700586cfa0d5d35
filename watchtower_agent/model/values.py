"""`dataclass`, as Python's own, but made quickly: that was two fifths of what it takes to load the agent.

Python's writes each method as text and compiles that, whether or not anybody ever calls it. Here comparing and hashing
are written when they are first called, and showing is a function that every class shares; all else is Python's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from reprlib import recursive_repr
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
            value = dataclasses.dataclass(repr=False, eq=False, frozen=frozen, slots=slots, kw_only=kw_only)(cls)
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
