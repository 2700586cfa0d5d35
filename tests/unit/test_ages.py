"""How old a container is, and how long it runs, is true whether or not the wall clock is set or the host suspended."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from tests.support.core import INFO, NOW, FakeClock, Host
from watchtower_agent.loop.overview import Sort
from watchtower_agent.model.decision import Dropped, Guard, Held
from watchtower_agent.model.observation import EngineFound, GapObserved
from watchtower_agent.state.clock_steps import MOST, ClockSteps

HOURS = 3600.0
OLD = '  - {name: old, select: {name: "*"}, when: uptime > 2h, then: {notify: {}}}\n'
NEW = '  - {name: new, select: {name: "*"}, when: age < 5m, then: {notify: {}}}\n'
MADE = '  - {name: made, select: {name: "*"}, when: age > 2h, then: {notify: {}}}\n'
WEEKLY = '  - {name: weekly, select: {name: "*"}, when: uptime > 7d, then: {restart: {}}}\n'
GRACE = '  - {name: hot, select: {name: "*"}, when: memory.percent > 90% and uptime > 12m, then: {restart: {}}}\n'
SICK = '  - {name: sick, select: {name: "*"}, when: health == "unhealthy", then: {restart: {}}}\n'


def host(policies: str, *, check: bool = False) -> Host:
    """With a container that the agent saw start ten minutes ago."""
    made = Host(policies, first_start=True)
    made.connect()
    made.docker.create(check=check)
    made.deliver()
    made.clock.advance(600)
    made.tick()
    return made


def uptime(agent: Host) -> float:
    (row,) = agent.top()["containers"]
    found: float = row["uptime"]
    return found


def published_uptime(agent: Host) -> float:
    """Of the newest batch of metrics."""
    (line,) = json.loads([message for step in agent.steps for message in step.metrics][-1].payload)["containers"]
    found: float = line["uptime"]
    return found


@pytest.mark.parametrize("policies", [OLD, MADE])
def test_a_clock_that_is_set_forward_makes_nothing_older(policies: str) -> None:
    agent = host(policies)
    agent.clock.step_wall(5 * HOURS)
    agent.tick(2)
    assert agent.told == []
    assert uptime(agent) == pytest.approx(603, abs=1)
    agent.clock.advance(2 * HOURS - 610)
    agent.tick()
    assert agent.told == []
    agent.tick(10)
    assert len(agent.told) == 1


def test_a_grace_after_the_start_goes_on_over_a_step() -> None:
    agent = host(GRACE)
    agent.clock.step_wall(5 * HOURS)
    agent.tick(100, memory_percent=95.0)
    assert agent.did == []
    agent.tick(25, memory_percent=95.0)
    assert agent.did == [("restart", "web")]


def test_not_everything_is_wanted_at_once_after_a_step() -> None:
    agent = host(WEEKLY)
    agent.docker.create("db", silent=True)
    agent.relist()
    agent.deliver()
    agent.clock.step_wall(8 * 24 * HOURS)
    agent.tick(3)
    assert agent.did == []


def test_a_health_check_has_its_time_to_start_over_a_step() -> None:
    agent = Host(SICK, first_start=True)
    agent.connect()
    agent.docker.create(check=True, health_start_period=60.0)
    agent.deliver()
    agent.docker.health()
    agent.clock.step_wall(5 * HOURS)
    agent.tick(2)
    assert agent.did == []
    (held,) = agent.of_guard("starting")
    assert held.numbers["uptime"] == pytest.approx(2, abs=0.1)
    agent.tick(65)
    assert agent.did == [("restart", "web")]


def test_a_health_check_has_its_time_also_where_the_clock_is_set_at_the_last_moment() -> None:
    agent = Host('  - {name: sick, select: {name: "*"}, on: {container: health_status}, then: {pause: {}}}\n')
    agent.docker.create(check=True, health_start_period=60.0, restart_policy="always")
    agent.deliver()
    agent.clock.advance(70)
    agent.docker.health()
    agent.deliver()
    (intent,) = agent.open.values()
    agent.docker.crash()
    agent.docker.start()
    agent.docker.health()
    agent.deliver()
    agent.clock.step_wall(300)
    stopped = agent.pipeline.recheck(intent, agent.clock.now())
    assert isinstance(stopped, Held)
    assert stopped.guard is Guard.STARTING


def test_what_starts_after_a_step_is_as_old_as_it_is() -> None:
    agent = host(OLD)
    agent.clock.step_wall(5 * HOURS)
    agent.tick()
    agent.docker.restart()
    agent.deliver()
    agent.clock.advance(30)
    agent.tick()
    assert uptime(agent) == pytest.approx(31, abs=1)


def test_the_payload_of_metrics_and_the_order_of_top_go_by_the_same() -> None:
    agent = host(OLD)
    agent.clock.step_wall(5 * HOURS)
    agent.tick()
    agent.docker.create("young")
    agent.deliver()
    assert [row["name"] for row in agent.top(sort=Sort.UPTIME)["containers"]] == ["young", "web"]
    agent.docker.remove("young", force=True)
    agent.deliver()
    agent.tick(12)
    assert published_uptime(agent) == pytest.approx(610, abs=5.1)


@pytest.mark.parametrize("away", [0.0, 30.0], ids=["while it runs", "while it is away"])
def test_the_next_run_knows_of_the_step(away: float) -> None:
    agent = host(OLD)
    if away:
        agent.dies(away=away)
        agent.clock.step_wall(5 * HOURS)
    else:
        agent.clock.step_wall(5 * HOURS)
        agent.tick()
        agent.dies()
    agent.comes_back()
    agent.tick(2)
    assert agent.told == []
    assert uptime(agent) == pytest.approx(603 + away, abs=2)
    agent.dies(away=60)
    agent.comes_back()
    agent.tick()
    assert uptime(agent) == pytest.approx(664 + away, abs=2)


@pytest.mark.parametrize("ran", [5, 200])
def test_what_starts_after_a_clock_was_set_back_while_the_agent_was_away_is_as_old_as_it_is(ran: int) -> None:
    agent = host(OLD)
    agent.tick(ran)
    agent.dies(away=10)
    agent.clock.step_wall(-5 * HOURS)
    agent.docker.restart()
    agent.clock.advance(20)
    agent.comes_back()
    agent.tick(2)
    assert uptime(agent) == pytest.approx(22, abs=1)
    assert agent.told == []


def test_what_was_there_when_a_clock_was_set_back_is_as_old_as_it_is() -> None:
    agent = host(OLD)
    agent.dies(away=10)
    agent.clock.step_wall(-5 * HOURS)
    agent.comes_back()
    agent.tick(2)
    assert uptime(agent) == pytest.approx(613, abs=2)


def test_when_the_clock_was_looked_at_is_written_once_a_minute_and_at_the_end() -> None:
    agent = host(OLD)
    looked = [
        record.value["looked"]
        for step in (*agent.steps, *(agent.see(agent.sample({})) for _ in range(3)))
        for record in step.commit().records
        if record.key == "steps" and record.value is not None
    ]
    assert len(looked) == 2, "at its start, and ten minutes later"
    agent.tick(59)
    assert agent.store_records("clock")["steps"]["looked"] == looked[-1]
    agent.tick(2)
    assert agent.store_records("clock")["steps"]["looked"] == pytest.approx(float(str(looked[-1])) + 60)
    agent.clock.advance(5)
    (_, kept) = agent.pipeline.step([], agent.clock.now(), last=True).commit().records
    assert kept.value is not None
    assert kept.value["looked"] == agent.clock.monotonic


def test_a_reboot_ends_what_is_known_of_steps() -> None:
    agent = host(OLD)
    agent.clock.step_wall(5 * HOURS)
    agent.tick()
    assert agent.store_records("clock")["steps"]["steps"]
    agent.clock.reboot(60)
    agent.comes_back()
    assert agent.store_records("clock")["steps"]["steps"] == []


def test_a_store_that_was_lost_learns_it_anew() -> None:
    agent = host(OLD)
    agent.clock.step_wall(5 * HOURS)
    agent.tick()
    known = agent.store_records("clock")["steps"]
    agent.remember("clock", "steps", {})
    agent.see(GapObserved(reason="store_reset", since=agent.clock.wall, until=agent.clock.wall))
    assert agent.store_records("clock")["steps"]["steps"] == known["steps"]


def test_a_night_of_the_host_is_no_step() -> None:
    agent = host(OLD)
    agent.clock.suspend(5 * HOURS)
    agent.tick()
    assert uptime(agent) == pytest.approx(5 * HOURS + 602, abs=1)
    assert len(agent.told) == 1
    agent.clock.step_wall(5 * HOURS)
    agent.tick()
    assert uptime(agent) == pytest.approx(5 * HOURS + 603, abs=1)


def test_a_step_that_is_taken_back_leaves_no_trace() -> None:
    agent = host(OLD)
    for step in (9 * HOURS, -9 * HOURS, -9 * HOURS, 9 * HOURS):
        agent.clock.step_wall(step)
        agent.tick(10)
    assert uptime(agent) == pytest.approx(641, abs=1)
    assert agent.told == []


def test_what_ended_just_before_a_clock_was_set_back_is_young_also_once_it_is_set_far_forward() -> None:
    """Its stamp is of a time that the clock, as it is by then, has never shown."""
    clock, steps = FakeClock(), ClockSteps()
    steps.look(clock.now())
    stamp = clock.wall
    for by in (-24 * HOURS, 240 * HOURS):
        clock.advance(1)
        clock.step_wall(by)
        assert steps.look(clock.now()) == by
    clock.advance(60)
    assert steps.age(stamp, clock.now()) == pytest.approx(62, abs=3)
    again = ClockSteps.restored(json.loads(json.dumps(steps.stored())))
    assert again.age(stamp, clock.now()) == steps.age(stamp, clock.now())
    assert steps.age(clock.wall - 30, clock.now()) == pytest.approx(30)


def test_the_clock_of_an_engine_elsewhere_is_not_set_with_ours() -> None:
    agent = host(OLD)
    elsewhere = replace(INFO, url="tcp://10.0.0.2:2376")
    agent.see(EngineFound(info=elsewhere, restarted=False, at=agent.clock.wall, clock_offset=0.0))
    agent.relist()
    agent.deliver()
    agent.tick()
    agent.clock.step_wall(5 * HOURS)
    agent.tick()
    assert uptime(agent) == pytest.approx(603, abs=1)
    agent.clock.step_wall(-5 * HOURS)  # to the engine's clock, and back
    agent.docker.restart()
    agent.clock.step_wall(5 * HOURS)
    agent.deliver()
    agent.tick(20)
    assert uptime(agent) == pytest.approx(20, abs=1), "on its own clock it started 20 s ago"


# --- a clock that was set back shows times again ----------------------------------------------------------------------


def shows_its_start_again(agent: Host) -> None:
    """The container ran for ten minutes; the clock is set back by an hour, and 50 minutes pass."""
    agent.clock.step_wall(-HOURS)
    agent.tick()
    agent.clock.advance(HOURS - 602)
    agent.tick()


@pytest.mark.parametrize("away", [0.0, 5.0], ids=["while it runs", "and the agent starts anew"])
def test_what_ran_before_is_no_younger_when_the_clock_shows_its_start_again(away: float) -> None:
    agent = host(NEW + OLD)
    agent.clear()
    shows_its_start_again(agent)
    if away:
        agent.dies(away=away)
        agent.comes_back()
    for _ in range(10):
        agent.tick()
        assert uptime(agent) == pytest.approx(agent.clock.monotonic - 1000, abs=1)
    assert agent.told == []


def test_nor_where_the_clock_was_set_while_the_agent_was_away() -> None:
    agent = host(NEW)
    agent.clear()
    agent.dies(away=10)
    agent.clock.step_wall(-610)
    agent.comes_back()
    agent.tick(3)
    assert uptime(agent) == pytest.approx(614, abs=1)
    assert agent.told == []


def test_its_health_check_does_not_have_its_time_to_start_again() -> None:
    agent = host(SICK, check=True)
    shows_its_start_again(agent)
    agent.docker.health()
    agent.tick(2)
    assert agent.of(Held) == []
    assert agent.did == [("restart", "web")]


AGAIN = pytest.mark.parametrize("again", [False, True], ids=["one run", "the agent starts anew"])


@AGAIN
def test_what_is_measured_just_before_its_start_is_shown_again_is_of_its_present_life(*, again: bool) -> None:
    agent = host('  - {name: hot, select: {name: "*"}, when: memory.percent > 90%, for: 3s, then: {restart: {}}}\n')
    agent.clock.step_wall(-640)
    agent.tick()
    if again:
        agent.dies()
        agent.comes_back()
    agent.tick(5, memory_percent=95.0)
    assert agent.did == [("restart", "web")]
    agent.carry_out()
    assert agent.record().comparable_start(agent.clock.wall) == agent.record().started


@AGAIN
def test_nor_is_what_fails_then_taken_for_started_since(*, again: bool) -> None:
    agent = host(
        '  - {name: sick, select: {name: "*"}, on: {container: health_status}, then: {restart: {}}}\n', check=True
    )
    agent.clock.step_wall(-640)
    agent.tick()
    if again:
        agent.dies()
        agent.comes_back()
    agent.docker.health()
    agent.deliver()
    agent.tick(3)
    assert agent.did == [("restart", "web")]
    assert agent.of(Dropped) == []


def test_what_starts_in_the_hour_that_is_shown_twice_is_young() -> None:
    agent = host(NEW)
    agent.clear()
    shows_its_start_again(agent)
    agent.clock.step_wall(NOW - agent.clock.wall)
    agent.docker.create("db")  # at the very time of the clock at which the first was made
    agent.deliver()
    assert agent.record("db").started == agent.record("web").started
    agent.docker.restart()
    agent.deliver()
    agent.tick(2)
    assert {row["name"]: row["uptime"] for row in agent.top()["containers"]} == pytest.approx(
        {"web": 2, "db": 2}, abs=1
    )
    assert [outcome.decision.target.name for outcome in agent.told] == ["db"]


def test_what_an_inspection_tells_more_exactly_was_known_as_well() -> None:
    """It was asked for when the event came, and answered once the clock was set."""
    agent = Host(first_start=True)
    agent.connect()
    made = agent.docker.create()
    assert made.detail is not None
    earlier = replace(made.detail, started_at=NOW - 0.2)
    agent.docker.containers[made.id] = replace(made, created_at=NOW - 0.3, detail=earlier)
    agent.read()
    agent.clock.advance(10)
    agent.clock.step_wall(-HOURS)
    agent.see(agent.sample({}))
    agent.inspect()
    agent.clock.advance(HOURS)
    agent.tick()
    record, now = agent.record(), agent.clock.now()
    assert record.started == NOW - 0.2
    assert record.comparable_start(now.wall) is None
    assert agent.pipeline.state.uptime(record, now) == pytest.approx(HOURS + 11, abs=0.3)
    created = agent.pipeline.state.age(record.container.created_at, now, made.id)
    assert created == pytest.approx(HOURS + 11, abs=0.4)


def test_which_stamps_were_known_is_written_when_that_changes_and_learnt_anew_by_a_new_store() -> None:
    agent = host(OLD)
    agent.clock.step_wall(-HOURS)
    (kept,) = [each for each in agent.see(agent.sample({})).commit().records if each.key == "stamps"]
    for _ in range(70):
        agent.clock.advance(1)
        assert [each for each in agent.see(agent.sample({})).commit().records if each.key == "stamps"] == []
    agent.remember("clock", "stamps", {})
    agent.see(GapObserved(reason="store_reset", since=agent.clock.wall, until=agent.clock.wall))
    assert agent.store_records("clock")["stamps"] == kept.value
    agent.clock.reboot(60)
    agent.comes_back()
    assert agent.store_records("clock")["stamps"] == {"boot": "boot-1+1", "known": []}


# --- whatever happens to the clock ------------------------------------------------------------------------------------


def happening(*, both_ways: bool = False) -> st.SearchStrategy[tuple[str, float]]:
    """What may happen to a clock: it is set forwards only; or both ways and by little, so that it shows times again."""
    by = st.floats(2.0, 900.0 if both_ways else 1e8)
    return st.one_of(
        st.tuples(st.just("advance"), st.floats(0.5, 900.0 if both_ways else 1e6)),
        st.tuples(st.just("step"), by | by.map(lambda forwards: -forwards) if both_ways else by),
        st.tuples(st.just("suspend"), st.floats(1.0, 1e6)),
        st.tuples(st.just("stamp"), st.just(0.0)),
        st.tuples(st.just("restart"), st.just(0.0)),
    )


happenings = st.lists(happening(), max_size=MOST)


def ages(clock: FakeClock, what: list[tuple[str, float]], *, known: bool = False) -> list[tuple[float, float]]:
    """Of every stamp that was made: how old it is, and what is said of it; known: by who has each from then on."""
    steps = ClockSteps()
    stamps: list[tuple[float, float]] = []
    steps.look(clock.now())
    for happening, seconds in what:
        if happening == "stamp":
            clock.advance(0.5)
            stamps.append((clock.wall, clock.monotonic + clock.asleep))
            clock.advance(0.5)
        elif happening == "restart":
            steps = ClockSteps.restored(
                json.loads(json.dumps(steps.stored())), json.loads(json.dumps(steps.stored_stamps()))
            )
        else:
            {"advance": clock.advance, "step": clock.step_wall, "suspend": clock.suspend}[happening](seconds)
        steps.look(clock.now(), [(f"{made}", stamp) for stamp, made in stamps] if known else ())
    found = [
        (clock.monotonic + clock.asleep - made, steps.age(stamp, clock.now(), f"{made}")) for stamp, made in stamps
    ]
    return [(true, said) for true, said in found if said is not None]


@given(what=happenings)
def test_however_often_the_clock_is_set_forward_all_is_as_old_as_it_is(what: list[tuple[str, float]]) -> None:
    for true, said in ages(FakeClock(), what):
        assert said == pytest.approx(true, abs=0.01)


@given(what=st.lists(happening(both_ways=True), max_size=MOST))
def test_however_the_clock_is_set_what_was_known_before_is_as_old_as_it_is(what: list[tuple[str, float]]) -> None:
    for true, said in ages(FakeClock(), what, known=True):
        assert said == pytest.approx(true, abs=0.01)


def test_of_very_many_steps_back_what_was_known_before_all_of_them_is_as_old_as_it_is() -> None:
    happened = [("stamp", 0.0), *[("step", -10.0), ("stamp", 0.0)] * (3 * MOST)]
    found = ages(FakeClock(), happened, known=True)
    assert found[0][1] == pytest.approx(found[0][0], abs=0.01)
    assert all(said == pytest.approx(true, abs=0.01) for true, said in found[-MOST:])


def test_of_very_many_steps_the_oldest_are_taken_together_and_nothing_is_too_old() -> None:
    happened = [("stamp", 0.0), *[("step", 10.0), ("stamp", 0.0)] * (3 * MOST)]
    found = ages(FakeClock(), happened)
    assert found[0][1] == pytest.approx(found[0][0], abs=0.01)
    assert all(said <= true + 0.01 for true, said in found)
    assert all(said == pytest.approx(true, abs=0.01) for true, said in found[-MOST:])


def test_a_tick_from_before_the_step_is_not_corrected() -> None:
    clock, steps = FakeClock(), ClockSteps()
    steps.look(clock.now())
    clock.advance(100)
    before = clock.now()
    clock.advance(1)
    clock.step_wall(5 * HOURS)
    steps.look(clock.now())
    assert steps.age(NOW, before) == pytest.approx(100)
    assert steps.age(NOW, clock.now()) == pytest.approx(101)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(
    stored=json_values.map(lambda value: value if isinstance(value, dict) else {})
    | st.fixed_dictionaries(
        {"boot": st.just("boot-1") | json_values, "ahead": json_values, "steps": json_values, "looked": json_values}
    ),
    stamps=st.fixed_dictionaries({"boot": st.just("boot-1") | json_values, "known": json_values}),
)
def test_whatever_the_store_says_an_age_is_a_number(stored: dict[str, object], stamps: dict[str, object]) -> None:
    clock = FakeClock()
    steps = ClockSteps.restored(stored, stamps)
    steps.look(clock.now())
    age = steps.age(NOW - 100, clock.now())
    assert age is not None
    assert math.isfinite(age)
    assert age >= 0


def test_where_the_boot_is_not_known_ages_go_by_the_wall_clock() -> None:
    clock, steps = FakeClock(), ClockSteps()
    clock.boot = ""
    assert steps.look(clock.now()) is None
    clock.step_wall(HOURS)
    assert steps.look(clock.now()) is None
    assert steps.age(NOW, clock.now()) == pytest.approx(HOURS)
