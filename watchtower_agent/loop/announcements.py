"""What the agent says about itself, its engine and its policies, in the words that people read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchtower_agent.loop.meanwhile import Meanwhile
from watchtower_agent.model.decision import Number, Severity
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import EngineLost, GapObserved, PoliciesRejected
from watchtower_agent.policies.guards.breakers import Breaker, Phase, Turn
from watchtower_agent.policies.guards.ledger import HOST, Scope, ScopeKind
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.timetable import LATE, Run
from watchtower_agent.policies.wording import as_written, scheduled_at
from watchtower_agent.state.record import ContainerRecord

_PROBLEMS_TOLD = 50
_MOST_NAMES = 20


def engine_down(seen: EngineLost, at: float) -> Notice:
    """The engine is lost."""
    return Notice(
        kind=EventKind.ENGINE,
        action="down",
        severity=Severity.CRITICAL,
        reason=f"the engine is lost: {seen.reason}; the agent keeps trying and acts on nothing meanwhile",
        data={"error": seen.reason},
        at=at,
    )


def engine_up(up: Meanwhile, lost_at: float | None, at: float) -> Notice:
    """The engine is there (again), `lost_at` seconds since the epoch it had been lost, and listed."""
    found = up.found
    down_for = round(max(0.0, found.at - lost_at), 3) if lost_at is not None else None
    after = f" after {down_for:.1f} s" if down_for is not None else ""
    parts = [
        f"the engine answers{after}: version {found.info.version} at {found.info.url}",
        "it was restarted" if up.restarted else "",
        up.sentence(),
    ]
    return Notice(
        kind=EventKind.ENGINE,
        action="up",
        reason="; ".join(part for part in parts if part),
        data={
            "version": found.info.version,
            "api_version": found.info.api_version,
            "down_seconds": down_for,
            **up.data(),
        },
        at=at,
    )


_LISTED_ANEW = "the containers are listed anew and what changed is published as synthetic events"
_NOT_READ = {
    "event_too_large": "longer than 4 MiB, by its labels",
    "event_unreadable": "no JSON",
}
_CONSEQUENCES = {
    "outbox_overflow": "the outbox is full: the oldest that the broker had not taken are gone; see outbox.max_size",
    "dead_letter": "set aside, the log says why (mqtt_dead_letter); look at the broker's limits",
}


def event_gap(seen: GapObserved, at: float) -> Notice:
    """Events may have been lost."""
    if seen.reason == "store_reset":
        return _store_reset(seen, at)
    many = _events(seen.count)
    consequence = _CONSEQUENCES.get(seen.reason, _LISTED_ANEW)
    window = f"in {max(0.0, seen.until - seen.since):.1f} s ({seen.reason})"
    if seen.reason == "clock_stepped_back":
        window = f"({seen.reason}): the engine's clock was set back, and its memory does not tell what is new"
    lost = f"{many} may have been lost {window}"
    if seen.reason in _NOT_READ:
        lost = f"{many} could not be read ({seen.reason}): {_NOT_READ[seen.reason]}"
    if seen.reason == "dead_letter":
        lost = f"{many} will never be taken by the broker ({seen.reason})"
    data: dict[str, object] = {"cause": seen.reason, "since": seen.since, "until": seen.until, "count": seen.count}
    if seen.sequences:  # as events have it, so that a subscriber finds the hole that it saw
        data["sequences"] = [f"{sequence:012d}" for sequence in seen.sequences]
    return Notice(
        kind=EventKind.AGENT,
        action="event_gap",
        severity=Severity.WARNING,
        reason=f"{lost}; {consequence}",
        data=data,
        at=at,
    )


def _store_reset(seen: GapObserved, at: float) -> Notice:
    """What was not delivered yet and could not be read back is lost with the store that was set aside."""
    data: dict[str, object] = {"cause": "store_reset"}
    if seen.count is not None:
        data["count"] = seen.count
    if seen.count:
        data |= {"since": seen.since, "until": seen.until}
    lost = f"{_events(seen.count)} that {'was' if seen.count == 1 else 'were'} not delivered yet may be lost"
    return Notice(
        kind=EventKind.AGENT,
        action="event_gap",
        severity=Severity.CRITICAL,
        reason=f"{'no event is lost' if seen.count == 0 else lost} with the store: {seen.why}",
        data=data,
        at=at,
    )


def _events(count: int | None) -> str:
    return "events" if count is None else "1 event" if count == 1 else f"{count} events"


def sampling_degraded(collector: str, why: str, at: float) -> Notice:
    """A collector began to fail."""
    return Notice(
        kind=EventKind.AGENT,
        action="sampling_degraded",
        severity=Severity.WARNING,
        reason=why,
        data={"collector": collector},
        at=at,
    )


def sampling_restored(collector: str, at: float) -> Notice:
    """A collector works again."""
    return Notice(
        kind=EventKind.AGENT,
        action="sampling_restored",
        reason=f"{collector} can be sampled again",
        data={"collector": collector},
        at=at,
    )


def container_hangs(record: ContainerRecord, waited: float, at: float) -> Notice:
    """The engine does not answer about one container."""
    name = record.container.name
    return Notice(
        kind=EventKind.AGENT,
        action="container_hangs",
        severity=Severity.WARNING,
        reason=f"the engine has not answered about {name} for {waited:.0f} s, and answers otherwise: its runtime "
        "hangs. What becomes of it may stay unknown until it answers; the agent keeps asking. "
        "Look at its containerd-shim",
        data={"container": name, "id": record.container.id, "waited": round(waited, 3)},
        at=at,
    )


def container_answers(record: ContainerRecord, hung_for: float, at: float) -> Notice:
    """The engine answers about it again."""
    name = record.container.name
    return Notice(
        kind=EventKind.AGENT,
        action="container_answers",
        reason=f"the engine answers about {name} again, after {hung_for:.0f} s",
        data={"container": name, "id": record.container.id, "hung_for": round(hung_for, 3)},
        at=at,
    )


def policies_loaded(policies: PolicySet, at: float) -> Notice:
    """A policy folder is in force."""
    warnings = list(map(str, policies.warnings))
    doubts = f"; {_warnings(len(warnings))}. The first: {warnings[0]}" if warnings else ""
    return Notice(
        kind=EventKind.POLICY,
        action="loaded",
        severity=Severity.WARNING if warnings else Severity.INFO,
        reason=f"{_counted(len(policies.policies))}{doubts}",
        data={
            "policies": {p.name: p.mode.value for p in policies.policies},
            "digest": policies.digest,
            **({"warnings": warnings[:_PROBLEMS_TOLD], "warning_count": len(warnings)} if warnings else {}),
        },
        at=at,
    )


def policies_rejected(seen: PoliciesRejected, at: float, *, in_force: bool) -> Notice:
    """The policy folder could not be taken: a change of it, or at the start all of it.

    Args:
        seen: What is wrong with it.
        at: Seconds since the epoch.
        in_force: Whether an earlier set goes on.
    """
    first = seen.problems[0] if seen.problems else "not known"
    going_on = "the last good set keeps running" if in_force else "no policy is active until that is mended"
    return Notice(
        kind=EventKind.POLICY,
        action="rejected",
        severity=Severity.WARNING,
        reason=f"the policy folder has {_problems(seen.count)}; {going_on}. The first: {first}",
        data={"problems": list(seen.problems[:_PROBLEMS_TOLD]), "count": seen.count},
        at=at,
    )


def schedule_due(
    run: Run, containers: int | None, correlation_id: str, numbers: Mapping[str, Number], at: float
) -> Notice:
    """A policy's time has come; `containers` is how many it selects, None when it selects none of them."""
    verb = run.policy.then.verb
    what = f"{verb} of " if verb is not None else ""
    whom = "" if containers is None else f": {what}{containers} container{'' if containers == 1 else 's'}"
    return Notice(
        kind=EventKind.POLICY,
        action="scheduled",
        subject=run.policy.name,
        reason=f"{scheduled_at(run.schedule, run.due, run.late)}{whom}",
        data={"policy": run.policy.name, "containers": containers, **numbers},
        at=at,
        correlation_id=correlation_id,
    )


