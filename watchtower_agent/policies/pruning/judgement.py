"""What becomes of the objects of one kind: each is deleted or kept, and is written down here. Pure."""

from __future__ import annotations

from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.item import Item, Kept, Protection

Reason = tuple[Protection, str]
"""Why something is kept, and the name of what it is kept for."""


class Judgement:
    """Items and what is kept of one kind, by id, in the order in which they were judged.

    Args:
        kind: What they are.
        asked: Seconds without a use that the policy asks for.

    Attributes:
        items: What may be deleted.
        kept: What stays.
    """

    __slots__ = ("_asked", "_kind", "items", "kept")

    def __init__(self, kind: Kind, asked: float) -> None:
        self._kind = kind
        self._asked = asked
        self.items: dict[str, Item] = {}
        self.kept: dict[str, Kept] = {}

    def keep(
        self, identity: str, name: str, reason: Reason, *, size: int | None = None, unused: float | None = None
    ) -> None:
        """It stays.

        Args:
            identity: The engine's id; a volume's name.
            name: For people.
            reason: Why.
            size: Bytes that it takes; None: not known.
            unused: Seconds since it was last used; None: that was not asked.
        """
        self.kept[identity] = Kept(
            kind=self._kind,
            id=identity,
            name=name,
            protection=reason[0],
            by=reason[1],
            size=size,
            unused=unused,
            asked=self._asked,
        )

    def delete(
        self,
        identity: str,
        name: str,
        *,
        size: int | None,
        unused: float,
        stamp: float | None = None,
        tags: tuple[str, ...] = (),
        parents: tuple[str, ...] = (),
        cached: bool = False,
    ) -> None:
        """It may go. The arguments are what an `Item` has."""
        self.items[identity] = Item(
            kind=self._kind,
            id=identity,
            name=name,
            size=size,
            unused=unused,
            asked=self._asked,
            tags=tags,
            stamp=stamp,
            parents=parents,
            cached=cached,
        )

    def by_idleness(self) -> tuple[tuple[Item, ...], tuple[Kept, ...]]:
        """Both: what was used least recently is deleted first, then what is largest."""
        items = sorted(self.items.values(), key=lambda item: (-item.unused, -(item.size or 0), item.id))
        return tuple(items), tuple(self.kept.values())
