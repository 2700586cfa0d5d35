"""Limits that a person wants back: given, refused, held by guards, and what the agent makes of them after that."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.approving import answer, asked
from tests.support.core import policy_set
from tests.support.sized_host import MIB, POLICY, SizedHost
from tests.unit.test_explaining import explain
from watchtower_agent.errors import PermanentError
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.limit_forms import resized_told
from watchtower_agent.loop.reverting import became, changed_by, ways_of
from watchtower_agent.model.decision import Decision
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.outcome import Result
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.model.revert import RevertAsked
from watchtower_agent.policies.guards.protection import Protection

GONE = "- {name: heal, select: {name: other}, on: {container: die}, then: {restart: {}}}\n"


def raised(policies: str = POLICY) -> SizedHost:
    """A process of web was OOM-killed: the agent has given it 228 MiB in place of 128."""
    host = SizedHost(policies)
    host.uses(100, memory=100, cores=0.2)
    host.oom()
    host.uses(20, memory=100, cores=0.2)
    assert host.limits == (228.0, 0.5)
    host.clear()
    return host


def begins_anew(host: SizedHost, protection: Protection) -> None:
    """The agent starts again with other settings."""
    host.protected_by(protection)
    host.dies(away=1.0)
    host.comes_back()
    host.uses(2, memory=100, cores=0.2)


def revert(host: SizedHost, name: str = "web", policy: str | None = None) -> dict[str, Any]:
    """What a person who asks for it hears; raises what they are refused with."""
    decisions, now = host.pipeline.decisions, host.clock.now()
    by = changed_by(decisions, host.record(name), policy, now)
    asking = RevertAsked(policy=by, target_id=host.record(name).container.id, correlation_id="a" * 32)
    ways = ways_of(asking, decisions, now)
    effects = host.see(asking)
    said = json.loads(json.dumps(became(asking, ways, effects.facts, decisions, host.clock.now()), allow_nan=False))
    assert isinstance(said, dict)
    return said


def limits_told(host: SizedHost, name: str = "web") -> dict[str, Any]:
    """What `explain` says of its limits."""
    told = explain(host, "right-size", name)["targets"][0]["limits"]
    assert isinstance(told, dict)
    return told


def reload(host: SizedHost, policies: str) -> None:
    host.see(policy_set(policies))


def test_a_container_gets_back_what_it_had() -> None:
    host = raised()
    said = revert(host)

    assert (said["result"], said["policy"], said["target"], said["set_off"]) == ("begun", "right-size", "web", True)
    assert said["limits"] == [{"resource": "memory", "limit": 228 * MIB, "to": 128 * MIB}]
    assert said["then"].startswith("policy right-size raises them when it needs more, and lowers them in 6 h at the")
    (decision,) = host.of(Decision)
    assert decision.reason == "reverted by hand: memory limit 228.0 MiB to 128.0 MiB"
    assert (decision.parameters, decision.numbers["lowers"]) == ({"memory": 128 * MIB}, True)
    (notice,) = [each for each in host.of(Notice) if each.action == "triggered"]
    assert notice.reason == "reverted by hand: limits of web"
    host.carry_out()
    assert host.limits == (128.0, 0.5)
    assert {each["correlationid"] for each in host.published() if each["type"].startswith("io.watchtower.action")} == {
        "a" * 32
    }


@pytest.mark.long
def test_it_counts_as_changed_by_hand_and_rests_for_six_hours() -> None:
    host = SizedHost(interval=30)
    host.uses(3600 + 6 * 3600 + 600, memory=60, cores=0.02)
    assert host.limits[0] == 103.0
    assert limits_told(host)["originals"] == {"memory": 128 * MIB, "cpu": 0.5}
    host.clear()

    assert revert(host)["result"] == "begun"
    host.carry_out()
    assert host.limits == (128.0, 0.5)
    host.uses(6 * 3600 - 120, memory=60, cores=0.02)
    assert host.resized == [{"memory": 128 * MIB, "cpu": 0.5}]
    told = limits_told(host)
    assert told["originals"] == {}
    assert {each["resource"] for each in told["by_hand"]} == {"memory", "cpu"}
    assert all(6 * 3600 - 200 < each["ago"] < 6 * 3600 for each in told["by_hand"])

    host.uses(600, memory=60, cores=0.02)
    assert host.limits[0] == 103.0, "then the policy goes on"
    assert limits_told(host)["originals"]["memory"] == 128 * MIB


def test_what_was_recommended_before_does_not_make_it_the_agents() -> None:
    """128 MiB lies between what was recommended since it last changed: it is the person's all the same."""
    host = raised()
    key = "right-size", "web"
    known = host.pipeline.decisions.resizing.memory.by[key]
    limit = known.past.memory_limit
    assert limit.given == 228 * MIB
    known.past = replace(known.past, memory_limit=limit.begun(100.0 * MIB).begun(300.0 * MIB))
    revert(host)
    host.carry_out()
    host.uses(70, memory=60, cores=0.2)
    assert host.pipeline.decisions.resizing.memory.by[key].past.originals == (None, None)


