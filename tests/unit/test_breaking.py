"""Backoff, budgets and breakers over time: crash loops, probes, and what of it survives agent, host and clocks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.support.core import INFO, INSTALL_ID, NOW, Host, ended, policy_set
from tests.support.schema import validate_message
from tests.support.store import FakeStore
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Dropped, Held, Severity
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import EngineFound, EngineLost, GapObserved
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.policies.guards.breakers import Breaker
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget

ON_DIE = '  - {name: revive, select: {name: "*"}, on: {container: die}, then: {restart: {}}}\n'
SICK = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", then: {restart: {}}}\n'
TELL = '  - {name: tell, select: {name: "*"}, on: {container: die}, then: {notify: {}}}\n'
ALARM = "  - {name: alarm, on: {policy: breaker_open}, then: {notify: {severity: critical}}}\n"
QUICK = ON_DIE.replace("then", "cooldown: 0s, backoff: {initial: 0s}, then")
NO_HOST = Protection(host_budget=Budget(most=1000, per=1.0))
HALF_AN_HOUR = 1800


def host(policies: str = ON_DIE, *names: str, protection: Protection = NO_HOST, check: bool = False) -> Host:
    made = Host(policies, first_start=True, protection=protection)
    for name in names or ("web",):
        made.docker.create(name, silent=True, check=check)
    made.connect()
    made.clock.advance(60)
    made.clear()
    return made


def crash(agent: Host, name: str = "web") -> None:
    """It ends by itself, and what is wanted then is done."""
    agent.docker.crash(name)
    agent.deliver()
    agent.carry_out()


def loop(agent: Host, until: Callable[[], bool], name: str = "web") -> None:
    """The container crashes as often as it is started, until something is so."""
    for _ in range(40_000):
        if until():
            return
        if agent.docker.find(name).running and not agent.open:
            agent.docker.crash(name)
        agent.deliver()
        agent.carry_out()
        agent.tick()
    raise AssertionError("it never came to that")


def waits(agent: Host, seconds: int) -> None:
    """Time passes, in steps of five seconds while there are many, and whatever is wanted is done."""
    end = agent.clock.monotonic + seconds
    while (left := end - agent.clock.monotonic) >= 1:
        agent.clock.advance(4 if left >= 10 else 0)
        agent.tick()
        agent.carry_out()


def notices(agent: Host, action: str) -> list[Notice]:
    return [notice for notice in agent.of(Notice) if notice.action == action]


def opened(agent: Host) -> bool:
    return bool(notices(agent, "breaker_open"))


def with_open_breaker(policies: str = ON_DIE, *, check: bool = False) -> Host:
    """Its container has used up its budget and is down."""
    agent = host(policies, check=check)
    loop(agent, lambda: opened(agent))
    assert len(agent.did) == 5
    return agent


# --- backoff --------------------------------------------------------------------------------------------------------


def test_each_restart_that_did_not_last_makes_the_next_one_wait_longer() -> None:
    agent = host(ON_DIE.replace("then", "cooldown: 0s, budget: {max: 50, per: 1d}, then"))
    loop(agent, lambda: len(agent.did) == 11)

    waited = [later.at - earlier.at for earlier, later in pairwise(agent.intents)]
    for number, gap in enumerate(waited):
        delay = min(900, 10 * 2**number)
        assert 0.8 * delay <= gap <= 1.2 * delay + 2, f"wait {number + 1}"
    assert agent.guards == ["backoff"] * 10


def test_a_held_backoff_tells_its_numbers_and_until_when() -> None:
    agent = host(ON_DIE.replace("then", "cooldown: 0s, then"))
    crash(agent)
    crash(agent)
    (held,) = [fact for fact in agent.facts if getattr(fact, "guard", None) == "backoff"]
    assert held.numbers["attempts"] == 1  # type: ignore[union-attr] # only Held has a guard
    assert 8 <= float(str(held.numbers["delay"])) <= 12  # type: ignore[union-attr] # same
    assert held.release_at == pytest.approx(agent.clock.wall + held.numbers["delay"], abs=1)  # type: ignore[union-attr,operator] # same

    waits(agent, 13)
    assert len(agent.did) == 2


@pytest.mark.parametrize(("well", "first_again"), [(595, False), (605, True)])
@pytest.mark.parametrize("check", [False, True], ids=["running", "healthy"])
def test_only_who_was_well_for_ten_minutes_starts_anew(well: int, *, first_again: bool, check: bool) -> None:
    agent = host(ON_DIE.replace("then", "cooldown: 0s, then"), check=check)
    crash(agent)
    if check:
        agent.docker.health(verdict=Health.HEALTHY)
    agent.tick(well)
    crash(agent)
    agent.clear()

    agent.docker.crash()
    agent.deliver()

    (held,) = [fact for fact in agent.facts if getattr(fact, "guard", None) == "backoff"]
    assert held.numbers["attempts"] == (1 if first_again else 2)  # type: ignore[union-attr] # only Held has a guard


def test_who_runs_unhealthily_does_not_start_anew() -> None:
    agent = host(ON_DIE.replace("then", "cooldown: 0s, then"), check=True)
    crash(agent)
    agent.docker.health(verdict=Health.UNHEALTHY)
    agent.tick(700)
    crash(agent)
    assert len(agent.did) == 2
    crash(agent)
    assert len(agent.did) == 2
    agent.tick(15)
    assert len(agent.did) == 2, "the second wait is 20 s and its jitter"


def test_an_end_that_no_tick_saw_ends_the_time_of_being_well() -> None:
    agent = host(ON_DIE.replace("then", "cooldown: 0s, then"))
    crash(agent)
    agent.tick(300)
    agent.docker.crash()
    agent.docker.start()  # at once, before anybody looks
    agent.deliver()
    agent.tick(400)
    crash(agent)
    agent.clear()
    agent.docker.crash()
    agent.deliver()

    (held,) = [fact for fact in agent.facts if getattr(fact, "guard", None) == "backoff"]
    assert held.numbers["attempts"] == 2  # type: ignore[union-attr] # only Held has a guard


# --- budget and breaker ---------------------------------------------------------------------------------------------


def test_more_than_the_budget_opens_the_breaker_and_says_so_critically() -> None:
    agent = with_open_breaker()

    (told,) = notices(agent, "breaker_open")
    assert told.severity is Severity.CRITICAL
    assert told.reason.startswith("the breaker of web is open: 5 actions on web within 30m did not help")
    assert told.data["target"] == {"kind": "container", "name": "web"}
    assert told.data["budget"] == {"max": 5, "per": 1800.0}
    assert told.correlation_id == agent.wanted[-1].correlation_id
    assert agent.guards[-1] == "breaker"
    (held,) = [fact for fact in agent.of(Held) if fact.guard == "breaker"]
    assert agent.facts.index(told) < agent.facts.index(held)
    agent.clear()
    waits(agent, 1700)
    assert agent.did == []
    assert agent.guards == []  # told once, and no more while it is so


def test_what_is_published_of_a_breaker_fits_its_schema_and_has_the_topic_of_its_policy() -> None:
    agent = with_open_breaker()
    topics = [message.topic for step in agent.steps for message in step.events]
    for step in agent.steps:
        for message in step.events:
            validate_message(message.topic, message.payload)
    assert "watchtower/v1/h1/event/policy/breaker_open/revive" in topics
    (event,) = [event for event in agent.published() if "/breaker_open/" in event["topic"]]
    assert event["severity"] == "critical"


def test_one_probe_closes_it_once_the_container_is_mended() -> None:
    agent = with_open_breaker()
    agent.clear()
    waits(agent, HALF_AN_HOUR - 5)
    assert agent.did == []

    waits(agent, 10)
    assert agent.did == [("restart", "web")]
    (probing,) = notices(agent, "breaker_half_open")
    assert probing.correlation_id == agent.intents[0].decision.correlation_id
    assert not notices(agent, "breaker_closed")
    waits(agent, 10)

    (closed,) = notices(agent, "breaker_closed")
    assert "the restart of web helped" in closed.reason
    assert closed.correlation_id == probing.correlation_id
    assert agent.pipeline.decisions.breaking.breakers.by == {}


def test_a_probe_that_does_not_help_opens_it_again_for_twice_as_long() -> None:
    agent = with_open_breaker()
    agent.clear()
    loop(agent, lambda: opened(agent))
    assert len(agent.did) == 1
    (told,) = notices(agent, "breaker_open")
    assert (told.data["times_opened"], told.data["probe_after"]) == (2, 3600.0)

    since = agent.clock.monotonic
    loop(agent, lambda: len(agent.did) == 2)

    assert agent.clock.monotonic - since == pytest.approx(3600, abs=5)


@pytest.mark.parametrize(
    ("times", "wait"), [(1, 1800), (2, 3600), (3, 7200), (4, 14400), (5, 21600), (6, 21600), (10_000, 21600)]
)
def test_no_breaker_waits_for_more_than_six_hours(times: int, wait: float) -> None:
    now = Instant(wall=NOW, monotonic=0.0)
    assert Breaker(policy="p", budget=Budget(), since=now, times=times).wait == wait


def test_a_probe_is_verified_by_the_containers_own_health_check() -> None:
    agent = with_open_breaker(check=True)
    agent.clear()
    waits(agent, HALF_AN_HOUR + 2)
    assert agent.did == [("restart", "web")]
    waits(agent, 20)  # it runs, and says nothing of its health
    assert not notices(agent, "breaker_closed")

    agent.docker.health(verdict=Health.HEALTHY)
    waits(agent, 2)

    assert notices(agent, "breaker_closed")


def test_a_probe_of_a_container_that_is_healthy_meanwhile_is_verified_by_its_new_life() -> None:
    full = '  - {name: full, select: {name: "*"}, when: memory.percent > 90%, cooldown: 0s, backoff: {initial: 0s}, '
    agent = host(full + "budget: {max: 1, per: 30m}, then: {restart: {}}}", check=True)
    agent.docker.health(verdict=Health.HEALTHY)
    for _ in range(2000):
        agent.tick(memory_percent=95.0)
        if notices(agent, "breaker_half_open"):
            break
        agent.carry_out(outcome_first=True)
        agent.docker.health(verdict=Health.HEALTHY)
    (intent,) = agent.open.values()
    outcome = agent.attempt(intent)
    agent.see(outcome)  # before the engine's events of the restart: the record is of the life before
    agent.see(agent.sample({"memory.percent": 1.0}))

    assert not notices(agent, "breaker_closed")
    agent.deliver()
    agent.docker.health(verdict=Health.HEALTHY)
    agent.tick(2)
    assert notices(agent, "breaker_closed")


def test_a_probe_that_the_engine_refuses_did_not_help() -> None:
    agent = with_open_breaker()
    agent.clear()
    agent.tick(HALF_AN_HOUR)
    (intent,) = agent.open.values()

    agent.see(ended(intent, Result.FAILED, agent.clock.wall, agent.clock.wall))

    (told,) = notices(agent, "breaker_open")
    assert "the restart of web failed" in told.reason
    assert told.data["times_opened"] == 2


def test_a_probe_that_was_not_tried_leaves_the_breaker_as_it_was() -> None:
    agent = with_open_breaker()
    agent.clear()
    agent.tick(HALF_AN_HOUR)
    (intent,) = agent.open.values()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    outcome = agent.attempt(intent)
    assert outcome.result is Result.ABANDONED
    agent.see(outcome)
    assert not notices(agent, "breaker_open")
    agent.clear()

    agent.see(EngineFound(info=INFO, restarted=True, at=agent.clock.wall))
    agent.relist()
    agent.deliver()
    waits(agent, 60)

    assert agent.did == [("restart", "web")]
    assert notices(agent, "breaker_closed")


def test_a_container_that_is_removed_during_its_probe_tells_nothing() -> None:
    agent = with_open_breaker()
    agent.tick(HALF_AN_HOUR)
    agent.carry_out()
    agent.clear()
    agent.docker.remove(force=True)
    agent.tick(60)
    assert not notices(agent, "breaker_open")

    agent.docker.create(identity="f" * 64)
    agent.deliver()
    agent.tick(60)
    crash(agent)
    waits(agent, 500)
    assert notices(agent, "breaker_closed")


def test_an_open_breaker_stops_no_notification() -> None:
    agent = with_open_breaker(ON_DIE + TELL)
    told = len(agent.told)
    agent.docker.start()
    agent.deliver()
    agent.docker.crash()
    agent.deliver()

    assert len(agent.told) == told + 1
    assert agent.guards[-1] == "breaker"


def test_an_open_breaker_can_set_off_a_policy() -> None:
    agent = with_open_breaker(ON_DIE + ALARM)
    agent.tick()

    (told,) = agent.told
    assert told.decision.policy == "alarm"


def test_the_breaker_of_one_container_stops_no_other() -> None:
    agent = host(ON_DIE, "web", "api")
    loop(agent, lambda: opened(agent))
    crash(agent, "api")

    assert agent.did[-1] == ("restart", "api")


def test_a_budget_is_shared_by_policies_and_verbs() -> None:
    others = (
        '  - {name: a, select: {name: "*"}, on: {container: pause}, cooldown: 0s, then: {unpause: {}}}\n'
        '  - {name: b, select: {name: "*"}, on: {container: unpause}, cooldown: 0s, then: {pause: {}}}\n'
    )
    agent = host(others)
    for _ in range(3):
        agent.docker.pause()
        agent.deliver()
        agent.carry_out()
        agent.docker.unpause()
        agent.deliver()
        agent.carry_out()

    assert len(agent.did) == 5
    assert {verb for verb, _ in agent.did} == {"pause", "unpause"}
    assert agent.guards == ["breaker"]


def test_a_budget_of_one_lets_one_be_done() -> None:
    agent = host(QUICK.replace("then", "budget: {max: 1, per: 10m}, then"))
    agent.docker.crash()
    agent.deliver()
    (outcome,) = agent.carry_out()
    assert outcome.result is Result.SUCCEEDED  # it does not count itself when it is asked about again

    crash(agent)
    assert len(agent.did) == 1
    assert opened(agent)


def test_a_probe_does_not_exceed_the_budget() -> None:
    agent = host(QUICK.replace("then", "budget: {max: 1, per: 2h, probe_after: 10m}, then"))
    crash(agent)
    crash(agent)
    waits(agent, 7000)
    assert len(agent.did) == 1
    assert agent.guards[-2:] == ["breaker", "budget"]

    waits(agent, 300)
    assert len(agent.did) == 2


def test_what_an_event_wants_waits_for_its_breaker_and_is_given_up_a_quarter_of_an_hour_later() -> None:
    agent = with_open_breaker()
    agent.clear()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.clock.advance(HALF_AN_HOUR + 895)
    agent.see()
    assert agent.of(Dropped) == []
    agent.clock.advance(10)
    agent.see()
    assert len(agent.of(Dropped)) == 1


def test_who_was_mended_by_hand_closes_the_breaker_by_being_well() -> None:
    agent = with_open_breaker()
    agent.docker.start()
    agent.deliver()
    agent.tick(590)
    assert not notices(agent, "breaker_closed")
    agent.tick(15)

    (closed,) = notices(agent, "breaker_closed")
    assert "web has been well for long enough" in closed.reason


def test_a_breaker_of_which_nothing_is_wanted_closes_after_a_day() -> None:
    agent = with_open_breaker()
    agent.docker.remove()
    agent.deliver()
    agent.clock.advance(86400 + HALF_AN_HOUR - 5)
    agent.tick()
    assert not notices(agent, "breaker_closed")
    agent.clock.advance(5)
    agent.tick()

    assert notices(agent, "breaker_closed")
    assert not agent.store_records("breaker")


STOPS = SICK.replace("then", "cooldown: 0s, budget: {max: 1, per: 1h, on_open: stop}, then")


def sick_until_it_opens(agent: Host) -> None:
    """One restart does not mend it."""
    agent.docker.health()
    waits(agent, 3)
    assert agent.did == [("restart", "web")]
    agent.clear()
    agent.docker.health()
    for _ in range(60):
        agent.tick()
        if opened(agent):
            return
    raise AssertionError("it did not open")


def test_a_policy_can_have_the_container_stopped_when_its_breaker_opens() -> None:
    agent = host(STOPS, check=True)
    sick_until_it_opens(agent)
    agent.see()
    assert agent.did == [("stop", "web")]
    (outcome,) = agent.carry_out()
    agent.tick(2)

    assert outcome.result is Result.SUCCEEDED
    assert outcome.decision.reason.startswith("its breaker has opened (on_open: stop): unhealthy")
    assert outcome.decision.correlation_id == notices(agent, "breaker_open")[0].correlation_id
    assert agent.waiting == []
    assert agent.docker.find("web").status == "exited"
    waits(agent, 4000)
    assert agent.did == [("stop", "web")]
    assert not notices(agent, "breaker_half_open")  # the stop was no probe


def test_that_stop_is_remembered_and_held_by_every_guard_but_the_pacing() -> None:
    agent = host(STOPS, check=True)
    sick_until_it_opens(agent)
    agent.see()
    (intent,) = agent.open.values()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.see(agent.attempt(intent))
    assert agent.guards[-1] == "engine_down"
    agent.dies(away=5)
    agent.comes_back()
    agent.tick(2)

    assert agent.did == [("stop", "web")] * 2


UPS = '  - {name: up, select: {name: "*"}, on: {container: pause}, cooldown: 0s, then: {unpause: {}}}\n'


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
@pytest.mark.parametrize("first", ["up", "heal"])
def test_that_stop_is_of_the_policy_that_says_so_whoever_opens_the_breaker(first: str, mode: str) -> None:
    others = UPS.replace("then", "budget: {max: 1, per: 10m}, then")
    stops = STOPS.replace("max: 1, per: 1h", "max: 3, per: 1h").replace("when", f"mode: {mode}, when")
    agent = host(others + stops if first == "up" else stops + others, check=True)
    for _ in range(2):
        agent.docker.pause()
        agent.deliver()
        agent.carry_out()
    agent.tick(2)
    agent.carry_out()

    assert [notice.subject for notice in notices(agent, "breaker_open")] == ["up"]
    assert [intent.decision.policy for intent in agent.intents] == ["up"] + ["heal"] * (mode == "enforce")
    assert agent.docker.find("web").status == ("exited" if mode == "enforce" else "paused")


def test_a_probe_that_fails_has_the_container_stopped_too() -> None:
    other = '  - {name: up, select: {name: "*"}, when: status == "exited", cooldown: 0s, then: {start: {}}}\n'
    agent = host(STOPS + other.replace("then", "backoff: {initial: 0s}, then"), check=True)
    sick_until_it_opens(agent)
    waits(agent, 3700)

    assert [(intent.decision.policy, intent.decision.verb) for intent in agent.intents] == [
        ("heal", "stop"),
        ("up", "start"),  # never healthy
        ("heal", "stop"),
    ]
    assert len(notices(agent, "breaker_open")) == 2


def test_what_is_down_already_is_not_stopped() -> None:
    agent = with_open_breaker(ON_DIE.replace("then", "budget: {on_open: stop}, then"))
    agent.tick(3)

    assert len(agent.did) == 5
    assert agent.waiting == ["revive"]


# --- the host -------------------------------------------------------------------------------------------------------


def test_the_hosts_budget_holds_what_comes_at_once_and_then_tries_one() -> None:
    names = [f"c{number}" for number in range(9)]
    agent = host(ON_DIE, *names, protection=Protection())
    for name in names:
        agent.docker.crash(name)
    agent.deliver()
    assert len(agent.did) == 6
    assert agent.guards == ["breaker"] * 3
    (told,) = notices(agent, "breaker_open")
    assert told.reason.startswith("the breaker of this host is open: 6 actions on this host within 10m")
    assert told.data["target"] == {"kind": "host", "name": "h1"}
    assert {outcome.result for outcome in agent.carry_out()} == {Result.SUCCEEDED}  # they were within the budget

    waits(agent, HALF_AN_HOUR + 1)
    assert len(agent.did) == 7  # one is tried, the others wait for what becomes of it
    waits(agent, 12)

    assert notices(agent, "breaker_closed")
    assert len(agent.did) == 9


# --- what survives --------------------------------------------------------------------------------------------------


def killed(agent: Host) -> None:
    agent.dies(away=5)
    agent.comes_back()


def killed_and_stepped(seconds: float) -> Callable[[Host], None]:
    def happens(agent: Host) -> None:
        agent.clock.step_wall(seconds)
        killed(agent)

    return happens


def stepped(seconds: float) -> Callable[[Host], None]:
    return lambda agent: agent.clock.step_wall(seconds)


def stepped_and_rebooted(agent: Host) -> None:
    agent.clock.step_wall(7200)
    agent.tick()
    agent.clock.reboot(5)
    agent.comes_back()


def rebooted(agent: Host) -> None:
    agent.clock.reboot(5)
    agent.comes_back()


def engine_restarted(agent: Host) -> None:
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.connect(restarted=True)


FATES = [
    killed,
    killed_and_stepped(7200.0),
    killed_and_stepped(-7200.0),
    stepped(7200.0),
    stepped(-7200.0),
    stepped_and_rebooted,
    rebooted,
    engine_restarted,
]
NAMES = [
    "agent killed",
    "and stepped forwards",
    "and backwards",
    "stepped forwards",
    "stepped backwards",
    "stepped, then rebooted",
    "rebooted",
    "engine restarted",
]
WHILE_DOWN = '  - {name: up, select: {name: "*"}, when: status == "exited", cooldown: 0s, then: {restart: {}}}\n'


@pytest.mark.parametrize("fate", FATES, ids=NAMES)
def test_an_open_breaker_survives(fate: Callable[[Host], None]) -> None:
    agent = with_open_breaker(WHILE_DOWN)
    begun = agent.clock.monotonic
    agent.tick(600)
    agent.clear()
    reboots = agent.clock.boot
    fate(agent)
    passed = 600 if agent.clock.boot != reboots else agent.clock.monotonic - begun
    waits(agent, int(HALF_AN_HOUR - passed - 20))
    assert agent.did == []

    waits(agent, 30)
    assert agent.did == [("restart", "web")]
    waits(agent, 12)
    assert notices(agent, "breaker_closed")


@pytest.mark.parametrize("fate", FATES, ids=NAMES)
def test_a_budget_survives(fate: Callable[[Host], None]) -> None:
    agent = host(WHILE_DOWN.replace("then", "backoff: {initial: 0s}, budget: {max: 2, per: 30m}, then"))
    for _ in range(2):
        agent.docker.crash()
        waits(agent, 10)
    assert len(agent.did) == 2
    fate(agent)
    agent.docker.crash()
    waits(agent, 5)

    assert len(agent.did) == 2
    assert opened(agent)


@pytest.mark.parametrize("fate", FATES, ids=NAMES)
def test_a_backoff_survives(fate: Callable[[Host], None]) -> None:
    agent = host(WHILE_DOWN.replace("then", "backoff: {initial: 5m, max: 1h}, then"))
    agent.docker.crash()
    waits(agent, 60)
    fate(agent)
    agent.docker.crash()
    waits(agent, 160)
    assert len(agent.did) == 1
    waits(agent, 200)

    assert len(agent.did) == 2


def test_a_backoff_counts_from_the_end_of_a_restart_that_took_long_also_after_a_kill() -> None:
    agent = host(WHILE_DOWN.replace("then", "backoff: {initial: 2m, max: 1h}, then"))
    agent.docker.crash()
    agent.tick(2)
    (intent,) = agent.open.values()
    agent.begins(intent)
    agent.clock.advance(600)
    agent.docker.do(intent)
    agent.deliver()
    agent.see(ended(intent, Result.SUCCEEDED, agent.clock.wall - 600, agent.clock.wall))
    killed(agent)
    agent.docker.crash()
    waits(agent, 80)
    assert len(agent.did) == 1
    waits(agent, 80)

    assert len(agent.did) == 2


@pytest.mark.parametrize("engine_did_it", [True, False])
def test_a_probe_survives_the_agent(*, engine_did_it: bool) -> None:
    agent = with_open_breaker()
    agent.clear()
    agent.tick(HALF_AN_HOUR)
    (intent,) = agent.open.values()
    agent.begins(intent)
    if engine_did_it:
        agent.docker.do(intent)
    agent.dies(away=2)
    agent.comes_back()
    waits(agent, 1000)

    assert len(agent.did) == (1 if engine_did_it else 2)
    assert notices(agent, "breaker_closed")
    assert not notices(agent, "breaker_open")


def test_a_probe_that_is_looked_at_is_looked_at_on() -> None:
    agent = with_open_breaker()
    waits(agent, HALF_AN_HOUR + 3)
    agent.clear()
    agent.dies(away=2)
    agent.comes_back()
    waits(agent, 20)

    assert notices(agent, "breaker_closed")


def test_recovery_survives_the_agent() -> None:
    agent = host(ON_DIE.replace("then", "cooldown: 0s, then"))
    crash(agent)
    agent.tick(605)
    killed(agent)
    agent.clear()
    crash(agent)
    agent.docker.crash()
    agent.deliver()

    (held,) = [fact for fact in agent.facts if getattr(fact, "guard", None) == "backoff"]
    assert held.numbers["attempts"] == 1  # type: ignore[union-attr] # only Held has a guard


def test_a_store_that_is_lost_is_told_of_open_breakers_again() -> None:
    agent = with_open_breaker(WHILE_DOWN)
    agent.store = FakeStore(install_id=INSTALL_ID)
    agent.see(GapObserved(reason="store_reset", since=agent.clock.wall, until=agent.clock.wall))
    agent.clear()
    killed(agent)
    waits(agent, 1000)

    assert agent.did == []


@pytest.mark.parametrize("value", [{}, {"policy": "x"}, {"since": 5, "policy": "x", "budget": {}, "probe": None}])
def test_a_breaker_that_can_not_be_read_is_closed(value: dict[str, object]) -> None:
    agent = with_open_breaker(WHILE_DOWN)
    agent.remember("breaker", "container\0web", value)
    agent.clear()
    killed(agent)

    assert agent.pipeline.decisions.breaking.breakers.by == {}


def test_what_was_done_more_than_a_day_ago_is_forgotten() -> None:
    agent = host(ON_DIE)
    crash(agent)
    agent.tick(605)
    assert agent.store_records("well")
    agent.clock.advance(86400)
    agent.tick()

    assert not agent.store_records("well")
    assert agent.pipeline.decisions.breaking.ledger.tried() == []


def test_an_action_that_was_not_tried_uses_up_no_budget() -> None:
    agent = host(QUICK.replace("then", "budget: {max: 1, per: 30m}, then"))
    agent.docker.crash()
    agent.deliver()
    agent.docker.start()  # by hand, before the engine is asked
    agent.deliver()
    agent.carry_out()
    (outcome,) = agent.of(Outcome)
    assert outcome.result is Result.ABANDONED
    killed(agent)

    crash(agent)

    assert len(agent.did) == 2


def test_a_policy_that_is_changed_meanwhile_counts_what_was_done() -> None:
    agent = host(QUICK)
    crash(agent)
    crash(agent)
    agent.policies = policy_set(QUICK.replace("then", "budget: {max: 2, per: 30m}, then"))
    agent.see(agent.policies)
    crash(agent)

    assert len(agent.did) == 2
