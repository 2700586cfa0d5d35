"""What holds for every container, whatever it uses, whoever changes or recreates it, and whatever is not known."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import given, settings, strategies as st

from tests.support.numbers import examples
from tests.support.resizing import MIB
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.resizing.histogram import CORES
from watchtower_agent.policies.resizing.meter import Measured
from watchtower_agent.policies.resizing.past import Past
from watchtower_agent.policies.resizing.recommendation import Advice, Limit, Resource, Verdict
from watchtower_agent.policies.resizing.rules import Bounds, Rules
from watchtower_agent.policies.resizing.situation import Situation
from watchtower_agent.policies.resizing.sizing import Look, look

MEMORY = Bounds(least=64 * MIB, most=1024 * MIB)
CPU = Bounds(least=0.1, most=2.0)
# Waits are short, so that a few hundred looks see all of a life.
RULES = Rules(memory=MEMORY, cpu=CPU, data=1200.0, lowered_after=600.0, raise_cooldown=120.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some looks at the same thing."""

    looks: int
    pause: float
    memory: float | None
    cpu: float | None
    killed: bool
    obeys: bool
    by_hand: tuple[float, float] | None
    recreated: bool


limits_of_memory = st.one_of(st.just(math.inf), st.floats(8.0, 3000.0), st.just(1024.0), st.just(64.0))
limits_of_cpu = st.one_of(st.just(math.inf), st.floats(0.02, 8.0))
stretches = st.lists(
    st.builds(
        Stretch,
        looks=st.integers(1, 40),
        pause=st.sampled_from([1.0, 10.0, 60.0, 60.0, 60.0, 60.0, 7000.0]),
        memory=st.one_of(st.floats(1.0, 1100.0), st.floats(1.0, 100.0), st.none()),
        cpu=st.one_of(st.floats(0.0, 3.0), st.floats(0.0, 0.2), st.none()),
        killed=st.sampled_from([False, False, False, True]),
        obeys=st.sampled_from([True, True, False]),
        by_hand=st.one_of(st.none(), st.none(), st.none(), st.tuples(limits_of_memory, limits_of_cpu)),
        recreated=st.sampled_from([False, False, False, True]),
    ),
    max_size=14,
)


class Life:
    """A container that is looked at by everything that Hypothesis thinks of."""

    def __init__(self, *, restarts: bool = False) -> None:
        self.past = Past()
        self.now = 0.0
        self.memory, self.cpu = 512 * MIB, 1.0
        self.original = (self.memory, self.cpu)
        self.many = 0
        self.restarts = restarts

    @property
    def instant(self) -> Instant:
        return Instant(wall=1.7e9 + self.now, monotonic=self.now, boot="b")

    def live(self, life: list[Stretch]) -> Iterator[tuple[Situation, Look, float]]:
        for stretch in life:
            if stretch.by_hand is not None:
                self.memory, self.cpu = stretch.by_hand[0] * MIB, stretch.by_hand[1]
            if stretch.recreated:
                self.many += 1
                self.memory, self.cpu = self.original
            for number in range(stretch.looks):
                self.now += stretch.pause
                yield self.looked(stretch, killed=stretch.killed and number == 0)

    def looked(self, stretch: Stretch, *, killed: bool) -> tuple[Situation, Look, float]:
        if self.restarts:
            past = Past.restored(json.loads(json.dumps(self.past.stored(self.instant))), self.instant)
            assert past is not None
            self.past = past
        seconds = min(stretch.pause, 60.0)
        used = None if stretch.memory is None else min(stretch.memory * MIB, self.memory)
        situation = Situation(
            container_id=f"{self.many:064}",
            memory=self.memory,
            cpu=self.cpu,
            working_set=used,
            cores=stretch.cpu,
            measured=Measured(
                cores={} if stretch.cpu is None else {CORES.bucket(stretch.cpu): seconds},
                cpu_seconds=0.0 if stretch.cpu is None else seconds,
                core_seconds=0.0 if stretch.cpu is None else seconds * stretch.cpu,
                memory_seconds=0.0 if used is None else seconds,
                peak=used,
            ),
            killed=killed,
        )
        found = look(RULES, situation, self.past, self.instant)
        self.past = found.past
        if stretch.obeys:
            recommended = found.recommendation
            assert recommended.memory is not None
            assert recommended.cpu is not None
            self.memory, self.cpu = recommended.memory.to, recommended.cpu.to
        return situation, found, self.now


