"""Each guard is what keeps its invariant: without it the invariant is broken, with it it is not."""

from __future__ import annotations

import pytest

from tests.support.simulation.invariants import INVARIANTS, Invariant
from tests.support.simulation.simulation import Simulation, busy
from watchtower_agent.model.decision import Held
from watchtower_agent.policies.guards import order
from watchtower_agent.policies.guards.question import Question

SEEDS = (1, 2, 3)
LONGEST = 2400.0
"""Seconds of simulated time in which a missing guard shows, with one of the seeds."""
GUARDS = {guard.__name__: (guard, verbs) for guard, verbs in order._ORDER}


def allows(question: Question) -> Held | None:  # noqa: ARG001 - whatever it is
    return None


def until_broken(simulation: Simulation, invariant: type[Invariant]) -> bool:
    """Whether it is broken within the time."""
    for _ in range(int(LONGEST / 300)):
        simulation.run(300.0)
        if any(kind is invariant for kind, _ in simulation.violations):
            return True
    return False


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda each: each.__name__)
def test_without_its_guards_the_invariant_is_broken(
    invariant: type[Invariant], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invariant.guards <= GUARDS.keys()
    without = tuple((allows if name in invariant.guards else guard, verbs) for name, (guard, verbs) in GUARDS.items())
    monkeypatch.setattr(order, "_ORDER", without)
    assert any(until_broken(busy(seed), invariant) for seed in SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_with_all_of_them_none_is_broken_in_the_same_time(seed: int) -> None:
    simulation = busy(seed)
    simulation.run(LONGEST)
    assert [what for _, what in simulation.violations] == []
    assert simulation.agent.actions > 50


def test_every_guard_has_an_invariant() -> None:
    assert GUARDS.keys() <= frozenset().union(*(invariant.guards for invariant in INVARIANTS))
