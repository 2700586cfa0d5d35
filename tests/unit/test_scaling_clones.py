"""Compose services in the loop: clones made and removed, and whatever people do meanwhile."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.support.scaled_host import (
    COMPOSE,
    CPU,
    GIB,
    OF_COMPOSE,
    ScaledHost,
    a_grown_project,
    a_project,
    original,
    scale_policy,
)
from tests.unit.test_explaining import explain
from watchtower_agent.loop.resized_containers import Resized
from watchtower_agent.model.container import ContainerDetail, ContainerStatus
from watchtower_agent.model.decision import Decision, Held, Mode
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.model.service import CLONE_OF, CloneFacts
from watchtower_agent.policies.contested import contested
from watchtower_agent.policies.policy import MaintenanceWindow, Policy, PolicySet
from watchtower_agent.policies.resizing.past import Past
from watchtower_agent.policies.resizing.standing import Standing
from watchtower_agent.policies.strategies.scale import OwnMetricRule, ScaleStrategy, ScaleTarget, ServiceKind
from watchtower_agent.policies.survey import Unseen
from watchtower_agent.policies.times.cron import parse_cron
from watchtower_agent.policies.times.moments import Schedule
from watchtower_agent.policies.times.zones import zone_of

MIB = 2**20


def test_a_compose_service_grows_by_clones_of_the_newest_that_is_well() -> None:
    host = a_project()
    host.needs(3.9)
    host.settle(120)

    assert host.asked[0] == (1, 2)
    assert host.running == 4
    grown = host.intents[0].decision
    assert grown.parameters["original"] == host.docker.find("shop-web-1").id
    assert grown.parameters["add"] == 1
    assert host.limited == []


@pytest.mark.parametrize(
    ("written", "of_clones"),
    [
        pytest.param(256 * MIB, 256 * MIB, id="lowered"),
        pytest.param(math.inf, 0, id="lowered from none"),
        pytest.param(64 * MIB, None, id="raised"),
    ],
)
def test_a_clone_has_what_others_wrote_where_the_agent_has_lowered_it(written: float, of_clones: int | None) -> None:
    host = a_project()
    web = host.docker.find("shop-web-1")
    detail = replace(web.detail or ContainerDetail(), memory_limit=128 * MIB)
    host.docker.containers[web.id] = replace(web, detail=detail)
    host.relist()
    limit = Standing(limit=128.0 * MIB, given=128.0 * MIB, original=written)
    past = Past(container_id=web.id, looked=host.clock.now().monotonic, memory_limit=limit)
    host.pipeline.decisions.resizing.memory.by["right-size", web.name] = Resized(past=past)
    host.needs(1.9)
    host.settle(60)

    assert host.intents[0].decision.parameters.get("memory") == of_clones


def test_it_shrinks_by_its_own_clones_alone_the_highest_number_first() -> None:
    host = a_grown_project(3.9)
    numbered = {each.name: each.id for each in host.docker.containers.values()}
    host.needs(0.4)
    host.settle(1200)

    assert host.running == 1
    first = host.intents[0].decision
    gone = str(first.parameters["remove"]).split(",")
    assert gone == [numbered["shop-web-4"], numbered["shop-web-3"]][: len(gone)]
    assert host.docker.find("shop-web-1").running
    assert host.limited == []


def test_a_growth_that_is_not_let_through_is_tried_seldom_and_keeps_nobody_from_shrinking() -> None:
    host = a_grown_project(2.9)
    assert host.running == 3
    host.clear()
    host.fails, host.failing = 9, {"forbidden": "GET /containers/{id}/changes"}
    host.needs(5.9)
    host.settle(60)
    told = explain(host, "web")["targets"][0]["next"]
    assert (told["outlook"], told["words"][:31]) == ("held", "the last change failed (failed)")
    assert told["at"] - host.intents[0].at == pytest.approx(900, abs=5)
    host.settle(940)
    tries = [each.at for each in host.intents]
    assert [later - earlier for earlier, later in pairwise(tries)] == [pytest.approx(900, abs=30)]

    host.fails = 0
    host.needs(0.4)
    host.settle(600)  # which is before the next try
    assert host.running < 3
    assert all("remove" in each.decision.parameters for each in host.intents[2:])


def test_what_an_interrupted_change_left_is_removed() -> None:
    host = a_project()
    host.docker.create(
        "shop-web-2", status=ContainerStatus.CREATED, labels={**OF_COMPOSE, CLONE_OF: host.docker.find("shop-web-1").id}
    )
    host.deliver()
    host.settle(3)

    (decision,) = host.of(Decision)
    assert decision.reason == "shop-web-2 was made and never started: an interrupted change left it"
    told = {"replicas.wanted": 1, "to": 1, "left_over": 1, CPU: 60.0, f"{CPU} target": 60.0, "may_grow_in": 0.0}
    assert decision.numbers.items() >= told.items()
    assert [each.name for each in host.docker.containers.values()] == ["shop-web-1"]
    assert host.limited == []


def test_what_stands_against_a_clone_is_named() -> None:
    host = a_project()
    first = host.docker.find("shop-web-1")
    assert first.detail is not None
    facts = CloneFacts(blockers=("it publishes the fixed host port 8080",), volumes=("data at /data",))
    host.docker.containers[first.id] = replace(first, detail=replace(first.detail, cloning=facts))
    host.relist()
    host.deliver()
    host.needs(3.0)
    host.settle(30)

    assert host.asked == []
    (held,) = host.of(Held)
    assert held.guard.value == "preflight"
    assert "the fixed host port 8080" in held.reason
    assert "data at /data" in held.reason
    assert "shared: true" in held.reason


def test_no_more_are_made_than_the_host_has_memory_for() -> None:
    host = a_project()
    host.available = 1.2 * GIB  # 256 MiB stay free, each takes half a GiB
    host.needs(8.0)
    host.settle(15)

    assert host.asked == [(1, 2)]
    host.available = 0.7 * GIB
    host.settle(60)
    assert host.asked == [(1, 2)]
    assert "no memory for more" in host.limited[0]


def slowly(host: ScaledHost) -> None:
    """Containers take their half a GiB in the course of minutes."""
    host.takes = lambda each: GIB / (2 if host.clock.wall - each.created_at > 240.0 else 20)


def test_what_new_clones_have_not_taken_yet_is_no_room() -> None:
    host = a_project()
    host.settle(300)
    slowly(host)
    host.available = 1.3 * GIB  # 256 MiB stay free: there is room for two
    host.needs(8.0)
    host.settle(100)

    assert host.running == 3
    assert "no memory for more" in host.limited[0]
    host.settle(300)  # by then they have taken it, and so much is there all the same
    assert host.running > 3


def two_services() -> ScaledHost:
    """`web` and `api` of one project, each scaled by a policy of its name."""
    host = a_project()
    api = ScaleTarget(kind=ServiceKind.COMPOSE, project="shop", service="api")
    policies = (*host.policies.policies, replace(scale_policy(api), name="api"))
    host.see(PolicySet(policies=policies, digest="both"))
    host.docker.create("shop-api-1", labels={**OF_COMPOSE, "com.docker.compose.service": "api"}, silent=True)
    host.relist()
    host.deliver()
    host.settle(310)  # none of them is new
    host.clear()
    return host


def test_services_that_grow_at_once_do_not_count_on_the_same_memory() -> None:
    host = two_services()
    slowly(host)
    host.available = 0.8 * GIB  # room for one
    host.load = lambda _: 100.0
    host.settle(60)

    assert [each.decision.policy for each in host.intents] == ["web"]


def test_a_growth_that_is_held_keeps_no_memory_from_others() -> None:
    host = two_services()
    host.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="web"), length=3600, reason="we move"))
    host.available = 0.8 * GIB
    host.load = lambda _: 100.0
    host.settle(60)

    assert {each.decision.policy for each in host.intents} == {"api"}


def test_clones_that_compose_removed_are_made_again_when_they_are_needed() -> None:
    host = a_grown_project(3.9)
    for number in (2, 3, 4):
        host.takes_away(f"shop-web-{number}")
    host.settle(25)
    assert host.running == 1  # Compose may not be done yet

    host.settle(60)
    assert host.running >= 4
    assert host.limited == []
    assert [each for each in host.of(Notice) if each.action == "regretted"] == []


def test_who_leaves_some_of_the_clones_has_chosen_a_number() -> None:
    host = a_grown_project(3.9)
    for number in (3, 4):
        host.takes_away(f"shop-web-{number}")
    host.settle(600)

    assert host.asked == []
    assert host.running == 2


def test_a_project_that_is_being_stopped_gets_no_clones() -> None:
    host = a_grown_project(3.9)
    for number in (4, 3, 2, 1):
        host.docker.stop(f"shop-web-{number}")
        host.deliver()
        host.settle(12)
    host.settle(600)

    assert host.asked == []
    assert host.running == 0


def test_a_project_that_is_brought_up_to_date_grows_again() -> None:
    host = a_grown_project(2.9)
    for number in (3, 2):
        host.takes_away(f"shop-web-{number}")
    host.takes_away("shop-web-1")
    host.docker.create("shop-web-1", labels=OF_COMPOSE, identity="e" * 64)
    host.deliver()
    host.settle(90)

    assert host.running == 3
    assert host.limited == []


def test_one_that_is_brought_up_to_date_slowly_is_told_of_as_no_other_number_that_somebody_chose() -> None:
    host = a_grown_project(2.9)
    for number in (3, 2):
        host.takes_away(f"shop-web-{number}")
        host.settle(20)  # its processes take their time to end
    host.takes_away("shop-web-1")
    host.docker.create("shop-web-1", labels=OF_COMPOSE, identity="e" * 64)
    host.deliver()
    host.settle(25)
    assert host.asked == []

    host.settle(90)
    assert host.running == 3
    assert host.limited == []


def test_who_never_ends_to_do_something_to_its_containers_is_told_of_in_the_end() -> None:
    host = a_project()
    host.needs(7.9)
    for turn in range(20):
        host.docker.create("shop-web-9", labels=OF_COMPOSE, identity=f"{turn + 16:x}" * 32)
        host.deliver()
        host.settle(20)
        if turn == 10:
            assert host.limited == []
        host.takes_away("shop-web-9")
        host.deliver()

    assert host.asked == []
    (limited,) = host.limited
    assert "gets no more: somebody makes, stops or removes its containers, which is let come to its end" in limited


def test_clones_that_have_ended_are_removed_in_the_end() -> None:
    host = a_project()
    host.needs(1.9)
    host.settle(60)
    host.docker.stop("shop-web-2")
    host.needs(0.9)
    host.settle(890)
    assert len(host.docker.containers) == 2

    host.settle(60)
    assert [each.name for each in host.docker.containers.values()] == ["shop-web-1"]


def test_clones_that_crashed_are_removed_and_made_again_in_the_end() -> None:
    host = a_project()
    host.needs(1.9)
    host.settle(60)
    host.docker.crash("shop-web-2", 3)
    host.settle(890)
    assert host.asked == [(1, 2)]

    host.settle(60)
    assert host.running == 2
    assert host.limited == []


@pytest.mark.parametrize("act", ["stop", "kill", "rm"])
def test_who_ends_all_clones_as_compose_does_not_has_chosen_a_number(act: str) -> None:
    host = a_grown_project(2.9)
    for name in ("shop-web-2", "shop-web-3"):
        if act == "rm":
            host.docker.remove(name, force=True)
        else:
            getattr(host.docker, act)(name)
    host.settle(600)

    assert host.asked == []
    assert "somebody else changed" in host.limited[0]


def test_a_clone_that_somebody_removes_while_others_are_made_is_not_made_again() -> None:
    host = a_project()
    host.needs(1.9)
    host.settle(30)
    host.needs(3.9)
    intent = host.until_begun()
    host.begins(intent)
    outcome = host.do_scale(intent)
    host.deliver()
    host.tick(2)
    host.docker.remove("shop-web-3", force=True)
    host.deliver()
    host.tick(2)
    host.open.clear()
    host.see(outcome)
    host.needs(6.0)
    host.settle(600)

    assert host.asked == [(1, 2), (2, 4)]
    assert "somebody else changed" in host.limited[0]


def test_more_originals_made_by_hand_are_left_alone_for_a_while() -> None:
    host = a_project()
    original(host, "shop-web-2")
    original(host, "shop-web-3")
    host.relist()
    host.deliver()
    host.needs(6.0)
    host.settle(600)

    assert host.asked == []
    assert "somebody else changed" in host.limited[0]


def test_a_clone_whose_original_is_gone_takes_its_place() -> None:
    host = a_project()
    host.needs(1.9)
    host.settle(60)
    assert host.running == 2
    host.clear()
    host.docker.remove("shop-web-1", force=True)
    host.needs(1.9)
    host.settle(1000)
    assert host.running == 2
    host.needs(0.1)
    host.settle(1500)

    assert host.running == 1


def by_memory(mode: Mode = Mode.ENFORCE) -> Policy:
    """Another one, of a group: who wrote it did not know that the containers are a Compose service's, too."""
    strategy = ScaleTarget(kind=ServiceKind.GROUP, labels={"app": "web"})
    by = OwnMetricRule(name="memory.working_set", target=8 * GIB)
    return replace(scale_policy(strategy, by, mode=mode), name="group")


