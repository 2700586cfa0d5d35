"""What a person meant by ending, killing or restarting a container. Pure."""

from __future__ import annotations

from watchtower_agent.model.decision import Guard, Held
from watchtower_agent.policies.guards.question import SETTLE, Passed, Question
from watchtower_agent.policies.wording import lasting
from watchtower_agent.state.attribution import HANDS_OFF, EndCause, signal_name
from watchtower_agent.state.record import ContainerRecord


def operator_intent(q: Question) -> Held | None:
    """What a person ended, killed or restarted is left alone."""
    record = q.record
    if record is None:
        return None
    name = record.container.name
    if not record.container.running and record.end_cause in {EndCause.UNKNOWN, EndCause.OPERATOR}:
        if q.policy.restart_stopped:
            return _ended_just_now(q, record)
        if record.end_cause is EndCause.UNKNOWN:
            return q.hold(
                Guard.OPERATOR_INTENT,
                f"{name} ended while the agent could not see how: it may have been stopped on purpose. "
                f"Start it by hand, or set restart_stopped: true",
            )
        what = record.operator.action if record.operator else "stop"
        return q.hold(
            Guard.OPERATOR_INTENT,
            f"{_who(q, record)} ended {name} on purpose{_by(record)}: it is left alone until it is started by hand",
            numbers={"operator_action": what, "operator_at": record.operator.at if record.operator else None},
        )
    operator = record.operator
    if operator is not None and q.now.wall < operator.until:
        left = min(HANDS_OFF, operator.until - q.now.wall)
        return q.hold(
            Guard.OPERATOR_INTENT,
            f"someone else did a {operator.action} on {name}: it is left alone for {HANDS_OFF / 60:.0f} min after that",
            numbers={"operator_action": operator.action, "operator_at": operator.at},
            release_in=left,
        )
    return None


def operator_intent_passes(q: Question) -> Passed:
    """Nobody has touched it, or that counts no more."""
    record = q.record
    if record is None:
        return Passed(reason="there is no container that a person could have touched")
    name, operator = record.container.name, record.operator
    by_others = not record.container.running and record.end_cause in {EndCause.UNKNOWN, EndCause.OPERATOR}
    if by_others:
        seen = "ended on purpose" if record.end_cause is EndCause.OPERATOR else "ended unseen"
        return Passed(
            reason=f"{name} was {seen}, and the policy acts on that, too (restart_stopped: true)",
            numbers={"restart_stopped": True},
        )
    if operator is None:
        return Passed(reason=f"nobody else has stopped, killed or restarted {name} lately")
    ago = max(0.0, q.now.wall - operator.at)
    return Passed(
        reason=f"someone else did a {operator.action} on {name} {lasting(ago)} ago, which counts for "
        f"{HANDS_OFF / 60:.0f} min",
        numbers={"operator_action": operator.action, "operator_at": operator.at},
    )


def _ended_just_now(q: Question, record: ContainerRecord) -> Held | None:
    """The policy acts on what a person stopped, too: but a restart and a removal by hand begin with the same end."""
    operator = record.operator
    if operator is None:
        return None
    left = operator.until - HANDS_OFF + SETTLE - q.now.wall
    if left <= 0:
        return None
    return q.hold(
        Guard.OPERATOR_INTENT,
        f"someone else has just ended {record.container.name}{_by(record)}: it may be about to be started or removed",
        numbers={"operator_action": operator.action, "operator_at": operator.at},
        release_in=min(SETTLE, left),
    )


def _who(q: Question, record: ContainerRecord) -> str:
    """A daemon that ends, or that finds containers of one that crashed, ends them with the signals of `docker stop`."""
    begun, over = q.state.engine.restarting
    if record.operator is not None and begun <= record.operator.at <= over:
        return "the engine, as it restarted, or someone else"
    return "someone else"


def _by(record: ContainerRecord) -> str:
    """The engine says `stop` only after the end: until then the signal is all that is known."""
    if record.operator is not None and record.operator.action != "kill":
        return f" ({record.operator.action})"
    if record.operator is not None and record.kill_at is None and record.end_cause is EndCause.OPERATOR:
        return " (while the engine waited to start it again)"
    return f" (it was sent SIG{signal_name(record.kill_signal)})" if record.kill_signal else ""
