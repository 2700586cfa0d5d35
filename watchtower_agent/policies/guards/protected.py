"""What no policy may touch. Pure."""

from __future__ import annotations

from watchtower_agent.model.decision import Guard, Held
from watchtower_agent.policies.guards.question import Protection, Question
from watchtower_agent.policies.policy import Policy
from watchtower_agent.state.record import ContainerRecord

PROTECT_LABEL = "watchtower-agent.protect"
ORCHESTRATOR_LABELS = ("io.kubernetes.", "com.docker.swarm.task")
"""Prefixes of labels that an orchestrator puts on what it owns."""


def protected(q: Question) -> Held | None:
    """The agent itself and what it depends on, what is marked, owned by an orchestrator, or keeps state."""
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
