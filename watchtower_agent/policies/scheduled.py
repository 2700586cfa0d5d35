"""From a scheduled run to decisions: one for each container that the policy selects. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from watchtower_agent.model.decision import Decision, Number, Target, TargetKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.making import container_target, digest, notification, parameters
from watchtower_agent.policies.timetable import LATE, Run
from watchtower_agent.policies.wording import scheduled_at
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord


def correlation_of(run: Run) -> str:
    """The id that the run shares with all it leads to: the same whenever it is made."""
    return digest("schedule", run.policy.name, str(run.schedule), repr(run.due))


def numbers_of(run: Run) -> dict[str, Number]:
    """What stands beside the words."""
    return {
        "due": run.due,
        "late": round(run.late, 3),
        "cron": run.schedule.cron.text,
        "timezone": run.schedule.zone.name,
    }


def targets_of(run: Run, state: HostState) -> list[tuple[Target, ContainerRecord | None]]:
    """Whom the run is about, in order of name; the host when the policy selects nothing."""
    selector = run.policy.selector
    if selector is None:
        return [(Target(kind=TargetKind.HOST, name=state.host), None)]
    selected = [record for record in state.containers.values() if selector.matches(record.container)]
    return [(container_target(each), each) for each in sorted(selected, key=lambda each: each.container.name)]


def run_decisions(run: Run, state: HostState, now: Instant) -> Iterator[Decision]:
    """What a run wants. It waits for its guards until it is an hour late."""
    policy, correlation, numbers = run.policy, correlation_of(run), numbers_of(run)
    reason = scheduled_at(run.schedule, run.due, run.late)
    expires_at = run.due + LATE
    for target, record in targets_of(run, state):
        if policy.then.verb is not None:
            yield Decision(
                id=digest("decision", policy.name, target.id, correlation),
                policy=policy.name,
                target=target,
                verb=policy.then.verb,
                reason=reason,
                numbers=numbers,
                parameters=parameters(policy, record),
                correlation_id=correlation,
                cause_id=correlation,
                from_event=True,
                decided_at=now.wall,
                expires_at=expires_at,
            )
        if policy.then.notify is not None:
            told = notification(policy, target, reason, numbers, correlation, correlation, now)
            yield replace(told, id=digest("notify", policy.name, target.id, correlation), expires_at=expires_at)
