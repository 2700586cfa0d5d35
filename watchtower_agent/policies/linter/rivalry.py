"""Policies that scale or resize the same containers, so that each would undo what the other does. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice, product
from typing import Final, NamedTuple

from watchtower_agent.model.decision import Mode
from watchtower_agent.policies.linter.coverage import covers
from watchtower_agent.policies.linter.doubt import Doubt
from watchtower_agent.policies.linter.overlap import Reach, replicas_of
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.strategies.scale import OwnMetricRule, ScaleStrategy, ScaleTarget, ServiceKind

_ACTING: Final = frozenset({Mode.ENFORCE, Mode.APPROVE})
_MOST_PAIRS: Final = 20_000
"""Of policies that are looked at: a folder with more takes no longer to load."""
_MOST_LABELS: Final = 3
"""That are written out."""
_SHOWN: Final = {"cpu": "CPU", "memory": "memory"}
_RESOURCES: Final = {
    "cpu.cores": "cpu",
    "cpu.percent": "cpu",
    "cpu.percent_of_limit": "cpu",
    "cpu.throttled": "cpu",
    "pressure.cpu": "cpu",
    "memory.usage": "memory",
    "memory.working_set": "memory",
    "memory.percent": "memory",
    "pressure.memory": "memory",
    "pressure.memory_full": "memory",
}
"""Metric -> the resource of which a limit changes it."""


class _Scaled(NamedTuple):
    policy: Policy
    strategy: ScaleStrategy
    replicas: Reach


class _Resized(NamedTuple):
    policy: Policy
    strategy: ResizeStrategy
    selected: Reach

    @property
    def resources(self) -> frozenset[str]:
        given = {"cpu": self.strategy.cpu, "memory": self.strategy.memory}
        return frozenset(name for name, rule in given.items() if rule is not None)


def rivals(policies: Sequence[Policy]) -> Iterator[Doubt]:
    """What the loader refuses: two policies that scale one service, or one that scales by what another resizes."""
    scaled, resized = list(_scaled(policies)), list(_resized(policies))
    yield from _same_service(scaled)
    acting = (each for each in scaled if each.policy.mode in _ACTING)
    for one, other in product(acting, resized):
        yield from _both_ways(one, other)


def resized_twice(policies: Sequence[Policy]) -> Iterator[Doubt]:
    """Each pair of policies that may set the same limit of the same container, at the one that is written later."""
    for one, other in islice(combinations(_resized(policies), 2), _MOST_PAIRS):
        same = sorted(one.resources & other.resources)
        if not same or _different_windows(one.policy, other.policy) or one.selected.apart(other.selected):
            continue
        certain = _within(one.selected, other.selected)
        limits = " and ".join(_SHOWN[each] for each in same)
        yield Doubt(
            policy=other.policy,
            path=("resize", same[0]),
            message=f"policy {_named(one.policy)} {'sets' if certain else 'may set'} the same limits ({limits}) of the "
            "same containers",
            remedy="let them select different ones, as by adding a not to one of them",
            at_key=True,
        )


def _scaled(policies: Sequence[Policy]) -> Iterator[_Scaled]:
    for policy in policies:
        if policy.mode is not Mode.OFF and isinstance(policy.trigger, ScaleStrategy):
            yield _Scaled(policy, policy.trigger, Reach(replicas_of(policy.trigger.target)))


def _resized(policies: Sequence[Policy]) -> Iterator[_Resized]:
    for policy in policies:
        if policy.mode in _ACTING and isinstance(policy.trigger, ResizeStrategy) and policy.selector is not None:
            yield _Resized(policy, policy.trigger, Reach(policy.selector))


def _different_windows(one: Policy, other: Policy) -> bool:
    """They may act at different times, and then people most likely mean it."""
    return bool(one.windows) and bool(other.windows) and one.windows != other.windows


def _within(one: Reach, other: Reach) -> bool:
    """Whether one of them certainly picks all that the other does."""
    return covers(one.selector, other.selector) or covers(other.selector, one.selector)


def _named(policy: Policy) -> str:
    return f"{policy.name} ({policy.place})"


# --- one service ------------------------------------------------------------------------------------------------------


def _same_service(scaled: Sequence[_Scaled]) -> Iterator[Doubt]:
    first: dict[str, _Scaled] = {}
    for each in scaled:
        known = first.setdefault(each.strategy.target.key, each)
        if known is not each:
            yield _twice(known, each, f"scales {_short(each.strategy.target)} already")
    for one, other in islice(combinations(first.values(), 2), _MOST_PAIRS):
        if _within(one.replicas, other.replicas):
            yield _twice(one, other, "scales some of the same containers")


def _twice(one: _Scaled, other: _Scaled, does: str) -> Doubt:
    return Doubt(
        policy=other.policy,
        path=("target",),
        message=f"policy {_named(one.policy)} {does}",
        remedy="keep one of them: it can have the metrics of both, of which the one counts that needs most",
        at_key=True,
    )


def _short(target: ScaleTarget) -> str:
    return "this group" if target.kind is ServiceKind.GROUP else target.name


# --- one resource -----------------------------------------------------------------------------------------------------


def _both_ways(one: _Scaled, other: _Resized) -> Iterator[Doubt]:
    for metric in one.strategy.metrics:
        resource = _RESOURCES.get(metric.name) if isinstance(metric, OwnMetricRule) else None
        if resource is None or resource not in other.resources or not _meet(one, other):
            continue
        what, kept = _SHOWN[resource], _left_out(one.strategy.target)
        yield Doubt(
            policy=other.policy,
            path=("resize", resource),
            message=f"policy {_named(one.policy)} scales by {metric.name} what this may select: their limit of {what} "
            "and their number would chase each other",
            remedy=f"leave them out with not: {kept} under select, or leave {resource} out",
            at_key=True,
        )
        return


def _meet(one: _Scaled, other: _Resized) -> bool:
    """Whether a replica can be resized. Tasks of a Swarm never are (protected), so only who names them means them."""
    named = other.selected.selector.swarm_service is not None
    of_swarm = one.strategy.target.kind is ServiceKind.SWARM
    return named is of_swarm and not one.replicas.apart(other.selected)


def _left_out(target: ScaleTarget) -> str:
    match target.kind:
        case ServiceKind.SWARM:
            return f"{{swarm_service: {target.service}}}"
        case ServiceKind.COMPOSE:
            return f"{{compose: {{project: {target.project}, service: {target.service}}}}}"
        case ServiceKind.GROUP:
            labels = [f"{key}: {value}" for key, value in sorted(target.labels.items())]
            more = ["…"] if len(labels) > _MOST_LABELS else []
            return f"{{labels: {{{', '.join(labels[:_MOST_LABELS] + more)}}}}}"
