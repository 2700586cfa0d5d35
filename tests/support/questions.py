"""Questions to guards about one container, `web`, put together for a test."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from tests.support.core import INFO, NOW, container, container_id, policy_set
from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Decision, Number, Target, TargetKind, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards.cooldowns import Cooldowns
from watchtower_agent.policies.guards.ledger import HOST
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.guards.question import Question
from watchtower_agent.policies.policy import Policy
from watchtower_agent.state.dependencies import Dependencies
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

MOMENT: Final = Instant(wall=NOW, monotonic=500.0)


def a_policy(keys: str = "", *, select: str = '{name: "*"}', then: str = "{restart: {}}") -> Policy:
    """One called `p`."""
    return policy_set(f"- {{name: p, select: {select}, on: {{container: die}}, then: {then}, {keys}}}").policies[0]


def record_of(made: Container | None = None, **fields: object) -> ContainerRecord:
    """A container that has been running for an hour unless told otherwise."""
    return replace(
        ContainerRecord(container=made or container(), started=NOW - 3600),
        **fields,  # type: ignore[arg-type] # fields of any type, given by name
    )


def a_question(
    record: ContainerRecord | None = None,
    *others: ContainerRecord,
    verb: Verb = Verb.RESTART,
    under: Policy | None = None,
    protection: Protection | None = None,
    expires_at: float = NOW + 900,
    **fields: object,
) -> Question:
    """Whether a policy may do that to `web` now; nothing speaks against it but what the test puts in."""
    state = HostState("h1")
    state.engine.info, state.engine.connected, state.engine.listed = INFO, True, True
    state.engine.alive_at = MOMENT.monotonic
    for each in (record, *others):
        if each is not None:
            state.containers[each.container.id] = each
    decision = Decision(
        id="d",
        policy="p",
        target=Target(kind=TargetKind.CONTAINER, id=container_id("web"), name="web"),
        verb=verb,
        reason="",
        correlation_id="c",
        from_event=True,
        decided_at=NOW,
        expires_at=expires_at,
    )
    return replace(
        Question(
            decision=decision,
            policy=under or a_policy(),
            state=state,
            record=record,
            cooldowns=Cooldowns(),
            dependencies=Dependencies(state.containers),
            protection=protection
            or Protection(
                restart_engine=True,
            ),
            now=MOMENT,
        ),
        **fields,  # type: ignore[arg-type] # fields of any type, given by name
    )


def of_a_service(asked: Question, *, sharing: bool = False, **parameters: Number) -> Question:
    """The same policy wants more containers like `web`."""
    target = Target(kind=TargetKind.SERVICE, id="compose:shop/web", name="shop/web")
    given = {"from": 1, "to": 2, "original": container_id("web"), "shared": sharing, **parameters}
    decision = replace(asked.decision, target=target, verb=Verb.SCALE, parameters=given)
    return replace(asked, decision=decision, record=None)


def acted(asked: Question, ago: float, *, name: str = "web", verb: Verb = Verb.RESTART) -> None:
    """Something was done so many seconds ago: it is in the ledger."""
    number = len(asked.ledger.newest(HOST, 10_000, -math.inf))
    target = Target(kind=TargetKind.CONTAINER, id=container_id(name), name=name)
    made = replace(asked.decision, id=f"before-{number}", verb=verb, target=target)
    asked.ledger.began(made, Instant(wall=NOW - ago, monotonic=MOMENT.monotonic - ago))
