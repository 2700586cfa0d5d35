"""How big the drills are: reduced by default, full with `scripts/test --full`."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

FEW: Final = "few"
"""The profile of Hypothesis (`--hypothesis-profile=few`) for a second Python, where the first has looked at all."""

FULL = os.environ.get("WATCHTOWER_TEST_FULL", "") not in {"", "0"}
"""Whether this run uses the full numbers."""


def drill(*, reduced: int, full: int) -> int:
    """The number that this run uses: `for _ in range(drill(reduced=5, full=100))`."""
    return full if FULL else reduced


def examples(number: int) -> int:
    """How many examples a property gets that wants so many: all in a full run, else 4 of 10, or the few of the profile.

    Each run tries others, so that what runs often sees them all.
    """
    if settings.get_current_profile_name() == FEW:
        return min(number, settings().max_examples)
    return number if FULL else max(1, number * 4 // 10)
