"""Whether one cause is behind the troubles of many containers. Pure."""

from __future__ import annotations

from watchtower_agent.model.decision import Guard, Held
from watchtower_agent.policies.guards.question import Question
from watchtower_agent.policies.wording import as_written


def shared_cause(q: Question) -> Held | None:
    """What ails many at once is not mended by acting on each of them: hold, until it is seen no more for a while."""
    cause = q.circumstances.shared_cause
    if cause is None or (left := cause.left(q.now)) <= 0:
        return None
    return q.hold(
        Guard.SHARED_CAUSE,
        f"{cause.reason}: for {as_written(cause.hold)} after that no container is acted on",
        numbers={"cause": cause.kind.value, **cause.numbers, "hold": cause.hold},
        release_in=left,
    )
