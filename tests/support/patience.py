"""How much longer than usual tests wait for what must happen: on an emulated machine everything takes its time."""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "WATCHTOWER_TEST_PATIENCE"
"""A factor, 1 where it is not set. Not WATCHTOWER_AGENT_…: those are settings of the agent."""

_FACTOR: Final = float(os.environ.get(VARIABLE, "1"))


def patient(seconds: float) -> float:
    """How long to wait on this machine for what takes at most so many seconds on a usual one."""
    return seconds * _FACTOR
