"""A container gets another name: what was counted for it goes on counting, and the old name keeps it as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.approving import HEAL, answer, sick
from tests.support.core import NOW, Host, container_id, now
from watchtower_agent.loop import approval_answers
from watchtower_agent.model.approval import Approval, ApprovalState
from watchtower_agent.model.commit import Record
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Held
from watchtower_agent.model.observation import GapObserved
from watchtower_agent.model.outcome import Outcome
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope, ResumeAsked
from watchtower_agent.policies.guards.ledger import HOST
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.guards.renames import MOST_NAMES
from watchtower_agent.policies.policy import Budget

BARE = '  - {{name: revive, select: {{name: "*"}}, on: {{container: die}}, then: {{restart: {{}}}}, {keys}}}\n'
ON_DIE = BARE.format(keys="cooldown: 0s, backoff: {initial: 0s}")
STUBBORN = BARE.format(keys="cooldown: 0s, backoff: {initial: 0s}, restart_stopped: true")
SLOW = BARE.format(keys="cooldown: 10m, backoff: {initial: 0s}")
PATIENT = BARE.format(keys="cooldown: 0s, backoff: {initial: 60s}")
NO_HOST = Protection(host_budget=Budget(most=1000, per=1.0))


def host(policies: str = ON_DIE, *names: str, protection: Protection = NO_HOST, check: bool = False) -> Host:
    made = Host(policies, first_start=True, protection=protection)
    for name in names or ("web",):
        made.docker.create(name, silent=True, check=check)
    made.connect()
    made.clock.advance(60)
    made.clear()
    return made


def rename(agent: Host, old: str, new: str) -> None:
    agent.docker.rename(old, new)
    agent.deliver()


def crash(agent: Host, name: str, times: int = 1) -> None:
    """It ends by itself so often, and what is wanted then is done."""
    for _ in range(times):
        agent.docker.crash(name)
        agent.deliver()
        agent.carry_out()
        agent.tick()


def recreate(agent: Host, name: str, number: int = 1) -> None:
    """There is none of that name; another container gets it."""
    agent.docker.create(name, identity=container_id(f"{name}-{number}"))
    agent.deliver()
    agent.tick()


def holds(agent: Host) -> list[tuple[str, str]]:
    """Guard and target of everything that is held."""
    return [(held.guard.value, held.decision.target.name) for held in agent.of(Held)]


def breakers(agent: Host) -> dict[str, str]:
    return {str(each["name"]): str(each["phase"]) for each in agent.pipeline.decisions.breaking.told(agent.clock.now())}


def attempts(agent: Host, name: str) -> int:
    return len(agent.pipeline.decisions.breaking.ledger.attempts(name))


def kept(agent: Host, kind: str) -> dict[str, object]:
    """What the store has of that kind."""
    return dict(now(agent.store.load()).records.get(kind, {}))


# --- each of what is counted ------------------------------------------------------------------------------------------


def test_a_budget_goes_along_and_stays() -> None:
    agent = host()
    crash(agent, "web", 3)
    rename(agent, "web", "shop")
    crash(agent, "shop", 2)
    assert len(agent.did) == 5

    agent.docker.crash("shop")
    agent.deliver()
    assert holds(agent) == [("breaker", "shop")]

    recreate(agent, "web")
    crash(agent, "web", 2)
    assert len(agent.did) == 7
    agent.docker.crash("web")
    agent.deliver()
    assert holds(agent) == [("breaker", "shop"), ("breaker", "web")]


def test_what_is_done_to_who_has_the_old_name_now_is_not_the_renamed_ones() -> None:
    agent = host()
    crash(agent, "web", 2)
    rename(agent, "web", "shop")
    recreate(agent, "web")
    crash(agent, "web", 3)
    crash(agent, "shop", 3)
    assert len(agent.did) == 8
    assert breakers(agent) == {}


def test_the_host_counts_each_action_once() -> None:
    agent = host()
    crash(agent, "web", 3)
    rename(agent, "web", "shop")
    crash(agent, "shop")
    assert len(agent.pipeline.decisions.breaking.ledger.newest(HOST, 100, 0.0)) == 4


def test_a_cooldown_goes_along() -> None:
    agent = host(SLOW)
    crash(agent, "web")
    rename(agent, "web", "shop")
    crash(agent, "shop")
    assert holds(agent) == [("cooldown", "shop")]
    recreate(agent, "web")
    crash(agent, "web")
    assert holds(agent) == [("cooldown", "shop"), ("cooldown", "web")]


def test_a_later_cooldown_of_the_new_name_stays() -> None:
    agent = host(SLOW, "web", "shop")
    crash(agent, "web")
    agent.clock.advance(300)
    crash(agent, "shop")
    agent.docker.remove("shop", force=True)
    rename(agent, "web", "shop")
    agent.clock.advance(300)
    crash(agent, "shop")
    assert holds(agent) == [("cooldown", "shop")]


def test_a_backoff_goes_along() -> None:
    agent = host(PATIENT)
    crash(agent, "web")
    rename(agent, "web", "shop")
    crash(agent, "shop")
    (held,) = agent.of(Held)
    assert (held.guard.value, held.numbers["attempts"]) == ("backoff", 1)


@pytest.mark.parametrize("recovers", ["before", "after"])
def test_who_was_well_for_long_enough_starts_anew_under_either_name(recovers: str) -> None:
    agent = host(PATIENT)
    crash(agent, "web")
    if recovers == "before":
        agent.tick(620)
        rename(agent, "web", "shop")
    else:
        rename(agent, "web", "shop")
        agent.tick(620)
    agent.tick()
    assert attempts(agent, "shop") == 0
    crash(agent, "shop")
    assert attempts(agent, "shop") == 1


def test_a_rename_is_no_break_in_being_well() -> None:
    agent = host(PATIENT)
    crash(agent, "web")
    agent.tick(400)
    rename(agent, "web", "shop")
    agent.tick(220)
    assert attempts(agent, "shop") == 0


def test_that_its_old_name_recovers_later_forgives_the_renamed_one_nothing() -> None:
    agent = host(PATIENT)
    crash(agent, "web")
    rename(agent, "web", "shop")
    agent.docker.stop("shop")
    recreate(agent, "web")
    agent.tick(700)
    assert [attempts(agent, name) for name in ("web", "shop")] == [0, 1]


def test_an_open_breaker_goes_along_and_stays() -> None:
    agent = host()
    crash(agent, "web", 6)
    rename(agent, "web", "shop")
    assert breakers(agent) == {"web": "open", "shop": "open"}
    assert set(kept(agent, "breaker")) == {"container\0web", "container\0shop"}


def test_of_two_open_breakers_the_one_that_holds_for_longer_goes_along() -> None:
    agent = host(ON_DIE, "web", "shop")
    crash(agent, "shop", 6)
    agent.clock.advance(600)
    crash(agent, "web", 6)
    agent.docker.remove("shop", force=True)
    rename(agent, "web", "shop")
    since = {each["name"]: each["since"] for each in agent.pipeline.decisions.breaking.told(agent.clock.now())}
    assert since["shop"] == since["web"]


def test_that_it_is_wanted_again_under_another_name_tells_that_it_did_not_help() -> None:
    agent = host(protection=Protection(host_budget=Budget(most=1, per=600.0)))
    crash(agent, "web")
    rename(agent, "web", "shop")
    crash(agent, "shop")
    (told,) = agent.pipeline.decisions.breaking.told(agent.clock.now())
    assert told["cause"] == "1 action on this host within 10m did not help"


def test_what_waits_for_an_open_breaker_is_tried_under_the_new_name() -> None:
    agent = host()
    crash(agent, "web", 6)
    rename(agent, "web", "shop")
    agent.clock.advance(1801)
    agent.tick()
    assert agent.did[5:] == [("restart", "shop")]


def test_a_probe_closes_the_breaker_under_both_names() -> None:
    agent = host(ON_DIE, check=True)
    crash(agent, "web", 6)
    agent.clock.advance(1801)
    agent.tick()
    agent.carry_out()
    assert breakers(agent) == {"web": "half_open"}
    rename(agent, "web", "shop")
    assert breakers(agent) == {"web": "half_open", "shop": "half_open"}
    agent.docker.health("shop", Health.HEALTHY)
    agent.deliver()
    agent.tick()
    assert breakers(agent) == {}


def test_a_pause_goes_along_and_each_name_is_told_to_go_on() -> None:
    agent = host()
    agent.see(PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="web"), length=600.0))
    rename(agent, "web", "shop")
    crash(agent, "shop")
    assert holds(agent) == [("paused", "shop")]

    agent.see(ResumeAsked(what=Paused(scope=PauseScope.CONTAINER, name="shop")))
    agent.tick()
    assert agent.did == [("restart", "shop")]
    assert [pause["name"] for pause in agent.pipeline.pausing.told(agent.clock.now())] == ["web"]


def test_the_longer_of_two_pauses_counts() -> None:
    agent = host(ON_DIE, "web", "shop")
    agent.see(
        PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="web"), length=60.0),
        PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="shop"), length=600.0),
    )
    agent.docker.remove("shop", force=True)
    rename(agent, "web", "shop")
    left = {pause["name"]: pause["left"] for pause in agent.pipeline.pausing.told(agent.clock.now())}
    assert left == {"web": pytest.approx(60, abs=1), "shop": pytest.approx(600, abs=1)}


# --- while something is done ------------------------------------------------------------------------------------------


def test_what_is_under_way_counts_under_both_names_from_its_end() -> None:
    agent = host(SLOW)
    agent.docker.crash("web")
    agent.deliver()
    agent.tick()
    assert agent.did == [("restart", "web")]
    rename(agent, "web", "shop")
    agent.tick(20)
    agent.carry_out()
    last = agent.pipeline.decisions.cooling.cooldowns.last
    assert {name: at.monotonic for (_, name), at in last.items()} == dict.fromkeys(
        ("web", "shop"), agent.clock.monotonic
    )
    assert [attempts(agent, name) for name in ("web", "shop")] == [1, 1]


def test_of_what_was_not_even_tried_no_cooldown_is_left_under_either_name() -> None:
    agent = host(SLOW)
    agent.docker.crash("web")
    agent.deliver()
    agent.tick()
    assert agent.did == [("restart", "web")]
    rename(agent, "web", "shop")
    agent.docker.start("shop")
    agent.deliver()
    (outcome,) = agent.carry_out()
    assert outcome.result.value == "abandoned"
    assert agent.pipeline.decisions.cooling.cooldowns.last == {}
    assert kept(agent, "cooldown") == {}


def test_what_begins_after_a_pause_of_the_new_name_is_stopped() -> None:
    agent = host()
    agent.docker.crash("web")
    agent.deliver()
    agent.tick()
    assert agent.did == [("restart", "web")]
    rename(agent, "web", "shop")
    agent.see(PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="shop"), length=600.0))
    (outcome,) = agent.carry_out()
    assert outcome.numbers["guard"] == "paused"


def test_whether_it_helped_is_told_of_the_renamed_one_and_not_of_who_has_its_name() -> None:
    agent = host(ON_DIE, check=True)
    crash(agent, "web")
    rename(agent, "web", "shop")
    recreate(agent, "web")
    agent.tick(60)
    (outcome,) = [each for each in agent.of(Outcome) if each.result.value == "ineffective"]
    assert "health" in outcome.numbers or "status" in outcome.numbers
    assert outcome.decision.target.id == container_id("web")


# --- chains, swaps, Compose, storms -----------------------------------------------------------------------------------


def test_a_chain_of_names_keeps_all_and_leaves_nothing_on_the_way() -> None:
    agent = host()
    crash(agent, "web", 6)
    agent.see(PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="web"), length=600.0))
    for old, new in (("web", "a"), ("a", "b"), ("b", "shop")):
        rename(agent, old, new)
    assert [attempts(agent, name) for name in ("web", "a", "b", "shop")] == [5, 0, 0, 5]
    assert breakers(agent) == {"web": "open", "shop": "open"}
    assert [pause["name"] for pause in agent.pipeline.pausing.told(agent.clock.now())] == ["web", "shop"]
    assert set(kept(agent, "renamed")) == {"shop"}


@pytest.mark.parametrize("policies", [ON_DIE, SLOW], ids=["pause alone", "cooldown as well"])
def test_no_pause_and_no_cooldown_is_left_on_the_way(policies: str) -> None:
    agent = host(policies)
    if policies == SLOW:
        crash(agent, "web")
    agent.see(PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="web"), length=600.0))
    for old, new in (("web", "a"), ("a", "b"), ("b", "shop")):
        rename(agent, old, new)
    assert set(kept(agent, "pause")) == {"container\0web", "container\0shop"}
    assert set(kept(agent, "cooldown")) == ({"revive\0web", "revive\0shop"} if policies == SLOW else set())


def test_a_name_on_the_way_keeps_what_was_done_under_it() -> None:
    agent = host()
    crash(agent, "web", 2)
    rename(agent, "web", "a")
    crash(agent, "a", 2)
    rename(agent, "a", "shop")
    crash(agent, "shop", 2)
    assert (len(agent.did), breakers(agent)) == (5, {"shop": "open"})
    recreate(agent, "a")
    crash(agent, "a", 2)
    assert (len(agent.did), breakers(agent)) == (6, {"shop": "open", "a": "open"})


def test_a_name_that_is_given_up_twice_counts_up_to_the_second_time() -> None:
    agent = host(STUBBORN)
    crash(agent, "web", 2)
    rename(agent, "web", "shop")
    agent.docker.remove("shop", force=True)
    recreate(agent, "web")
    crash(agent, "web", 2)
    rename(agent, "web", "shop")
    assert attempts(agent, "shop") == 4


def test_there_and_back_changes_nothing() -> None:
    agent = host()
    crash(agent, "web", 3)
    rename(agent, "web", "shop")
    rename(agent, "shop", "web")
    assert kept(agent, "renamed") == {}
    crash(agent, "web", 3)
    assert (len(agent.did), breakers(agent)) == (5, {"web": "open"})


def test_what_was_done_under_another_name_counts_when_it_is_back() -> None:
    agent = host()
    crash(agent, "web", 2)
    rename(agent, "web", "shop")
    crash(agent, "shop", 2)
    rename(agent, "shop", "web")
    crash(agent, "web", 2)
    assert (len(agent.did), breakers(agent)) == (5, {"web": "open"})


@pytest.mark.parametrize("heard", [True, False], ids=["heard", "found out"])
def test_a_swap_takes_the_breaker_along(*, heard: bool) -> None:
    agent = host(ON_DIE, "web", "shop")
    crash(agent, "web", 6)
    crash(agent, "shop", 1)
    for old, new in (("web", "tmp"), ("shop", "web"), ("tmp", "shop")):
        agent.docker.rename(old, new)
    if not heard:
        agent.docker.lose_events()
        agent.relist()
    agent.deliver()
    assert breakers(agent) == {"web": "open", "shop": "open"}
    assert [attempts(agent, name) for name in ("web", "shop")] == [6, 6]


@pytest.mark.parametrize("first", ["old is renamed", "new is renamed"])
def test_composes_recreate_changes_nothing(first: str) -> None:
    agent = host()
    crash(agent, "web", 6)
    if first == "old is renamed":
        rename(agent, "web", "0123456789ab_web")
        recreate(agent, "web")
        agent.docker.remove("0123456789ab_web", force=True)
    else:
        recreate(agent, "0123456789ab_web")
        agent.docker.remove("web", force=True)
        rename(agent, "0123456789ab_web", "web")
    agent.deliver()
    agent.clear()
    crash(agent, "web")
    assert (holds(agent), agent.did[5:]) == ([("breaker", "web")], [])


def test_a_thousand_renames_leave_little() -> None:
    agent = host()
    crash(agent, "web", 6)
    agent.see(PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="web"), length=600.0))
    name = "web"
    for number in range(1000):
        name, old = f"web-{number}", name
        agent.docker.rename(old, name)
    agent.deliver()
    counted = {kind: len(kept(agent, kind)) for kind in ("breaker", "cooldown", "pause", "renamed")}
    assert counted == {"breaker": 2, "cooldown": 2, "pause": 2, "renamed": 1}
    assert set(breakers(agent)) == {"web", name}


def test_no_more_names_are_remembered_than_may_be() -> None:
    agent = host()
    renames = agent.pipeline.decisions.breaking.ledger.renames
    for number in range(MOST_NAMES):
        renames.by[f"made-up-{number}"] = {}
    crash(agent, "web")
    rename(agent, "web", "shop")
    assert "shop" in renames.by
    assert len(renames.by) <= MOST_NAMES


def test_who_was_never_acted_on_leaves_no_record() -> None:
    agent = host()
    rename(agent, "web", "shop")
    assert kept(agent, "renamed") == {}


# --- over restarts ----------------------------------------------------------------------------------------------------


def renamed_while_it_runs(agent: Host) -> None:
    rename(agent, "web", "shop")
    agent.dies()
    agent.comes_back()


def renamed_while_it_is_away(agent: Host) -> None:
    agent.dies()
    agent.docker.rename("web", "shop")
    agent.comes_back()


def renamed_and_nobody_heard(agent: Host) -> None:
    agent.dies()
    agent.docker.rename("web", "shop")
    agent.comes_back(lost=True)


def renamed_and_the_store_is_lost(agent: Host) -> None:
    rename(agent, "web", "shop")
    lost = kept(agent, "renamed")
    agent.pipeline.publication.out.records.append(Record(kind="renamed", key="shop", value=None))
    agent.tick()
    assert kept(agent, "renamed") == {}
    agent.see(GapObserved(reason="store_reset", since=NOW, until=NOW))
    assert kept(agent, "renamed") == lost
    agent.dies()
    agent.comes_back()


@pytest.mark.parametrize(
    "renamed",
    [renamed_while_it_runs, renamed_while_it_is_away, renamed_and_nobody_heard, renamed_and_the_store_is_lost],
)
def test_an_agent_that_comes_back_counts_on(renamed: Callable[[Host], None]) -> None:
    agent = host(STUBBORN)  # who may have ended a life that began in a gap is not known
    crash(agent, "web", 3)
    renamed(agent)
    crash(agent, "shop", 2)
    assert len(agent.did) == 5
    agent.dies()
    agent.comes_back()
    agent.docker.crash("shop")
    agent.deliver()
    assert (len(agent.did), breakers(agent)) == (5, {"shop": "open"})
    agent.dies()
    agent.comes_back()
    assert breakers(agent) == {"shop": "open"}


def test_what_is_under_way_when_the_agent_dies_counts_under_the_new_name() -> None:
    agent = host(PATIENT)
    agent.docker.crash("web")
    agent.deliver()
    agent.begins(agent.intents[0])
    agent.docker.rename("web", "shop")
    agent.clock.advance(5)
    agent.docker.restart("shop")
    agent.dies(5)
    agent.comes_back()
    agent.tick()
    assert attempts(agent, "shop") == 1


def test_a_question_that_survives_the_agent_is_about_the_new_name() -> None:
    agent = Host(HEAL)
    sick(agent, "web")
    rename(agent, "web", "shop")
    agent.dies()
    agent.comes_back()
    agent.see(PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="shop"), length=60.0))
    answer(agent)
    agent.tick(20)
    assert agent.did == []
    agent.tick(50)
    assert agent.did == [("restart", "shop")]


def test_an_earlier_name_is_forgotten_after_a_day() -> None:
    agent = host()
    crash(agent, "web")
    rename(agent, "web", "shop")
    assert set(kept(agent, "renamed")) == {"shop"}
    agent.clock.advance(86_401)
    agent.tick()
    assert kept(agent, "renamed") == {}


def test_records_that_cant_be_read_are_left_out() -> None:
    agent = host()
    crash(agent, "web", 6)
    rename(agent, "web", "shop")
    stored = kept(agent, "renamed")
    unreadable: tuple[dict[str, object], ...] = (
        {},
        {"sources": [{}]},
        {"sources": 3},
        {"sources": [{"name": "x", "until": 3}]},
    )
    for number, value in enumerate(unreadable):
        agent.pipeline.publication.out.records.append(Record(kind="renamed", key=f"bad-{number}", value=value))
    agent.tick()
    agent.dies()
    agent.comes_back()
    ledger = agent.pipeline.decisions.breaking.ledger
    assert set(ledger.renames.by) == set(stored) == {"shop"}
    assert len(ledger.attempts("shop")) == 5


# --- approvals --------------------------------------------------------------------------------------------------------


def test_people_are_asked_about_the_name_that_it_has_by_now_and_not_that_of_another() -> None:
    agent = host(HEAL, check=True)
    agent.docker.health("web")
    agent.deliver()
    agent.tick()
    rename(agent, "web", "shop")
    recreate(agent, "web")

    (waits,) = answers(agent)
    assert (waits["target"], waits["target_id"]) == ("shop", container_id("web"))
    agent.dies(1.0)
    agent.comes_back()
    (waits,) = answers(agent)
    assert waits["target"] == "shop"
    agent.docker.health("shop")
    agent.deliver()
    agent.tick(2)
    assert answer(agent)["target"] == "shop"
    agent.tick()
    assert agent.did[-1] == ("restart", "shop")


def test_a_renamed_container_s_question_ends_under_its_new_name() -> None:
    agent = host(HEAL, check=True)
    agent.docker.health("web")
    agent.deliver()
    agent.tick()
    rename(agent, "web", "shop")
    agent.docker.health("shop", Health.HEALTHY)
    agent.deliver()
    agent.tick(2)

    ended = agent.of(Approval)[-1]
    assert (ended.state, ended.decision.target.name) == (ApprovalState.WITHDRAWN, "shop")


def answers(agent: Host) -> list[dict[str, object]]:
    """What waits for an answer, as people are told."""
    decisions = agent.pipeline.decisions
    return list(approval_answers.told(decisions.approving.approvals, decisions.agenda, agent.clock.now()))
