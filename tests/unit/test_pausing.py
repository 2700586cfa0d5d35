"""Pauses: what they hold, for how long, over restarts and steps of the clock, and what people are told of them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tests.support.core import INSTALL_ID, NOW, Host
from tests.support.store import FakeStore
from watchtower_agent.errors import PermanentError
from watchtower_agent.loop.pausing import meant
from watchtower_agent.model.container import Health
from watchtower_agent.model.observation import GapObserved
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope, ResumeAsked
from watchtower_agent.policies.guards.pauses import AGENT

HEAL = """
- name: heal
  select: {name: "*"}
  when: health == "unhealthy"
  then: {restart: {}}
- name: tell
  select: {name: "*"}
  on: {container: health_status}
  where: health == "unhealthy"
  then: {notify: {}}
"""
POLICY = Paused(scope=PauseScope.POLICY, name="heal")
WEB = Paused(scope=PauseScope.CONTAINER, name="web")


def pause(host: Host, what: Paused = AGENT, length: float = 60.0, reason: str = "") -> None:
    host.see(PauseAsked(what=what, length=length, reason=reason))


def sick(host: Host, *names: str) -> None:
    for name in names:
        host.docker.create(name, check=True, silent=True)
    host.relist()
    host.deliver()
    for name in names:
        host.docker.health(name)
    host.deliver()
    host.tick()


def spoken(host: Host, kind: str = "agent") -> list[tuple[str, str]]:
    """Topic's end and reason of what was told of pauses."""
    told = [each for each in host.published() if f"/event/{kind}/paused/" in each["topic"]]
    told += [each for each in host.published() if f"/event/{kind}/resumed/" in each["topic"]]
    return [("/".join(each["topic"].split("/")[-2:]), each["data"]["reason"]) for each in told]


@pytest.mark.parametrize(
    ("what", "restarted", "notified"),
    [
        (AGENT, set(), 0),
        (POLICY, set(), 2),
        (Paused(scope=PauseScope.POLICY, name="tell"), {"web", "db"}, 0),
        (WEB, {"db"}, 1),
        (Paused(scope=PauseScope.CONTAINER, name="heal"), {"web", "db"}, 2),
        (Paused(scope=PauseScope.POLICY, name="web"), {"web", "db"}, 2),
    ],
    ids=["agent", "policy", "notifying policy", "container", "a policy's name as container", "and the reverse"],
)
def test_what_is_paused_does_nothing_and_tells_nobody_while_all_else_goes_on(
    what: Paused, restarted: set[str], notified: int
) -> None:
    host = Host(HEAL)
    pause(host, what)
    sick(host, "web", "db")
    assert {name for _, name in host.did} == restarted
    assert len(host.told) == notified
    held = [(h.decision.verb.value, h.decision.target.name) for h in host.of_guard("paused")]
    assert {name for verb, name in held if verb == "restart"} == {"web", "db"} - restarted
    assert len([verb for verb, _ in held if verb == "notify"]) == 2 - notified


def test_a_pause_says_for_how_long_why_and_how_to_end_it() -> None:
    host = Host(HEAL)
    pause(host, POLICY, 5400, "the database moves")
    sick(host, "web")
    (held,) = host.of_guard("paused")
    assert held.reason == "policy heal is paused for 90m: the database moves (end it: resume heal)"
    assert held.numbers == {
        "paused": "policy",
        "paused_at": NOW,
        "paused_for": 5400,
        "paused_because": "the database moves",
    }
    assert held.release_at == NOW + 5400
    pause(host, WEB, 60)
    pause(host, AGENT, 60)
    assert spoken(host) == [
        ("paused/web", "container web is paused for 1m"),
        ("paused/self", "the agent is paused for 1m"),
    ]
    assert spoken(host, "policy") == [("paused/heal", "policy heal is paused for 90m: the database moves")]


def test_it_ends_in_its_time_and_what_it_held_is_done_then() -> None:
    host = Host(HEAL)
    pause(host, POLICY, 10)
    sick(host, "web")
    host.tick(8)
    assert host.did == []
    host.tick(1)
    assert host.did == [("restart", "web")]
    assert spoken(host, "policy")[-1] == ("resumed/heal", "policy heal goes on: its pause is over, it was for 10s")
    assert host.store_records("pause") == {}


def test_it_ends_by_command_and_only_that_one() -> None:
    host = Host(HEAL)
    pause(host, POLICY)
    pause(host, AGENT)
    sick(host, "web")
    host.see(ResumeAsked(what=AGENT))
    host.tick()
    assert host.did == []
    host.see(ResumeAsked(what=POLICY))
    host.tick()
    assert host.did == [("restart", "web")]
    assert spoken(host)[-1] == ("resumed/self", "the agent goes on: its pause is over, by command")


def test_the_end_of_a_pause_that_is_not_there_is_nothing_to_tell() -> None:
    host = Host(HEAL)
    host.see(ResumeAsked(what=AGENT))
    assert spoken(host) == []


