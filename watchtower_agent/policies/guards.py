"""Guards: what stops a decision, in a fixed order; the first one names itself. Pure.

Asked when a decision is made, again whenever something changes while it waits, and once more just before the write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Decision, Guard, Held, Mode, Number, TargetKind, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.wording import as_written
from watchtower_agent.state.attribution import HANDS_OFF, EndCause, signal_name
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

PROTECT_LABEL = "watchtower-agent.protect"
ORCHESTRATOR_LABELS = ("io.kubernetes.", "com.docker.swarm.task")
"""Prefixes of labels that an orchestrator puts on what it owns."""

DEFAULT_COOLDOWN: Mapping[Verb, float] = dict.fromkeys(Verb, 30.0) | {Verb.NOTIFY: 0.0}
"""Seconds between two actions of one policy on one target, by the verb table of the design."""

SETTLE = 2.0
"""Seconds after which an inspection asks again whether the engine still means to restart a container by itself, and for
which the end that a person made may be the first half of a restart or a removal."""


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
    """

    observe: bool = False
    stateful_images: frozenset[str] = frozenset()
    own_containers: tuple[str, ...] = ()
    peers: frozenset[str] = frozenset()
    peer_ports: frozenset[int] = frozenset()


@dataclass(slots=True)
class Cooldowns:
    """When each policy last acted on each target (by name, so that it survives a recreate).

    Monotonic time decides within a run, so a step of the wall clock neither shortens nor lengthens a cooldown.
    """

    last: dict[tuple[str, str], Instant] = field(default_factory=dict)

    def acted(self, decision: Decision, at: Instant) -> None:
        """The policy acted on the target then."""
        self.last[decision.policy, decision.target.name] = at

    def since(self, decision: Decision, now: Instant) -> float | None:
        """Seconds since the policy last acted on the target; None when it never did."""
        at = self.last.get((decision.policy, decision.target.name))
        return None if at is None else now.monotonic - at.monotonic

    def forget(self, now: Instant, longest: float) -> list[tuple[str, str]]:
        """Forget what is longer ago than the longest cooldown, in seconds. Gives the policies and targets' names."""
        over = [key for key, at in self.last.items() if now.monotonic - at.monotonic > longest]
        for key in over:
            del self.last[key]
        return over


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything that a guard may look at."""

    decision: Decision
    policy: Policy
    state: HostState
    record: ContainerRecord | None
    cooldowns: Cooldowns
    protection: Protection
    now: Instant

    def hold(
        self,
        guard: Guard,
        reason: str,
        *,
        numbers: Mapping[str, Number] | None = None,
        release_in: float | None = None,
        final: bool = False,
    ) -> Held:
        """The answer of a guard that stops the decision; `release_in` in seconds from now."""
        return Held(
            decision=self.decision,
            guard=guard,
            reason=reason,
            numbers=numbers or {},
            release_at=None if release_in is None else self.now.wall + release_in,
            final=final,
            at=self.now.wall,
        )


def _protected(q: Question) -> Held | None:
    if q.record is None:
        return None
    why = protected_because(q.record, q.policy, q.protection)
    return q.hold(Guard.PROTECTED, why, final=True) if why else None


def protected_because(record: ContainerRecord, policy: Policy, protection: Protection) -> str:
    """Why no action may touch the container; empty when one may."""
    container = record.container
    name = container.name
    if any(own and container.id.startswith(own) for own in protection.own_containers):
        return f"{name} is the agent's own container"
    by_name = (protection.peers - {""}) & {name, container.compose_service}
    by_port = protection.peer_ports & container.host_ports
    if by_name or by_port:
        return f"{name} is the broker or the socket proxy that the agent itself depends on"
    if container.labels.get(PROTECT_LABEL, "").lower() in {"true", "1", "yes"}:
        return f"{name} carries the label {PROTECT_LABEL}"
    if any(label.startswith(ORCHESTRATOR_LABELS) for label in container.labels):
        return f"{name} is owned by an orchestrator, which replaces it by itself"
    image = image_name(container.image)
    if image in protection.stateful_images and not (policy.selector and policy.selector.names_exactly(container)):
        return f"{name} runs the stateful image {image}; select it by exact name or label to allow this"
    return ""


def image_name(reference: str) -> str:
    """`postgres` for `registry.example:5000/library/postgres:16@sha256:…`."""
    return reference.rsplit("/", 1)[-1].split("@", 1)[0].split(":", 1)[0]


def _mode(q: Question) -> Held | None:
    if q.protection.observe:
        return q.hold(Guard.MODE, "observe mode: the agent decides and acts on nothing", final=True)
    if q.policy.mode is Mode.SHADOW:
        return q.hold(Guard.MODE, "shadow mode: it decides and does not act", final=True)
    return None


def _outside_window(q: Question) -> Held | None:
    """Maintenance windows hold an action back until one opens; what has begun ends, though its window closes."""
    windows = q.policy.windows
    now = q.now.wall
    if not windows or any(window.opens.latest(now, window.open_for) is not None for window in windows):
        return None
    opens = min(((at, each) for each in windows if (at := each.opens.after(now)) is not None), key=lambda pair: pair[0])
    at, window = opens
    return q.hold(
        Guard.OUTSIDE_WINDOW,
        f"outside its maintenance windows: the next opens at {window.opens.shown(at, now)}"
        f" for {as_written(window.open_for)}",
        numbers={
            "windows": len(windows),
            "cron": window.opens.cron.text,
            "for": window.open_for,
            "timezone": window.opens.zone.name,
            "opens_in": round(at - now, 3),
        },
        release_in=at - now,
    )


def _operator_intent(q: Question) -> Held | None:
    record = q.record
    if record is None:
        return None
    name = record.container.name
    if not record.container.running and record.end_cause in {EndCause.UNKNOWN, EndCause.OPERATOR}:
        if q.policy.restart_stopped:
            return _ended_just_now(q, record)
        if record.end_cause is EndCause.UNKNOWN:
            return q.hold(
                Guard.OPERATOR_INTENT,
                f"{name} ended while the agent could not see how: it may have been stopped on purpose. "
                f"Start it by hand, or set restart_stopped: true",
            )
        what = record.operator.action if record.operator else "stop"
        return q.hold(
            Guard.OPERATOR_INTENT,
            f"someone else ended {name} on purpose{_by(record)}: it is left alone until it is started by hand",
            numbers={"operator_action": what, "operator_at": record.operator.at if record.operator else None},
        )
    operator = record.operator
    if operator is not None and q.now.wall < operator.until:
        left = min(HANDS_OFF, operator.until - q.now.wall)
        return q.hold(
            Guard.OPERATOR_INTENT,
            f"someone else did a {operator.action} on {name}: it is left alone for {HANDS_OFF / 60:.0f} min after that",
            numbers={"operator_action": operator.action, "operator_at": operator.at},
            release_in=left,
        )
    return None


def _ended_just_now(q: Question, record: ContainerRecord) -> Held | None:
    """The policy acts on what a person stopped, too: but a restart and a removal by hand begin with the same end."""
    operator = record.operator
    if operator is None:
        return None
    left = operator.until - HANDS_OFF + SETTLE - q.now.wall
    if left <= 0:
        return None
    return q.hold(
        Guard.OPERATOR_INTENT,
        f"someone else has just ended {record.container.name}{_by(record)}: it may be about to be started or removed",
        numbers={"operator_action": operator.action, "operator_at": operator.at},
        release_in=min(SETTLE, left),
    )


def _by(record: ContainerRecord) -> str:
    """The engine says `stop` only after the end: until then the signal is all that is known."""
    if record.operator is not None and record.operator.action != "kill":
        return f" ({record.operator.action})"
    return f" (it was sent SIG{signal_name(record.kill_signal)})" if record.kill_signal else ""


def _engine_down(q: Question) -> Held | None:
    engine = q.state.engine
    if engine.connected and engine.responding is not False:
        return None
    return q.hold(
        Guard.ENGINE_DOWN,
        f"the engine does not answer: {engine.last_error or 'not connected yet'}",
        numbers={"down_since": engine.since},
    )


def _stale(q: Question) -> Held | None:
    if q.decision.target.kind is TargetKind.CONTAINER and q.record is None:
        return q.hold(Guard.STALE, f"{q.decision.target.name} is not there any more")
    engine = q.state.engine
    if not engine.listed:
        return q.hold(
            Guard.STALE, "the containers have not been listed since the engine was found, or events were lost"
        )
    silent_for = 0.0 if engine.alive_at is None else q.now.monotonic - engine.alive_at
    if silent_for > engine.silence_allowed:
        return q.hold(
            Guard.STALE,
            f"the engine gave no sign of life for {silent_for:.1f} s: what is known may be out of date",
            numbers={"silent_for": round(silent_for, 3), "silence_allowed": engine.silence_allowed},
        )
    if q.record is not None and q.record.container.detail is None:
        return q.hold(Guard.STALE, f"{q.decision.target.name} has not been inspected yet")
    if q.now.wall > q.decision.expires_at:
        return q.hold(
            Guard.STALE,
            "what it was decided on is out of date",
            numbers={"expired_for": round(q.now.wall - q.decision.expires_at, 3)},
        )
    return None


def _starting(q: Question) -> Held | None:
    record = q.record
    if record is None or not record.container.running or record.container.detail is None or record.started is None:
        return None
    detail = record.container.detail
    if record.container.health is Health.NONE:
        return None
    # The grace is one health check interval: the first check that counts comes that long after the start period.
    wait = detail.health_start_period + detail.health_interval
    uptime = q.now.wall - record.started
    if not 0 <= uptime < wait:
        return None
    return q.hold(
        Guard.STARTING,
        f"{record.container.name} has been running for {uptime:.0f} s; its health counts after {wait:.0f} s",
        numbers={"uptime": round(uptime, 3), "start_period_and_grace": wait},
        release_in=wait - uptime,
    )


def _restart_policy(q: Question) -> Held | None:
    record = q.record
    if record is None or q.decision.verb not in {Verb.RESTART, Verb.START} or record.container.running:
        return None
    detail = record.container.detail
    if detail is None or detail.restart_policy == "no" or record.settled_after_end:
        return None
    if record.container.status not in {ContainerStatus.RESTARTING, ContainerStatus.EXITED}:
        return None
    return q.hold(
        Guard.RESTART_POLICY,
        f"the engine restarts {record.container.name} by its own restart policy ({detail.restart_policy}): "
        f"the agent acts only once it stays exited",
        numbers={"restart_policy": detail.restart_policy},
        release_in=SETTLE,
    )


def cooldown_of(decision: Decision, policy: Policy) -> float:
    """Seconds between two such actions of the policy on one target."""
    if policy.cooldown is not None and decision.verb is not Verb.NOTIFY:
        return policy.cooldown
    if policy.cooldown is not None and policy.then.verb is None:
        return policy.cooldown
    return DEFAULT_COOLDOWN[decision.verb]


def _cooldown(q: Question) -> Held | None:
    cooldown = cooldown_of(q.decision, q.policy)
    since = q.cooldowns.since(q.decision, q.now)
    if since is None or since >= cooldown:
        return None
    return q.hold(
        Guard.COOLDOWN,
        f"acted {since:.1f} s ago (cooldown: {as_written(cooldown)})",
        numbers={"since_last_action": round(since, 3), "cooldown": cooldown},
        release_in=cooldown - since,
    )


_ALL: tuple[Callable[[Question], Held | None], ...] = (
    _protected,
    _mode,
    _outside_window,
    _operator_intent,
    _engine_down,
    _stale,
    _starting,
    _restart_policy,
    _cooldown,
)
_ONLY_TELLING: tuple[Callable[[Question], Held | None], ...] = (_mode, _cooldown)


def ask(question: Question) -> Held | None:
    """The first guard that stops the decision, or None when it may be carried out."""
    guards = _ONLY_TELLING if question.decision.verb is Verb.NOTIFY else _ALL
    for guard in guards:
        held = guard(question)
        if held is not None:
            return held
    return None
