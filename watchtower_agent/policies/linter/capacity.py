"""Budgets that are never used up, so that their breakers never open. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from watchtower_agent.model.decision import Mode, Verb
from watchtower_agent.policies.guards.ledger import ATTEMPTS
from watchtower_agent.policies.guards.pacing import DEFAULT_COOLDOWN
from watchtower_agent.policies.linter.coverage import covers
from watchtower_agent.policies.linter.doubt import Doubt
from watchtower_agent.policies.linter.surroundings import Surroundings
from watchtower_agent.policies.policy import ENGINE_BUDGET, Budget, Policy, ScheduleTrigger, WhenTrigger
from watchtower_agent.policies.strategies.prune import MOST_PASSES, PASSES_PER
from watchtower_agent.policies.wording import as_written

_LEAST_JITTER = 0.8
_OF_ITS_OWN: Final[Mapping[Verb | None, Budget]] = {
    Verb.PRUNE: Budget(most=MOST_PASSES, per=PASSES_PER),
    Verb.RESTART_ENGINE: ENGINE_BUDGET,
}
"""What is not about containers has a budget of its own: the usual one, which holds where none is written."""
_BEGIN: Final = 1_704_067_200.0
"""2024-01-01: a budget counts over a day at most, and how days follow each other does not depend on the year."""
_YEAR, _WEEK = 366 * 86_400.0, 7 * 86_400.0
_TIMES: Final = 200
"""Of a schedule, that are looked at; of one that has more in a week nothing is claimed."""
_LATE: Final = 2.5 * 3600.0
"""Seconds by which two times may come closer: the first waits for its guards, and clocks are changed."""


def never_used_up(policy: Policy, policies: Sequence[Policy], surroundings: Surroundings) -> Iterator[Doubt]:
    """Budgets of more than there can be. What is not written is not doubted: it is for all policies."""
    budget, usual = policy.budget, Budget()
    if policy.then.verb in _OF_ITS_OWN:
        yield from _never_so_often(policy, policies)
        return
    if policy.then.verb is None or policy.selector is None or budget == usual:
        return
    host = surroundings.host_budget
    if budget.in_vain != usual.in_vain:
        yield from _never_in_vain(policy, host)
    if replace(budget, in_vain=usual.in_vain) == usual:
        return
    if host is not None and budget.most > host.most * (budget.per // host.per + 1):
        yield Doubt(
            policy=policy,
            path=("budget",),
            message=f"this budget is never used up: the host's ends before (guards.host_budget: {host.most} within "
            f"{as_written(host.per)})",
            remedy="write a smaller max, or a larger guards.host_budget",
        )
    elif not _shared(policy, policies) and (fitting := _fitting(policy)) <= budget.most:
        what = "schedule" if isinstance(policy.trigger, ScheduleTrigger) else "for, cooldown and backoff"
        yield _too_large(policy, budget, what, fitting, "action begins" if fitting == 1 else "actions begin")


def _never_so_often(policy: Policy, policies: Sequence[Policy]) -> Iterator[Doubt]:
    """Passes of pruning, and restarts of the engine, of which the cooldown lets fewer begin than there may be."""
    verb, budget = policy.then.verb, policy.budget
    assert verb is not None
    others = any(other is not policy and other.then.verb is Verb.RESTART_ENGINE for other in policies)
    if budget == _OF_ITS_OWN[verb] or (verb is Verb.RESTART_ENGINE and others):
        return  # restarts of the engine count by whichever policy
    cooldown = DEFAULT_COOLDOWN[verb] if policy.cooldown is None else policy.cooldown
    fitting = min(math.ceil(budget.per / cooldown), _scheduled(policy)) if cooldown > 0 else _scheduled(policy)
    if fitting <= budget.most:
        by = "schedule" if isinstance(policy.trigger, ScheduleTrigger) else "cooldown"
        yield _too_large(policy, budget, by, fitting, "begins" if fitting == 1 else "begin")


def _too_large(policy: Policy, budget: Budget, by: str, fitting: int, begin: str) -> Doubt:
    return Doubt(
        policy=policy,
        path=("budget",),
        message=f"this budget is never used up: with this {by} at most {fitting} {begin} within "
        f"{as_written(budget.per)}",
        remedy=f"write a max of {fitting - 1}, or a longer per" if fitting > 1 else "write a longer per",
    )


def _never_in_vain(policy: Policy, host: Budget | None) -> Iterator[Doubt]:
    """More containers on which a policy may be of no use than there are that it can act on in the time."""
    budget, names = policy.budget, policy.selector.names if policy.selector is not None else None
    named = len(names.exact) if names is not None and not names.globs else None
    allowed = host.most * (int(budget.per // host.per) + 1) if host is not None else None
    if named is not None and budget.in_vain > named:
        most, why = named, f"select names {'1 container' if named == 1 else f'{named} containers'}"
    elif host is not None and allowed is not None and budget.in_vain > allowed:
        most = allowed
        why = f"the host's budget ends before (guards.host_budget: {host.most} within {as_written(host.per)})"
    else:
        return
    yield Doubt(
        policy=policy,
        path=("budget", "in_vain"),
        message=f"so many in vain there never are: {why}",
        remedy=f"write {most} or fewer",
    )


def _shared(policy: Policy, policies: Sequence[Policy]) -> bool:
    """Whether another policy acts on the same containers: what it does counts, too."""
    return any(
        other is not policy
        and other.mode in {Mode.ENFORCE, Mode.APPROVE}
        and other.then.verb not in {None, Verb.RESIZE}
        and other.selector is not None
        and policy.selector is not None
        and (covers(other.selector, policy.selector) or covers(policy.selector, other.selector))
        for other in policies
    )


def _fitting(policy: Policy) -> int:
    """How many actions begin within the budget's time, one more than it has at most: that one uses it up."""
    verb, budget = policy.then.verb, policy.budget
    assert verb is not None
    hold = policy.trigger.hold if isinstance(policy.trigger, WhenTrigger) else 0.0
    pause = max(hold, DEFAULT_COOLDOWN[verb] if policy.cooldown is None else policy.cooldown)
    begun, delay = 0.0, policy.backoff.initial if verb in ATTEMPTS else 0.0
    for number in range(1, budget.most + 1):
        begun += max(pause, _LEAST_JITTER * min(policy.backoff.longest, delay))
        if begun >= budget.per:
            return min(number, _scheduled(policy))
        delay = min(policy.backoff.longest, delay * policy.backoff.factor)
    return min(budget.most + 1, _scheduled(policy))


def _scheduled(policy: Policy) -> int:
    """How many times of a schedule come within the budget's time, one more than it has at most."""
    most = policy.budget.most
    if not isinstance(policy.trigger, ScheduleTrigger):
        return most + 1
    moment, found = _BEGIN, 1
    times: deque[float] = deque()
    for _ in range(_TIMES):
        following = policy.trigger.schedule.after(moment)
        if following is None or following > _BEGIN + _YEAR:
            return found
        moment = following
        times.append(moment)
        while moment - times[0] >= policy.budget.per + _LATE:
            times.popleft()
        found = max(found, len(times))
        if found > most:
            return most + 1
    return found if moment > _BEGIN + _WEEK else most + 1
