"""Whether the container is about to be well, or up again, by itself. Pure."""

from __future__ import annotations

from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Guard, Held
from watchtower_agent.policies.guards.question import SETTLE, Question


def starting(q: Question) -> Held | None:
    """A health check counts only once the container has had its time to start."""
    record = q.record
    if record is None or not record.container.running or record.container.detail is None or record.started is None:
        return None
    detail = record.container.detail
    if record.container.health is Health.NONE:
        return None
    # The grace is one health check interval: the first check that counts comes that long after the start period.
    wait = detail.health_start_period + detail.health_interval
    if not q.now.may_be_past(record.started):
        return None  # the clock was set back: for how long it has been running is not known
    uptime = max(0.0, q.now.wall - record.started)  # the engine's clock may be ahead of ours by a little
    if uptime >= wait:
        return None
    return q.hold(
        Guard.STARTING,
        f"{record.container.name} has been running for {uptime:.0f} s; its health counts after {wait:.0f} s",
        numbers={"uptime": round(uptime, 3), "start_period_and_grace": wait},
        release_in=wait - uptime,
    )


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
