"""What holds whatever happens to a host, its engine and the agent: nothing that is needed is asked to be deleted."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings, strategies as st

from tests.support.pruned_world import PrunedWorld
from tests.support.pruning_world import Op
from watchtower_agent.model.removal import Kind

OFTEN = ("run_once", "run", "tag", "build", "pull", "wait", "wait", "prune", "prune", "prune", "hand")
SELDOM = ("stop", "remove", "untag", "load", "serve", "list", "late", "restart", "restart", "engine", "miss", "clock")
COMPOSE = ("down", "down", "others", "others", "forget")
BEFORE: list[Op] = [("pull", 0, 0), ("pull", 3, 1), ("pull", 1, 2), ("pull", 4, 3), ("build", 0, 1), ("run", 0, 2)]
BEFORE += [("stop", 0, 0), ("run", 1, 1), ("stop", 1, 0), ("tag", 6, 0), ("remove", 0, 0), ("list", 0, 0)]
BEFORE += [("wait", 3, 0), ("list", 0, 0)]
"""After which there is something to be deleted."""
ops: st.SearchStrategy[list[Op]] = st.lists(
    st.tuples(st.sampled_from((*OFTEN, *OFTEN, *SELDOM, *COMPOSE)), st.integers(0, 11), st.integers(0, 31)),
    min_size=20,
    max_size=60,
)


@settings(max_examples=40)
@given(ops)
def test_over_any_life_of_a_host_nothing_is_asked_to_be_deleted_that_is_needed(life: list[Op]) -> None:
    PrunedWorld(BEFORE + life).live()  # which looks at each removal


def test_a_life_in_which_much_is_deleted() -> None:
    """The properties would hold of an agent that deletes nothing."""
    life: list[Op] = []
    for number in range(30):
        life += [("pull", 0, number), ("build", 1, 0), ("run", 0, 2), ("stop", 0, 0), ("wait", 3, 0), ("wait", 3, 0)]
        life += [("list", 0, 0), ("wait", 3, 0), ("prune", 3, number % 3)]
    world = PrunedWorld(life)
    world.live()
    assert Counter(item.kind for item in world.deleted).keys() >= {Kind.IMAGE, Kind.CONTAINER, Kind.NETWORK}
    assert len(world.deleted) > 30