def schedule_missed(run: Run, correlation_id: str, numbers: Mapping[str, Number], at: float) -> Notice:
    """A policy's time came while the agent, or its host, was away, and it is too late to make the run up."""
    following = run.schedule.after(at)
    then = "" if following is None else f"; the next is at {run.schedule.shown(following, at)}"
    return Notice(
        kind=EventKind.POLICY,
        action="missed",
        subject=run.policy.name,
        severity=Severity.WARNING,
        reason=f"{scheduled_at(run.schedule, run.due, run.late)}: not made up after {as_written(LATE)}{then}",
        data={"policy": run.policy.name, **numbers},
        at=at,
        correlation_id=correlation_id,
    )


def triggered(policy: Policy, targets: Sequence[str], correlation_id: str, at: float) -> Notice:
    """A person set a policy off by hand for these targets."""
    verb = policy.then.verb
    whom = targets[0] if len(targets) == 1 else f"{len(targets)} containers"
    return Notice(
        kind=EventKind.POLICY,
        action="triggered",
        subject=policy.name,
        reason=f"set off by hand: {verb if verb is not None else 'notify'} of {whom}",
        data={"policy": policy.name, "targets": list(targets[:_MOST_NAMES]), "count": len(targets)},
        at=at,
        correlation_id=correlation_id,
    )


