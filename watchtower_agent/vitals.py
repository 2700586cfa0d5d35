"""Whether what the agent must go on doing goes on: what systemd's watchdog is fed by, and /healthz answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from watchtower_agent.model.values import dataclass


def _never() -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vital:
    """One thing that goes on.

    Attributes:
        name: What a person calls it.
        moved: When it last got on, on the monotonic clock; None while it has no reason to.
        within: Seconds without progress after which it stands still.
        excuse: Why a new start of the agent would not help, in words; empty when there is no such reason.
    """

    name: str
    moved: Callable[[], float | None]
    within: float
    excuse: Callable[[], str] = _never


def stuck(vitals: Iterable[Vital], now: float) -> list[str]:
    """What stands still without an excuse, in words; `now` is monotonic."""
    found = []
    for vital in vitals:
        moved = vital.moved()
        if moved is not None and now - moved > vital.within and not vital.excuse():
            found.append(f"{vital.name} for {now - moved:.0f} s")
    return found
