"""One of every kind of fact, for tests of what is published about them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

from watchtower_agent.model.container import Container, ContainerDetail, ContainerStatus, Health
from watchtower_agent.model.decision import (
    Decision,
    Dropped,
    Edge,
    Guard,
    Held,
    Number,
    Severity,
    Target,
    TargetKind,
    Verb,
)
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.model.fact import ContainerView, MetricsTable
from watchtower_agent.model.observation import EngineInfo
from watchtower_agent.model.outcome import Outcome, Result

ID = "c0ffee" + "0" * 58
CORRELATION = "abc123" + "0" * 26
NOW = 1_790_000_000.25
LABELS = {
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "web",
    "team": "payments",
    "secret": "hunter2",
}

LEADER = EngineInfo(id="engine-1", name="h1", version="26.1", api_version="1.45", swarm_node_id="n1", swarm_leader=True)
ALONE = EngineInfo(id="engine-1", name="h1", version="26.1", api_version="1.45")


def container(name: str = "web", labels: Mapping[str, str] = LABELS, **detail: object) -> Container:
    known = {"started_at": NOW - 60, "exit_code": 1, "finished_at": NOW - 90, "failing_streak": 3} | detail
    return Container(
        id=ID,
        name=name,
        image="web:1.2",
        image_id="sha256:" + "ab" * 32,
        labels=labels,
        status=ContainerStatus.RUNNING,
        health=Health.UNHEALTHY,
        created_at=NOW - 1000,
        detail=ContainerDetail(**known),  # type: ignore[arg-type] # fields of any type, given by name
    )


def view(
    name: str = "web", labels: Mapping[str, str] = LABELS, sample: Mapping[str, float] | None = None
) -> ContainerView:
    return ContainerView(
        container=container(name, labels),
        restarts=2,
        restarts_by_agent=1,
        oom_kills=1,
        last_sample={"cpu.percent": 12.345678, "memory.oom_kills": 1.0} if sample is None else sample,
    )


def metrics_table(*views: ContainerView) -> MetricsTable:
    """What the views tell, as columns."""
    names = dict.fromkeys(name for each in views for name in each.last_sample)
    columns = {name: array("d", [each.last_sample.get(name, math.nan) for each in views]) for name in names}
    containers = [each.container for each in views]
    return MetricsTable(containers=containers, columns=columns, uptimes=[uptime(each) for each in containers])


def uptime(described: Container) -> float | None:
    """What the state says of it."""
    started = described.detail.started_at if described.detail else None
    return None if started is None else max(0.0, NOW - started)


def engine_event(
    action: str = "die", *, kind: EventKind = EventKind.CONTAINER, actor: str = ID, detail: str = "", **attributes: str
) -> EngineEvent:
    labels = {**LABELS, "name": "web", "image": "web:1.2"} if kind is EventKind.CONTAINER else {}
    return EngineEvent(
        id="e" * 32,
        kind=kind,
        action=action,
        detail=detail,
        actor_id=actor,
        attributes=labels | attributes,
        time_ns=1_790_000_000_123_456_789,
    )


def decision(verb: Verb = Verb.RESTART, numbers: Mapping[str, Number] | None = None) -> Decision:
    return Decision(
        id="d1",
        policy="heal",
        target=Target(kind=TargetKind.CONTAINER, id=ID, name="web"),
        verb=verb,
        reason="health was unhealthy for 60 s",
        numbers={"health": "unhealthy", "memory.percent": None} if numbers is None else numbers,
        parameters={"stop_timeout": 30.0},
        correlation_id=CORRELATION,
        cause_id="e" * 32,
        from_event=True,
        decided_at=NOW,
        expires_at=NOW + 900,
    )


def edge(*, firing: bool = True, numbers: Mapping[str, Number] | None = None) -> Edge:
    return Edge(
        policy="heal",
        target=Target(kind=TargetKind.CONTAINER, id=ID, name="web"),
        firing=firing,
        severity=Severity.WARNING,
        reason='health == "unhealthy" for 60 s',
        numbers={"health": "unhealthy"} if numbers is None else numbers,
        since=NOW - 60,
        at=NOW,
        correlation_id=CORRELATION,
    )


def held() -> Held:
    return Held(
        decision=decision(),
        guard=Guard.OPERATOR_INTENT,
        reason="a person stopped it 3 s ago",
        numbers={"stopped_for": 3.0},
        release_at=NOW + 900,
        at=NOW + 1,
    )


def dropped() -> Dropped:
    return Dropped(decision=decision(), reason="it was started by hand", at=NOW + 2)


def outcome(result: Result = Result.SUCCEEDED, verb: Verb = Verb.RESTART) -> Outcome:
    return Outcome(
        decision=decision(verb),
        result=result,
        reason="restarted in 0.3 s",
        started_at=NOW,
        finished_at=NOW + 0.3,
        numbers={"seconds": 0.3},
    )
