"""Changes what usually comes, and hands it to a target: what makes it answer anew is changed further."""

from __future__ import annotations

import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tests.fuzz.targets import Target

LONGEST = 64 * 1024
"""Bytes of an input."""
SLOW = 5.0
"""Seconds of CPU for one input that are a finding."""
_MOST_KEPT = 2000
_SIGNS = "\u00e9\u2028\u202e\U0001d7d9\x85\u00a0"
"""Letters, digits, blanks and line breaks that are not ASCII's."""


class TooSlowError(Exception):
    """One input took too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An input that a target did not bear.

    Attributes:
        target: Its name.
        data: The input.
        why: The stack, or that it took too long.
    """

    target: str
    data: bytes
    why: str


def tried(target: Target, data: bytes) -> str | Finding:
    """What became of one input."""
    try:
        with _bounded():
            return target.take(data)
    except Exception:  # noqa: BLE001 - whatever it raises is the finding
        return Finding(target=target.name, data=data, why=traceback.format_exc())


@contextmanager
def _bounded() -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise TooSlowError(f"more than {SLOW:g} s of CPU")

    # of this process's CPU: a busy machine is no finding
    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, SLOW)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@dataclass(slots=True)
class Fuzzer:
    """Tries one target.

    Attributes:
        target: What is tried.
        chance: Where all changes come from: the same seed tries the same inputs.
        tries: How many inputs so far.
    """

    target: Target
    chance: random.Random
    tries: int = 0

    def findings(self, goes_on: Callable[[], bool]) -> Iterator[Finding]:
        """Those among the seeds, and then among what is made of them for as long as it goes on; each sort once."""
        kept, seen, told = list(self.target.seeds), set[str](), set[str]()
        for data in self._inputs(kept, goes_on):
            self.tries += 1
            became = tried(self.target, data)
            if isinstance(became, Finding):
                sort = "".join(became.why.splitlines()[-3:-1])
                if sort not in told:
                    told.add(sort)
                    yield became
            elif became not in seen:
                seen.add(became)
                if len(kept) < _MOST_KEPT:
                    kept.append(data)

    def _inputs(self, kept: list[bytes], goes_on: Callable[[], bool]) -> Iterator[bytes]:
        yield from tuple(kept)
        yield from (b"", b"\0", b"\xff" * 64)
        while goes_on():
            data = self.chance.choice(kept)
            for _ in range(self.chance.choice((1, 1, 2, 4, 16))):
                data = self._changed(data, kept)
            yield data

    def _changed(self, data: bytes, kept: list[bytes]) -> bytes:
        chance = self.chance
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((1, 2, 8, 64, 1024)))
        other, words = chance.choice(kept), self.target.words or (b"",)
        at = chance.randrange(len(other) + 1)
        changed = (
            data[:start] + data[end:],
            data[:start] + chance.randbytes(1) + data[start + 1 :],
            data[:start] + data[start:end] * chance.choice((2, 3, 50)) + data[end:],
            data[:start] + chance.choice(words) + data[start:],
            data[:start] + chance.choice(words) + data[end:],
            data[:start] + other[at:],
            data[:start] + other[at : at + 40] + data[end:],
            data[:start] + chance.choice(_SIGNS).encode() + data[start:],
        )
        return chance.choice(changed)[:LONGEST]


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Goes on for so long, in CPU time of this process."""
    end = time.process_time() + seconds
    return lambda: time.process_time() < end