def reverted(policy: str, container: str, correlation_id: str, at: float) -> Notice:
    """A person wants the limits of a container back that a policy changed."""
    return Notice(
        kind=EventKind.POLICY,
        action="triggered",
        subject=policy,
        reason=f"reverted by hand: limits of {container}",
        data={"policy": policy, "targets": [container], "count": 1},
        at=at,
        correlation_id=correlation_id,
    )


def breaker_turned(turn: Turn, host: str, now: Instant) -> Notice:
    """A breaker opened, lets one action pass, or closed. `host` is this host's name."""
    breaker, scope = turn.breaker, turn.scope
    name = scope.name or host
    whose = "of this host" if scope == HOST else f"of policy {name}" if scope.kind is ScopeKind.POLICY else f"of {name}"
    data: dict[str, object] = {
        "policy": breaker.policy,
        "target": {"kind": scope.kind.value, "name": name},
        "budget": budget_of(scope, breaker),
        "times_opened": breaker.times,
    }
    match turn.phase:
        case Phase.OPEN:
            action, severity = "breaker_open", Severity.CRITICAL
            wait = breaker.wait if breaker.told_nothing is None else breaker.left(now)
            reason = f"the breaker {whose} is open: {turn.why}; one is tried in {as_written(wait)}"
            data |= {"probe_after": wait, "probe_at": round(now.wall + breaker.left(now), 3)}
        case Phase.HALF_OPEN:
            action, severity = "breaker_half_open", Severity.WARNING
            reason = f"the breaker {whose} is half-open: {turn.why}"
        case _:
            action, severity = "breaker_closed", Severity.INFO
            reason = f"the breaker {whose} is closed: {turn.why}"
    return Notice(
        kind=EventKind.POLICY,
        action=action,
        subject=breaker.policy,
        severity=severity,
        reason=reason,
        data=data,
        at=now.wall,
        correlation_id=turn.decision.correlation_id if turn.decision is not None else "",
    )


def budget_of(scope: Scope, breaker: Breaker) -> dict[str, object]:
    """What was used up, as a JSON object: so many actions, or so many containers on which they were of no use."""
    budget = breaker.budget
    counted = {"in_vain": budget.in_vain} if scope.kind is ScopeKind.POLICY else {"max": budget.most}
    return {**counted, "per": budget.per}


def _counted(policies: int) -> str:
    return "1 policy is in force" if policies == 1 else f"{policies} policies are in force"


def _warnings(count: int) -> str:
    return "1 warning" if count == 1 else f"{count} warnings"


def _problems(count: int) -> str:
    return "1 problem" if count == 1 else f"{count} problems"
