"""Modules that a library imports and the agent never uses: they are loaded once somebody does."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Final

SELDOM: Final = ("bz2", "difflib", "idna", "lzma", "tarfile", "zipfile")
"""Builds of images, zipped packages, host names beyond ASCII, names near to misspelt ones: 1.5 MiB."""


class _Later(ModuleType):
    """Stands in for a module until something in it is asked for."""

    def __getattr__(self, name: str) -> object:
        # Whoever goes through all modules (`inspect`) asks each for its file: that is no use of it.
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def load_later(names: tuple[str, ...] = SELDOM) -> None:
    """From now on an `import` of these takes next to no memory; those that are loaded already stay.

    Args:
        names: Of modules of which only attributes are used: nobody imports a module below one of them.
    """
    for name in names:
        sys.modules.setdefault(name, _Later(name))
