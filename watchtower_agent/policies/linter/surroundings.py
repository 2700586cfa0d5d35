"""What the agent's settings mean for policies: the same policy may work on one host and not on another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from watchtower_agent.policies.catalogue import CATALOGUE
from watchtower_agent.policies.policy import Budget

BY_API: Final[Mapping[str, str]] = MappingProxyType(
    {
        name: "the engine's stats API does not tell it: set sampling.source to cgroup where the agent can read cgroups"
        for name in CATALOGUE
        if name.startswith("pressure.") or name == "memory.oom_kills"
    }
)
"""What is not known of containers where the engine's stats API is asked about them."""

ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        name: "the engine is on another host, or behind a proxy: run the agent beside it, on its socket"
        for name, entry in CATALOGUE.items()
        if name.startswith("host.disk.") or (name.startswith("engine.") and entry.sampled)
    }
)
"""What is not known of an engine that is not reached by its own socket on this host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where policies are to work.

    Attributes:
        never_known: Catalogue name -> why it is not known here, and what would be right.
        interval: Seconds between samples; None where that can't be told.
        stateful_images: Names of images that are touched only when a policy selects them by exact name or label.
        host_budget: How many actions there may be on all containers together; None where that can't be told.
    """

    never_known: Mapping[str, str] = field(default_factory=dict)
    interval: float | None = None
    stateful_images: frozenset[str] = frozenset()
    host_budget: Budget | None = None


UNTOLD: Final = Surroundings()
"""Nothing is told: only what can work nowhere is doubtful."""


def surroundings(
    *,
    source: str,
    engine_url: str,
    interval: float,
    stateful_images: frozenset[str] = frozenset(),
    host_budget: Budget | None = None,
) -> Surroundings:
    """What follows from the settings.

    Args:
        source: `auto`, `cgroup` or `stats-api`.
        engine_url: The engine's address; empty where the default is used, which is a socket on this host.
        interval: Seconds between samples.
        stateful_images: From the settings.
        host_budget: From the settings.
    """
    here = not engine_url or engine_url.startswith(("unix://", "/"))
    never_known: dict[str, str] = {}
    if source == "stats-api" or (source == "auto" and not here):
        never_known |= BY_API
    if not here:
        never_known |= ELSEWHERE
    return Surroundings(
        never_known=never_known, interval=interval, stateful_images=stateful_images, host_budget=host_budget
    )
