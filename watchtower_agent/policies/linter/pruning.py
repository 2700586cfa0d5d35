"""Policies that prune in vain, or what another one keeps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice, permutations
from typing import Final

from watchtower_agent.model.decision import Mode
from watchtower_agent.policies.catalogue import CATALOGUE, ValueType
from watchtower_agent.policies.conditions.condition import Condition
from watchtower_agent.policies.linter.doubt import Doubt
from watchtower_agent.policies.linter.logic import Case, about, cases, clash, limits
from watchtower_agent.policies.linter.surroundings import Surroundings
from watchtower_agent.policies.policy import Policy, ScheduleTrigger, WhenTrigger
from watchtower_agent.policies.pruning.references import is_named_by
from watchtower_agent.policies.pruning.rules import ImageRules
from watchtower_agent.policies.selector import Patterns
from watchtower_agent.policies.strategies.prune import Prune

_ACTING: Final = frozenset({Mode.ENFORCE, Mode.APPROVE})
_MOST_PAIRS: Final = 20_000
"""Of policies that are looked at: a folder with more takes no longer to load."""
_GAP: Final = 1.0
"""Percentage points: a pass that frees less than that is followed by the next one soon."""
_DISK: Final = tuple(name for name, entry in CATALOGUE.items() if entry.of_disk)


def prunes_in_vain(policy: Policy, surroundings: Surroundings) -> Iterator[Doubt]:
    """What a pass of it can't delete, or can't free."""
    prune = policy.prune
    if prune is None:
        return
    if prune.rules.volumes is not None:
        yield from _volumes(policy, surroundings)
    if prune.until is not None and _frees_nothing(prune):
        yield Doubt(
            policy=policy,
            path=("prune", "until"),
            message="networks take no space, so this is not reached by deleting them",
            remedy="name something else as well, as in images: {unused_for: 24h}, or leave until out",
        )
    elif isinstance(policy.trigger, WhenTrigger) and prune.until is not None:
        yield from _gap(policy, policy.trigger.condition, prune.until)


def pruned_twice(policies: Sequence[Policy]) -> Iterator[Doubt]:
    """Two policies that begin together, at the one that is written later; and what deletes what another one keeps."""
    pruning = [policy for policy in policies if policy.prune is not None and policy.mode in _ACTING]
    for one, other in islice(combinations(pruning, 2), _MOST_PAIRS):
        if _together(one, other):
            yield Doubt(
                policy=other,
                path=("prune",),
                message=f"policy {_named(one)} prunes at the same time: what is deleted first is left to chance",
                remedy="put all of it into one of them",
                at_key=True,
            )
    for one, other in islice(permutations(pruning, 2), _MOST_PAIRS):
        missing = _not_kept(one, other)
        if missing:
            yield Doubt(
                policy=other,
                path=("prune", "images"),
                message=f"policy {_named(one)} keeps images of the name {missing[0]}, and this may delete them",
                remedy=f"add keep: [{', '.join(repr(each) for each in missing[:3])}] here, too",
                at_key=True,
            )


def _named(policy: Policy) -> str:
    return f"{policy.name} ({policy.place})"


# --- one policy -------------------------------------------------------------------------------------------------------


def _volumes(policy: Policy, surroundings: Surroundings) -> Iterator[Doubt]:
    if surroundings.prune_volumes is False:
        yield Doubt(
            policy=policy,
            path=("prune", "volumes"),
            message="with these settings no volume is deleted (allow.prune_volumes: false)",
            remedy="set allow.prune_volumes to true in agent.yaml, or leave volumes out",
            at_key=True,
        )
    if isinstance(policy.trigger, WhenTrigger):
        yield Doubt(
            policy=policy,
            path=("prune", "volumes"),
            message="volumes are never deleted because a condition holds, as for want of space",
            remedy="put them into a policy with schedule",
            at_key=True,
        )


def _frees_nothing(prune: Prune) -> bool:
    rules = prune.rules
    return not any((rules.build_cache, rules.images, rules.containers, rules.volumes))


def _gap(policy: Policy, when: Condition, until: Condition) -> Iterator[Doubt]:
    """A pass that is over when it begins, or after which the next one begins at once."""
    begins, ends = cases(when.tree) or (), cases(until.tree) or ()
    pairs = [(one, other) for one in begins if _is_pressed(one) for other in ends]
    if any(not clash((*one, *other)) for one, other in pairs):
        message = "this can be true while when is true as well: such a pass ends before it has deleted anything"
        remedy = "write a mark that each part of when excludes, as in host.disk.percent < 75% for > 85%"
    elif any(not _far(one, other) for one, other in pairs):
        message = "a pass ends where when begins, so that it begins again and again"
        remedy = "leave a gap, as in host.disk.percent < 75% for > 85%"
    else:
        return
    yield Doubt(policy=policy, path=("prune", "until"), message=message, remedy=remedy)


def _is_pressed(case: Case) -> bool:
    """Whether it is possible, and about how full the disk is now."""
    return not clash(case) and any(next(about(case, name), None) is not None for name in _DISK)


def _far(begin: Case, end: Case) -> bool:
    """Whether some number has a way to go from where a pass begins to where it ends."""
    for name in _DISK:
        first, last = limits(begin, name), limits(end, name)
        grows = CATALOGUE[name].type is ValueType.BYTES
        if (last.low - first.high > 0) if grows else (first.low - last.high >= _GAP):
            return True
    return False


# --- two of them ------------------------------------------------------------------------------------------------------


def _together(one: Policy, other: Policy) -> bool:
    """Whether they begin by the same words; where one follows from the other, people most likely mean two stages."""
    match one.trigger, other.trigger:
        case WhenTrigger() as first, WhenTrigger() as second:
            return (first.condition.tree, first.hold) == (second.condition.tree, second.hold)
        case ScheduleTrigger() as first_run, ScheduleTrigger() as second_run:
            return first_run.schedule == second_run.schedule and one.windows == other.windows
    return False


def _not_kept(one: Policy, other: Policy) -> list[str]:
    """Patterns of images that the one keeps and the other does not."""
    kept, judged = _images(one), _images(other)
    if kept is None or judged is None or judged.dangling:
        return []
    patterns = Patterns(judged.keep) if judged.keep else None
    return [text for text in kept.keep if patterns is None or not is_named_by(patterns, text)]


def _images(policy: Policy) -> ImageRules | None:
    return None if policy.prune is None else policy.prune.rules.images
