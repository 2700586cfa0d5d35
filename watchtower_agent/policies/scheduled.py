"""From a scheduled run to decisions: one for each container that the policy selects. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from watchtower_agent.model.decision import Decision, Number, Target
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.making import container_target, decisions_of, digest, host_target
from watchtower_agent.policies.timetable import LATE, Run
from watchtower_agent.policies.waiting import CRON
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
        CRON: run.schedule.cron.text,
        "timezone": run.schedule.zone.name,
    }


def targets_of(run: Run, state: HostState) -> list[tuple[Target, ContainerRecord | None]]:
    """Whom the run is about, in order of name; the host when the policy selects nothing."""
    selector = run.policy.selector
    if selector is None:
        return [(host_target(run.policy, state.host), None)]
    selected = [record for record in state.containers.values() if selector.matches(record.container)]
    return [(container_target(each), each) for each in sorted(selected, key=lambda each: each.container.name)]


def run_decisions(run: Run, state: HostState, now: Instant) -> Iterator[Decision]:
    """What a run wants. It waits for its guards until it is an hour late."""
    policy, correlation, numbers = run.policy, correlation_of(run), numbers_of(run)
    reason = scheduled_at(run.schedule, run.due, run.late)
    for target, record in targets_of(run, state):
        yield from decisions_of(
            policy, target, record, reason, numbers, correlation, correlation, now, expires_at=run.due + LATE
        )
