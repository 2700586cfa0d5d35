"""Who has which slot of a row. Pure."""

from __future__ import annotations

from collections.abc import Collection


class Seats:
    """Gives each a slot, one that another left if there is one, for as long as it stays.

    Attributes:
        slots: Whose -> slot. Not for changing.
        width: Slots that were ever needed at once.
    """

    __slots__ = ("_free", "slots", "width")

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.width = 0
        self._free: list[int] = []

    def are(self, present: Collection[str]) -> bool:
        """Whether these and no others have a slot."""
        return len(present) == len(self.slots) and all(map(self.slots.__contains__, present))

    def take(self, whose: str) -> int:
        """A slot for one that has none."""
        if self._free:
            slot = self._free.pop()
        else:
            slot, self.width = self.width, self.width + 1
        self.slots[whose] = slot
        return slot

    def leave(self, whose: str) -> int | None:
        """The slot that becomes free; None for one that had none."""
        slot = self.slots.pop(whose, None)
        if slot is not None:
            self._free.append(slot)
        return slot
