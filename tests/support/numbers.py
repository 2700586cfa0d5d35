"""How big the drills are: reduced by default, full with `scripts/test --full`."""

from __future__ import annotations

import os

FULL = os.environ.get("WATCHTOWER_TEST_FULL", "") not in {"", "0"}
"""Whether this run uses the full numbers."""


def drill(*, reduced: int, full: int) -> int:
    """The number that this run uses: `for _ in range(drill(reduced=5, full=100))`."""
    return full if FULL else reduced
