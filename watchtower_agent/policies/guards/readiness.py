"""Whether the container is about to be well, or up again, by itself. Pure."""

from __future__ import annotations

from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Guard, Held
from watchtower_agent.policies.guards.question import SETTLE, Passed, Question
from watchtower_agent.policies.wording import lasting
from watchtower_agent.state.record import ContainerRecord


def starting(q: Question) -> Held | None:
    """A health check counts only once the container has had its time to start."""
    record = q.record
    if record is None or not record.container.running or record.container.detail is None:
        return None
    if record.container.health is Health.NONE:
        return None
    wait = _wait(record)
    uptime = q.state.uptime(record, q.now)
    if uptime is None or uptime >= wait:  # None: the clock was set back, so it is not known
        return None
    return q.hold(
        Guard.STARTING,
        f"{record.container.name} has been running for {uptime:.0f} s; its health counts after {wait:.0f} s",
        numbers={"uptime": round(uptime, 3), "start_period_and_grace": wait},
        release_in=wait - uptime,
    )


def starting_passes(q: Question) -> Passed:
    """Its health counts, or is not what matters."""
    record = q.record
    if record is None or not record.container.running:
        return Passed(reason="it does not run, so there is no start to wait for")
    name = record.container.name
    if record.container.health is Health.NONE or record.container.detail is None or record.started is None:
        return Passed(reason=f"{name} has no health check that would have to wait")
    wait = _wait(record)
    uptime = q.state.uptime(record, q.now)
    if uptime is None:
        why = f"for how long {name} has been running is not known: the clock was set back"
        return Passed(reason=why, numbers={"uptime": None, "start_period_and_grace": wait})
    return Passed(
        reason=f"running for {lasting(uptime)}; its health counts after {lasting(wait)}",
        numbers={"uptime": round(uptime, 3), "start_period_and_grace": wait},
    )


def _wait(record: ContainerRecord) -> float:
    """Seconds from its start after which a container's health counts."""
    detail = record.container.detail
    # The grace is one health check interval: the first check that counts comes that long after the start period.
    return detail.health_start_period + detail.health_interval if detail is not None else 0.0


def restart_policy(q: Question) -> Held | None:
    """What the engine starts again by itself would be started twice."""
    record = q.record
    if record is None or record.container.running:
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


def restart_policy_passes(q: Question) -> Passed:
    """The engine does not start it by itself."""
    record = q.record
    if record is None or record.container.detail is None:
        return Passed(reason="whether the engine would start it by itself is not known")
    name, by_engine = record.container.name, record.container.detail.restart_policy
    numbers = {"restart_policy": by_engine}
    if record.container.running:
        return Passed(reason=f"it runs: the engine has nothing to start (--restart {by_engine})", numbers=numbers)
    if by_engine == "no":
        return Passed(reason=f"the engine does not start {name} by itself (--restart no)", numbers=numbers)
    return Passed(reason=f"the engine leaves {name} as it is, in spite of --restart {by_engine}", numbers=numbers)
