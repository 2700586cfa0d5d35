"""What goes wrong in the demo, and how the agent is expected to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_SECOND: Final = 1_000_000_000
_MIB: Final = 1024 * 1024
# A shell as pid 1 ignores TERM unless it is told otherwise, and hears it only between two commands.
_OBEY: Final = "trap 'exit 0' TERM; nap() { sleep $1 & wait $!; }; "


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One container of the demo.

    Attributes:
        name: Of the container.
        plot: What will happen to it, for people.
        script: What it runs.
        verb: How the agent is expected to answer.
        options: Further keys of its HostConfig.
        healthcheck: Its health check, None for none.
    """

    name: str
    plot: str
    script: str
    verb: str
    options: Mapping[str, Any] = field(default_factory=dict)
    healthcheck: Mapping[str, Any] | None = None


TROUBLES: Final = (
    Trouble(
        name="demo-web",
        plot="its health check begins to fail after 8 s",
        script=_OBEY + "rm -f /sick; [ -e /healed ] || { touch /healed; nap 8; touch /sick; }; nap 3600",
        verb="restart",
        healthcheck={
            "Test": ["CMD", "test", "!", "-e", "/sick"],
            "Interval": _SECOND,
            "Timeout": _SECOND,
            "Retries": 2,
        },
    ),
    Trouble(
        name="demo-job",
        plot="crashes with exit code 3 after 5 s",
        script=_OBEY + "[ -e /tried ] || { touch /tried; nap 5; exit 3; }; nap 3600",
        verb="start",
    ),
    Trouble(
        name="demo-hog",
        plot="wants more than its 32 MiB of memory after 12 s",
        script=_OBEY + "nap 12; x=0123456789abcdef; while :; do x=$x$x; done",
        verb="notify",
        options={"Memory": 32 * _MIB, "MemorySwap": 32 * _MIB},
    ),
    Trouble(
        name="demo-busy",
        plot="uses all of the 0.1 cores it may",
        script="while :; do :; done",
        verb="notify",
        options={"NanoCpus": 100_000_000},
    ),
)
NAMES: Final = frozenset(trouble.name for trouble in TROUBLES)
