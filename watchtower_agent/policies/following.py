"""Who is restarted after a container that a policy has brought back: who lost its network, or as Compose says. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from watchtower_agent.model.decision import Decision, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.making import PENDING_FOR, container_target, digest, labelled_stop_timeout
from watchtower_agent.state.dependencies import Dependencies, Need
from watchtower_agent.state.host_state import HostState

_DONE = {Verb.RESTART: "restarted", Verb.START: "started"}


def done_to(decision: Decision) -> str:
    """What became of a container by it, for people: `restarted`."""
    return _DONE.get(decision.verb, "acted on")


def how(need: Need) -> str:
    """Why a container is restarted after another one, for people."""
    return "whose network it uses" if need.network else "which it depends on (restart: true)"


def following(decision: Decision, state: HostState, now: Instant) -> Iterator[Decision]:
    """What is wanted of others, once a container that a policy brought back is well again.

    Only what runs: what is stopped joins the network when it is started.

    Args:
        decision: What was done to that container.
        state: The host.
        now: The present.
    """
    root, done = decision.target, done_to(decision)
    for container_id, need in Dependencies(state.containers).followers(root.id):
        record = state.containers[container_id]
        if not record.container.running:
            continue
        yield Decision(
            id=digest("following", decision.id, container_id),
            policy=decision.policy,
            target=container_target(record),
            verb=Verb.RESTART,
            reason=f"{root.name}, {how(need)}, was {done} by policy {decision.policy}",
            numbers={"follows": root.name},
            parameters={"stop_timeout": labelled_stop_timeout(record)},
            correlation_id=decision.correlation_id,
            cause_id=decision.id,
            from_event=True,
            follows=root.name,
            decided_at=now.wall,
            expires_at=now.wall + PENDING_FOR,
        )
