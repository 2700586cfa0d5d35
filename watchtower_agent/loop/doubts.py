"""Containers of which only time tells how they are: when the engine is asked about each of them. Pure."""

from __future__ import annotations

import math
from dataclasses import field

from watchtower_agent.loop.settling import Settling
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Guard, TargetKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.state.host_state import HostState

_ASK_AGAIN = 1.0
"""Seconds after which an inspection is asked for again. It waits until nobody has asked for a while: asking at every
tick would put it off."""
_LOOK_AGAIN = 10.0
"""Seconds after which the same is done for a container of which nothing is wanted. The engine waits for up to 60 s."""
_UNSURE = frozenset({Guard.RESTART_POLICY, Guard.STALE})
"""Guards that hold a decision until more is known of its target."""


@dataclass(slots=True)
class Doubts:
    """Interrupted actions, and what the engine may or may not restart by itself.

    Whether that is killed while the engine waits to restart it, or can't be started, is told by no event.

    Attributes:
        state: The host.
        agenda: Decisions that may wait for an inspection.
        settling: Actions without an answer.
    """

    state: HostState
    agenda: Agenda
    settling: Settling
    _asked: dict[str, float] = field(default_factory=dict)
    """Container -> when an inspection was asked for last, on the monotonic clock."""

    def due(self, now: Instant) -> list[str]:
        """Ids of the containers to inspect now."""
        held = [w for w in self.agenda.waiting.values() if w.held is not None and w.held.guard in _UNSURE]
        of_containers = (w.decision.target for w in held if w.decision.target.kind is TargetKind.CONTAINER)
        after = {
            each: _LOOK_AGAIN
            for each, record in self.state.containers.items()
            if record.container.status is ContainerStatus.RESTARTING
        } | {target.id: _ASK_AGAIN for target in of_containers}
        asked = {target: self._asked[target] for target in after if target in self._asked}
        due = [target for target, least in after.items() if now.monotonic - asked.get(target, -math.inf) >= least]
        self._asked = asked | dict.fromkeys(due, now.monotonic)
        return self.settling.due(now) + due
