"""Facts as log lines, with stable event names."""

from __future__ import annotations

import structlog

from watchtower_agent.model.approval import Approval
from watchtower_agent.model.decision import Decision, Dropped, Edge, Held, Severity, Verb
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.outcome import Intent, Outcome, Result

log = structlog.get_logger("watchtower_agent")

_LEVELS = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "error"}


def log_fact(fact: Fact) -> None:
    """Say what happened: the agent's own doings at info or above, the engine's events at debug."""
    match fact:
        case EngineEvent():
            log.debug("engine_event", kind=fact.kind, action=fact.action, name=fact.name, origin=fact.origin)
        case Edge():
            name = "policy_firing" if fact.firing else "policy_resolved"
            log.info(name, policy=fact.policy, target=fact.target.name, reason=fact.reason)
        case Decision():
            log.info("decision", **_about(fact), reason=fact.reason, correlation=fact.correlation_id)
        case Held() | Dropped() | Approval():
            _log_what_became(fact)
        case Intent():
            log.info("action_started", **_about(fact.decision), correlation=fact.decision.correlation_id)
        case Outcome():
            _log_outcome(fact)
        case Notice():
            about = {"policy": fact.subject} if fact.kind is EventKind.POLICY and fact.subject else {}
            getattr(log, _LEVELS[fact.severity])(f"{fact.kind}_{fact.action}", **about, reason=fact.reason)
            for warning in _warnings(fact):
                log.warning("policy_warning", what=warning)


def _log_what_became(fact: Held | Dropped | Approval) -> None:
    """Of a decision that is not carried out, or not yet."""
    about = _about(fact.decision)
    match fact:
        case Held():
            log.info("held", **about, guard=fact.guard.value, reason=fact.reason)
        case Dropped():
            log.info("dropped", **about, reason=fact.reason)
        case Approval():
            why = fact.why or fact.decision.reason
            getattr(log, _LEVELS[fact.severity])(f"approval_{fact.state}", **about, approval=fact.id, reason=why)


def _log_outcome(outcome: Outcome) -> None:
    decision = outcome.decision
    if decision.verb is Verb.NOTIFY:
        level = _LEVELS.get(Severity(str(decision.parameters.get("severity", "warning"))), "warning")
        getattr(log, level)("notify", policy=decision.policy, target=decision.target.name, reason=outcome.reason)
        return
    level = "info" if outcome.result is Result.SUCCEEDED else "warning"
    getattr(log, level)(
        "action_ended",
        **_about(decision),
        result=outcome.result.value,
        reason=outcome.reason,
        correlation=decision.correlation_id,
    )


def _warnings(notice: Notice) -> tuple[str, ...]:
    """What is doubtful about the policies that were loaded: there is room in the log for more than the first."""
    warnings = notice.data.get("warnings")
    return tuple(map(str, warnings)) if isinstance(warnings, list) else ()


def _about(decision: Decision) -> dict[str, str]:
    return {"policy": decision.policy, "verb": decision.verb.value, "target": decision.target.name}
