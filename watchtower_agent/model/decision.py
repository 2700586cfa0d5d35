"""What a policy wants done, and what stopped it. Always with the reason and the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from watchtower_agent.model.values import dataclass


class Verb(StrEnum):
    """What the agent can do to a container, a service or the engine's disk, and `notify`, which only tells."""

    RESTART = "restart"
    START = "start"
    STOP = "stop"
    KILL = "kill"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    SCALE = "scale"
    """Change a service's number of replicas."""
    RESIZE = "resize"
    """Change a container's limits of CPU and memory while it runs."""
    PRUNE = "prune"
    """Delete what nobody needs from the engine's disk: all of one plan is one action."""
    RESTART_ENGINE = "restart_engine"
    """Restart the engine's own service."""
    NOTIFY = "notify"


class Mode(StrEnum):
    """How far a policy may go."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    APPROVE = "approve"
    OFF = "off"


class Severity(StrEnum):
    """How loudly an event should be heard."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class TargetKind(StrEnum):
    """What a decision is about."""

    CONTAINER = "container"
    SERVICE = "service"
    HOST = "host"


class Guard(StrEnum):
    """The rules that can stop a decision, in the order in which they are asked."""

    PROTECTED = "protected"
    MODE = "mode"
    PAUSED = "paused"
    OUTSIDE_WINDOW = "outside_window"
    OPERATOR_INTENT = "operator_intent"
    ENGINE_DOWN = "engine_down"
    STALE = "stale"
    STARTING = "starting"
    RESTART_POLICY = "restart_policy"
    DEPENDENCY = "dependency"
    PREFLIGHT = "preflight"
    COOLDOWN = "cooldown"
    BACKOFF = "backoff"
    BREAKER = "breaker"
    BUDGET = "budget"
    SHARED_CAUSE = "shared_cause"


Number = float | int | str | bool | None
"""A value beside a reason: JSON-able, None for unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a decision is about.

    Attributes:
        kind: A container, a service, or the host itself.
        id: The container's full id, or what tells the service from others; empty for the host, `data-root` for what
            the engine keeps on its disk, `engine` for the engine's own service.
        name: The container's name, the service's, or the host's.
    """

    kind: TargetKind
    id: str = ""
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a policy wants done to one target, and why.

    Attributes:
        id: Unique over the agent's life.
        policy: The policy's name.
        target: What it is about.
        verb: What is to be done.
        reason: The cause with its numbers, in few words for people; policy, target and verb stand beside it.
        numbers: The values that the reason rests on, by catalogue name or plain words.
        parameters: The verb's own: `stop_timeout` (seconds), `signal`, `severity`, `message`.
        correlation_id: Shared by cause, decision, action and outcome.
        cause_id: Id of the event or the scheduled run that triggered it, or of the event that made its condition true;
            empty where none did.
        from_event: True when an event or a schedule triggered it: it may be held for long; else it expires soon.
        last_resort: True for the stop by which a policy answers a breaker that opened: no pacing holds it.
        approval: Id of the approval under which it is done; empty where none was needed, or none is given yet.
        follows: Name of the container that was brought back, and after which this one is restarted; else empty. The
            policy is the one that acted on that container: it may select this one or not.
        decided_at: Seconds since the epoch.
        expires_at: After this it is not carried out any more, seconds since the epoch.
    """

    id: str
    policy: str
    target: Target
    verb: Verb
    reason: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    parameters: Mapping[str, Number] = field(default_factory=dict)
    correlation_id: str
    cause_id: str = ""
    from_event: bool = False
    last_resort: bool = False
    approval: str = ""
    follows: str = ""
    decided_at: float
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A decision that a guard stopped.

    Attributes:
        decision: What was wanted.
        guard: Which rule stopped it: the first in order.
        reason: One sentence for people.
        numbers: What the guard looked at.
        release_at: When the guard would let it pass if nothing else changes, seconds since the epoch; None: unknown.
        final: True when it will never be released (protected, shadow): it does not stay pending.
        at: When the guard was asked, seconds since the epoch; None: when the decision was made.
    """

    decision: Decision
    guard: Guard
    reason: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    release_at: float | None = None
    final: bool = False
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A pending decision that is given up: obsolete or too old.

    Attributes:
        decision: What was wanted.
        reason: Why it is not wanted any more, one sentence for people.
        at: Seconds since the epoch.
    """

    decision: Decision
    reason: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A policy's condition that became true of a target (firing), or ended (resolved).

    Attributes:
        policy: The policy's name.
        target: Whom the condition is about.
        firing: True when it became true (and had been for `for`), False when it ended.
        severity: Of the event.
        reason: In few words for people: what makes it true, with its numbers, or what ended it.
        numbers: The values of the names that the condition uses.
        since: When the condition began to hold, seconds since the epoch.
        at: When this edge happened, seconds since the epoch.
        correlation_id: Shared by the edge, the decisions it leads to, and its end.
        cause_id: Id of the event that made the condition true; empty where none did, or it is not known.
    """

    policy: str
    target: Target
    firing: bool
    severity: Severity
    reason: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    since: float
    at: float
    correlation_id: str
    cause_id: str = ""