@pytest.mark.long
def test_no_limit_is_given_back_as_none() -> None:
    host = SizedHost(interval=30)
    host.docker.remove("web", force=True)
    host.docker.create("web", identity="e" * 64, memory_limit=0, cpu_granted=None)
    host.deliver()
    host.relist()
    host.uses(3600 + 7 * 3600, memory=60, cores=0.02)
    assert host.limits == (512.0, 2.0)

    said = revert(host)
    assert said["limits"] == [
        {"resource": "memory", "limit": 512 * MIB, "to": None},
        {"resource": "cpu", "limit": 2.0, "to": None},
    ]
    host.carry_out()
    assert host.intents[-1].decision.parameters == {"memory": 0, "cpu": 0.0}
    assert host.intents[-1].decision.reason.endswith("memory limit 512.0 MiB to none; CPU limit 2 cores to none")
    assert host.detail().memory_limit == 0
    assert host.detail().cpu_granted is None


def test_a_smaller_limit_is_refused_where_what_is_in_use_does_not_fit() -> None:
    host = raised()
    host.uses(3, memory=126, cores=0.2)
    with pytest.raises(PermanentError) as refused:
        revert(host)
    assert str(refused.value) == (
        "web is left as it is (memory limit 228.0 MiB to 128.0 MiB): a memory limit of 128.0 MiB needs a working set "
        "of 115.2 MiB at most, and it uses 126.0 MiB. Ask again once it uses less, or restart it first"
    )
    host.tick()
    with pytest.raises(PermanentError, match="how much it uses is not known"):
        revert(host)
    assert host.of(Decision) == []


def test_it_is_asked_once_more_just_before_the_write() -> None:
    host = raised()
    revert(host)
    host.tick(memory_working_set=126.0 * MIB, cpu_cores=0.2)
    (outcome,) = host.carry_out()
    assert outcome.result is Result.ABANDONED
    assert outcome.reason.startswith("a memory limit of 128.0 MiB needs a working set of 115.2 MiB")
    assert host.limits[0] == 228.0


def test_who_was_not_changed_by_the_agent_is_told_so() -> None:
    host = raised()
    with pytest.raises(PermanentError, match="no limit of other is as the agent made it: it changed none, or"):
        revert(host, "other")
    with pytest.raises(PermanentError, match="policy 'right' has changed no limit of web; did you mean right-size"):
        revert(host, policy="right")
    revert(host)
    host.carry_out()
    host.uses(70, memory=60, cores=0.2)
    with pytest.raises(PermanentError, match="no limit of web is as the agent made it"):
        revert(host)


def test_what_somebody_has_changed_since_is_left_to_them() -> None:
    host = raised()
    known = host.docker.find("web")
    host.update_by_hand(memory=200 * MIB)
    host.relist()
    assert host.record().container.id == known.id
    with pytest.raises(PermanentError, match="or somebody has changed them since"):
        revert(host)


def test_a_recreated_container_has_nothing_to_give_back() -> None:
    host = raised()
    host.docker.remove("web", force=True)
    host.docker.create("web", identity="f" * 64, memory_limit=128 * MIB, cpu_granted=0.5)
    host.deliver()
    with pytest.raises(PermanentError, match="no limit of web is as the agent made it"):
        revert(host)


def test_it_is_not_looked_at_before_the_change_can_be_seen() -> None:
    host = raised()
    host.uses(700, memory=100, cores=0.2)  # until it may be raised again
    host.clear()
    revert(host)
    (intent,) = host.open.values()
    host.see(host.attempt(intent))
    host.clock.advance(1.0)
    host.see(host.sample({"memory_working_set": 210.0 * MIB, "cpu_cores": 0.2}))  # much, for what it had a moment ago
    assert len(host.of(Decision)) == 1


def test_of_several_policies_one_has_to_be_named() -> None:
    memory = POLICY.replace(", cpu: {min: 0.1, max: 2}", "")
    cpu = POLICY.replace("right-size", "cores").replace("memory: {min: 64MiB, max: 512MiB}, ", "")
    host = SizedHost(memory + cpu, interval=30)
    host.uses(3600 + 6 * 3600 + 600, memory=60, cores=0.02)
    assert host.limits[0] == 103.0
    assert host.limits[1] == pytest.approx(0.4)

    with pytest.raises(PermanentError, match=r"changed limits of web \(cores, right-size\): name one with --policy"):
        revert(host)
    assert revert(host, policy="cores")["limits"] == [{"resource": "cpu", "limit": pytest.approx(0.4), "to": 0.5}]


@pytest.mark.parametrize("mode", ["shadow", "observe"])
def test_a_mode_that_does_not_act_does_not_revert(mode: str) -> None:
    host = raised()
    if mode == "shadow":
        reload(host, POLICY.replace("select:", "mode: shadow\n  select:"))
    else:
        begins_anew(host, Protection(observe=True))
    host.oom()  # the policy itself wants something, too
    host.uses(2, memory=100, cores=0.2)
    said = revert(host)
    assert (said["result"], said["guard"]) == ("not_done", "mode")
    waiting = [each.decision for each in host.pipeline.decisions.agenda.waiting.values()]
    assert [each for each in waiting if each.parameters == {"memory": 128 * MIB}] == []
    host.uses(30, memory=100, cores=0.2)
    assert host.limits[0] == 228.0


