"""Who gave a limit, what becomes of it when the container is recreated, and what it was before."""

from __future__ import annotations

import math

import pytest

from tests.support.resizing import MIB, Watched, limits, mib, verdict
from watchtower_agent.policies.resizing.recommendation import Limit, Verdict


def raised(memory: float = 500.0, *, last: float = 200.0) -> Watched:
    """The agent has raised its memory from 500 to 600 MiB, a while ago."""
    web = Watched(memory=memory)
    web.sees(memory=480.0)
    web.obey()
    web.uses(memory=last, hours=0.5)
    assert (web.memory, web.past.memory_limit.given) == (600.0, 600 * MIB)
    return web


def recreate(web: Watched, memory: float) -> None:
    web.container_id = "b" * 64
    web.memory = memory


def test_what_it_was_before_is_kept() -> None:
    web = raised()
    assert web.past.originals == (500 * MIB, None)

    web.sees(memory=590.0)
    web.obey()
    web.sees(memory=590.0)

    assert web.past.memory_limit.given == 738 * MIB
    assert web.past.originals == (500 * MIB, None)


def test_a_recreated_one_gets_back_what_it_had() -> None:
    web = raised()
    recreate(web, 500.0)

    web.sees(memory=100.0)

    assert verdict(web.of_memory) is Verdict.REAPPLY
    assert mib(web.of_memory.to) == 600.0
    assert web.of_memory.base == 600 * MIB
    web.obey()
    web.sees(memory=100.0)
    assert verdict(web.of_memory) is Verdict.KEEP
    assert web.past.originals == (500 * MIB, None)
    assert not web.past.memory_limit.lost


def test_it_is_wanted_until_it_is_done() -> None:
    web = raised()
    recreate(web, 500.0)

    web.uses(memory=100.0, hours=1)

    assert verdict(web.of_memory) is Verdict.REAPPLY


def test_one_that_needs_more_gets_more() -> None:
    web = raised()
    recreate(web, 500.0)
    web.passes(600.0)

    web.sees(memory=550.0)

    assert verdict(web.of_memory) is Verdict.REAPPLY
    assert mib(web.of_memory.to) == 688.0


def test_one_that_was_configured_anew_is_as_people_want_it() -> None:
    web = raised()
    recreate(web, 800.0)

    web.sees(memory=100.0)

    assert verdict(web.of_memory) is Verdict.KEEP
    assert web.past.originals == (None, None)
    assert web.past.memory.measured > 0.0  # what it used is known still


def test_one_that_was_recreated_with_what_it_had_has_lost_nothing() -> None:
    web = raised()
    recreate(web, 600.0)

    web.sees(memory=100.0)

    assert verdict(web.of_memory) is Verdict.KEEP
    assert web.past.originals == (500 * MIB, None)


def test_one_that_the_agent_never_touched_is_as_it_is() -> None:
    web = Watched(memory=500.0)
    web.sees(memory=200.0)
    recreate(web, 300.0)

    web.sees(memory=200.0)

    assert verdict(web.of_memory) is Verdict.KEEP


def test_what_a_person_sets_by_hand_is_original() -> None:
    web = raised()
    web.memory = 900.0

    web.sees(memory=200.0)

    assert web.past.originals == (None, None)
    recreate(web, 500.0)
    web.sees(memory=200.0)
    assert verdict(web.of_memory) is Verdict.KEEP


def test_one_that_people_made_as_was_recommended_is_theirs() -> None:
    web = Watched(memory=500.0)
    web.sees(memory=480.0)
    assert mib(web.of_memory.to) == 600.0
    recreate(web, 600.0)

    web.sees(memory=480.0)

    assert web.past.originals == (None, None)


def test_what_was_recommended_before_another_change_is_a_persons_later() -> None:
    web = raised()
    for memory in (900.0, 600.0):
        web.memory = memory
        web.sees(memory=200.0)

    assert web.past.originals == (None, None)


def lowered() -> Watched:
    web = Watched(memory=1000.0, cpu=0.5, obeys=True)
    web.uses(memory=200.0, hours=31)
    assert web.memory == 800.0
    web.obeys = False
    return web


def test_a_lower_limit_is_given_back_only_where_the_working_set_fits() -> None:
    web = lowered()
    recreate(web, 1000.0)

    web.sees(known=False)
    assert (verdict(web.of_memory), limits(web.of_memory)[-1]) == (Verdict.KEEP, Limit.UNKNOWN)
    web.sees(memory=200.0)

    assert verdict(web.of_memory) is Verdict.REAPPLY
    assert mib(web.of_memory.to) == 800.0


def test_a_larger_working_set_keeps_the_larger_limit() -> None:
    web = lowered()
    web.sees(memory=720.0)
    web.obey()
    web.sees(memory=720.0)
    assert web.past.memory_limit.given == 900 * MIB
    recreate(web, 1000.0)

    web.sees(memory=850.0)  # it would be raised, were it not for the cooldown

    assert limits(web.of_memory) == [Limit.COOLDOWN, Limit.WORKING_SET]
    assert verdict(web.of_memory) is Verdict.KEEP


def test_a_first_limit_is_given_back_too() -> None:
    web = Watched(memory=math.inf, cpu=0.5, obeys=True)
    web.uses(hours=31)
    assert web.memory == 2048.0
    recreate(web, math.inf)
    web.obeys = False

    web.sees()

    assert verdict(web.of_memory) is Verdict.REAPPLY
    assert mib(web.of_memory.to) == 2048.0


def test_the_budget_holds_for_what_is_lost_again_and_again() -> None:
    web = raised()
    web.obeys = True
    for many in range(20):
        web.container_id = f"{many:064}"
        web.memory = 500.0
        web.sees(memory=100.0)
        web.sees(memory=100.0)

    assert web.last.recommendation.changes == web.last.recommendation.budget
    assert limits(web.of_memory)[-1] is Limit.BUDGET
    assert web.memory == 500.0


@pytest.mark.parametrize("by", [-0.3, 0.3])
def test_an_engine_that_rounds_has_obeyed(by: float) -> None:
    web = Watched(memory=500.0)
    web.sees(memory=480.0)
    web.begin()
    web.memory = 600.0 + by

    web.sees(memory=480.0)

    assert web.past.memory_limit.given == (600.0 + by) * MIB
