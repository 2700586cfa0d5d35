"""What came of one item of a plan. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from watchtower_agent.model.removal import Kind
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruning.item import Item, Protection


class Result(StrEnum):
    """What came of one item."""

    DELETED = "deleted"
    KEPT = "kept"
    """Something stood against it by then."""
    FAILED = "failed"
    """The engine refused, or gave no answer."""
    BUILT_UPON = "built_upon"
    """A record of the build cache that the engine left, since others build upon it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What came of one item.

    Attributes:
        kind: What it is.
        id: The engine's id; a volume's name.
        name: For people.
        result: What came of it.
        freed: Bytes, as measured, or as the engine said; None: not known.
        protection: Why it was kept; None: it was not.
        reason: Of a failure, one sentence for people; else what it was kept for.
    """

    kind: Kind
    id: str
    name: str
    result: Result
    freed: int | None = None
    protection: Protection | None = None
    reason: str = ""

    @classmethod
    def of(
        cls,
        item: Item,
        result: Result,
        *,
        freed: int | None = None,
        protection: Protection | None = None,
        reason: str = "",
    ) -> Self:
        """That of an item."""
        return cls(
            kind=item.kind,
            id=item.id,
            name=item.name,
            result=result,
            freed=freed,
            protection=protection,
            reason=reason,
        )

    def stored(self) -> dict[str, object]:
        """As a JSON object for the next run."""
        return {
            "kind": self.kind.value,
            "id": self.id,
            "name": self.name,
            "result": self.result.value,
            "freed": self.freed,
            "protection": None if self.protection is None else self.protection.value,
            "reason": self.reason,
        }

    @classmethod
    def restored(cls, stored: object) -> Self | None:
        """The inverse of `stored`; None for what is no such object."""
        if not isinstance(stored, Mapping):
            return None
        match dict(stored):
            case {"kind": str() as kind, "id": str() as identity, "name": str() as name, "result": str() as result}:
                pass
            case _:
                return None
        freed, protection, reason = stored.get("freed"), stored.get("protection"), stored.get("reason")
        try:
            return cls(
                kind=Kind(kind),
                id=identity,
                name=name,
                result=Result(result),
                freed=freed if isinstance(freed, int) else None,
                protection=Protection(protection) if isinstance(protection, str) else None,
                reason=reason if isinstance(reason, str) else "",
            )
        except ValueError:
            return None
