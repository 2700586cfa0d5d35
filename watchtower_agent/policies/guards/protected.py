"""What no policy may touch. Pure."""

from __future__ import annotations

from watchtower_agent.model.decision import Guard, Held, TargetKind, Verb
from watchtower_agent.model.labels import PROTECT_LABEL, is_marked, is_orchestrated
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.guards.question import Passed, Question
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.strategies.scale import ScaleStrategy, ServiceKind
from watchtower_agent.state.record import ContainerRecord


def protected(q: Question) -> Held | None:
    """The agent itself and what it depends on, what is marked, owned by an orchestrator, or keeps state."""
    if q.decision.target.kind is TargetKind.SERVICE:
        return _protected_service(q)
    if q.decision.verb is Verb.RESTART_ENGINE:
        return _protected_engine(q)
    if q.record is None:
        return None
    why = protected_because(q.record, q.policy, q.protection)
    return q.hold(Guard.PROTECTED, why, final=True) if why else None


def _protected_engine(q: Question) -> Held | None:
    """Whoever restarts an engine may end all that it runs: only where the settings say so, and only this host's own."""
    if not q.protection.restart_engine:
        why = "the settings do not let the engine be restarted (allow.restart_engine: false)"
    elif not q.protection.engine_here:
        why = "the engine is not the one that engine.unit runs on this host, or nobody says so: see engine.unit"
    else:
        return None
    return q.hold(Guard.PROTECTED, why, final=True)


def _protected_service(q: Question) -> Held | None:
    """A service is marked by its own label, or by that of one of the containers here."""
    strategy, name = q.policy.trigger, q.decision.target.name
    if not isinstance(strategy, ScaleStrategy):
        return None
    here = [each.container for each in q.state.containers.values() if strategy.target.has(each.container)]
    marked = [strategy.target.service] if is_marked(q.state.services.last_labels(strategy.target.service)) else []
    if strategy.target.kind is not ServiceKind.SWARM:
        marked = [each.name for each in here if is_marked(each.labels)]
        own = [each.name for each in here if is_own(each.id, q.protection)]
        if own:
            return q.hold(Guard.PROTECTED, f"{own[0]} is the agent's own container", final=True)
    if marked:
        return q.hold(Guard.PROTECTED, f"{marked[0]} of {name} carries the label {PROTECT_LABEL}", final=True)
    return None


def is_own(container_id: str, protection: Protection) -> bool:
    """Whether the agent itself runs in it."""
    return any(own and container_id.startswith(own) for own in protection.own_containers)


def protected_passes(q: Question) -> Passed:
    """Nothing protects it, or the policy names it."""
    if q.decision.target.kind is TargetKind.SERVICE:
        return Passed(reason=f"nothing protects {q.decision.target.name}")
    if q.decision.verb is Verb.RESTART_ENGINE:
        return Passed(reason="the settings let this host's engine be restarted (allow.restart_engine: true)")
    if q.record is None:
        of_objects = q.decision.verb is Verb.PRUNE
        return Passed(reason="a plan looks at each object" if of_objects else "there is no container to protect")
    container = q.record.container
    image = stateful_image(container.image, q.protection.stateful_images)
    if image:
        why = f"{container.name} runs the stateful image {image}, and the policy selects it by exact name or label"
        return Passed(reason=why, numbers={"stateful_image": image})
    return Passed(reason=f"nothing protects {container.name}")


def protected_because(record: ContainerRecord, policy: Policy, protection: Protection) -> str:
    """Why no action may touch the container; empty when one may."""
    container = record.container
    name = container.name
    if is_own(container.id, protection):
        return f"{name} is the agent's own container"
    by_name = (protection.peers - {""}) & {name, container.compose_service}
    by_port = protection.peer_ports & container.host_ports
    if by_name or by_port:
        return f"{name} is the broker or the socket proxy that the agent itself depends on"
    if is_marked(container.labels):
        return f"{name} carries the label {PROTECT_LABEL}"
    if is_orchestrated(container.labels):
        return f"{name} is owned by an orchestrator, which replaces it by itself"
    image = stateful_image(container.image, protection.stateful_images)
    if image and not (policy.selector and policy.selector.names_exactly(container)):
        return f"{name} runs the stateful image {image}; select it by exact name or label to allow this"
    return ""


def stateful_image(reference: str, names: frozenset[str]) -> str:
    """The name by which an image is known to keep state; empty for one that is not.

    Args:
        reference: Such as `registry.example:5000/library/postgres:16@sha256:…`.
        names: Last parts of repositories, such as `postgres` or, where that says too little, `mssql/server`.
    """
    before, slash, last = reference.split("@", 1)[0].rpartition("/")
    parts = [*before.split("/")] if slash else []
    name = last.split(":", 1)[0]
    while name not in names:
        if not parts:
            return ""
        name = f"{parts.pop()}/{name}"
    return name
