"""Policies that scale the same containers, which only shows once these are there: the first of them has them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Mode
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.strategies.scale import ScaleStrategy, ServiceKind

_ACTING: Final = frozenset({Mode.ENFORCE, Mode.APPROVE})

Scaled = tuple[Policy, ScaleStrategy]


def contested(policies: Sequence[Scaled], containers: Iterable[Container]) -> Mapping[str, str]:
    """Policies that leave their service alone, since another one has some of its containers.

    The loader refuses two policies that certainly scale the same. Whether a group has containers of a Compose service,
    or of another group, only their labels tell. Each would take away what the other has made, without end.

    Args:
        policies: In force, in the order in which they are written.
        containers: Of this host.

    Returns:
        Name of such a policy -> name of the first one that scales the same.
    """
    # Who only watches takes nothing away, and the Swarm keeps its replicas itself.
    acting = [(policy, strategy) for policy, strategy in policies if strategy.clones and policy.mode in _ACTING]
    if all(strategy.target.kind is not ServiceKind.GROUP for _, strategy in acting):
        return {}  # names of Compose services are whole
    first: dict[str, int] = {}
    for container in containers:
        places = [place for place, (_, strategy) in enumerate(acting) if strategy.target.has(container)]
        for place in places[1:]:
            mine = acting[place][0]
            earlier = next((each for each in places if each < place and not _in_turns(acting[each][0], mine)), None)
            if earlier is not None:
                first[mine.name] = min(earlier, first.get(mine.name, earlier))
    return {name: acting[place][0].name for name, place in first.items()}


def _in_turns(one: Policy, other: Policy) -> bool:
    """They act at different times, and then people most likely mean it."""
    return bool(one.windows) and bool(other.windows) and one.windows != other.windows
