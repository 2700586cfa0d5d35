"""Whether what is to be done can be done: another container made, a plan of what may be deleted. Pure."""

from __future__ import annotations

from watchtower_agent.model.decision import Guard, Held, Verb
from watchtower_agent.policies.guards.question import Passed, Question
from watchtower_agent.policies.strategies.scale import ScaleStrategy, ServiceKind

_MOST = 5
"""Blockers that are said; the numbers beside the words count them all."""


def preflight(q: Question) -> Held | None:
    """No clone that can't start, or takes something from its original, is made, and nothing is planned blindly."""
    if q.decision.verb is Verb.PRUNE:
        return _unlisted(q)
    original = q.decision.parameters.get("original")
    if original is None:
        return None
    record = q.state.containers.get(str(original))
    if record is None:
        return q.hold(Guard.PREFLIGHT, f"no container of {q.decision.target.name} is there that another is made like")
    detail = record.container.detail
    if detail is None:
        return q.hold(Guard.PREFLIGHT, f"{record.container.name} has not been inspected yet")
    blockers = [*detail.cloning.blockers, *(() if q.decision.parameters.get("shared") else _volumes(q))]
    if not blockers:
        return None
    said = "; ".join(blockers[:_MOST])
    more = f"; and {len(blockers) - _MOST} more" if len(blockers) > _MOST else ""
    return q.hold(
        Guard.PREFLIGHT,
        f"no other container can be made like {record.container.name}: {said}{more}",
        numbers={"original": record.container.name, "blockers": len(blockers)},
    )


def _unlisted(q: Question) -> Held | None:
    """Without a listing of what the engine keeps nothing can be planned."""
    unlisted = q.circumstances.passes.unlisted
    if unlisted is None or (left := unlisted.until - q.now.monotonic) <= 0:
        return None
    reason = f"what the engine keeps could not be listed: {unlisted.reason}"
    return q.hold(Guard.PREFLIGHT, reason, release_in=left)


def _volumes(q: Question) -> list[str]:
    record = q.state.containers.get(str(q.decision.parameters.get("original")))
    detail = record.container.detail if record is not None else None
    volumes = detail.cloning.volumes if detail is not None else ()
    return [f"it writes to {each}, which a second one would share (shared: true allows that)" for each in volumes]


def preflight_passes(q: Question) -> Passed:
    """Nothing stands against it, or nothing is made."""
    if q.decision.verb is Verb.PRUNE:
        return Passed(reason="what the engine keeps can be listed, as far as is known")
    strategy = q.policy.trigger
    if isinstance(strategy, ScaleStrategy) and strategy.target.kind is ServiceKind.SWARM:
        return Passed(reason="the Swarm makes its replicas itself")
    if q.decision.parameters.get("original") is None:
        return Passed(reason="no container is made")
    return Passed(reason="another container can be made like the newest of it that is well")
