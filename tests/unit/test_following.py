"""Who is restarted after a container that the agent has brought back: once, in turn, and through every guard."""

from __future__ import annotations

import pytest

from tests.support.core import Host, container_id, policy_set
from watchtower_agent.loop.explaining import Asked, explained, named
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Decision, Dropped
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget

POLICY = (
    '  - {name: heal, select: {name: root}, OPTIONS when: health == "unhealthy", then: {restart: {stop_timeout: 3s}}}\n'
)
PROJECT = "com.docker.compose.project"
NETWORK = f"container:{container_id('root')}"


def service(name: str, *, depends_on: str = "") -> dict[str, str]:
    labels = {PROJECT: "shop", "com.docker.compose.service": name}
    return labels | ({"com.docker.compose.depends_on": depends_on} if depends_on else {})


def host(
    options: str = "",
    protection: Protection | None = None,
    policies: str = POLICY,
    **dependants: dict[str, object],
) -> Host:
    """A container that is checked, and others."""
    made = Host(policies.replace("OPTIONS", options), first_start=True, protection=protection)
    made.docker.create("root", silent=True, check=True, network_mode="bridge", labels=service("root"))
    for name, known in dependants.items():
        made.docker.create(name, silent=True, **known)  # type: ignore[arg-type] # as `container` takes them
    made.connect()
    made.clock.advance(60)
    made.clear()
    return made


def sharing(**known: object) -> dict[str, object]:
    return {"network_mode": NETWORK, **known}


def restarted(agent: Host) -> None:
    """The root was unhealthy and was restarted; nobody knows yet whether it is well."""
    agent.docker.health("root")
    agent.deliver()
    agent.tick(2)
    agent.carry_out()
    assert agent.did == [("restart", "root")]


def well(agent: Host) -> None:
    restarted(agent)
    agent.docker.health("root", Health.HEALTHY)
    agent.tick(2)


def all_done(agent: Host) -> None:
    for _ in range(40):
        agent.tick()
        agent.carry_out()


def followers(agent: Host) -> list[str]:
    return [name for _, name in agent.did[1:]]


def wanted(agent: Host) -> list[Decision]:
    return [each for each in agent.wanted if each.follows]


# --- who follows ----------------------------------------------------------------------------------------------------


def test_whoever_uses_its_network_is_restarted_once_it_is_well_again() -> None:
    agent = host(dep=sharing())
    restarted(agent)
    agent.tick(10)
    assert followers(agent) == []
    agent.docker.health("root", Health.HEALTHY)
    agent.tick(2)
    assert agent.did == [("restart", "root"), ("restart", "dep")]
    (decision,) = wanted(agent)
    assert decision.reason == "root, whose network it uses, was restarted by policy heal"
    assert (decision.policy, decision.numbers["follows"]) == ("heal", "root")
    assert decision.correlation_id == agent.intents[0].decision.correlation_id
    assert decision.parameters == {"stop_timeout": None}
    all_done(agent)

    assert followers(agent) == ["dep"]


def test_compose_says_who_else() -> None:
    agent = host(
        yes={"labels": service("yes", depends_on="root:service_healthy:true")},
        no={"labels": service("no", depends_on="root:service_healthy:false")},
        old={"labels": service("old", depends_on="root")},
        other={"labels": service("other", depends_on="root:service_healthy:true") | {PROJECT: "another"}},
    )
    well(agent)
    all_done(agent)

    assert followers(agent) == ["yes"]
    (decision,) = wanted(agent)
    assert decision.reason == "root, which it depends on (restart: true), was restarted by policy heal"


def test_while_other_containers_of_the_service_stayed_up_nobody_has_lost_it() -> None:
    agent = host(
        root2={"labels": service("root")},
        dep={"labels": service("dep", depends_on="root:service_started:true")},
        net=sharing(),
    )
    well(agent)
    all_done(agent)

    assert followers(agent) == ["net"]


def test_those_that_follow_a_follower_follow_it() -> None:
    agent = host(
        dep=sharing(labels=service("dep")),
        last={"labels": service("last", depends_on="dep:service_started:true")},
        deep={"network_mode": "container:dep"},
    )
    well(agent)
    all_done(agent)

    assert followers(agent) == ["dep", "last", "deep"]
    assert len({intent.decision.correlation_id for intent in agent.intents}) == 1


@pytest.mark.parametrize("mode", ["host", "container:owner"])
def test_a_network_that_is_the_hosts_or_somebody_elses_goes_on(mode: str) -> None:
    agent = Host(POLICY.replace("OPTIONS", ""), first_start=True)
    agent.docker.create("owner", silent=True, network_mode="bridge")
    agent.docker.create("root", silent=True, check=True, network_mode=mode)
    agent.docker.create("dep", silent=True, network_mode=NETWORK)
    agent.connect()
    agent.clock.advance(60)
    agent.clear()
    well(agent)
    all_done(agent)

    assert followers(agent) == []


