"""What the guards go by at present, put together. Pure."""

from __future__ import annotations

from dataclasses import field

from watchtower_agent.loop.breaking import Breaking
from watchtower_agent.loop.cooling import Cooling
from watchtower_agent.loop.under_way import UnderWay
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.circles import Circles
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.question import Evidence
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.state.dependencies import LatestDependencies
from watchtower_agent.state.host_state import HostState


@dataclass(slots=True)
class PresentEvidence:
    """Where it all comes from.

    Attributes:
        state: The host.
        circumstances: What holds for the host as a whole.
        cooling: When each policy last acted on each target.
        breaking: What was done too often.
        under_way: What is being done.
    """

    state: HostState
    circumstances: Circumstances
    cooling: Cooling
    breaking: Breaking
    under_way: UnderWay
    _dependencies: LatestDependencies = field(default_factory=LatestDependencies)

    def under(self, policies: PolicySet) -> Evidence:
        """As it is while these are in force."""
        containers = self.state.containers
        dependencies = self._dependencies.of(containers)
        return Evidence(
            state=self.state,
            cooldowns=self.cooling.cooldowns,
            ledger=self.breaking.ledger,
            breakers=self.breaking.breakers,
            futility=self.breaking.futility,
            circumstances=self.circumstances,
            dependencies=dependencies,
            circles=Circles(dependencies, containers, policies.policies),
            under_way=self.under_way.targets,
            protection=self.circumstances.protection,
        )
