"""Approve mode over restarts of the agent: question, answer and rejection outlast it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.support.approving import (
    HEAL,
    REVIVE,
    answer,
    asked,
    crashed,
    sick,
    turns,
    until_begun,
    why,
)
from tests.support.core import INSTALL_ID, NOW, Host
from tests.support.store import FakeStore
from watchtower_agent.errors import PermanentError
from watchtower_agent.model.approval import Approval
from watchtower_agent.model.container import Health
from watchtower_agent.model.observation import GapObserved
from watchtower_agent.model.pause import PauseAsked
from watchtower_agent.policies.guards.approvals import MOST_OVER
from watchtower_agent.policies.guards.pauses import AGENT
from watchtower_agent.policies.guards.protection import Protection

LATE = HEAL.replace("then:", "for: 20s\n  then:")


def recovers(host: Host) -> None:
    host.docker.health("web", Health.HEALTHY)


@pytest.mark.parametrize("text", [HEAL, LATE, REVIVE], ids=["when", "for", "on"])
@pytest.mark.parametrize("rebooted", [False, True])
def test_a_question_outlasts_the_agent_under_its_id(text: str, *, rebooted: bool) -> None:
    host = Host(text)
    crashed(host) if text is REVIVE else sick(host, "web")
    host.tick(30)
    (approval,) = asked(host)
    host.dies()
    host.clock.reboot(60) if rebooted else host.clock.advance(60)
    host.comes_back()
    assert asked(host) == [approval]
    host.tick(30)
    assert asked(host) == [approval]
    assert turns(host) == ["asked"]
    host.clock.advance(3300)
    host.tick(2)
    assert asked(host) == [approval]
    answer(host)
    assert host.did == [("restart", "web")]
    assert host.intents[0].decision.id == host.of(Approval)[0].decision.id


def test_a_question_s_time_goes_on_while_the_agent_is_away() -> None:
    host = Host(REVIVE)
    crashed(host)
    host.dies(3700)
    host.comes_back()
    host.tick(2)
    assert turns(host) == ["asked", "expired"]
    assert host.did == []


def test_what_recovered_while_the_agent_was_away_is_withdrawn() -> None:
    host = Host(HEAL)
    sick(host, "web")
    host.dies(10)
    recovers(host)
    host.comes_back()
    host.tick(3)
    assert (turns(host), asked(host)) == (["asked", "withdrawn"], [])


def test_an_answer_before_the_new_run_has_seen_the_condition_fire_waits_for_that() -> None:
    host = Host(HEAL.replace("then:", "for: 10s\n  then:"))
    sick(host, "web")
    host.tick(10)
    host.dies(5)
    host.comes_back()
    host.tick(2)
    came = answer(host)
    assert (came["state"], came["guard"]) == ("given", None)
    assert host.did == []
    host.tick(10)
    assert host.did == [("restart", "web")]
    assert turns(host) == ["asked", "given"]


def test_an_approval_outlasts_a_kill_of_the_agent_and_is_used_once() -> None:
    host = Host(REVIVE)
    crashed(host)
    host.see(PauseAsked(what=AGENT, length=60))
    answer(host)
    host.dies(10)
    host.comes_back()
    host.tick(10)
    assert host.did == []
    host.tick(50)
    assert host.did == [("restart", "web")]
    host.carry_out()
    host.dies(10)
    host.comes_back()
    host.tick(100)
    assert len(host.did) == 1
    assert turns(host) == ["asked", "given"]


@pytest.mark.parametrize("text", [HEAL, LATE, REVIVE], ids=["when", "for", "on"])
def test_what_a_crash_kept_from_being_done_is_done_under_the_same_approval(text: str) -> None:
    host = Host(text)
    crashed(host) if text is REVIVE else sick(host, "web")
    host.tick(30)
    answer(host)
    assert len(host.intents) == 1
    host.dies(2)  # the intent is durable, the engine was not asked
    host.comes_back()
    until_begun(host, 2)
    assert [each.decision.approval for each in host.intents] == [host.intents[0].decision.approval] * 2
    assert turns(host) == ["asked", "given"]
    host.carry_out()
    host.tick(100)
    assert len(host.intents) == 2


def test_what_the_engine_did_though_the_agent_died_is_not_done_again() -> None:
    host = Host(REVIVE)
    crashed(host)
    answer(host)
    (intent,) = host.open.values()
    host.begins(intent)
    host.docker.do(intent)
    host.dies(2)
    host.comes_back()
    host.tick(90)
    assert len(host.intents) == 1
    assert asked(host) == []
    with pytest.raises(PermanentError, match="was approved already: it was interrupted: the agent ended during this"):
        answer(host, approval=str(intent.decision.approval))


@pytest.mark.parametrize("text", [HEAL, REVIVE], ids=["condition", "event"])
def test_a_rejection_outlasts_the_agent(text: str) -> None:
    host = Host(text)
    crashed(host) if text is REVIVE else sick(host, "web")
    answer(host, approves=False)
    host.dies(10)
    host.comes_back()
    host.tick(60)
    assert (host.did, turns(host)) == ([], ["asked", "rejected"])


def test_a_rejection_that_is_over_is_none_of_the_next_run_s() -> None:
    host = Host(HEAL)
    sick(host, "web")
    answer(host, approves=False)
    recovers(host)
    host.deliver()
    host.tick(3)
    host.docker.health("web")
    host.dies(10)
    host.comes_back()
    host.tick(3)
    assert turns(host) == ["asked", "rejected", "asked"]


def test_observe_after_a_restart_withdraws_what_was_asked() -> None:
    host = Host(HEAL)
    sick(host, "web")
    host.dies(1)
    object.__setattr__(host._options, "protection", Protection(observe=True))
    host.comes_back()
    host.tick(3)
    assert turns(host) == ["asked", "withdrawn"]
    assert why(host).startswith("observe mode")


def test_a_store_that_was_lost_is_told_again() -> None:
    host = Host(HEAL)
    sick(host, "web", "db")
    answer(host, approves=False)
    before = host.store_records("approval")
    host.store = FakeStore(install_id=INSTALL_ID)
    host.see(GapObserved(reason="store_reset", since=NOW, until=NOW))
    assert host.store_records("approval") == before
    assert {each["state"] for each in before.values()} == {"asked", "rejected"}


@pytest.mark.parametrize(
    "change", [{"id": None}, {"asked": {}}, {"state": "perhaps"}, {"decision": {}}, {"length": "x"}]
)
def test_a_record_that_can_t_be_read_is_no_approval(change: Mapping[str, object]) -> None:
    host = Host(HEAL)
    sick(host, "web")
    ((key, stored),) = host.store_records("approval").items()
    answer(host, approves=False)
    host.remember("approval", key, {**stored, **change} if change != {"id": None} else {"state": "given"})
    host.dies(1)
    host.comes_back()
    host.tick(3)
    assert host.did == []


def test_what_is_over_is_not_remembered_for_ever() -> None:
    host = Host(REVIVE + "  backoff: {initial: 0s}\n  cooldown: 0s\n  budget: {max: 1000, per: 1s}\n")
    crashed(host)
    for _ in range(MOST_OVER + 20):
        answer(host, approves=False)
        host.docker.start("web")
        host.docker.crash("web")
        host.deliver()
        host.tick(3)
    assert len(host.store_records("approval")) == MOST_OVER + 1
    assert len(host.pipeline.decisions.approving.approvals.over) == MOST_OVER