def shared_by(*policies: Policy, needs: float) -> ScaledHost:
    """A container that is all of these policies', and ten minutes in which that many are needed by CPU."""
    host = ScaledHost(policies[0])
    host.policies = PolicySet(policies=policies, digest="e")
    host.see(host.policies)
    host.docker.create("shop-web-1", labels={**OF_COMPOSE, "app": "web"}, silent=True)
    host.connect()
    host.needs(needs)
    host.settle(600)
    return host


def test_of_two_policies_that_scale_the_same_containers_the_first_does() -> None:
    host = shared_by(scale_policy(COMPOSE), by_memory(), needs=3.0)

    assert host.asked == [(1, 2), (2, 3)]
    why = "policy web scales some of the same containers, and is written before this one"
    assert host.pipeline.decisions.scaling.by["group"].seen == Unseen(why=why)
    assert host.limited == [f"it leaves its service alone: {why}"]

    # Once the first is gone the other one has them.
    host.policies = PolicySet(policies=(by_memory(),), digest="f")
    host.see(host.policies)
    host.settle(600)
    assert host.running == 1


WINDOWS = {
    name: (MaintenanceWindow(opens=Schedule(parse_cron(f"0 {hour} * * *"), zone_of("UTC")), open_for=3600.0),)
    for name, hour in (("early", 3), ("late", 22))
}


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        (scale_policy(COMPOSE), by_memory(), {"group": "web"}),
        (by_memory(), scale_policy(COMPOSE), {"web": "group"}),
        (scale_policy(COMPOSE, mode=Mode.SHADOW), by_memory(), {}),
        (scale_policy(COMPOSE), by_memory(Mode.SHADOW), {}),
        (scale_policy(COMPOSE, windows=WINDOWS["early"]), replace(by_memory(), windows=WINDOWS["late"]), {}),
        (
            scale_policy(COMPOSE, windows=WINDOWS["early"]),
            replace(by_memory(), windows=WINDOWS["early"]),
            {"group": "web"},
        ),
        (scale_policy(), by_memory(), {}),
    ],
)
def test_who_leaves_containers_to_another_policy(first: Policy, second: Policy, left: dict[str, str]) -> None:
    host = a_project()
    both = [(each, each.trigger) for each in (first, second) if isinstance(each.trigger, ScaleStrategy)]
    mine = host.docker.find("shop-web-1")
    theirs = replace(mine, labels={**mine.labels, "app": "web"})

    assert contested(both, [mine, theirs]) == left
    assert contested(both, [mine]) == {}
