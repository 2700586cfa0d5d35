"""What the agent's settings mean for policies: the same policy may work on one host and not on another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Final

from watchtower_agent.model.values import dataclass
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

OF_OWN_LIMITS: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(
        ("cpu.percent_of_limit", "memory.limit", "memory.percent"),
        "set sampling.source to cgroup where the agent can read cgroups, or limit the containers themselves",
    )
)
"""What the engine's stats API tells of a container's own limits alone: of those around it v1's memory limit at most."""

ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        name: "the engine is on another host, or behind a proxy: run the agent beside it, on its socket"
        for name, entry in CATALOGUE.items()
        if entry.of_disk or (name.startswith("engine.") and entry.sampled)
    }
)
"""What is not known of an engine that is not reached by its own socket on this host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where policies are to work.

    Attributes:
        never_known: Catalogue name -> why it is not known here, and what would be right.
        partly_known: Catalogue name -> what would be right, where its value goes by a part of what counts.
        interval: Seconds between samples; None where that can't be told.
        stateful_images: Names of images that are touched only when a policy selects them by exact name or label.
        host_budget: How many actions there may be on all containers together; None where that can't be told.
        prune_volumes: Whether volumes may be deleted at all; None where that can't be told.
        restart_engine: Whether the engine's service may be restarted at all; likewise.
        engine_here: Whether `engine.unit` runs the engine; likewise.
    """

    never_known: Mapping[str, str] = field(default_factory=dict)
    partly_known: Mapping[str, str] = field(default_factory=dict)
    interval: float | None = None
    stateful_images: frozenset[str] = frozenset()
    host_budget: Budget | None = None
    prune_volumes: bool | None = None
    restart_engine: bool | None = None
    engine_here: bool | None = None


UNTOLD: Final = Surroundings()
"""Nothing is told: only what can work nowhere is doubtful."""


def surroundings(
    *,
    source: str,
    engine_url: str,
    interval: float,
    stateful_images: frozenset[str] = frozenset(),
    host_budget: Budget | None = None,
    prune_volumes: bool | None = None,
    restart_engine: bool | None = None,
    engine_here: bool | None = None,
) -> Surroundings:
    """What follows from the settings.

    Args:
        source: `auto`, `cgroup` or `stats-api`.
        engine_url: The engine's address; empty where the default is used, which is a socket on this host.
        interval: Seconds between samples.
        stateful_images: From the settings.
        host_budget: From the settings.
        prune_volumes: From the settings.
        restart_engine: From the settings.
        engine_here: Whether the unit of the settings runs the engine; None: where its socket is on this host.
    """
    here = not engine_url or engine_url.startswith(("unix://", "/"))
    by_api = source == "stats-api" or (source == "auto" and not here)
    never_known = dict(BY_API) if by_api else {}
    if not here:
        never_known |= ELSEWHERE
    return Surroundings(
        never_known=never_known,
        partly_known=OF_OWN_LIMITS if by_api else {},
        interval=interval,
        stateful_images=stateful_images,
        host_budget=host_budget,
        prune_volumes=prune_volumes,
        restart_engine=restart_engine,
        engine_here=here if engine_here is None else engine_here,
    )