def test_two_that_need_each_other_do_not_follow_each_other_for_ever() -> None:
    agent = Host(POLICY.replace("OPTIONS", ""), first_start=True)
    for name, other in (("root", "dep"), ("dep", "root")):
        labels = service(name, depends_on=f"{other}:service_started:true")
        agent.docker.create(name, silent=True, check=name == "root", labels=labels)
    agent.connect()
    agent.clock.advance(60)
    agent.clear()
    well(agent)
    all_done(agent)

    assert followers(agent) == []


# --- who does not ---------------------------------------------------------------------------------------------------


def test_nobody_follows_what_a_person_or_the_container_itself_restarted() -> None:
    agent = host(dep=sharing())
    agent.docker.restart("root")
    agent.deliver()
    agent.docker.health("root", Health.HEALTHY)
    all_done(agent)
    agent.docker.crash("root")
    agent.docker.start("root")
    agent.docker.health("root", Health.HEALTHY)
    all_done(agent)

    assert agent.did == []


def test_nobody_follows_what_is_not_well_or_was_taken_over_by_a_person() -> None:
    sick = host("cooldown: 1h,", dep=sharing())
    restarted(sick)
    all_done(sick)
    assert followers(sick) == []
    taken = host("cooldown: 1h,", dep=sharing())
    restarted(taken)
    taken.docker.restart("root")
    taken.deliver()
    taken.docker.health("root", Health.HEALTHY)
    all_done(taken)

    assert followers(taken) == []


def test_who_was_restarted_since_is_up_to_date() -> None:
    agent = host(dep=sharing())
    restarted(agent)
    agent.docker.restart("dep")
    agent.deliver()
    agent.docker.health("root", Health.HEALTHY)
    all_done(agent)

    assert followers(agent) == []
    assert wanted(agent) == []


@pytest.mark.parametrize("act", ["stop", "crash", "remove", "restart"])
def test_who_has_ended_or_was_restarted_while_it_waited_is_left_alone(act: str) -> None:
    agent = host(dep=sharing())
    agent.see(PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="dep"), length=30.0))
    well(agent)
    assert agent.guards == ["paused"]
    getattr(agent.docker, act)("dep")
    agent.deliver()
    all_done(agent)

    assert followers(agent) == []
    assert len(agent.of(Dropped)) == 1


def test_what_does_not_run_does_not_follow() -> None:
    agent = host(dep=sharing())
    agent.docker.stop("dep")
    agent.deliver()
    well(agent)
    all_done(agent)

    assert wanted(agent) == []


# --- in turn, and through the guards --------------------------------------------------------------------------------


def test_they_are_restarted_one_after_the_other() -> None:
    agent = host(a=sharing(), b=sharing(), c=sharing())
    well(agent)
    assert len(agent.open) == 1
    done = 1
    while len(followers(agent)) < 3 or agent.open:
        assert len(agent.open) <= 1
        agent.carry_out()
        agent.tick()
        done += 1
        assert done < 30

    assert sorted(followers(agent)) == ["a", "b", "c"]


def test_every_guard_is_asked() -> None:
    protected = host(dep=sharing(labels={"watchtower-agent.protect": "true"}))
    well(protected)
    all_done(protected)
    assert (followers(protected), protected.guards) == ([], ["protected"])

    touched = host(dep=sharing())
    touched.docker.kill("dep", "15", ends=False)
    well(touched)
    all_done(touched)
    assert (followers(touched), touched.guards) == ([], ["operator_intent"])

    stateful = host(protection=Protection(stateful_images=frozenset({"web"})), dep=sharing())
    well(stateful)
    all_done(stateful)
    assert (followers(stateful), stateful.guards) == ([], ["protected"])


def test_they_use_up_the_budget_of_the_host() -> None:
    agent = host(protection=Protection(host_budget=Budget(most=2, per=600.0)), a=sharing(), b=sharing())
    well(agent)
    all_done(agent)

    assert followers(agent) == ["a"]
    assert agent.guards[-1] == "breaker"


def test_a_breaker_that_opens_over_a_follower_stops_nobody() -> None:
    options = "budget: {max: 1, per: 1h, on_open: stop},"
    other = "  - {name: other, select: {name: dep}, on: {container: pause}, then: {unpause: {}}}\n"
    agent = host(options, policies=POLICY + other, dep=sharing())
    agent.docker.pause("dep")
    agent.deliver()
    agent.carry_out()
    agent.docker.health("root")
    agent.deliver()
    agent.tick(2)
    agent.carry_out()
    agent.docker.health("root", Health.HEALTHY)
    all_done(agent)
    opened = [each.data["target"] for each in agent.of(Notice) if each.action == "breaker_open"]

    assert opened == [{"kind": "container", "name": "dep"}]
    assert agent.did == [("unpause", "dep"), ("restart", "root")]


