"""Each guard is what keeps its invariant: without it the invariant is broken, with it it is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest

from tests.support.numbers import FULL, drill
from tests.support.simulation.invariants import INVARIANTS, Invariant, NothingOfAPolicyThatIsOfNoUse
from tests.support.simulation.simulation import Simulation, busy, simulation
from tests.support.simulation.workload import STEADY, crash_loop, falls_sick
from watchtower_agent.loop import engine_intake
from watchtower_agent.model.decision import Held, Verb
from watchtower_agent.model.pause import Paused, PauseScope
from watchtower_agent.policies.guards import order
from watchtower_agent.policies.guards.question import Question

SEEDS = (1, 2, 3)
LONGEST = 2400.0
"""Seconds of simulated time in which a missing guard shows, with one of the seeds."""
GUARDS = {guard.__name__: (guard, verbs) for guard, verbs in order.ORDER}


def allows(question: Question) -> Held | None:  # noqa: ARG001 - whatever it is
    return None


def hopeless(seed: int) -> Simulation:
    """Containers that nothing mends, one after the other: a policy is of no use on any of them."""
    made = simulation({f"plain{number}": STEADY for number in range(30)}, seed=seed, in_vain=5)
    for number in range(10):
        made.world.workloads[f"plain{number}"] = crash_loop(0.5)
        made.world.after(20.0 * number, partial(made.world.crashes, f"plain{number}", 1))
    return made


SCENES: dict[type[Invariant], Callable[[int], Simulation]] = {NothingOfAPolicyThatIsOfNoUse: hopeless}
"""Where an invariant is broken in time; else on a busy host."""


def until_broken(simulation: Simulation, invariant: type[Invariant]) -> bool:
    """Whether it is broken within the time."""
    for _ in range(int(LONGEST / 300)):
        simulation.run(300.0)
        if any(kind is invariant for kind, _ in simulation.violations):
            return True
    return False


@pytest.mark.only_full
@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda each: each.__name__)
def test_without_its_guards_the_invariant_is_broken(
    invariant: type[Invariant], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invariant.guards <= GUARDS.keys()
    without = tuple((allows if name in invariant.guards else guard, verbs) for name, (guard, verbs) in GUARDS.items())
    monkeypatch.setattr(order, "ORDER", without)
    scene = SCENES.get(invariant, busy)
    assert any(until_broken(scene(seed), invariant) for seed in SEEDS)


@pytest.mark.only_full
@pytest.mark.parametrize("scene", SCENES.values(), ids=lambda each: each.__name__)
@pytest.mark.parametrize("seed", SEEDS if FULL else SEEDS[:1])
def test_with_all_of_them_nothing_is_broken_there(scene: Callable[[int], Simulation], seed: int) -> None:
    made = scene(seed)
    made.run(LONGEST)
    assert [what for _, what in made.violations] == []


@pytest.mark.parametrize("seed", SEEDS if FULL else SEEDS[:1])
def test_with_all_of_them_none_is_broken_in_the_same_time(seed: int) -> None:
    simulation = busy(seed)
    simulation.run(LONGEST)
    assert [what for _, what in simulation.violations] == []
    assert simulation.agent.actions > 50
    assert simulation.followed > 0
    assert simulation.ineffective > 0


def test_every_guard_has_an_invariant() -> None:
    asked = {
        name
        for name, (_, verbs) in GUARDS.items()
        if verbs - {Verb.SCALE, Verb.RESIZE, Verb.PRUNE, Verb.RESTART_ENGINE}
    }  # what is simulated
    assert asked <= frozenset().union(*(invariant.guards for invariant in INVARIANTS))


def renamed_in_trouble(seed: int) -> Simulation:
    """Containers that fail all the time are renamed all the time, while the agent comes and goes."""
    made = simulation(
        {"web0": crash_loop(5.0), "plain2": falls_sick(10.0, None), "web3": crash_loop(0.5)}, seed=seed, wide=True
    )
    draw = random.Random(seed)
    for _ in range(12):
        made.run(draw.choice([0.0, 0.1, 1.0, 10.0, 60.0, 400.0]))
        name = draw.choice(["web0", "plain2", "web3"])
        made.world.person_renames(name)
        if draw.random() < 0.3:
            made.agent.pauses(Paused(scope=PauseScope.CONTAINER, name=name), 60.0)
        if draw.random() < 0.2:
            made.agent_dies(draw.choice([0.0, 1.0, 30.0]))
        made.world.settle()
    made.run(90.0)
    return made


def of_names(made: Simulation) -> set[str]:
    """Those of the guards that go by name which were got around."""
    by_name = {"cooldown", "backoff", "budget", "breaker", "paused"}
    return {guard for kind, _ in made.violations for guard in kind.guards & by_name}


def test_no_rename_frees_a_container_of_what_is_counted_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = drill(reduced=1, full=5)
    assert [of_names(renamed_in_trouble(seed)) for seed in range(seeds)] == [set()] * seeds
    if not FULL:
        return  # that it does see who is freed takes twice as long again
    monkeypatch.setattr(engine_intake, "renamed", lambda *_: None)
    freed = set().union(*(of_names(renamed_in_trouble(seed)) for seed in range(5)))
    assert freed >= {"backoff", "budget", "breaker"}
