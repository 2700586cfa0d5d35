"""What a condition costs: those of the shipped policies, asked about every container, beside the same by hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from report import Figure, progress
from simulated import Host, in_memory

from watchtower_agent.policies.conditions.condition import Condition, ConditionScope, parse_condition
from watchtower_agent.policies.conditions.subject import ContainerSubject, HostSubject
from watchtower_agent.policies.conditions.truth import UNKNOWN, Subject, Truth
from watchtower_agent.policies.policy import PolicySet, WhenTrigger

CONDITION_US = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What asking a condition costs.

    Attributes:
        text: The condition.
        seconds: Mean over all containers of one evaluation; median of many rounds.
        by_hand: The same of a function that was written by hand.
        shipped: A shipped policy has it.
    """

    text: str
    seconds: float
    by_hand: float
    shipped: bool


def _health(subject: Subject) -> Truth:
    value = subject.value("health")
    return None if value is UNKNOWN else value == "unhealthy"


def _disk(most: int) -> Callable[[Subject], Truth]:
    def fuller(subject: Subject) -> Truth:
        used = subject.value("host.disk.percent")
        if used is not UNKNOWN and used > most:  # type: ignore[operator]
            return True
        inodes = subject.value("host.disk.inodes_percent")
        if inodes is not UNKNOWN and inodes > most:  # type: ignore[operator]
            return True
        return None if used is UNKNOWN or inodes is UNKNOWN else False

    return fuller


def _memory(subject: Subject) -> Truth:
    value = subject.value("memory.percent")
    return None if value is UNKNOWN else value > 90  # type: ignore[operator]


def _both(subject: Subject) -> Truth:
    cpu = subject.value("cpu.percent")
    if cpu is not UNKNOWN and cpu >= 80:  # type: ignore[operator]
        return False
    memory = subject.value("memory.percent")
    if memory is not UNKNOWN and memory <= 50:  # type: ignore[operator]
        return False
    return None if cpu is UNKNOWN or memory is UNKNOWN else True


BY_HAND: dict[str, Callable[[Subject], Truth]] = {
    'health == "unhealthy"': _health,
    "host.disk.percent > 85% or host.disk.inodes_percent > 85%": _disk(85),
    "host.disk.percent > 90% or host.disk.inodes_percent > 90%": _disk(90),
    "memory.percent > 90%": _memory,
    "cpu.percent < 80% and memory.percent > 50%": _both,
}


def asked(count: int, policies: PolicySet) -> list[Asked]:
    """Every condition of the shipped policies, and two on samples, about every container of a host."""
    with in_memory() as folder:
        host = Host.made(folder, count, policies)
        host.tick()
        time.sleep(0.5)
        host.tick()
        state, now = host.pipeline.state, host.clock.now()
        containers: list[Subject] = [ContainerSubject(state, now, record) for record in state.containers.values()]
        hosts: list[Subject] = [HostSubject(state, now)] * count
        triggers = [(policy, policy.trigger) for policy in policies.policies if isinstance(policy.trigger, WhenTrigger)]
        conditions: list[tuple[Condition, list[Subject]]] = [
            (trigger.condition, hosts if policy.selector is None else containers) for policy, trigger in triggers
        ]
        shipped = {condition.text for condition, _ in conditions}
        others = sorted(BY_HAND.keys() - shipped)
        conditions += [(parse_condition(text, ConditionScope.WHEN), containers) for text in others]
        found = []
        for condition, subjects in conditions:
            by_hand = BY_HAND[condition.text]
            assert [condition.evaluate(each) for each in subjects] == [by_hand(each) for each in subjects]
            one, other = _alternately(condition.evaluate, by_hand, subjects)
            found.append(Asked(text=condition.text, seconds=one, by_hand=other, shipped=condition.text in shipped))
        host.reader.close()
        return found


def _alternately(
    one: Callable[[Subject], Truth], other: Callable[[Subject], Truth], subjects: Sequence[Subject]
) -> tuple[float, float]:
    """Seconds for one call of each, mean over the subjects, median of the rounds."""
    rounds: tuple[list[float], list[float]] = ([], [])
    for _ in range(300):
        for test, times in zip((one, other), rounds, strict=True):
            begun = time.perf_counter()
            for subject in subjects:
                test(subject)
            times.append((time.perf_counter() - begun) / len(subjects))
    return statistics.median(rounds[0]), statistics.median(rounds[1])


def conditions(containers: int, policies: PolicySet) -> list[Figure]:
    """What each condition costs; the limit is for those of the shipped policies."""
    progress("conditions")
    return [
        Figure(
            name=f"condition {each.text}",
            value=1e6 * each.seconds,
            unit="µs",
            limit=CONDITION_US if each.shipped else None,
            note=f"{each.seconds / each.by_hand:.2f} times {1e6 * each.by_hand:.2f} µs of the same by hand",
        )
        for each in asked(containers, policies)
    ]
