"""What a pass counts: above all, how often in a row it deleted in vain. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from watchtower_agent.model.removal import Kind, Space
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruning.item import Item

ENOUGH_TO_MEASURE: Final = 2**20
"""Bytes. Records of the build cache may have a few KiB, less than others write in the same moment: such ones are put
together until they should have freed so much, and count as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a pass counts.

    Attributes:
        objects: That the engine was asked to delete, records of the build cache aside.
        records: Of the build cache, that are deleted.
        round: The same, of the present round alone.
        calls: For records of the build cache.
        useless: Deletes in a row that freed nothing.
        failures: In a row.
        expected: Bytes that records of the build cache should have freed since `start`.
        start: How much space there was before the first of them; None: there is none that was not counted.
    """

    objects: int = 0
    records: int = 0
    round: int = 0
    calls: int = 0
    useless: int = 0
    failures: int = 0
    expected: int = 0
    start: Space | None = None

    def deleted(self, item: Item, freed: int | None, before: Space | None, after: Space | None) -> Tally:
        """The same after a deletion.

        Args:
            item: What was deleted.
            freed: Bytes by the engine's account; None: it does not say.
            before: How much space there was; None: not known.
            after: The same, measured afterwards.
        """
        if item.kind is not Kind.CACHE:
            tally = self._measured(item, before, after)
            return replace(tally, failures=0, objects=self.objects + 1)
        tally = self._recorded(item, freed, before, after)
        return replace(tally, failures=0, calls=self.calls + 1, records=self.records + 1, round=self.round + 1)

    def _measured(self, item: Item, before: Space | None, after: Space | None) -> Tally:
        """Whether it was in vain, by what was measured."""
        if item.size == 0 or before is None or after is None:
            return self  # whatever space grew by, it was not this
        if after.has_more_than(before, expected=item.size):
            return replace(self, useless=0)
        return replace(self, useless=self.useless + item.frees)

    def _recorded(self, item: Item, freed: int | None, before: Space | None, after: Space | None) -> Tally:
        """The same of a record of the build cache: by the engine's account if that is nothing, else as measured."""
        if item.size == 0:
            return self
        if freed == 0:
            return replace(self, useless=self.useless + 1, expected=0, start=None)
        start, expected = self.start or before, self.expected + (item.size or 0)
        if start is None or after is None:
            return self
        if after.has_more_than(start, expected=expected):
            return replace(self, useless=0, expected=0, start=None)
        if expected < ENOUGH_TO_MEASURE:
            return replace(self, expected=expected, start=start)
        return replace(self, useless=self.useless + 1, expected=0, start=None)
