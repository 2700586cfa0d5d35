"""What is wrong with one policy, gathered while its parts are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from watchtower_agent.policies.problem import Finding, Path


class Findings:
    """Mistakes in what keys mean, beside those in the keys themselves.

    Attributes:
        found: What is wrong so far.
    """

    def __init__(self, root: Path, broken: frozenset[Path]) -> None:
        """Begin with none.

        Args:
            root: The policy's path in its file.
            broken: Where in the policy something was refused already, and taken out.
        """
        self.found: list[Finding] = []
        self._root = root
        self._broken = broken

    def find(self, path: Path, message: str, remedy: str, *, at_key: bool = False, offset: int = 0) -> None:
        """One more mistake, by its path in the policy."""
        self.found.append(Finding(path=self._root + path, message=message, remedy=remedy, at_key=at_key, offset=offset))

    def intact(self, *path: str | int) -> bool:
        """Whether nothing was refused there, below, or in what it is part of: what is left of it says all of it."""
        return not any(path[: len(each)] == each[: len(path)] for each in self._broken)

    def broken_below(self, key: str) -> set[str]:
        """Keys under that key of the policy below which something was refused."""
        return {str(each[1]) for each in self._broken if len(each) > 1 and each[0] == key}

    def indexes(self, *path: str | int) -> Iterator[int]:
        """Where in a list its items are written, one after the other: items that were taken out left a gap."""
        gone = {each[-1] for each in self._broken if each[: len(path)] == path and len(each) == len(path) + 1}
        return (index for index in count() if index not in gone)
