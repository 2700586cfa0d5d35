"""Hypothesis makes up the host and what goes wrong on it; no sequence of that breaks an invariant."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings, strategies as st

from tests.support.core import container_id
from tests.support.numbers import drill
from tests.support.simulation.simulation import PROTECTED, Simulation, simulation
from tests.support.simulation.workload import Workload, crash_loop, falls_sick, flaps, leaks
from watchtower_agent.model.pause import Paused, PauseScope

NAMES = ("web0", "always1", "plain2", "web3", "always4")
seconds = st.sampled_from([0.0, 0.1, 1.0, 3.0, 10.0, 25.0, 60.0])
workloads = st.one_of(
    st.just(Workload()),
    st.builds(crash_loop, st.sampled_from([0.5, 5.0, 40.0])),
    st.builds(falls_sick, st.sampled_from([1.0, 10.0, 40.0]), st.sampled_from([None, 1, 3])),
    st.builds(leaks, st.sampled_from([20.0, 120.0])),
    st.builds(flaps, st.sampled_from([4.0, 30.0])),
    st.builds(Workload, memory=st.sampled_from([75.0, 95.0, 99.0])),
)
hosts = st.fixed_dictionaries(dict.fromkeys(NAMES, workloads))

Trouble = Callable[[Simulation], None]
names = st.sampled_from([*NAMES, *PROTECTED])


def of_world(act: Callable[[Simulation, str], None]) -> st.SearchStrategy[Trouble]:
    return names.map(lambda name: lambda made: act(made, name))


troubles: st.SearchStrategy[Trouble] = st.one_of(
    of_world(lambda made, name: made.world.sickens(name)),
    of_world(lambda made, name: made.world.crashes(name)),
    of_world(lambda made, name: made.world.crashes(name, 0)),
    of_world(lambda made, name: made.world.person_stops(name)),
    of_world(lambda made, name: made.world.person_starts(name)),
    of_world(lambda made, name: made.world.person_restarts(name)),
    of_world(lambda made, name: made.agent.blinded([container_id(name)], 30.0)),
    of_world(lambda made, name: made.world.person_renames(name)),
    st.builds(
        lambda away, lost, late: lambda made: made.engine_goes(away, lost=lost, late=late),
        seconds,
        st.booleans(),
        st.booleans(),
    ),
    st.sampled_from([-18_000.0, -3600.0, -60.0, 60.0, 3600.0, 18_000.0]).map(
        lambda step: lambda made: made.world.clock_is_set(step)
    ),
    st.builds(lambda away: lambda made: made.agent_dies(away), seconds),
    st.builds(lambda silent: lambda made: made.agent.sampler_hangs(silent), seconds),
    st.builds(
        lambda what, length: lambda made: made.agent.pauses(what, length),
        st.sampled_from(
            [
                Paused(scope=PauseScope.AGENT),
                Paused(scope=PauseScope.POLICY, name="revive"),
                Paused(scope=PauseScope.CONTAINER, name="web0"),
            ]
        ),
        seconds,
    ),
    st.just(lambda made: made.together([*NAMES, *PROTECTED])),
)


@settings(max_examples=drill(reduced=25, full=400), deadline=None)
@given(hosts, st.lists(st.tuples(seconds, troubles), max_size=12), st.integers(0, 3), st.booleans())
def test_no_sequence_of_troubles_breaks_an_invariant(
    host: dict[str, Workload], script: list[tuple[float, Trouble]], seed: int, wide: bool
) -> None:
    made = simulation(host, seed=seed, wide=wide)
    for wait, trouble in script:
        made.run(wait)
        trouble(made)
        made.world.settle()
    made.run(90.0)
    assert [what for _, what in made.violations] == []
