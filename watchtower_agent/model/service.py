"""A service whose number of replicas can be changed: of a Swarm, of Compose, or a group of containers on one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

from watchtower_agent.model.values import dataclass

CLONE_OF: Final = "watchtower-agent.clone-of"
"""Label of a container that the agent made: the full id of the one that it was made like."""
CLONED_BY: Final = "watchtower-agent.decision"
"""Label beside it: id of the decision for which it was made, so that a crash in between leaves no doubt."""
CLONED_FOR: Final = "watchtower-agent.policy"
"""Label beside it: the policy that wanted it."""


class TaskState(StrEnum):
    """What a replica does, as far as scaling asks."""

    STARTING = "starting"
    """It is on its way: a Swarm counts it as running only once its health check is content."""
    RUNNING = "running"
    ENDED = "ended"
    """Completed, failed, refused, or its node is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One replica of a Swarm's service that is meant to run.

    Attributes:
        id: The task's.
        slot: Its number; 0 where it has none.
        node_id: Of the node that it was given to; empty while it was given to none.
        container_id: Full id of its container; empty while it has none.
        state: What it does.
        since: When it began to, seconds since the epoch on the clock of its node; None when that is not known.
    """

    id: str
    slot: int = 0
    node_id: str = ""
    container_id: str = ""
    state: TaskState
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmService:
    """A replicated service of a Swarm, as its managers have it.

    Attributes:
        id: The service's.
        name: Its name.
        labels: Of the service, not of its tasks' containers.
        replicas: How many it is meant to have.
        version: Index of its present version: a change that names another one is refused.
        updating: An update or rollback is under way, or is paused half-way.
        tasks: Those that are meant to run.
    """

    id: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    replicas: int
    version: int
    updating: bool = False
    tasks: tuple[Task, ...] = ()

    @property
    def running(self) -> int:
        """How many run."""
        return sum(task.state is TaskState.RUNNING for task in self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the agent of a Swarm's leader makes of a service's number: it alone knows which changes are its own.

    Attributes:
        service_id: The service's.
        version: Index of the version that it looked at.
        left_alone_for: Seconds for which somebody else's change is respected; 0: nobody's is.
    """

    service_id: str
    version: int
    left_alone_for: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneFacts:
    """What stands against making another container like this one, read from its inspection.

    Attributes:
        blockers: Each one sentence that names it and what to change: a fixed host port, a static address, a name of
            its own (`container_name`), the host's network or another container's.
        volumes: Writable volumes and binds that a second container would share, each as `SOURCE at PATH`: a policy
            has to say `shared: true`.
        reservation: Bytes of memory that it reserves; 0 for none.
    """

    blockers: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    reservation: int = 0


NOTHING_AGAINST: Final = CloneFacts()
"""One for all of which nothing is to be said: there may be hundreds."""
