"""What is wanted: within a cooldown, while it waits, when it is overtaken, when policies or the engine go."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.core import INFO, NOW, Docker, Host, event, now, policy_set
from watchtower_agent.model.commit import Commit, Record
from watchtower_agent.model.decision import Dropped, Edge, Held
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import (
    EngineFound,
    EngineLost,
    EnginePinged,
    EventsObserved,
    GapObserved,
    PoliciesRejected,
)
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope

ON_DIE = '  - {name: revive, select: {name: "*"}, on: {container: die}, then: {restart: {}}}\n'
SICK = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", for: 3s, then: {restart: {}}}\n'
FULL = '  - {name: full, select: {name: "*"}, when: memory.percent > 90%, for: 5s, then: {restart: {}}}\n'
TELL = (
    '  - {name: tell, select: {name: "*"}, on: {container: die}, then: {notify: {severity: critical, message: Look}}}\n'
)
TELL_FULL = '  - {name: tell, select: {name: "*"}, when: memory.percent > 90%, for: 2s, then: {notify: {}}}\n'


def host(policies: str = ON_DIE, mode: str = "enforce") -> Host:
    made = Host(policies, first_start=True, mode=mode)
    made.docker.create(silent=True, check=True)
    made.connect()
    made.clock.advance(60)
    made.clear()
    return made


# --- cooldowns ------------------------------------------------------------------------------------------------------


def crash_loop(agent: Host) -> None:
    agent.docker.crash()
    agent.deliver()
    agent.carry_out()
    agent.docker.crash()
    agent.deliver()


def test_within_the_cooldown_it_waits_and_then_it_is_done() -> None:
    agent = host()
    crash_loop(agent)
    assert agent.did == [("restart", "web")]
    assert agent.guards == ["cooldown"]
    agent.tick(29)
    assert len(agent.did) == 1

    agent.tick(2)

    assert len(agent.did) == 2
    first, second = agent.intents
    assert second.at - first.at >= 30
    assert second.decision.correlation_id != first.decision.correlation_id


@pytest.mark.parametrize(("cooldown", "waits"), [("0s", 0), ("5s", 5), ("2m", 120)])
def test_the_policys_own_cooldown(cooldown: str, waits: int) -> None:
    agent = host(ON_DIE.replace("then", f"cooldown: {cooldown}, backoff: {{initial: 0s}}, then"))
    crash_loop(agent)
    if waits:
        agent.tick(waits - 1)
        assert len(agent.did) == 1
        agent.tick(2)

    assert len(agent.did) == 2


@pytest.mark.parametrize("step", [0.0, 7200.0, -7200.0], ids=["steady", "forwards", "backwards"])
def test_a_step_of_the_wall_clock_changes_no_cooldown(step: float) -> None:
    agent = host()
    crash_loop(agent)
    agent.clock.step_wall(step)
    agent.tick(28)
    assert len(agent.did) == 1
    agent.docker.events.clear()
    agent.docker.crash()

    agent.tick(3)

    assert len(agent.did) == 2


@pytest.mark.parametrize(
    ("away", "step", "more"),
    [(10.0, 0.0, 20), (40.0, 0.0, 0), (10.0, -3600.0, 20), (10.0, 3600.0, 20), (40.0, -3600.0, 0)],
    ids=["the rest of it", "it is over", "the clock was stepped back", "or forwards", "back, and it is over"],
)
def test_a_cooldown_survives_the_agent_and_what_is_done_to_the_wall_clock(away: float, step: float, more: int) -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.carry_out()
    agent.dies(away=away)
    agent.clock.step_wall(step)
    agent.comes_back()
    agent.docker.crash()
    agent.deliver()
    if more:
        assert len(agent.did) == 1
        agent.tick(more - 1)
        assert len(agent.did) == 1
        agent.tick(2)

    assert len(agent.did) == 2


@pytest.mark.parametrize(
    ("off", "step", "more"),
    [(10.0, 0.0, 20), (40.0, 0.0, 0), (10.0, -3600.0, 30)],
    ids=["the rest of it", "it is over", "the clock was stepped back: all of it"],
)
@pytest.mark.parametrize("known", [True, False], ids=["another boot", "boots are not known"])
def test_a_cooldown_survives_the_host(off: float, step: float, more: int, *, known: bool) -> None:
    agent = host()
    agent.clock.boot = "boot-1" if known else ""
    agent.docker.crash()
    agent.deliver()
    agent.carry_out()
    agent.clock.reboot(off)
    agent.clock.boot = agent.clock.boot if known else ""
    agent.clock.step_wall(step)
    agent.comes_back()
    agent.docker.crash()
    agent.deliver()
    if more:
        assert len(agent.did) == 1
        agent.tick(more - 1)
        assert len(agent.did) == 1
        agent.tick(2)

    assert len(agent.did) == 2


@pytest.mark.parametrize("stored", [{}, {"monotonic": "x", "boot": "boot-1"}, {"monotonic": 5e9, "boot": "boot-1"}])
def test_a_cooldown_of_which_the_monotonic_moment_is_not_known_goes_by_the_wall_clock(
    stored: dict[str, object],
) -> None:
    agent = host()
    value = {"at": agent.clock.wall - 20, **stored}
    now(agent.store.commit(Commit(records=(Record(kind="cooldown", key="revive\0web", value=value),))))
    agent.comes_back()
    agent.docker.crash()
    agent.deliver()

    agent.tick(9)
    assert agent.did == []
    agent.tick(2)
    assert agent.did == [("restart", "web")]


def test_a_health_check_asks_no_guard_again() -> None:
    agent = host()
    crash_loop(agent)

    def asked() -> float | None:
        (waiting,) = agent.pipeline.decisions.agenda.waiting.values()
        assert waiting.held is not None
        return waiting.held.at

    before = asked()
    agent.clock.advance(1)
    agent.docker.tell("exec_start", detail="curl localhost")
    agent.read()
    assert asked() == before
    agent.docker.tell("rename", oldName="/web")
    agent.read()
    assert asked() == agent.clock.wall


def test_what_comes_with_a_health_check_is_asked_about_and_remembered() -> None:
    agent = host("  - {name: tell, on: {agent: resumed}, then: {notify: {}}}\n")
    agent.tick(3)
    agent.see(PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="web"), length=0.5))
    agent.clock.advance(0.6)
    agent.docker.tell("exec_start", detail="curl localhost")
    agent.read()

    assert [told.decision.policy for told in agent.told] == ["tell"]


def test_what_the_engine_was_not_asked_for_leaves_no_cooldown() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    (intent,) = agent.open.values()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.see(agent.attempt(intent))
    assert agent.guards == ["engine_down"]
    assert "cooldown" not in now(agent.store.load()).records
    agent.clock.advance(2)
    agent.connect()

    assert agent.did == [("restart", "web")] * 2
    assert "cooldown" not in agent.guards


def test_of_one_that_was_not_asked_for_the_cooldown_of_the_last_one_goes_on() -> None:
    agent = host(ON_DIE.replace("then", "cooldown: 1m, backoff: {initial: 0s}, then"))
    crash_loop(agent)
    agent.tick(57)
    assert len(agent.did) == 1
    agent.tick(4)
    (intent,) = agent.open.values()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.see(agent.attempt(intent))
    before = now(agent.store.load()).records["cooldown"]["revive\0web"]
    assert before["at"] == pytest.approx(agent.intents[0].at, abs=1)


def test_a_cooldown_counts_from_the_intent_on_if_the_agent_ends_right_after_it() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    assert len(agent.did) == 1
    agent.dies(away=20)
    agent.comes_back()
    agent.tick(5)
    assert len(agent.did) == 1
    assert agent.guards[-1] == "cooldown"
    agent.tick(40)
    assert len(agent.did) == 2


def test_cooldowns_that_are_over_are_not_kept_for_ever() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.carry_out()
    assert now(agent.store.load()).records["cooldown"]
    agent.tick(32)

    assert "cooldown" not in now(agent.store.load()).records


# --- what waits -----------------------------------------------------------------------------------------------------


def test_a_held_decision_is_told_once_not_at_every_tick() -> None:
    agent = host()
    crash_loop(agent)
    agent.tick(20)

    assert len(agent.of(Held)) == 1


@pytest.mark.parametrize(("passed", "dropped"), [(15 * 60 - 1, False), (15 * 60 + 1, True)])
def test_a_held_decision_waits_for_15_minutes(passed: int, *, dropped: bool) -> None:
    agent = host()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.docker.crash()
    agent.read()
    agent.clock.advance(passed)
    agent.see()

    assert [each.reason for each in agent.of(Dropped)] == (["it waited for 15 min"] if dropped else [])
    agent.connect()
    assert bool(agent.did) is not dropped


@pytest.mark.parametrize(("again_after", "done"), [(None, False), (14 * 60, True), (16 * 60, True)])
def test_what_a_newer_event_wants_too_waits_from_then_on(again_after: int | None, *, done: bool) -> None:
    agent = host(ON_DIE.replace("die", "oom"))
    agent.see(PauseAsked(what=Paused(scope=PauseScope.AGENT), length=20 * 60.0))
    agent.docker.oom()
    agent.deliver()
    if again_after is not None:
        agent.tick(again_after)
        agent.docker.oom()
        agent.deliver()
    agent.dies()
    agent.comes_back()
    agent.tick(21 * 60 - (again_after or 0))

    assert bool(agent.did) is done
    assert agent.waiting == []
    first_is_late = again_after is None or again_after > 15 * 60
    assert [each.reason for each in agent.of(Dropped)] == ["it waited for 15 min"] * first_is_late


@pytest.mark.parametrize(
    ("overtaken_by", "reason"),
    [
        (lambda docker: docker.start(), "web has been started meanwhile"),
        (lambda docker: docker.remove(), "web was removed"),
    ],
)
def test_a_held_decision_is_obsolete_when(overtaken_by: Callable[[Docker], None], reason: str) -> None:
    agent = host()
    crash_loop(agent)
    overtaken_by(agent.docker)
    agent.deliver()
    agent.tick(60)

    assert [each.reason for each in agent.of(Dropped)] == [reason]
    assert len(agent.did) == 1


@pytest.mark.parametrize("batched", [True, False])
def test_a_newer_crash_takes_the_place_of_one_that_was_overtaken(*, batched: bool) -> None:
    agent = host()
    crash_loop(agent)
    agent.clock.advance(5)
    agent.docker.start()
    agent.docker.crash(code=7)
    agent.deliver(one_by_one=not batched)
    agent.tick(30)

    assert len(agent.did) == 2
    assert agent.intents[1].decision.numbers["exit_code"] == 7
    assert [each.reason for each in agent.of(Dropped)] == ["web has been started meanwhile"]


def test_a_pending_decision_survives_the_agent() -> None:
    agent = host()
    crash_loop(agent)
    waiting = agent.wanted[-1]
    agent.dies(away=5)
    agent.comes_back()
    assert agent.waiting == ["revive"]
    agent.tick(30)

    assert agent.did[-1] == ("restart", "web")
    assert agent.intents[-1].decision == waiting
    assert "pending" not in now(agent.store.load()).records


def test_a_pending_decision_waits_for_its_policies() -> None:
    agent = host()
    crash_loop(agent)
    agent.clock.advance(40)
    agent.policies = policy_set("")
    agent.comes_back()
    assert agent.waiting == []
    assert "not in force any more" in agent.of(Dropped)[-1].reason


def test_a_pending_decision_waits_until_the_policies_were_read() -> None:
    agent = host()
    crash_loop(agent)
    agent.clock.advance(40)
    agent.comes_back(with_policies=False)
    assert agent.waiting == ["revive"]
    agent.see(agent.policies)

    assert agent.did == [("restart", "web")] * 2


@pytest.mark.parametrize(("away", "kept"), [(14 * 60, True), (16 * 60, False)])
def test_a_pending_decision_does_not_survive_its_15_minutes(away: float, *, kept: bool) -> None:
    agent = host()
    crash_loop(agent)
    agent.dies(away=away)
    agent.comes_back()
    agent.tick(1)

    assert len(agent.did) == (2 if kept else 1)


def test_what_comes_while_an_action_is_under_way_waits_and_is_not_forgotten_by_a_crash() -> None:
    agent = host(ON_DIE + '  - {name: other, select: {name: "*"}, on: {container: oom}, then: {restart: {}}}\n')
    agent.docker.crash()
    agent.deliver()
    agent.docker.start()
    agent.docker.oom()
    agent.deliver()

    assert "other" in agent.waiting
    assert [key for key in now(agent.store.load()).records["pending"] if key.startswith("other")]


@pytest.mark.parametrize("outcome_first", [True, False])
def test_two_policies_do_not_restart_it_twice_for_one_crash(*, outcome_first: bool) -> None:
    agent = host(ON_DIE + ON_DIE.replace("revive", "other"))
    agent.docker.crash()
    agent.deliver()
    agent.carry_out(outcome_first=outcome_first)
    agent.tick(3)

    assert len(agent.did) == 1
    assert [each.decision.policy for each in agent.of(Dropped)] == ["other"]


def test_after_a_restart_the_timers_of_every_condition_start_anew() -> None:
    agent = host(SICK + FULL.replace("5s", "3s"))
    agent.docker.health()
    agent.deliver()
    agent.tick(4, memory_percent=95.0)
    assert agent.did == [("restart", "web")]
    assert [each.reason for each in agent.of(Dropped)] == ["policy heal did a restart of web meanwhile"]
    agent.carry_out()
    agent.tick(3, memory_percent=95.0)
    assert [decision.policy for decision in agent.wanted] == ["heal", "full"]
    agent.tick(1, memory_percent=95.0)  # three seconds after the first tick of the new life

    assert [decision.policy for decision in agent.wanted] == ["heal", "full", "full"]


# --- policies change ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ("", "policy revive is not in force any more"),
        (ON_DIE.replace("then", "mode: off, then"), "policy revive is not in force any more"),
        (ON_DIE.replace("restart", "stop"), "policy revive does not restart any more"),
        (ON_DIE.replace('"*"', '"db*"'), "policy revive does not select web any more"),
    ],
)
def test_what_waits_is_dropped_when_its_policy_is_taken_back(after: str, reason: str) -> None:
    agent = host()
    crash_loop(agent)

    agent.see(policy_set(after))
    agent.tick(40)

    assert len(agent.did) == 1
    assert [each.reason for each in agent.of(Dropped)] == [reason]


def test_an_action_that_waits_for_its_turn_is_given_up_when_the_policy_is_taken_back() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.see(policy_set(ON_DIE.replace("then", "mode: off, then")))

    (outcome,) = agent.carry_out()

    assert outcome.result is Result.ABANDONED
    assert agent.docker.find("web").status == "exited"


def test_rejected_policies_keep_the_last_good_set() -> None:
    agent = host()
    agent.see(PoliciesRejected(problems=("a.yaml:1:1: no", "b.yaml:1:1: no"), at=NOW))
    assert agent.pipeline.problems == ("a.yaml:1:1: no", "b.yaml:1:1: no")
    assert "the last good set keeps running. The first: a.yaml:1:1: no" in agent.of(Notice)[-1].reason
    agent.docker.crash()
    agent.deliver()

    assert agent.did == [("restart", "web")]
    agent.see(policy_set(ON_DIE))
    assert not agent.pipeline.problems


def test_a_changed_or_removed_condition_resolves_what_it_had_fired() -> None:
    agent = host(TELL_FULL)
    agent.tick(4, memory_percent=95.0)
    agent.see(policy_set(TELL_FULL.replace("90%", "80%")))
    agent.tick(4, memory_percent=95.0)
    agent.see(policy_set(""))

    edges = agent.of(Edge)
    assert [edge.firing for edge in edges] == [True, False, True, False]
    assert edges[1].reason == "the policy was changed"
    assert edges[3].reason == "the policy is not in force any more"
    assert edges[0].correlation_id == edges[1].correlation_id != edges[2].correlation_id


# --- the engine -----------------------------------------------------------------------------------------------------


def test_nothing_is_done_while_the_engine_is_down_and_it_is_done_afterwards() -> None:
    agent = host()
    agent.see(EngineLost(reason="socket closed", at=agent.clock.wall))
    agent.docker.crash()
    agent.read()
    agent.tick(3)
    assert agent.did == []
    assert agent.guards == ["engine_down"]
    assert "socket closed" in agent.of(Held)[0].reason

    agent.connect()

    assert agent.did == [("restart", "web")]


@pytest.mark.parametrize("sign", ["ping", "event", "listing", "inspection"])
def test_an_engine_that_says_nothing_is_not_acted_on_until_it_does(sign: str) -> None:
    agent = host(FULL)
    for _ in range(20):  # its stream is open, its pings do not come back; the samples go on
        agent.clock.advance(1.0)
        agent.see(agent.sample({"memory_percent": 95.0} if agent.clock.wall > NOW + 68 else {}))
    assert agent.did == []
    assert agent.guards == ["stale"]
    assert agent.of(Held)[0].numbers["silence_allowed"] == 15.0

    agent.see(EventsObserved(events=(event("exec_start", at=agent.clock.wall - 20, position=99),), lag=20.0))
    assert agent.did == [], "that it lived when it said so is no news"

    match sign:
        case "ping":
            agent.ping()
        case "event":
            agent.docker.create("other")
            agent.read()
        case "listing":
            agent.relist()
        case _:
            agent.inspect()

    assert agent.did == [("restart", "web")]


def test_events_that_were_lost_make_the_picture_stale_until_the_next_listing() -> None:
    agent = host()
    agent.docker.crash()
    agent.see(GapObserved(reason="audit", since=NOW - 3600, until=NOW - 3500, count=1))
    agent.read()
    assert agent.did == []
    assert agent.guards == ["stale"]

    agent.relist()

    assert agent.did == [("restart", "web")]


@pytest.mark.parametrize("cause", ["outbox_overflow", "dead_letter"])
def test_events_that_only_subscribers_miss_make_nothing_stale(cause: str) -> None:
    agent = host()
    agent.see(GapObserved(reason=cause, since=agent.clock.wall - 5, until=agent.clock.wall, count=9))
    agent.docker.crash()
    agent.read()

    assert agent.did == [("restart", "web")]


@pytest.mark.parametrize("told", [True, False], ids=["told as a loss", "too short to be told"])
def test_after_an_outage_nothing_is_done_before_the_listing(*, told: bool) -> None:
    agent = host()
    if told:
        agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.see(EngineFound(info=INFO, restarted=False, at=agent.clock.wall))
    agent.docker.crash()
    agent.read()
    assert agent.did == []
    assert agent.guards == ["stale"]

    agent.relist()

    assert agent.did == [("restart", "web")]


def test_lost_and_found_are_events_with_the_duration() -> None:
    agent = host()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.clock.advance(12.5)
    agent.see(EngineFound(info=INFO, restarted=True, at=agent.clock.wall))
    agent.see(EnginePinged(latency=0.01, at=agent.clock.wall))
    agent.relist()

    down, up = (each for each in agent.published() if each["topic"].split("/")[4] == "engine")
    assert (down["severity"], down["data"]["error"]) == ("critical", "gone")
    assert up["data"]["down_seconds"] == 12.5
    assert "it was restarted" in up["data"]["reason"]
    assert agent.pipeline.state.engine.restarts == 1
    assert agent.pipeline.state.engine.latency == 0.01


def test_conditions_about_containers_are_unknown_while_the_engine_is_lost() -> None:
    agent = host(SICK)
    agent.docker.health()
    agent.deliver()
    agent.tick(1)
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.tick(10)
    assert agent.wanted == []
    agent.connect()
    agent.tick(2)
    assert agent.wanted == []

    agent.tick(2)

    assert len(agent.wanted) == 1


def test_an_action_asked_about_again_when_the_engine_has_just_gone_is_wanted_still() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    (outcome,) = agent.carry_out()
    assert (outcome.result, outcome.numbers["guard"]) == (Result.ABANDONED, "engine_down")
    assert agent.waiting == ["revive"]
    agent.connect()
    agent.tick(31)

    assert agent.did == [("restart", "web")] * 2
    first, second = agent.intents
    assert first.decision.id != second.decision.id
    assert first.decision.correlation_id == second.decision.correlation_id


def test_a_failed_action_is_told_and_its_cooldown_counts() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    intent = agent.intents[0]
    agent.see(
        Outcome(decision=intent.decision, result=Result.FAILED, reason="no space", started_at=NOW, finished_at=NOW)
    )
    agent.docker.start()
    agent.docker.crash()
    agent.deliver()

    assert [each["severity"] for each in agent.published() if "/action/failed/" in each["topic"]] == ["warning"]
    assert agent.guards == ["cooldown"]


# --- what has changed since the last tick -----------------------------------------------------------------------------

UP = '  - {name: up, select: {name: "*"}, when: status == "exited", for: 1s, then: {restart: {}}}\n'


def test_what_a_person_starts_again_is_not_acted_on_for_what_it_was_at_the_last_tick() -> None:
    agent = host(UP)
    agent.docker.stop()
    agent.deliver()
    agent.tick(5)
    assert agent.guards == ["operator_intent"]
    agent.docker.start()
    agent.deliver()
    assert agent.wanted == [agent.of_guard("operator_intent")[0].decision]
    assert not agent.of(Outcome)
    agent.tick(5)
    agent.carry_out()
    assert agent.did == []
    assert [each.reason for each in agent.of(Dropped)] == ["its condition does not hold any more"]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_restart_by_hand_while_the_agent_waits_sets_nothing_off(*, one_by_one: bool) -> None:
    agent = host(UP)
    agent.docker.stop()
    agent.deliver()
    agent.tick(3)
    agent.docker.restart()
    agent.deliver(one_by_one=one_by_one)
    agent.tick(3)
    agent.carry_out()
    assert agent.did == []


def test_just_before_the_write_the_condition_is_asked_once_more() -> None:
    agent = host(UP)
    agent.docker.crash()
    agent.deliver()
    agent.tick(3)
    (intent,) = agent.intents
    agent.docker.start()
    agent.read()
    dropped = agent.pipeline.recheck(intent, agent.clock.now())
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "its condition does not hold any more"


def test_what_is_not_known_at_this_moment_is_waited_for_and_not_acted_on() -> None:
    agent = Host(FULL.replace("for: 5s, then", "cooldown: 20s, backoff: {initial: 0s}, then"), first_start=True)
    agent.docker.create(silent=True)
    agent.connect()
    agent.clock.advance(60)
    agent.tick(2, memory_percent=95.0)
    agent.carry_out()
    agent.tick(19, memory_percent=95.0)
    assert agent.guards == ["cooldown"]
    assert agent.did == [("restart", "web")]
    agent.docker.crash()
    agent.docker.start()  # another life, of which nothing was sampled yet
    agent.deliver()
    agent.clock.advance(1)
    agent.see()
    assert agent.did == [("restart", "web")]
    agent.tick(2, memory_percent=95.0)
    assert agent.did == [("restart", "web")] * 2


# --- inspections ----------------------------------------------------------------------------------------------------


def test_what_waits_for_an_inspection_does_not_put_it_off_by_asking_at_every_tick() -> None:
    agent = host()
    made = agent.docker.create("new")
    agent.docker.crash("new")
    agent.read()
    (held,) = agent.of_guard("stale")
    assert "has not been inspected yet" in held.reason
    asked = 0
    for _ in range(30):  # samples every 100 ms; an inspection waits until nobody has asked for 200 ms
        agent.to_inspect.clear()
        agent.clock.advance(0.1)
        agent.see(agent.sample({}))
        asked += made.id in agent.to_inspect

    assert asked == 3
    agent.to_inspect[made.id] = None
    agent.inspect()
    assert agent.did == [("restart", "new")]
