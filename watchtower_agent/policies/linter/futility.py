"""Policies that can never do anything. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from watchtower_agent.model.decision import Verb
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.labels import ORCHESTRATOR_LABELS, PROTECT_LABEL
from watchtower_agent.model.window import WindowFunction
from watchtower_agent.policies.conditions.tree import Not
from watchtower_agent.policies.guards.protected import stateful_image
from watchtower_agent.policies.linter.doubt import Doubt, asked, condition_of, key_of, names_of, place_in
from watchtower_agent.policies.linter.logic import Case, cases, clash, limits
from watchtower_agent.policies.linter.surroundings import Surroundings
from watchtower_agent.policies.policy import OnTrigger, Policy, WhenTrigger
from watchtower_agent.policies.selector import Patterns, Selector
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.policies.wording import as_written

_WILD: Final = re.compile(r"[*?\[]")
_YES: Final = frozenset({"true", "1", "yes"})
_GROWTH: Final = frozenset({WindowFunction.RATE, WindowFunction.DELTA})


def never_true(policy: Policy) -> Iterator[Doubt]:
    """Conditions whose parts exclude each other."""
    condition = condition_of(policy)
    if condition is None:
        return
    every = cases(asked(policy) or condition.tree)
    if every is None:
        return
    clashes = [clash(case) for case in every]
    if not all(clashes):
        yield from _over_too_soon(policy, [case for case, parts in zip(every, clashes, strict=True) if not parts])
        return
    parts = clashes[0]
    if len(parts) == 1:
        message, remedy = f"this is never true: {parts[0]}", "compare with something that it can be"
    else:
        listed = " and ".join(dict.fromkeys(map(str, parts)))
        message, remedy = f"this is never true: {listed} exclude each other", "put or between them, or leave one out"
    yield Doubt(policy=policy, path=(key_of(policy),), message=message, remedy=remedy)


def _over_too_soon(policy: Policy, left: list[Case]) -> Iterator[Doubt]:
    """`uptime < 5m` is true for five minutes, so it never is for ten."""
    trigger = policy.trigger
    if not isinstance(trigger, WhenTrigger) or not trigger.hold or not left:
        return
    for name in ("uptime", "age"):
        longest = max(limits(case, name).high - limits(case, name).low for case in left)
        if longest < trigger.hold:
            yield Doubt(
                policy=policy,
                path=("for",),
                message=f"{name} is never in those bounds for {as_written(trigger.hold)}, so this never fires",
                remedy=f"write a for below {as_written(longest)}, or other bounds for {name}",
            )


def always_true(policy: Policy) -> Iterator[Doubt]:
    """A condition that nothing can end is none. One about names alone says whom it is about, where select should."""
    trigger = policy.trigger
    if not isinstance(trigger, WhenTrigger):
        return
    opposite = cases(Not(trigger.condition.tree))
    if opposite is not None and all(map(clash, opposite)):
        yield Doubt(
            policy=policy,
            path=("when",),
            message="this is true of every container at all times"
            if policy.selector is not None
            else "this is true at all times",
            remedy="compare with something that it need not be",
        )


def never_known(policy: Policy, surroundings: Surroundings) -> Iterator[Doubt]:
    """Names whose value is not known here: what is not known makes no condition true."""
    scaled = isinstance(policy.trigger, ScaleStrategy)
    so = "so that the service never shrinks" if scaled else "and nothing is done on what is not known"
    for name, path, offset in names_of(policy):
        if name in surroundings.never_known:
            yield Doubt(
                policy=policy,
                path=path,
                message=f"{name} is never known with these settings, {so}",
                remedy=surroundings.never_known[name],
                offset=offset,
            )
    condition = condition_of(policy)
    if condition is None:
        return
    for window in sorted(condition.windows, key=lambda each: (each.name, each.seconds)):
        interval = surroundings.interval
        if window.function in _GROWTH and interval is not None and window.seconds <= interval:
            yield Doubt(
                policy=policy,
                path=(key_of(policy),),
                message=f"{window.function} over {as_written(window.seconds)} never has two samples to compare: "
                f"there is one every {as_written(interval)} (sampling.interval)",
                remedy=f"look back over {as_written(3 * interval)} or more",
                offset=place_in(condition.text, window.name),
            )


def never_let(policy: Policy, surroundings: Surroundings) -> Iterator[Doubt]:
    """Actions on what is protected from every policy, or from those that select it like that."""
    selector, verb = policy.selector, policy.then.verb
    if selector is None or verb is None or verb is Verb.NOTIFY:
        return
    instead = "" if verb is Verb.RESIZE else "use notify alone, or "
    if selector.swarm_service is not None:
        yield Doubt(
            policy=policy,
            path=("select", "swarm_service"),
            message="these are tasks, which Swarm replaces by itself: the agent acts on none of them (protected)",
            remedy=f"{instead}leave {'healing them' if instead else 'their limits'} to Swarm",
            at_key=True,
        )
    for key, patterns in selector.labels.items():
        if (key == PROTECT_LABEL and _all_yes(patterns)) or key.startswith(ORCHESTRATOR_LABELS):
            yield Doubt(
                policy=policy,
                path=("select", "labels", key),
                message="the agent acts on no container with this label (protected)",
                remedy=f"{instead}select by something else",
                at_key=True,
            )
    held = _stateful(selector, surroundings.stateful_images)
    if held:
        yield Doubt(
            policy=policy,
            path=("select", "image"),
            message=f"{held} is a stateful image: a policy that does not name its containers acts on none (protected)",
            remedy="select them by an exact name, label or Compose service",
        )


def stays_stopped(policy: Policy) -> Iterator[Doubt]:
    """Bringing back what a person stopped: of nothing else does the engine tell `stop`, but of the agent's own act."""
    trigger = policy.trigger
    if not isinstance(trigger, OnTrigger) or policy.then.verb not in {Verb.RESTART, Verb.START}:
        return
    if trigger.events == {(EventKind.CONTAINER, "stop")} and not policy.restart_stopped:
        yield Doubt(
            policy=policy,
            path=("on",),
            message="what a person stopped is left alone until somebody starts it (operator_intent), so a "
            f"{policy.then.verb} on a stop is never done",
            remedy="write on: {container: die} for what ends by itself, or restart_stopped: true",
        )


def _all_yes(patterns: Patterns) -> bool:
    return all(text.lower() in _YES for text in patterns.texts)


def _stateful(selector: Selector, images: frozenset[str]) -> str:
    """The stateful image that is all that it selects; empty when it is not."""
    if selector.images is None or any(map(_names, _exact(selector))):
        return ""
    found = [stateful_image(text, images) for text in selector.images.texts]
    return found[0] if all(found) else ""


def _exact(selector: Selector) -> Iterator[Patterns]:
    """What may pick a container by an exact name or label."""
    for patterns in (selector.names, selector.compose_service, selector.swarm_service, *selector.labels.values()):
        if patterns is not None:
            yield patterns


def _names(patterns: Patterns) -> bool:
    return any(not _WILD.search(text) for text in patterns.texts)
