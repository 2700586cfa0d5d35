"""How often which value was seen, the older the less it counts: a histogram whose weights halve every day. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from itertools import accumulate
from typing import Final, Self

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.resizing.storing import items, moment, number

HALF_LIFE: Final = 86400.0
"""Seconds in which a weight halves."""
GROWTH: Final = 1.05
"""Each bucket ends so many times higher than the one before: what is read is at most 5 % too high, never too low."""
_PER_BUCKET: Final = 1.0 / math.log(GROWTH)
_OLDEST: Final = 32
"""Half-lives after which the weights are brought to a new reference. By whole ones: that rounds nothing."""
_NEGLIGIBLE: Final = 1e-6
"""A weight that moves no percentile any more is forgotten then."""
_HAIR: Final = 1e-9
"""Share of a weight by which sums are rounded at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Buckets from a smallest value to a largest. Bucket 0 is all that is no larger than the smallest.

    Attributes:
        first: Where bucket 0 ends.
        last: What is beyond counts as that.
    """

    first: float
    last: float

    @property
    def highest(self) -> int:
        """Number of the last bucket."""
        return self._of(self.last)

    def bucket(self, value: float) -> int:
        """In which one a value is."""
        return 0 if value <= self.first else self._of(min(value, self.last))

    def end(self, bucket: int) -> float:
        """The largest value of a bucket."""
        return self.first * GROWTH**bucket

    def _of(self, value: float) -> int:
        return math.ceil(math.log(value / self.first) * _PER_BUCKET - _HAIR)


CORES: Final = Scale(first=0.001, last=1024.0)
"""Of CPU: 285 buckets at most."""
BYTES: Final = Scale(first=float(2**20), last=float(2**44))
"""Of memory: 342 buckets at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """What was seen how often.

    Attributes:
        scale: Its buckets.
        weights: Bucket -> weight, as large as if it had been seen at the reference.
        reference: Seconds on the monotonic clock; None while nothing was seen.
    """

    scale: Scale
    weights: Mapping[int, float] = field(default_factory=dict)
    reference: float | None = None

    def add(self, value: float, weight: float, at: float) -> Self:
        """The same after one more value.

        Args:
            value: Finite, not negative.
            weight: How much it counts.
            at: When it was seen, seconds on the monotonic clock.
        """
        return self.add_all({self.scale.bucket(value): weight}, at)

    def add_all(self, weights: Mapping[int, float], at: float) -> Self:
        """The same after many values of one moment, bucket -> weight."""
        reference = at if self.reference is None else self.reference
        known = dict(self.weights)
        if (passed := math.floor((at - reference) / HALF_LIFE)) > _OLDEST:
            reference += passed * HALF_LIFE
            aged = ((bucket, math.ldexp(weight, -passed)) for bucket, weight in known.items())
            known = {bucket: weight for bucket, weight in aged if weight >= _NEGLIGIBLE}
        now = 2.0 ** ((at - reference) / HALF_LIFE)
        for bucket, weight in weights.items():
            known[bucket] = known.get(bucket, 0.0) + weight * now
        return type(self)(scale=self.scale, weights=known, reference=reference)

    def percentile(self, share: float) -> float | None:
        """The smallest value that so large a share does not exceed (nearest rank), as the end of its bucket.

        None while nothing was seen.
        """
        buckets = sorted(self.weights)
        sums = list(accumulate(self.weights[bucket] for bucket in buckets))
        if not sums or sums[-1] <= 0.0:
            return None
        rank = share * sums[-1] * (1.0 - _HAIR)
        return self.scale.end(next(bucket for bucket, below in zip(buckets, sums, strict=True) if below >= rank))

    def stored(self, now: float) -> dict[str, object]:
        """As a JSON object for the next run."""
        return {
            "age": None if self.reference is None else now - self.reference,
            "weights": [[bucket, weight] for bucket, weight in self.weights.items()],
        }

    @classmethod
    def restored(cls, stored: object, origin: float, scale: Scale) -> Self:
        """The inverse of `stored`.

        Args:
            stored: As it was written.
            origin: When that was, on this run's monotonic clock.
            scale: Its buckets.

        Raises:
            KeyError, TypeError, ValueError: It is no such object.
        """
        if not isinstance(stored, Mapping):
            raise TypeError("not an object")
        weights = dict(_weights(items(stored["weights"], scale.highest + 1), scale))
        return cls(scale=scale, weights=weights, reference=moment(stored["age"], origin))


def _weights(pairs: Iterable[object], scale: Scale) -> Iterable[tuple[int, float]]:
    for pair in pairs:
        bucket, weight = (number(each) for each in items(pair, 2))
        if not (bucket.is_integer() and 0 <= bucket <= scale.highest and weight >= 0.0):
            raise ValueError(f"no bucket of this histogram: {pair}")
        yield int(bucket), weight
