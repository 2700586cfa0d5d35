"""Conditions over time (`when` + `for`): each followed over every target, from tick to tick. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Decision, Edge, Mode, Target
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.conditions.closeness import Standing
from watchtower_agent.policies.conditions.subject import ContainerSubject, HostSubject
from watchtower_agent.policies.conditions.truth import Truth
from watchtower_agent.policies.firing import began, cause_id, ceased, wanted
from watchtower_agent.policies.making import container_target, digest, host_target
from watchtower_agent.policies.policy import Policy, PolicySet, WhenTrigger
from watchtower_agent.policies.selector import Choice
from watchtower_agent.policies.tracked import Tracked, lasted
from watchtower_agent.policies.wording import because_no_longer, because_started_anew
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.life import Life, life_of
from watchtower_agent.state.record import ContainerRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one evaluation found.

    Attributes:
        edges: Conditions that began or ceased to fire.
        decisions: What is wanted now.
    """

    edges: tuple[Edge, ...] = ()
    decisions: tuple[Decision, ...] = ()


class Conditions:
    """Follows every `when` condition over every target. Its memory is state like any other: it changes only here."""

    def __init__(self) -> None:
        self._tracked: dict[tuple[str, str], Tracked] = {}
        self._texts: dict[str, tuple[str, float, float]] = {}
        self._choices: dict[str, Choice] = {}

    def evaluate(self, policies: PolicySet, state: HostState, now: Instant, interval: float) -> Wanted:
        """Ask every condition about every target it selects.

        Args:
            policies: Those in force.
            state: The host.
            now: The tick.
            interval: Seconds between samples: UNKNOWN freezes a timer for two of them; then it starts anew.
        """
        edges: list[Edge] = []
        decisions: list[Decision] = []
        alive: set[tuple[str, str]] = set()
        records = list(state.containers.values())
        containers = [record.container for record in records]
        for policy in policies.policies:
            if policy.mode is Mode.OFF or not isinstance(policy.trigger, WhenTrigger):
                continue
            edges.extend(self._changed(policy, now))
            trigger, host = policy.trigger, host_target(policy, state.host)
            for record, subject in self._subjects(policy, state, now, records, containers):
                truth = trigger.condition.evaluate(subject)
                key = (policy.name, host.id if record is None else record.container.id)
                if not truth and key not in self._tracked:
                    continue  # as nearly all are, at nearly every tick
                target = host if record is None else container_target(record)
                found = self._follow(policy, trigger, target, subject, now, interval, truth=truth)
                edges.extend(found)
                tracked = self._tracked.get(key)
                if tracked is not None:
                    alive.add(key)
                    decisions.extend(wanted(policy, target, record, tracked, now, interval, found))
        in_force = {policy.name for policy in policies.policies if policy.mode is not Mode.OFF}
        for key in self._tracked.keys() - alive:
            gone = "the target is gone or not selected any more"
            edges.extend(self._over(key, now, gone if key[0] in in_force else "the policy is not in force any more"))
        for name in self._texts.keys() - in_force:
            del self._texts[name]
            self._choices.pop(name, None)
        return Wanted(edges=tuple(edges), decisions=tuple(decisions))

    def _subjects(
        self,
        policy: Policy,
        state: HostState,
        now: Instant,
        records: Sequence[ContainerRecord],
        containers: list[Container],
    ) -> Iterator[tuple[ContainerRecord | None, HostSubject]]:
        if policy.selector is None:
            yield None, HostSubject(state, now)
            return
        choice = self._choices.get(policy.name)
        if choice is None or choice.selector is not policy.selector:
            choice = self._choices[policy.name] = Choice(policy.selector)
        for index in choice.among(containers):
            record = records[index]
            yield record, ContainerSubject(state, now, record)

    def acted(self, target: Target, now: Instant) -> None:
        """The agent acted on the target: every timer about it starts anew."""
        for (_, target_id), tracked in self._tracked.items():
            if target_id == target.id:
                tracked.anew = now
                if not tracked.firing:
                    tracked.since = now

    def fires(self, policy: str, target_id: str) -> bool:
        """Whether the policy fires for that target (the empty id is the host), and its condition held at the last tick.

        What is only kept firing (`keep_for`) is no reason to act, and what was true of a life before is none either.
        """
        tracked = self._tracked.get((policy, target_id))
        return tracked is not None and tracked.firing and tracked.ended is None and tracked.served

    def still_fires(
        self, policy: Policy | None, target_id: str, state: HostState, now: Instant, *, fired_before: bool = False
    ) -> bool | None:
        """Whether the policy fires for that target, and its condition holds at this moment, not just at the last tick.

        An event may have come since: what a person has started again is not to be started on account of its end.

        Args:
            policy: As it is now; None when it is not in force.
            target_id: A container's, empty for the host, or what stands for its disk.
            state: The host.
            now: The present.
            fired_before: An earlier run of the agent saw it fire. Until this one has watched it for as long as the
                policy asks, whether it does is not known, unless the condition does not hold.

        Returns:
            None while that is not known.
        """
        if policy is None or not isinstance(policy.trigger, WhenTrigger):
            return False
        fires = self.fires(policy.name, target_id)
        if not fires and not fired_before:
            return False
        if policy.selector is None:
            holds = policy.trigger.condition.evaluate(HostSubject(state, now))
        else:
            record = state.containers.get(target_id)
            holds = (
                record is not None
                and self._in_its_life(policy.name, record)
                and policy.trigger.condition.evaluate(ContainerSubject(state, now, record))
            )
        return holds if fires or holds is False else None

    def _in_its_life(self, policy: str, record: ContainerRecord) -> bool:
        """Whether the container still has the life of which the policy's condition was true, if it is about one."""
        tracked = self._tracked.get((policy, record.container.id))
        life = tracked.life if tracked is not None else None
        return life is None or life.continued(life_of(record)) is not None

    def firing(self, policy: str) -> list[str]:
        """Ids of the targets for which the policy fires now (the empty id is the host), kept or not."""
        return [target for (name, target), tracked in self._tracked.items() if name == policy and tracked.firing]

    def standing(self, policy: str, target_id: str, now: Instant) -> Standing | None:
        """For how long the policy's condition has been true of that target; None when it is not."""
        tracked = self._tracked.get((policy, target_id))
        if tracked is None:
            return None
        until = tracked.ended or tracked.unknown_since or now
        ended = tracked.ended
        return Standing(
            held_for=max(0.0, until.monotonic - tracked.begun().monotonic),
            firing=tracked.firing,
            ended_for=None if ended is None else now.monotonic - ended.monotonic,
        )

    def counts(self) -> tuple[int, int]:
        """How many conditions fire, and how many are true and do not yet."""
        firing = sum(1 for tracked in self._tracked.values() if tracked.firing)
        return firing, len(self._tracked) - firing

    def _changed(self, policy: Policy, now: Instant) -> Iterator[Edge]:
        """When a policy asks for something else than before, what it saw of its targets is over."""
        trigger = policy.trigger
        if not isinstance(trigger, WhenTrigger):
            return
        text = (trigger.condition.text, trigger.hold, trigger.keep)
        if self._texts.get(policy.name, text) != text:
            for key in [key for key in self._tracked if key[0] == policy.name]:
                yield from self._over(key, now, "the policy was changed")
        self._texts[policy.name] = text

    def _started_anew(
        self, key: tuple[str, str], trigger: WhenTrigger, subject: HostSubject, now: Instant
    ) -> Iterator[Edge]:
        """What was true of the container's life before says nothing of the present one.

        With `keep_for` it goes on firing, as over any other end of what is true, and `for` has to be served to act.
        """
        tracked = self._tracked.get(key)
        life = _life(trigger, subject) if tracked is not None and tracked.life is not None else None
        if tracked is None or tracked.life is None or life is None:
            return
        continued = tracked.life.continued(life)
        tracked.life = continued or life
        if continued is not None:
            return
        if tracked.firing and trigger.keep:
            tracked.anew, tracked.ended, tracked.unknown_since = now, tracked.ended or now, None
            tracked.served = False
        else:
            yield from self._over(key, now, because_started_anew(trigger.condition))

    def _follow(
        self,
        policy: Policy,
        trigger: WhenTrigger,
        target: Target,
        subject: HostSubject,
        now: Instant,
        interval: float,
        *,
        truth: Truth,
    ) -> list[Edge]:
        key = (policy.name, target.id)
        edges = list(self._started_anew(key, trigger, subject, now))
        tracked = self._tracked.get(key)
        if truth:
            if tracked is None:
                life = _life(trigger, subject)
                tracked = self._tracked[key] = Tracked(target=target, since=now, life=life)
            elif tracked.unknown_since is not None and not tracked.firing:
                # The time it was unknown does not count towards `for`.
                frozen = now.monotonic - tracked.unknown_since.monotonic
                tracked.since = Instant(wall=tracked.since.wall + frozen, monotonic=tracked.since.monotonic + frozen)
            if tracked.ended is not None:
                tracked.true_since = now
            tracked.unknown_since, tracked.ended, tracked.target = None, None, target
            if not tracked.firing and lasted(now.monotonic - tracked.since.monotonic, trigger.hold, interval):
                tracked.firing = True
                tracked.correlation_id = digest(*key, repr(now.wall))
                tracked.cause_id = cause_id(trigger, subject)
                tracked.numbers = trigger.condition.numbers(subject)
                edges.append(began(policy, trigger, tracked, now))
            elif tracked.firing:
                tracked.numbers = trigger.condition.numbers(subject)
                held_for = now.monotonic - tracked.begun().monotonic
                tracked.served = tracked.served or lasted(held_for, trigger.hold, interval)
        elif tracked is not None:
            edges.extend(self._ceases(key, trigger, tracked, subject, now, interval, known=truth is not None))
        return edges

    def _ceases(
        self,
        key: tuple[str, str],
        trigger: WhenTrigger,
        tracked: Tracked,
        subject: HostSubject,
        now: Instant,
        interval: float,
        *,
        known: bool,
    ) -> Iterator[Edge]:
        """It is not true: frozen for a moment when that is not known, kept for a while when it fires, else over."""
        if not known and tracked.ended is None:
            tracked.unknown_since = tracked.unknown_since or now
            if now.monotonic - tracked.unknown_since.monotonic <= 2 * interval:
                return
        if tracked.firing:
            tracked.ended = tracked.ended or now
            kept = now.monotonic - tracked.ended.monotonic
            if not lasted(kept, trigger.keep, interval):
                return
            if trigger.keep:
                tracked.numbers = {**tracked.numbers, "kept_for": round(kept, 3), "keep_for": trigger.keep}
        runs = tracked.life is None or _runs(subject)
        yield from self._over(key, now, because_no_longer(trigger.condition, known=known, keep=trigger.keep, runs=runs))

    def _over(self, key: tuple[str, str], now: Instant, why: str) -> Iterator[Edge]:
        tracked = self._tracked.pop(key)
        if tracked.firing:
            tracked.firing = False
            yield ceased(key[0], tracked, why, now)


def _life(trigger: WhenTrigger, subject: HostSubject) -> Life | None:
    """The life that a condition is about; None where a restart changes nothing of what it asks."""
    if not isinstance(subject, ContainerSubject) or not trigger.condition.of_one_life:
        return None
    return life_of(subject.record)


def _runs(subject: HostSubject) -> bool:
    """Whether the container runs, as far as is known; the host does."""
    if not isinstance(subject, ContainerSubject):
        return True
    container = subject.record.container
    return container.running or container.status is None