def test_the_breaker_of_its_own_policy_stops_nobody_who_follows() -> None:
    # The policy took their network away: whether that was of use is no matter of theirs.
    agent = host("budget: {in_vain: 1, probe_after: 2m},", dep=sharing())
    restarted(agent)
    agent.tick(60)
    agent.docker.health("root")
    for _ in range(110):
        agent.tick()
        agent.carry_out()
    agent.docker.health("root", Health.HEALTHY)
    agent.tick(2)
    agent.carry_out()
    (breaker,) = agent.pipeline.decisions.breaking.told(agent.clock.now())
    assert (breaker["scope"], breaker["phase"]) == ("policy", "half_open")
    assert followers(agent) == ["root", "dep"]


def test_it_waits_until_what_it_follows_is_well() -> None:
    agent = host(dep=sharing())
    well(agent)
    (intent,) = agent.open.values()
    agent.docker.health("root")
    agent.deliver()
    outcome = agent.attempt(intent)
    agent.see(outcome)
    assert outcome.numbers["guard"] == "dependency"
    assert agent.guards[-1] == "dependency"
    agent.docker.health("root", Health.HEALTHY)
    agent.deliver()
    agent.carry_out()

    assert agent.did == [("restart", "root"), ("restart", "dep"), ("restart", "dep")]


# --- what it survives -----------------------------------------------------------------------------------------------


def test_killed_between_root_and_follower() -> None:
    agent = host(dep=sharing())
    restarted(agent)
    agent.dies(away=3)
    agent.comes_back()
    agent.docker.health("root", Health.HEALTHY)
    agent.tick(2)
    assert followers(agent) == ["dep"]
    agent.dies(away=30)
    agent.comes_back()
    all_done(agent)
    assert set(followers(agent)) == {"dep"}
    assert agent.record("dep").restarts == 1


def test_killed_with_followers_that_wait() -> None:
    agent = host(a=sharing(), b=sharing(), c=sharing())
    well(agent)
    agent.carry_out()
    agent.dies(away=1)
    agent.comes_back()
    all_done(agent)
    all_done(agent)

    assert {agent.record(name).restarts for name in "abc"} == {1}


def test_killed_while_the_engine_had_stopped_it() -> None:
    agent = host(dep=sharing())
    restarted(agent)
    agent.docker.health("root", Health.HEALTHY)
    while not agent.open:
        agent.tick()
    (intent,) = agent.open.values()
    agent.begins(intent)
    agent.docker.stop("dep")  # at once, as a call of the agent's does it: later it would be somebody else's
    agent.dies(away=60)
    agent.comes_back()
    all_done(agent)
    all_done(agent)

    assert agent.docker.find("dep").running


def test_a_policy_that_is_gone_takes_them_along() -> None:
    agent = host(a=sharing(), b=sharing())
    well(agent)
    agent.policies = policy_set("")
    agent.see(agent.policies)
    all_done(agent)

    assert any("is not in force any more" in dropped.reason for dropped in agent.of(Dropped))


# --- how it is explained ---------------------------------------------------------------------------------------------


def explain_heal(agent: Host, name: str | None = None) -> list[dict[str, object]]:
    """The targets that `explain heal` tells of."""
    policy, record = named(agent.pipeline, "heal", name)
    work = explained(agent.pipeline, Asked(policy=policy, target=record), agent.clock.now())
    while True:
        try:
            next(work)
        except StopIteration as end:
            return [{**row, **row["next"]} for row in end.value["targets"]]


def test_who_is_to_follow_is_told_before_and_while_it_waits() -> None:
    agent = host(dep=sharing(), other={})
    assert explain_heal(agent, "dep")[0]["outlook"] == "not_selected"
    restarted(agent)
    agent.tick(3)
    told = explain_heal(agent, "dep")[0]
    assert told["outlook"] == "follows"
    words = "restarted once root is well again, whose network it uses: that was restarted "
    assert str(told["words"]).startswith(words)
    assert explain_heal(agent, "other")[0]["outlook"] == "not_selected"

    agent.see(PauseAsked(what=Paused(scope=PauseScope.CONTAINER, name="dep"), length=60.0))
    agent.docker.health("root", Health.HEALTHY)
    agent.tick(2)
    told = explain_heal(agent, "dep")[0]
    assert (told["outlook"], told["guard"]) == ("held", "paused")
    assert str(told["words"]).startswith("restart is held by paused for 5")
    assert told["wanted"] is not None
    assert "root, whose network it uses, was restarted by policy heal" in str(told["wanted"])
    agent.tick(60)
    agent.carry_out()
    assert followers(agent) == ["dep"]


def test_who_is_to_follow_is_among_the_targets_of_the_policy() -> None:
    agent = host(dep=sharing(), other={})
    restarted(agent)
    assert {row["target"] for row in explain_heal(agent)} == {"root", "dep"}
