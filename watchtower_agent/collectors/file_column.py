"""The same small file of every container, read in one tight loop."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import repeat

from watchtower_agent.collectors.files import Descriptors, NumberFile
from watchtower_agent.collectors.roster import Life
from watchtower_agent.collectors.tick import Faults
from watchtower_agent.errors import AbsentError, PermanentError

BLOCK = 20
"""Files that are read between two looks at the clock: 0.1 ms of a second between two readings are 0.01 %."""

_UNREAD = (math.nan, math.nan, math.nan, math.nan)


class FileColumn:
    """One number of each life of a container, from a file of its own.

    Most of what the agent costs is spent here: the loop has the system call and the parsing in it and nothing else.
    Whose files are read is settled beforehand, whenever containers come or go.

    Args:
        choose: Gives the file of a life, None where there is none (yet).
        descriptors: Counts what is kept open, of all these files.
        explain: What is said of a file that can't be read.

    Attributes:
        faults: Of the newest reading.
    """

    def __init__(
        self,
        choose: Callable[[Life], NumberFile | None],
        descriptors: Descriptors,
        *,
        explain: Callable[[PermanentError], str] = str,
    ) -> None:
        self._choose = choose
        self._kept = descriptors
        self._explain = explain
        self._width = 0
        self._slots: list[int] = []
        self._lives: list[Life] = []
        self._files: list[NumberFile] = []
        self._index_of: dict[int, int] = {}
        self._descriptors: list[int] = []
        self._descriptors_of = -1
        self._numbers: list[float] = []
        self._stamps: list[float] = []
        self._before: list[float] = []
        self._stamps_before: list[float] = []
        self._new: list[int] = []
        self.faults = Faults()

    def follow(self, lives: Sequence[Life]) -> None:
        """From now on read these. What was read of a life before stays its own."""
        entries = zip(self._numbers, self._stamps, self._before, self._stamps_before, strict=True)
        known = dict(zip(map(id, self._files), entries, strict=True))
        chosen = [(slot, life, file) for slot, life in enumerate(lives) if (file := self._choose(life)) is not None]
        kept = [known.get(id(file), _UNREAD) for _, _, file in chosen]
        self._width = len(lives)
        self._slots = [slot for slot, _, _ in chosen]
        self._lives = [life for _, life, _ in chosen]
        self._files = [file for _, _, file in chosen]
        self._index_of = {slot: index for index, slot in enumerate(self._slots)}
        self._descriptors_of = -1
        self._numbers, self._stamps = [entry[0] for entry in kept], [entry[1] for entry in kept]
        self._before, self._stamps_before = [entry[2] for entry in kept], [entry[3] for entry in kept]
        self._new = [index for index, entry in enumerate(kept) if entry is _UNREAD]

    def read(self, monotonic: Callable[[], float]) -> None:
        """Read every file."""
        self.faults = Faults()
        self._new = []
        numbers: list[float] = []
        stamps: list[float] = []
        for start in range(0, len(self._files), BLOCK):
            block = range(start, min(start + BLOCK, len(self._files)))
            numbers += self._read_block(block)
            stamps += repeat(monotonic(), len(block))
        self._before, self._stamps_before = self._numbers, self._stamps
        self._numbers, self._stamps = numbers, stamps

    def read_new(self, monotonic: Callable[[], float], anew: Collection[str] = ()) -> list[int]:
        """Read the files of lives that have not been read yet, and of these containers.

        Returns:
            Their slots.
        """
        chosen = self._new
        if anew:
            chosen = [*chosen, *(i for i, life in enumerate(self._lives) if life.target.container_id in anew)]
        for index in chosen:
            self._before[index], self._stamps_before[index] = self._numbers[index], self._stamps[index]
            self._numbers[index], self._stamps[index] = self._read_alone(index), monotonic()
        self._new = []
        return [self._slots[index] for index in chosen]

    def read_levels(self, slots: Iterable[int]) -> None:
        """Read the files of the lives in these slots, for their numbers: rates can't be computed with them."""
        self.faults = Faults()
        index_of = self._index_of
        indices = [index_of[slot] for slot in slots if slot in index_of]
        for start in range(0, len(indices), BLOCK):
            block = indices[start : start + BLOCK]
            for index, number in zip(block, self._read_block(block), strict=True):
                self._numbers[index] = number

    def numbers(self) -> array[float]:
        """What was read last, one number per slot, NaN for unknown."""
        return self._per_slot([number if number >= 0 else math.nan for number in self._numbers])

    def rates(self, unit: float) -> array[float]:
        """Δnumber · unit / Δtime between the last two readings, one per slot; NaN after a first one, and when it fell.

        The time is taken at the reading: the thread may have waited since its tick began.
        """
        readings = zip(self._numbers, self._before, self._stamps, self._stamps_before, strict=True)
        return self._per_slot(
            [
                (number - before) * unit / (at - at_before) if number >= before >= 0 and at > at_before else math.nan
                for number, before, at, at_before in readings
            ]
        )

    def _read_block(self, block: Sequence[int]) -> list[float]:
        """The numbers of a few files, read one right after the other."""
        # Another column may have ended a life since, and its descriptor be given out again.
        if self._descriptors_of != self._kept.changes:
            self._descriptors = [file.descriptor for file in self._files]
            self._descriptors_of = self._kept.changes
        # all of them have the same size and content: cgroup versions are not mixed below one root
        parse, size, pread, descriptors = self._files[0].parse, self._files[0].size, os.pread, self._descriptors
        try:
            return [parse(pread(descriptors[index], size, 0)) for index in block]
        except (OSError, ValueError):  # also where there is no descriptor: that is a system call, too, but rare
            return [self._read_alone(index) for index in block]

    def _read_alone(self, index: int) -> float:
        """Read one file: for the first time, or where it is not kept open, or something is wrong with it."""
        file = self._files[index]
        try:
            number = file.number()
        except AbsentError:
            self._lives[index].end()
        except PermanentError as error:
            self.faults.add(self._explain(error))
        else:
            return math.nan if number is None else number
        return math.nan

    def _per_slot(self, numbers: list[float]) -> array[float]:
        if len(numbers) == self._width:
            return array("d", numbers)
        column = array("d", [math.nan]) * self._width
        for slot, number in zip(self._slots, numbers, strict=True):
            column[slot] = number
        return column