def test_a_second_pause_takes_the_place_of_the_first() -> None:
    host = Host(HEAL)
    pause(host, AGENT, 600, "one")
    host.clock.advance(30)
    pause(host, AGENT, 5, "two")
    assert [each["reason"] for each in host.pipeline.pausing.told(host.clock.now())] == ["two"]
    sick(host, "web")
    host.tick(5)
    assert host.did == [("restart", "web")]


@pytest.mark.parametrize("step", [-7200.0, -5.0, 5.0, 7200.0])
def test_a_step_of_the_wall_clock_neither_shortens_nor_lengthens_it(step: float) -> None:
    host = Host(HEAL)
    pause(host, AGENT, 60)
    sick(host, "web")
    host.clock.step_wall(step)
    host.tick(50)
    assert host.did == []
    host.tick(10)
    assert host.did == [("restart", "web")]


@given(
    length=st.floats(min_value=1, max_value=86400),
    lived=st.floats(min_value=0, max_value=600),
    away=st.floats(min_value=0, max_value=86400),
    step=st.sampled_from([0.0, -7200.0, 7200.0]),
    rebooted=st.booleans(),
)
def test_it_outlasts_the_agent_for_what_is_left_of_it(
    *, length: float, lived: float, away: float, step: float, rebooted: bool
) -> None:
    host = Host(HEAL)
    pause(host, POLICY, length, "why")
    host.clock.advance(lived)
    host.clock.step_wall(step)
    host.see()  # the agent sees that the clock was stepped before it dies
    host.dies()
    if rebooted:
        host.clock.reboot(away)
    else:
        host.clock.advance(away)
    host.comes_back()
    left = [(each["left"], each["reason"]) for each in host.pipeline.pausing.told(host.clock.now())]
    if lived + away > length + 0.01:
        assert left == []
        assert host.store_records("pause") == {}
    elif lived + away < length - 0.01:
        assert left == [(pytest.approx(length - lived - away, abs=0.01), "why")]


def test_a_store_that_was_lost_is_told_again() -> None:
    host = Host(HEAL)
    pause(host, AGENT, 60, "why")
    pause(host, POLICY, 60)
    host.store = FakeStore(install_id=INSTALL_ID)
    host.see(GapObserved(reason="store_reset", since=NOW, until=NOW))
    assert {key: value["reason"] for key, value in host.store_records("pause").items()} == {
        "agent\0": "why",
        "policy\0heal": "",
    }


@pytest.mark.parametrize("stored", [{}, {"scope": "all"}, {"scope": "agent", "name": "", "length": "1h"}])
def test_a_record_that_can_t_be_read_is_no_pause(stored: dict[str, object]) -> None:
    host = Host(HEAL)
    host.remember("pause", "agent\0", {"reason": "", "since": host.clock.now().stored(), **stored})
    host.comes_back()
    assert host.pipeline.pausing.pauses.by == {}


def test_an_action_that_was_begun_is_asked_about_once_more() -> None:
    host = Host(HEAL)
    sick(host, "web")
    (intent,) = host.open.values()
    pause(host, WEB)
    outcome = host.attempt(intent)
    assert (outcome.result, outcome.numbers) == ("abandoned", {"guard": "paused"})
    assert host.docker.events == []


# --- what a command means -------------------------------------------------------------------------------------------


def named(host: Host, policy: str | None = None, target: str | None = None) -> Paused:
    pipeline = host.pipeline
    return meant(pipeline.pausing.pauses, pipeline.policies, pipeline.state, policy, target)


def test_policies_and_containers_are_named_as_everywhere() -> None:
    host = Host(HEAL)
    web = host.docker.create("web")
    host.deliver()
    assert named(host) == AGENT
    assert named(host, policy="heal") == POLICY
    assert named(host, target="web") == named(host, target=web.id[:12]) == WEB


@pytest.mark.parametrize(
    ("policy", "target", "sentence"),
    [
        ("heel", None, "there is no policy 'heel'; did you mean heal?"),
        (None, "wob", "there is no container 'wob'; did you mean web?"),
        ("heal", "web", "two pauses"),
    ],
)
def test_what_is_not_there_is_told_with_what_may_be_meant(
    policy: str | None, target: str | None, sentence: str
) -> None:
    host = Host(HEAL)
    host.docker.create("web")
    host.deliver()
    with pytest.raises(PermanentError, match=sentence):
        named(host, policy, target)


def test_what_is_paused_can_be_resumed_though_it_is_gone() -> None:
    host = Host(HEAL)
    pause(host, POLICY)
    pause(host, WEB)
    host.policies = type(host.policies)()
    host.see(host.policies)
    assert named(host, policy="heal") == POLICY
    assert named(host, target="web") == WEB
    host.see(ResumeAsked(what=WEB))
    with pytest.raises(PermanentError, match="no container 'web'"):
        named(host, target="web")


def test_recovery_during_a_pause_leaves_nothing_to_do_after_it() -> None:
    host = Host(HEAL)
    pause(host, AGENT, 10)
    sick(host, "web")
    host.docker.health("web", Health.HEALTHY)
    host.deliver()
    host.tick(20)
    assert host.did == []
