"""What no policy may touch, and how far the agent as a whole may go. Pure."""

from __future__ import annotations

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.policy import Budget

HOST_BUDGET = Budget(most=6, per=600.0)
"""How many actions there may be on all containers together unless the settings say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What no policy may touch, and how far the agent as a whole may go.

    Attributes:
        observe: The agent publishes decisions and acts on nothing.
        stateful_images: Names of images that are touched only when a policy selects them by exact name or label.
        own_containers: Ids (or prefixes of at least 12 characters) of the containers that the agent itself runs in.
        peers: Host names by which the agent reaches its broker or a proxy before the engine's socket: a container
            or Compose service of that name is protected.
        peer_ports: Ports on this host by which the agent reaches its broker or such a proxy: a container that
            publishes one, or exposes it in the host's network, is protected.
        host_budget: How many actions there may be on all containers together.
        prune_volumes: Whether policies may delete volumes.
        restart_engine: Whether policies may restart the engine's service.
        engine_here: Whether `engine.unit` runs the engine that is watched: no other is restarted.
    """

    observe: bool = False
    prune_volumes: bool = False
    restart_engine: bool = False
    engine_here: bool = True
    stateful_images: frozenset[str] = frozenset()
    own_containers: tuple[str, ...] = ()
    peers: frozenset[str] = frozenset()
    peer_ports: frozenset[int] = frozenset()
    host_budget: Budget = HOST_BUDGET
