"""What happened on the engine, in the engine's words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from watchtower_agent.model.values import dataclass


class EventKind(StrEnum):
    """What an event is about: the engine's own kinds, then the agent's."""

    CONTAINER = "container"
    IMAGE = "image"
    VOLUME = "volume"
    NETWORK = "network"
    DAEMON = "daemon"
    PLUGIN = "plugin"
    SERVICE = "service"
    NODE = "node"
    SECRET = "secret"  # noqa: S105 - the engine's name for a kind of object
    CONFIG = "config"
    BUILDER = "builder"
    # The agent's own kinds: the engine as a service, policies, actions, the agent itself.
    ENGINE = "engine"
    POLICY = "policy"
    ACTION = "action"
    AGENT = "agent"


ENGINE_KINDS = frozenset(
    {
        EventKind.CONTAINER,
        EventKind.IMAGE,
        EventKind.VOLUME,
        EventKind.NETWORK,
        EventKind.DAEMON,
        EventKind.PLUGIN,
        EventKind.SERVICE,
        EventKind.NODE,
        EventKind.SECRET,
        EventKind.CONFIG,
        EventKind.BUILDER,
    }
)
"""The kinds that come from the engine's event stream."""

SWARM_KINDS = frozenset({EventKind.SERVICE, EventKind.NODE, EventKind.SECRET, EventKind.CONFIG})
"""The kinds that every manager of a Swarm sees: only the leader's agent publishes them."""

EXEC_ACTIONS = frozenset({"exec_create", "exec_start", "exec_die", "exec_detach"})
"""Actions that carry a command line, which may hold a password. The command is dropped at the edge, always."""


class Origin(StrEnum):
    """How the agent came to know of an event."""

    STREAM = "stream"
    """Read live from the engine's stream."""
    REPLAY = "replay"
    """Read from the engine's ring after a reconnect: it happened while nobody listened."""
    SYNTHETIC = "synthetic"
    """Concluded by comparing two listings: it happened, when and why is not known."""
    AGENT = "agent"
    """The agent's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last event that was handled, durably.

    Attributes:
        time_ns: The engine's stamp, nanoseconds since the epoch.
        event_id: The deterministic id of that event. Empty: none was handled yet, and `time_ns` is since when the
            agent listens.
    """

    time_ns: int
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """One event of the engine, normalised at the edge.

    Attributes:
        id: Deterministic (hash of engine id, stamp, kind, action and actor): a replay has the same id.
        kind: What it is about.
        action: The engine's word before any colon: `die`, `health_status`, `exec_start`.
        detail: What followed the colon (`unhealthy` of `health_status: unhealthy`); empty for every
            action in EXEC_ACTIONS, whose command lines are never kept.
        actor_id: The engine's id of the object.
        attributes: The engine's attributes of the actor, labels of a container among them. Never a command line.
        time_ns: The engine's stamp, nanoseconds since the epoch.
        swarm: True for events of Swarm scope.
        podman: True when Podman told it. It tells of a restart before its end, and not of each stop.
        origin: How the agent came to know of it.
        position: Ordinal among the events that the reader of this process handed over, from 1; 0 for
            synthetic events. A listing or an inspection says after which position it was asked for.
    """

    id: str
    kind: EventKind
    action: str
    detail: str = ""
    actor_id: str
    attributes: Mapping[str, str]
    time_ns: int
    swarm: bool = False
    podman: bool = False
    origin: Origin = Origin.STREAM
    position: int = 0

    def handed_over(self, *, origin: Origin, position: int) -> EngineEvent:
        """The same, known in this way and at this place. In full, since each event comes by here."""
        return EngineEvent(
            id=self.id,
            kind=self.kind,
            action=self.action,
            detail=self.detail,
            actor_id=self.actor_id,
            attributes=self.attributes,
            time_ns=self.time_ns,
            swarm=self.swarm,
            podman=self.podman,
            origin=origin,
            position=position,
        )

    @property
    def time(self) -> float:
        """The engine's stamp, seconds since the epoch."""
        return self.time_ns / 1e9

    @property
    def name(self) -> str:
        """The actor's name where the engine gave one, else its id."""
        return self.attributes.get("name") or self.actor_id
