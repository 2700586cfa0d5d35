"""What is built upon what: leaves come first. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set as AbstractSet
from typing import Self

from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """An order in which nothing comes before what is built upon it.

    Attributes:
        order: Ids, leaves first.
        endless: Ids of those that are, by way of others, built upon themselves, if one believes it.
        children: Id -> ids of those that are built upon it.
        heights: Id -> generations that are built upon it; of a leaf 0.
    """

    order: Sequence[str]
    endless: AbstractSet[str]
    children: Mapping[str, Sequence[str]]
    heights: Mapping[str, int]

    @classmethod
    def of(cls, parents: Mapping[str, Sequence[str]]) -> Self:
        """That of all of some: id -> ids that it is built upon. Others are left out."""
        children: dict[str, list[str]] = {}
        for each, above in parents.items():
            for parent in set(above) if len(above) > 1 else above:
                if parent in parents:
                    children.setdefault(parent, []).append(each)
        waiting = {each: len(below) for each, below in children.items()}
        order = [each for each in parents if each not in waiting]
        heights = dict.fromkeys(order, 0)
        for each in order:  # which grows meanwhile
            above = parents[each]
            for parent in set(above) if len(above) > 1 else above:
                if parent not in waiting:
                    continue
                heights[parent] = max(heights.get(parent, 0), heights[each] + 1)
                waiting[parent] -= 1
                if not waiting[parent]:
                    order.append(parent)
        return cls(order=order, endless=parents.keys() - set(order), children=children, heights=heights)
