"""Why a policy does, or does not, do something to its targets: what `explain` and `trigger --dry-run` tell. Pure.

It asks what the steps of the loop ask, between two of them, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Final

from watchtower_agent.errors import PermanentError
from watchtower_agent.loop.forms import (
    LONGEST_NAME,
    LONGEST_SENTENCE,
    condition_json,
    condition_of,
    policy_json,
    statement_json,
    wanted_json,
)
from watchtower_agent.loop.limit_forms import limits_json, next_of_limits
from watchtower_agent.loop.neighbours import Neighbours
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.prune_forms import pruning_json
from watchtower_agent.loop.readings import cut, known_container
from watchtower_agent.loop.resized_containers import Resized
from watchtower_agent.loop.scaled_service import Scaled
from watchtower_agent.loop.service_forms import service_case, service_json, supposed_change
from watchtower_agent.model.decision import Decision, Mode, Target
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.by_hand import (
    acts_by_itself,
    decisions_by_hand,
    is_about_any_container,
    is_about_one,
    may_be_about,
    targets_of,
)
from watchtower_agent.policies.conditions.by_time import true_in
from watchtower_agent.policies.conditions.closeness import closeness, rank
from watchtower_agent.policies.conditions.subject import ContainerSubject, HostSubject
from watchtower_agent.policies.explanation import Case, Next
from watchtower_agent.policies.guards.account import Statement, account, first_holding
from watchtower_agent.policies.guards.budget import Spent, all_used_up
from watchtower_agent.policies.guards.circles import Circles
from watchtower_agent.policies.making import container_target, stopping
from watchtower_agent.policies.mismatch import mismatches
from watchtower_agent.policies.obsolescence import as_it_is
from watchtower_agent.policies.outlook import next_of, stop_by
from watchtower_agent.policies.policy import Policy, WhenTrigger
from watchtower_agent.policies.problem import did_you_mean
from watchtower_agent.policies.service_outlook import next_of_service
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.policies.waiting import Waiting
from watchtower_agent.state.dependencies import Dependencies
from watchtower_agent.state.record import ContainerRecord

MOST_ROWS: Final = 100
"""Targets of one page."""
_RANKED_AT_ONCE, _ROWS_AT_ONCE = 50, 2
_URGENT: Final = 3.0
"""Rank of what is wanted or done: above whatever only fires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person wants to have explained.

    Attributes:
        policy: Which policy.
        target: Of which container; None: all that the policy is about.
        by_hand: What would happen if they set it off now.
        offset: How many of the targets that are closest to firing are left out.
        limit: How many at most; never more than `MOST_ROWS`.
    """

    policy: Policy
    target: ContainerRecord | None = None
    by_hand: bool = False
    offset: int = 0
    limit: int = MOST_ROWS


def named(pipeline: Pipeline, policy: str, target: str | None) -> tuple[Policy, ContainerRecord | None]:
    """The policy and the container that a person names.

    Raises:
        PermanentError: There is none of that name, or the policy is about the host or a service and a container is
            named.
    """
    policies = pipeline.policies.policies
    found = next((each for each in policies if each.name == policy), None)
    if found is None:
        hint = did_you_mean(policy, [each.name for each in policies]) if policies else "none is in force"
        count = pipeline.problem_count
        what = (
            f"; the policy folder has {count:,} problem{'s' if count > 1 else ''}, so what is new in it is not in force"
        )
        rejected = f"{what} (see: watchtower-agent check)" if count else ""
        raise PermanentError(f"there is no policy {policy[:60]!a}; {hint}{rejected}")
    if target is None or (found.selector is None and target == pipeline.state.host):
        return found, None
    if isinstance(found.trigger, ScaleStrategy):
        if target == found.trigger.target.name:
            return found, None
        about = f"the service {cut(found.trigger.target.name, LONGEST_NAME)}, not about single containers"
        raise PermanentError(f"policy {policy} is about {about}: leave the target out")
    record = known_container(pipeline.state, target)
    if is_about_one(found):
        raise PermanentError(f"policy {policy} is about the host, not about containers: leave the target out")
    return found, record


def must_be_set_off(pipeline: Pipeline, policy: Policy, target: ContainerRecord | None) -> None:
    """See that a person can set the policy off for the target.

    Raises:
        PermanentError: It is off, acts by itself alone, does not select the target, or selects nothing at all.
    """
    if policy.mode is Mode.OFF:
        raise PermanentError(f"policy {policy.name} is off: give it another mode first")
    if acts_by_itself(policy):
        raise PermanentError(
            f"policy {policy.name} {policy.then.verb}s by itself at every sample: see explain {policy.name}"
        )
    if target is not None and policy.selector is not None and (why := mismatches(policy.selector, target.container)):
        raise PermanentError(f"policy {policy.name} does not select {target.container.name[:60]}: {'; '.join(why)}")
    if target is None and is_about_any_container(policy):
        raise PermanentError(f"policy {policy.name} selects no container, its event names one: name a target")
    if target is None and not targets_of(policy, pipeline.state):
        raise PermanentError(f"policy {policy.name} selects no container that there is")


def explained(pipeline: Pipeline, asked: Asked, now: Instant) -> Generator[None, None, dict[str, object]]:
    """The policy and so many of its targets, the closest to firing first.

    Yields where whoever asks may let others go first: with 400 containers no more than a millisecond or two is between.

    Returns:
        A JSON object.
    """
    policy, ways = asked.policy, _Ways(pipeline, asked, now)
    yield
    if asked.target is not None:
        targets: Sequence[tuple[Target, ContainerRecord | None]] = [(container_target(asked.target), asked.target)]
    else:
        targets = yield from ways.in_order()
    rows = []
    for number, (target, record) in enumerate(targets[asked.offset : asked.offset + min(asked.limit, MOST_ROWS)]):
        rows.append(ways.row(target, record))
        if number % _ROWS_AT_ONCE == _ROWS_AT_ONCE - 1:
            yield
    return {
        "at": now.wall,
        "policy": policy_json(policy),
        "by_hand": asked.by_hand,
        "problems": pipeline.problem_count,
        "total": len(targets),
        "offset": asked.offset,
        "targets": rows,
    }


class _Ways:
    """Looks at one policy's targets, one after the other."""

    def __init__(self, pipeline: Pipeline, asked: Asked, now: Instant) -> None:
        self._pipeline, self._state, self._decisions = pipeline, pipeline.state, pipeline.decisions
        self._of_others: dict[str, _Ways] = {}
        self._policy, self._by_hand, self._now = asked.policy, asked.by_hand, now
        # A copy: between two targets steps of the loop may change what there is.
        containers = dict(pipeline.state.containers)
        dependencies = Dependencies(containers)
        self._evidence = replace(
            self._decisions.evidence(),
            dependencies=dependencies,
            circles=Circles(dependencies, containers, self._decisions.policies.policies),
            failures=pipeline.failures(now),
        )
        self._neighbours = Neighbours(self._decisions, dependencies, now)

    def in_order(self) -> Generator[None, None, list[tuple[Target, ContainerRecord | None]]]:
        """All targets: what is done or wanted, then the closest to firing; by name among equals."""
        if is_about_one(self._policy):
            return targets_of(self._policy, self._state)
        keyed = []
        for number, record in enumerate(list(self._state.containers.values())):
            if may_be_about(self._policy, record) or self._neighbours.has(self._policy, record.container.id):
                keyed.append((-self._rank(record), record.container.name, record))
            if number % _RANKED_AT_ONCE == _RANKED_AT_ONCE - 1:
                yield
        keyed.sort(key=lambda each: each[:2])
        return [(container_target(record), record) for _, _, record in keyed]

    def _rank(self, record: ContainerRecord) -> float:
        container_id = record.container.id
        if self._decisions.under_way.on(container_id) is not None or self._waiting(container_id) is not None:
            return _URGENT
        trigger = self._policy.trigger
        if not isinstance(trigger, WhenTrigger):
            return 0.0
        standing = self._decisions.conditions.standing(self._policy.name, container_id, self._now)
        return rank(trigger.condition.tree, self._subject(record), hold=trigger.hold, standing=standing)

    def row(self, target: Target, record: ContainerRecord | None) -> dict[str, object]:
        """Everything about one target, as a JSON object."""
        case = self.case(target, record)
        waiting, begun, service = case.waiting, case.under_way, self._service
        coming = next_of(case)
        resizes = isinstance(self._policy.trigger, ResizeStrategy)
        limits = self._decisions.resizing.memory.of(self._policy.name, target.id) if resizes else None
        if waiting is None and begun is None and not case.mismatches:
            coming = self._in_time(service, limits, coming)
        holds = first_holding(case.statements)
        return {
            "target": cut(target.name, LONGEST_NAME),
            "kind": target.kind.value,
            "id": target.id,
            "selected": not case.mismatches,
            "mismatches": [cut(each, LONGEST_SENTENCE) for each in case.mismatches],
            "condition": None if case.close is None else condition_json(case.close),
            "service": None if service is None else service_json(service, self._now),
            "prune": None
            if self._policy.prune is None
            else pruning_json(self._decisions.pruning, self._policy.name, self._now),
            "limits": None if limits is None else limits_json(limits, self._now),
            "wanted": None if waiting is None else wanted_json(waiting),
            "under_way": None
            if begun is None
            else {"policy": begun.decision.policy, "verb": begun.decision.verb.value, "since": begun.at},
            "guard": holds.guard.value if holds is not None else None,
            "guards": [statement_json(each) for each in case.statements],
            "next": {
                "outlook": coming.outlook.value,
                "words": cut(coming.words, 2 * LONGEST_SENTENCE),
                "at": coming.at,
                "budget": coming.budget,
            },
        }

    def _in_time(self, service: Scaled | None, limits: Resized | None, coming: Next) -> Next:
        """What strategies do while nothing is wanted at this moment."""
        if service is not None:
            return next_of_service(service_case(service, self._now), self._now)
        if isinstance(self._policy.trigger, ResizeStrategy) and self._policy.mode is not Mode.OFF:
            return next_of_limits(limits, self._now)
        return coming

    def case(self, target: Target, record: ContainerRecord | None, *, alone: bool = False) -> Case:
        """How the policy and one target stand.

        Args:
            target: Which.
            record: Of a container.
            alone: Without a look at what others are about to do to it.
        """
        policy, decisions, now = self._policy, self._decisions, self._now
        unselected = self._mismatches(record)
        condition = condition_of(policy)
        standing = decisions.conditions.standing(policy.name, target.id, now)
        hold = policy.trigger.hold if isinstance(policy.trigger, WhenTrigger) else 0.0
        close, in_time = None, None
        if condition is not None:
            subject = self._subject(record)
            close = closeness(condition.tree, subject, hold=hold, standing=standing)
            if close.truth is False:
                in_time = true_in(condition.tree, subject, close.comparisons, hold)
        waiting = self._waiting(target.id)
        statements: tuple[Statement, ...] = ()
        spent: tuple[Spent, ...] = ()
        if (waiting is not None or not unselected) and policy.mode is not Mode.OFF:
            decision = waiting.decision if waiting is not None else self._supposed(target, record)
            question = self._evidence.about(decision, policy, record, now)
            statements, spent = account(question), tuple(all_used_up(question))
        return Case(
            policy=policy,
            target=target,
            now=now,
            close=close,
            true_in=in_time,
            standing=standing,
            statements=statements,
            waiting=waiting,
            under_way=decisions.under_way.on(target.id) if target.id else None,
            spent=tuple(each for each in spent if each.scope not in decisions.breaking.breakers.by),
            by_hand=self._by_hand,
            so_already=as_it_is(policy.then.verb, record),
            mismatches=unselected,
            stops=[] if record is None else [each.name for each in stopping(decisions.policies, record)],
            follows=self._neighbours.follows(policy, target.id) if record is not None else "",
            stopped_by=self._stopped_by(target, record) if record is not None and not alone else "",
        )

    def _stopped_by(self, target: Target, record: ContainerRecord) -> str:
        """What the first of the other policies is about to do to it that ends it."""
        for policy in self._neighbours.wanting(target.id):
            if policy.name == self._policy.name:
                continue
            if policy.name not in self._of_others:
                self._of_others[policy.name] = _Ways(self._pipeline, Asked(policy=policy), self._now)
            if stop := stop_by(self._of_others[policy.name].case(target, record, alone=True)):
                return stop
        return ""

    @property
    def _service(self) -> Scaled | None:
        """The service that the policy scales; None of one that scales none, or is off."""
        return self._decisions.scaling.by.get(self._policy.name)

    def _mismatches(self, record: ContainerRecord | None) -> tuple[str, ...]:
        if record is None or may_be_about(self._policy, record) or self._policy.selector is None:
            return ()
        return mismatches(self._policy.selector, record.container)

    def _waiting(self, target_id: str) -> Waiting | None:
        """What is wanted of it. The stop that answers a breaker comes before what that breaker holds."""
        kinds = ("last", "act", "follow") if self._policy.then.verb is not None else ("notify",)
        waiting = (self._decisions.agenda.waiting.get((self._policy.name, f"{kind}:{target_id}")) for kind in kinds)
        return next((each for each in waiting if each is not None), None)

    def _supposed(self, target: Target, record: ContainerRecord | None) -> Decision:
        """What would be wanted, were it wanted now: the action, or the notification of a policy that only tells."""
        strategy, service = self._policy.trigger, self._service
        if isinstance(strategy, ScaleStrategy) and service is not None:
            change = supposed_change(self._policy, strategy, service, self._now)
            if change is not None:
                return change
        supposed = next(decisions_by_hand(self._policy, target, record, "supposed", self._now))
        # A person's wish to prune is not paced; what the policy itself wants is.
        return supposed if self._by_hand or self._policy.prune is None else replace(supposed, numbers={})

    def _subject(self, record: ContainerRecord | None) -> HostSubject:
        return (
            HostSubject(self._state, self._now) if record is None else ContainerSubject(self._state, self._now, record)
        )
