"""What engine and broker are found or started for, and with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scripts.launch.processes import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One run of the agent or of the demo.

    Attributes:
        demo: Whether it is the demo, which leaves nothing behind.
        folder: For sockets and scratch, gone at the end.
        processes: What is started goes here.
    """

    demo: bool
    folder: Path
    processes: Processes