def both(found: Look) -> tuple[tuple[Advice, Bounds], tuple[Advice, Bounds]]:
    assert found.recommendation.memory is not None
    assert found.recommendation.cpu is not None
    return (found.recommendation.memory, MEMORY), (found.recommendation.cpu, CPU)


@given(stretches)
@settings(max_examples=examples(300))
def test_what_no_look_ever_recommends(life: list[Stretch]) -> None:
    changed = {Resource.MEMORY: -1e9, Resource.CPU: -1e9}
    before = dict[Resource, float]()
    for situation, found, now in Life().live(life):
        for advice, _ in both(found):
            if advice.current != before.get(advice.resource, advice.current):
                changed[advice.resource] = now
            before[advice.resource] = advice.current
        for advice, bounds in both(found):
            if not advice.moves:
                continue
            assert bounds.least <= advice.to <= bounds.most
            if advice.to < advice.current:
                assert advice.used is not None  # unknown never lowers
                assert advice.verdict in {Verdict.LOWER, Verdict.REAPPLY}
            if advice.verdict is Verdict.LOWER:
                assert advice.needed.measured >= RULES.data
                assert now - changed[advice.resource] >= RULES.lowered_after - 1e-6
                assert advice.low >= RULES.lowered_after - 1e-6
                assert advice.to >= 0.8 * advice.current * (1 - 1e-9) or advice.to == bounds.most
                assert advice.needed.peak is None or advice.to >= advice.needed.peak / 0.9 * (1 - 1e-9)
        memory = both(found)[0][0]
        if memory.to < memory.current:
            assert situation.working_set is not None
            assert situation.working_set <= 0.9 * memory.to * (1 + 1e-9)
        assert found.recommendation.changes <= RULES.budget
        assert found.killed_at_max == (situation.killed and memory.verdict is Verdict.AT_MAX)


@given(stretches)
def test_a_restart_before_every_look_changes_nothing(life: list[Stretch]) -> None:
    for (_, one, _), (_, other, _) in zip(Life().live(life), Life(restarts=True).live(life), strict=True):
        assert one.recommendation == other.recommendation
        assert (one.killed_at_max, one.alarm) == (other.killed_at_max, other.alarm)


@given(stretches)
def test_the_numbers_tell_how_it_came_about(life: list[Stretch]) -> None:
    for _, found, _ in Life().live(life):
        for advice, _ in both(found):
            level = advice.desired
            for each in advice.limits:  # an unbroken row from what is needed to what is recommended
                assert each.before == level
                level = each.after
            assert level == advice.to
            if not advice.limits and advice.used is not None:
                needed = max(advice.needed.limit or 0.0, advice.kill_need or 0.0)
                assert needed <= advice.to * (1 + 1e-9)
            if advice.verdict is Verdict.RAISE and advice.kill_need is None and advice.current >= advice.bounds.least:
                assert advice.may_raise_in == 0.0
            if advice.verdict is Verdict.LOWER:
                assert advice.may_lower_in == 0.0
            assert (advice.limit is Limit.BUDGET) <= (found.recommendation.changes >= RULES.budget)
        assert json.dumps(dict(found.recommendation.numbers()), allow_nan=False)


@given(stretches)
def test_what_is_remembered_is_bounded(life: list[Stretch]) -> None:
    lived = Life()
    for _ in lived.live(life):
        past = lived.past
        assert len(past.changes) <= 32
        assert len(past.kills.raises) <= 32
        assert len(past.memory.recent) <= 12
        assert len(past.memory.days) <= 10
        assert len(past.cpu.days) <= 3
        assert len(past.cpu.minutes) <= 5


@given(stretches, st.integers(-(10**6), 10**6))
def test_the_wall_clock_decides_nothing(life: list[Stretch], step: int) -> None:
    stepped = Life()
    for (_, one, _), (_, other, _) in zip(Life().live(life), stepped.live(life), strict=True):
        assert one.recommendation == other.recommendation
        stored = stepped.past.stored(Instant(wall=1.7e9 + step, monotonic=stepped.now, boot="b"))
        past = Past.restored(stored, stepped.instant)
        assert past is not None
        stepped.past = past
