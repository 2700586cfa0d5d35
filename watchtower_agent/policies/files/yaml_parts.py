"""Where the parts of a policy file begin, told by its lines alone: for a file that is no YAML as a whole. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

_POLICIES: Final = re.compile(
    r"^policies[ \t]*:[ \t]*(?:#.*)?\r?\n(?:[ \t]*(?:#.*)?\r?\n)*(?P<indent> *)-(?=[ \r\n])", re.MULTILINE
)
"""The key with a list below it, up to the first item's dash."""
_MOST: Final = 1000
"""Policies: as many as a folder may have."""


class Part(NamedTuple):
    """Some lines of a file.

    Attributes:
        begin: Index of the first one's first character.
        end: Index behind the last one.
        policy: They are an item of the list of policies; else keys beside that.
    """

    begin: int
    end: int
    policy: bool


def parts_of(text: str) -> Iterator[Part]:
    """The keys above the policies, each policy, and keys below; nothing where there are no policies, or too many.

    A policy goes on to the next line that begins as its own first line does. Lines in a text that is written over
    several can look so: that is known only of a file that can be read.
    """
    found = _POLICIES.search(text)
    if found is None:
        return
    first = found.start("indent")
    below = re.compile(r"^(?![-#\s])", re.MULTILINE).search(text, first)
    end = below.start() if below is not None else len(text)
    dashes = re.compile(rf"^{found['indent']}-(?=[ \r\n])", re.MULTILINE)
    begins = [each.start() for each in dashes.finditer(text, first, end)]
    if len(begins) > _MOST:
        return
    yield Part(0, first, policy=False)
    yield from (Part(begin, behind, policy=True) for begin, behind in pairwise((*begins, end)))
    if end < len(text):
        yield Part(end, len(text), policy=False)