def test_a_pause_holds_it_and_it_survives_the_agent() -> None:
    host = raised()
    host.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="right-size"), length=60.0))
    said = revert(host)
    assert (said["result"], said["guard"]) == ("held", "paused")
    host.dies(away=5.0)
    host.comes_back()
    host.uses(70, memory=60, cores=0.2)
    assert host.limits[0] == 128.0
    assert [each.decision.reason for each in host.intents] == ["reverted by hand: memory limit 228.0 MiB to 128.0 MiB"]


def test_what_is_protected_is_not_reverted() -> None:
    host = raised()
    begins_anew(host, Protection(own_containers=(host.record().container.id,)))
    assert revert(host)["guard"] == "protected"


@pytest.mark.parametrize(
    "policies",
    [
        GONE,
        GONE + POLICY.replace("select:", "mode: 'off'\n  select:"),
        GONE + POLICY.replace("name: web", "name: other"),
    ],
    ids=["gone", "off", "selects others"],
)
def test_after_its_policy_was_taken_away_too(policies: str) -> None:
    host = raised()
    reload(host, policies)
    host.uses(120, memory=60, cores=0.2)
    host.dies(away=5.0)
    host.comes_back(with_policies=False)
    reload(host, policies)
    host.uses(120, memory=60, cores=0.2)

    said = revert(host)
    assert (said["policy"], said["result"]) == ("right-size", "begun")
    assert said["then"] == "no policy in force changes them again"
    host.carry_out()
    assert host.limits[0] == 128.0
    with pytest.raises(PermanentError, match="no limit of web is as the agent made it"):
        revert(host)
    assert [each for each in resized_told(host.pipeline.decisions.resizing) if each["resized"]] == []


def test_guards_are_asked_without_a_policy_too() -> None:
    host = raised()
    reload(host, GONE)
    host.see(PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="web"), length=60.0))
    said = revert(host)
    assert (said["result"], said["guard"]) == ("held", "paused")
    host.uses(70, memory=60, cores=0.2)
    assert host.limits[0] == 128.0


def test_what_a_policy_that_is_gone_has_changed_is_known_for_two_weeks() -> None:
    host = raised()
    reload(host, GONE)
    assert set(host.store_records("resizing")) == {"right-size\0web"}
    host.clock.advance(13.9 * 86400)
    host.tick()
    assert set(host.store_records("resizing")) == {"right-size\0web"}
    host.clock.advance(0.2 * 86400)
    host.tick()
    assert host.store_records("resizing") == {}


def test_what_was_changed_just_before_the_policy_was_taken_away_is_known_too() -> None:
    host = SizedHost()
    host.uses(100, memory=100, cores=0.2)
    host.oom()
    host.uses(2, memory=100, cores=0.2)
    assert host.limits[0] == 228.0
    reload(host, GONE)  # before the agent has looked at what it did
    host.uses(60, memory=60, cores=0.2)
    assert revert(host)["limits"] == [{"resource": "memory", "limit": 228 * MIB, "to": 128 * MIB}]


def test_of_a_policy_that_changed_nothing_nothing_is_kept() -> None:
    host = SizedHost()
    host.uses(700, memory=60, cores=0.2)
    assert set(host.store_records("resizing")) == {"right-size\0web"}
    reload(host, GONE)
    host.tick()
    assert host.store_records("resizing") == {}


def test_a_limit_below_min_is_announced_to_be_raised_again() -> None:
    host = SizedHost(POLICY.replace("min: 64MiB", "min: 192MiB"))
    host.uses(70, memory=60, cores=0.2)
    assert host.limits[0] == 192.0
    assert revert(host)["then"] == (
        "policy right-size raises memory to its min, 192.0 MiB, within a minute; "
        "to keep it from that: pause right-size, or leave web out of its select"
    )


async def test_every_asking_counts() -> None:
    inbox = Inbox()
    for asking in ("a", "b"):
        inbox.put(RevertAsked(policy="right-size", target_id="c" * 64, correlation_id=asking))
    assert len(await inbox.take(0)) == 2


def test_in_approve_mode_a_person_is_asked_about_the_revert_and_not_about_what_it_replaces() -> None:
    host = raised()
    reload(host, POLICY.replace("select:", "mode: approve\n  select:"))
    host.oom()
    host.uses(3, memory=100, cores=0.2)
    (raise_again,) = asked(host)

    said = revert(host)
    assert (said["result"], said["guard"]) == ("held", "mode")
    (back,) = asked(host)
    assert back != raise_again
    answer(host, approval=back)
    host.uses(2, memory=100, cores=0.2)
    assert host.limits[0] == 128.0
    assert [each.decision.reason for each in host.intents] == ["reverted by hand: memory limit 228.0 MiB to 128.0 MiB"]
