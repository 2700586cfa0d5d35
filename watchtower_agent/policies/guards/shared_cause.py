"""Whether one cause is behind the troubles of many containers. Pure."""

from __future__ import annotations

from watchtower_agent.model.decision import Guard, Held, Verb
from watchtower_agent.policies.guards.question import Passed, Question
from watchtower_agent.policies.wording import as_written


def shared_cause(q: Question) -> Held | None:
    """What ails many at once is not mended by acting on each of them: hold, until it is seen no more for a while."""
    if _only_grows(q):
        return None
    cause = q.circumstances.shared_cause
    if cause is None or (left := cause.left(q.now)) <= 0:
        return None
    return q.hold(
        Guard.SHARED_CAUSE,
        f"{cause.reason}: for {as_written(cause.hold)} after that no container is acted on",
        numbers={"cause": cause.kind.value, **cause.numbers, "hold": cause.hold},
        release_in=left,
    )


def _only_grows(q: Question) -> bool:
    """More of something is no harm to what ails many; only taking away waits."""
    if q.decision.verb is Verb.RESIZE:
        return q.decision.numbers.get("lowers") is False
    to, before = q.decision.parameters.get("to"), q.decision.parameters.get("from")
    if q.decision.verb is not Verb.SCALE or not isinstance(to, int) or not isinstance(before, int):
        return False
    return to > before


def shared_cause_passes(q: Question) -> Passed:
    """Few have failed, or it is not looked for."""
    if _only_grows(q):
        return Passed(reason="it only grows, which no shared cause speaks against")
    count = q.failures
    if count is None or count.rule.hold <= 0:
        return Passed(reason="shared causes are not looked for (hold: 0s)")
    rule, least = count.rule, count.rule.least(count.selected)
    return Passed(
        reason=f"{count.failed} of {count.selected} containers failed in {as_written(rule.within)}; "
        f"from {least} on that is one cause",
        numbers={
            "failed": count.failed,
            "selected": count.selected,
            "holds_from": least,
            "share": rule.share,
            "at_least": rule.at_least,
            "within": rule.within,
            "hold": rule.hold,
        },
    )
