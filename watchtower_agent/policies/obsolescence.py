"""When what waits is not wanted any more. Pure."""

from __future__ import annotations

from collections.abc import Callable

from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Decision, TargetKind, Verb
from watchtower_agent.model.engine_event import Origin
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.conditions.subject import ContainerSubject, HostSubject
from watchtower_agent.policies.policy import Policy, WhenTrigger
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.policies.triggers import still_true
from watchtower_agent.policies.waiting import Waiting
from watchtower_agent.state.attribution import EndCause
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord


def obsolete(
    waiting: Waiting,
    policy: Policy,
    state: HostState,
    now: Instant,
    fires: Callable[[str, str], bool | None],
) -> str:
    """Why a waiting decision is not wanted any more; empty while it is.

    Args:
        waiting: What waits.
        policy: As it is now.
        state: The host.
        now: The present.
        fires: Whether a policy's condition still fires for a target id; None while that is not known.
    """
    decision = waiting.decision
    record = state.containers.get(decision.target.id)
    if decision.verb is Verb.NOTIFY:
        return _old_news(waiting, policy, record, now)
    if decision.follows:
        return _no_follower(waiting, record, now)
    return _not_wanted(waiting, policy, state, now, fires)


def _not_wanted(
    waiting: Waiting,
    policy: Policy,
    state: HostState,
    now: Instant,
    fires: Callable[[str, str], bool | None],
) -> str:
    """Why a policy does not want that of its own target any more; empty while it does."""
    decision, target = waiting.decision, waiting.decision.target
    record = state.containers.get(target.id)
    if policy.then.verb is not decision.verb and not (decision.last_resort and policy.budget.stops):
        return f"policy {decision.policy} does not {decision.verb} any more"
    if target.kind is TargetKind.CONTAINER and record is None:
        return f"{target.name} was removed"
    if record is not None and policy.selector is not None and not policy.selector.matches(record.container):
        return f"policy {decision.policy} does not select {target.name} any more"
    if decision.from_event:
        # What an event is about may be about to change: whoever is sent a KILL runs still.
        asked_for_as_it_is = waiting.event is None and not decision.last_resort
        return overtaken(waiting, record, now) or (as_it_is(decision.verb, record) if asked_for_as_it_is else "")
    return _ended(policy, record, state, now) if fires(decision.policy, target.id) is False else ""


def _ended(policy: Policy, record: ContainerRecord | None, state: HostState, now: Instant) -> str:
    """Why a condition does not fire: what is not known is not said to be false."""
    if isinstance(policy.trigger, ScaleStrategy | ResizeStrategy):
        return "it needs no change any more"
    subject = HostSubject(state, now) if record is None else ContainerSubject(state, now, record)
    trigger = policy.trigger
    if isinstance(trigger, WhenTrigger) and trigger.condition.evaluate(subject) is None:
        return "whether its condition holds is not known any more"
    return "its condition does not hold any more"


def as_it_is(verb: Verb | None, record: ContainerRecord | None) -> str:
    """Why the engine would have nothing to do, or refuse; empty where it would not.

    Not said of what a condition wants: that would be decided anew, and given up, at every tick.
    """
    if record is None:
        return ""
    name, status = record.container.name, record.container.status
    match verb:
        case Verb.PAUSE if status is ContainerStatus.PAUSED:
            return f"{name} is paused already"
        case Verb.UNPAUSE if status is ContainerStatus.RUNNING:
            return f"{name} is not paused"
        case Verb.START if status is ContainerStatus.RUNNING:
            return f"{name} runs already"
        case Verb.PAUSE | Verb.UNPAUSE | Verb.STOP | Verb.KILL if _stays_down(record):
            return f"{name} does not run"
    return ""


def _stays_down(record: ContainerRecord) -> bool:
    """Whether it is down, and the engine does not start it again by itself."""
    if record.container.status in {ContainerStatus.CREATED, ContainerStatus.DEAD}:
        return True
    detail = record.container.detail
    by_engine = detail is None or detail.restart_policy != "no"
    return record.container.status is ContainerStatus.EXITED and (record.settled_after_end or not by_engine)


def _no_follower(waiting: Waiting, record: ContainerRecord | None, now: Instant) -> str:
    """Why it need not be restarted after another any more: whether its policy selects it is of no account."""
    name = waiting.decision.target.name
    if record is None:
        return f"{name} was removed"
    if not record.container.running and record.end_cause is not EndCause.AGENT:
        return f"{name} does not run any more"
    return overtaken(waiting, record, now)


def in_doubt(decision: Decision, fires: Callable[[str, str], bool | None]) -> bool:
    """Whether it is not known at this moment that a condition's action is still wanted: then nothing is done."""
    acts = not decision.from_event and not decision.last_resort and decision.verb is not Verb.NOTIFY
    return acts and fires(decision.policy, decision.target.id) is None


def _old_news(waiting: Waiting, policy: Policy, record: ContainerRecord | None, now: Instant) -> str:
    """Why a notification is not worth telling any more; empty while it is."""
    event = waiting.event
    if policy.then.notify is None:
        return f"policy {policy.name} does not notify any more"
    if now.wall > waiting.decision.expires_at:
        return _too_old(waiting, now)
    missed = event is not None and event.origin in {Origin.REPLAY, Origin.SYNTHETIC}
    if event is not None and missed and record is not None and not still_true(event, record, now):
        return f"{waiting.decision.target.name} has changed since"
    return ""


def _too_old(waiting: Waiting, now: Instant) -> str:
    return f"it waited for {(now.wall - waiting.since) / 60:.0f} min"


def overtaken(waiting: Waiting, record: ContainerRecord | None, now: Instant) -> str:
    """Why a decision from an event came too late; empty while it did not."""
    decision = waiting.decision
    if now.wall > decision.expires_at:
        return _too_old(waiting, now)
    if record is None:
        return ""
    name = record.container.name
    if waiting.event is not None and not still_true(waiting.event, record, now):
        return f"{name} has been {'started' if record.container.running else 'stopped'} meanwhile"
    begun = record.comparable_start(now.wall)
    cause = waiting.event.time if waiting.event is not None else decision.decided_at
    if decision.verb in {Verb.RESTART, Verb.START} and begun is not None and begun > cause:
        return f"{name} has been started meanwhile"
    return ""
