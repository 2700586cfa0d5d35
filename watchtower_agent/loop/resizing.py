"""Resizing containers: feeds their meters, looks at each once a minute and after OOM kills, remembers. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from typing import Final

from watchtower_agent.loop import strategy_notices
from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.resized_containers import LOOK_EVERY, Resized, ResizedContainers
from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Decision, Mode, Number, Target
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.asked import goes_on
from watchtower_agent.policies.making import container_target
from watchtower_agent.policies.policy import Backoff, Policy, PolicySet
from watchtower_agent.policies.resized import CORES, WORKING_SET, are_limits_known, fits, resize_decision, situation_of
from watchtower_agent.policies.resizing.recommendation import Limit, Recommendation, Resource
from watchtower_agent.policies.resizing.rules import HOUR
from watchtower_agent.policies.resizing.sizing import look
from watchtower_agent.policies.reverting import lowered_limits
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.waiting import is_revert
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

_STORED_EVERY: Final = 600.0
"""Seconds between two records of what was used: who loses that lowers later."""
_SEEN_AFTER: Final = 6.0
"""Seconds after a change by which an inspection has shown it."""
_RETRIES: Final = Backoff(initial=60.0, longest=3600.0)
"""The waits after changes that failed."""


@dataclass(slots=True)
class Resizing:
    """Every resized container.

    Attributes:
        state: The host.
        publication: Where effects of the step go.
        interval: Seconds between samples.
        want: Takes a decision.
        busy: Whether an action on that target is under way.
        say: Publishes a notice.
        asked: What people are asked about that a policy wants of a target, or what they answered; None: nothing.
        memory: What is known of each.
    """

    state: HostState
    publication: Publication
    interval: float
    want: Callable[[Decision, Instant], None]
    busy: Callable[[Target], bool]
    say: Callable[[Notice, Instant], None]
    asked: Callable[[str, str], Decision | None]
    memory: ResizedContainers = field(init=False)
    _policies: tuple[tuple[Policy, ResizeStrategy], ...] = ()
    _at_once: set[str] = field(default_factory=set)
    """Ids of containers that are looked at as soon as can be: a process of each was killed for want of memory."""
    _outdated: set[str] = field(default_factory=set)
    """Ids of containers that were not inspected since a change ended: what is known of their limits may be old."""
    _selected: dict[str, dict[str, tuple[Container, bool]]] = field(default_factory=dict)
    """Policy -> id -> the container as it was when the policy was last asked about it, and the answer."""

    def __post_init__(self) -> None:
        self.memory = ResizedContainers(self.state, self.publication)

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what the store remembers of an earlier run."""
        self.memory.resume(resume, now)

    def follow(self, policies: PolicySet) -> None:
        """From now on these are in force."""
        self._policies = tuple(
            (policy, policy.trigger)
            for policy in policies.policies
            if policy.mode is not Mode.OFF and isinstance(policy.trigger, ResizeStrategy)
        )
        self._selected.clear()
        self.memory.follow(policies)

    def killed(self, container_id: str, now: Instant) -> None:
        """The kernel killed a process of that container for want of memory."""
        record = self.state.containers.get(container_id)
        if record is None:
            return
        for policy, _ in self._policies:
            if _selects(policy, record):
                self.memory.known(policy, record, now)  # it may be killed before its first sample
        for known in self.memory.all_of(record.container.name).values():
            known.killed = True
        self._at_once.add(container_id)

    def inspected(self, container_id: str) -> None:
        """It is known by now which limits it has."""
        self._outdated.discard(container_id)

    def look_at_killed(self, now: Instant) -> None:
        """Look at who was killed for want of memory: for the next sample half a minute may be too long."""
        for container_id in sorted(self._at_once):
            record = self.state.containers.get(container_id)
            if record is not None and not record.container.running:
                continue  # it is looked at once it runs again
            self._at_once.discard(container_id)
            for policy, strategy in self._policies if record is not None else ():
                if record is not None and _selects(policy, record):
                    known = self.memory.known(policy, record, now)
                    if known.killed:
                        self._look(policy, strategy, record, known, now)
                    if known.killed:  # its limits are not known yet, or are being changed
                        self._at_once.add(container_id)

    def look(self, now: Instant) -> None:
        """Take the newest sample in, and look at those whose time has come."""
        for policy, strategy in self._policies:
            for record in self._selection(policy):
                self._see(policy, strategy, record, now)

    def resizes(self, policy: str) -> bool:
        """Whether that policy resizes containers."""
        return any(each.name == policy for each, _ in self._policies)

    def wants(self, policy: str, target_id: str, now: Instant) -> bool | None:
        """Whether a policy wants a container's limits changed; None while that is not known."""
        known = self.memory.of(policy, target_id)
        found = next((each for each in self._policies if each[0].name == policy), None)
        if known is None or known.looked is None or found is None:
            return None
        (by, strategy), advice = found, known.looked.recommendation
        if not advice.moves:
            return self._still_asked(by, target_id, advice) is not None
        return fits(strategy.rules, advice, self.state.containers.get(target_id), self.state, now)

    def lowered(self, record: ContainerRecord, now: Instant) -> Mapping[str, Number]:
        """The limits of a container that the agent has lowered, as others had made them."""
        return lowered_limits(self.memory.pasts_of(record.container.name).values(), record, now)

    def begins(self, decision: Decision, now: Instant) -> None:
        """A change is about to be made. One that a person wants is theirs, whatever was begun before."""
        key = decision.policy, decision.target.name
        known = self.memory.by.get(key)
        if known is None:
            return
        if is_revert(decision):
            known.past = known.past.handed_back()
        else:
            memory, cpu = (_limit(decision.parameters.get(each.value)) for each in (Resource.MEMORY, Resource.CPU))
            known.past = known.past.begun(memory=memory, cpu=cpu)
        self.memory.remember(key, known, now)

    def ended(self, outcome: Outcome, now: Instant) -> None:
        """A change has ended, however."""
        key = outcome.decision.policy, outcome.decision.target.name
        known = self.memory.by.get(key)
        if known is None:
            return
        known.due = now.monotonic + _SEEN_AFTER
        self._outdated.add(outcome.decision.target.id)
        if is_revert(outcome.decision):
            known.meter.alarm = math.inf  # not looked at before the change can be seen
            if outcome.result is Result.SUCCEEDED:
                known.past = known.past.given_back()
                self.memory.remember(key, known, now)
        elif outcome.result is Result.FAILED:
            known.failures, known.failed = known.failures + 1, outcome.reason
            known.retry_at = now.monotonic + _RETRIES.delay(known.failures, outcome.decision.id)
        else:
            known.failures, known.failed, known.retry_at = 0, "", -math.inf
            if outcome.result is Result.SUCCEEDED and "memory" in outcome.decision.parameters:
                known.killed = False  # kills meanwhile were at the limit that it had, and are answered by this one

    def forget(self, now: Instant) -> None:
        """Names of containers come and go: what counts no more is not kept for ever."""
        self._outdated &= self.state.containers.keys()
        self.memory.forget(now)

    def remember_again(self, now: Instant) -> None:
        """The store was lost while running: put what it must know into the new one."""
        self.memory.remember_again(now)

    # --- one container --------------------------------------------------------------------------------

    def _selection(self, policy: Policy) -> Iterator[ContainerRecord]:
        """The running containers that a policy selects: it is asked again only about what has changed."""
        known, asked = self._selected.get(policy.name, {}), {}
        for container_id, record in self.state.containers.items():
            container = record.container
            before = known.get(container_id)
            if before is None or before[0] is not container:
                before = container, _selects(policy, record)
            asked[container_id] = before
            if before[1] and container.running:
                yield record
        self._selected[policy.name] = asked

    def _see(self, policy: Policy, strategy: ResizeStrategy, record: ContainerRecord, now: Instant) -> None:
        known = self.memory.known(policy, record, now)
        cores, working_set = (
            math.nan if value is None else value
            for value in (self.state.metric(record.container.id, name, now) for name in (CORES, WORKING_SET))
        )
        soon = known.meter.see(cores, working_set, self.interval)
        if soon or known.killed or now.monotonic >= known.due:
            self._look(policy, strategy, record, known, now)

    def _look(
        self, policy: Policy, strategy: ResizeStrategy, record: ContainerRecord, known: Resized, now: Instant
    ) -> None:
        target = container_target(record)
        if self.busy(target) or not are_limits_known(record, self.state):
            return  # what is measured is kept until they are
        if record.container.id in self._outdated and now.monotonic < known.due:
            return
        situation = situation_of(record, self.state, now, known.meter.take(), killed=known.killed)
        known.looked = looked = look(strategy.rules, situation, known.past, now)
        known.past, known.killed, known.meter.alarm = looked.past, False, looked.alarm
        known.due = now.monotonic + LOOK_EVERY
        if looked.killed_at_max and now.monotonic - known.told_at_max >= HOUR:  # it may be killed again each second
            known.told_at_max = now.monotonic
            self.say(strategy_notices.killed_at_max(policy, record, looked.recommendation, now.wall), now)
        self._tell_of_hands(policy, strategy, record, known, now)
        lasts = now.wall + 2 * self.interval
        if looked.recommendation.moves:
            wanted: Decision | None = resize_decision(policy, target, looked.recommendation, now, expires_at=lasts)
        else:
            wanted = self._still_asked(policy, target.id, looked.recommendation)
        if wanted is not None and now.monotonic >= known.retry_at:
            known.due = now.monotonic  # for as long as it is wanted: what guards hold does not get old
            self.want(replace(wanted, expires_at=lasts), now)
        late = now.monotonic - known.stored_at >= _STORED_EVERY
        if late or looked.past.has_to_be_stored(known.stored):
            self.memory.remember((policy.name, record.container.name), known, now)

    def _still_asked(self, policy: Policy, target_id: str, advice: Recommendation) -> Decision | None:
        """What people are asked about though the policy wants no change any more, so little less is needed."""
        asked = self.asked(policy.name, target_id) if policy.mode is Mode.APPROVE else None
        return asked if asked is not None and goes_on(advice, asked) else None

    def _tell_of_hands(
        self, policy: Policy, strategy: ResizeStrategy, record: ContainerRecord, known: Resized, now: Instant
    ) -> None:
        """Once for each change by hand, as soon as something else is needed."""
        looked, act = known.looked, known.past.by_hand(strategy.rules)
        if looked is None or act is None or act == known.told_by_hand:
            return
        if any(each.limit is Limit.OPERATOR for each in looked.recommendation.advices):
            known.told_by_hand = act
            left = act + strategy.rules.hands_off - now.monotonic
            self.say(strategy_notices.limits_left_alone(policy, record, looked.recommendation, left, now.wall), now)


def _selects(policy: Policy, record: ContainerRecord) -> bool:
    return policy.selector is not None and policy.selector.matches(record.container)


def _limit(parameter: Number) -> float | None:
    return float(parameter) if isinstance(parameter, int | float) and not isinstance(parameter, bool) else None
