"""Services in the loop: looked at, decided about, guarded, changed, remembered."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.support.scaled_host import COMPOSE, CPU, GIB, OF_COMPOSE, SWARM, ScaledHost, original, scale_policy
from watchtower_agent.model.approval import ApprovalAnswered
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Decision, Held, Mode
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import ReadingObserved, SiblingObserved, SiblingReplica
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.model.service import CLONE_OF, CloneFacts, Task, TaskState
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.scaling.memory import Memory
from watchtower_agent.policies.scaling.rules import Rules
from watchtower_agent.policies.scaling.situation import Bounds, OwnMetric, Replica, Situation
from watchtower_agent.policies.scaling.tracking import look
from watchtower_agent.policies.strategies.scale import IdleRule, MqttMetricRule, OwnMetricRule


def a_swarm(replicas: int = 2, **policy: object) -> ScaledHost:
    """A leader whose service has run for long enough that the past speaks against nothing."""
    host = ScaledHost(scale_policy(**policy), replicas=replicas)  # type: ignore[arg-type] # fields by name
    host.needs(float(replicas))
    host.settle(30)
    host.clear()
    return host


def a_project(**policy: object) -> ScaledHost:
    host = ScaledHost(scale_policy(COMPOSE, **policy))  # type: ignore[arg-type] # fields by name
    original(host)
    host.connect()
    host.needs(1.0)
    host.settle(30)
    host.clear()
    return host


def limited(host: ScaledHost) -> list[str]:
    return [each.reason for each in host.of(Notice) if each.action == "limited"]


# --- a Swarm --------------------------------------------------------------------------------------------------------


def test_a_service_grows_to_what_it_needs_and_says_why() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.settle(25)

    assert host.asked[0] == (2, 4)
    assert host.replicas == 4
    (decision,) = host.of(Decision)
    assert (decision.verb.value, decision.target.kind.value, decision.target.name) == ("scale", "service", "shop_web")
    assert "needs" in decision.reason
    assert "cpu.percent_of_limit is" in decision.reason
    assert decision.numbers["replicas.wanted"] == 2
    assert decision.numbers[f"{CPU} target"] == 60.0
    (outcome,) = host.of(Outcome)
    assert outcome.result is Result.SUCCEEDED
    told = [each for each in host.published() if "/event/action/" in each["topic"]]
    assert {each["correlationid"] for each in told} == {decision.correlation_id}
    assert all(each["topic"].endswith("/shop_web") for each in told)


def test_what_the_swarm_said_before_a_change_is_no_reason_for_another() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    while not host.open:
        host.tick()
    host.answers = False
    host.carry_out()
    host.settle(3)
    assert host.asked == [(2, 4)]

    host.answers = True
    host.needs(7.9)
    host.settle(40)
    assert host.asked == [(2, 4), (4, 8)]


def test_a_service_shrinks_after_its_window_and_no_sooner() -> None:
    host = a_swarm(4)
    host.needs(2.0)
    begun = host.clock.monotonic
    while not host.asked:
        host.settle()
    assert host.asked == [(4, 3)]  # the mean of 20 s came down by steps
    assert 150.0 < host.clock.monotonic - begun < 175.0

    host.settle(70)
    assert host.asked == [(4, 3), (3, 2)]
    host.settle(600)
    assert host.replicas == 2


def test_only_the_leader_acts_and_whoever_leads_next_goes_on_from_what_it_saw() -> None:
    host = ScaledHost(scale_policy(), replicas=4, leads=False)
    host.needs(2.0)
    host.settle(700)
    assert host.asked == []
    assert host.of(Decision) == []

    host.leads = True
    host.settle(4)

    assert host.asked[0][0] == 4
    assert host.replicas in {2, 3}


def test_what_another_leader_did_is_nobodys_intervention() -> None:
    host = ScaledHost(scale_policy(), replicas=2, leads=False)
    host.needs(2.0)
    host.settle(30)
    host.needs(2.9)
    host.settle(20)
    host.by_hand(3)  # the other agent, which sees the same
    host.settle(30)
    host.leads = True
    host.needs(5.0)
    host.settle(25)

    assert host.asked[0][0] == 3


def test_a_change_by_hand_is_respected_by_whoever_leads_next() -> None:
    host = ScaledHost(scale_policy(), replicas=4, leads=False)
    host.needs(4.0)
    host.settle(60)
    host.by_hand(2)
    host.settle(5)
    host.leads = True
    host.settle(600)

    assert host.asked == []
    assert "somebody else changed" in limited(host)[0]


@pytest.mark.parametrize("after", [3, 5, 20])
def test_undoing_what_the_agent_has_just_done_is_respected(after: int) -> None:
    host = a_swarm(2)
    host.needs(3.9)
    while host.replicas == 2:
        host.settle()
    host.settle(after)
    host.by_hand(2)
    host.settle(600)

    assert host.asked == [(2, 4)]


def test_undoing_what_the_agent_did_long_ago_is_respected_after_a_restart() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.settle(900)
    host.dies(5.0)
    host.by_hand(2)
    host.comes_back()
    host.settle(600)

    assert host.asked == [(2, 4)]


def test_who_is_faster_than_the_agent_is_respected() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    while not host.open:
        host.tick()
    host.by_hand(3)
    host.conflicts = 1
    host.settle(600)

    assert host.asked == [(2, 4)]
    assert host.replicas == 3


@pytest.mark.parametrize("to", [2, 3, 7])
def test_a_change_by_hand_that_follows_the_agents_before_it_was_seen_is_respected(to: int) -> None:
    host = a_swarm(2)
    host.needs(3.9)
    while not host.open:
        host.tick()
    host.answers = False
    host.carry_out()
    host.by_hand(to)
    host.answers = True
    host.settle(600)

    assert host.asked == [(2, 4)]
    assert host.replicas == to


def test_who_changes_something_else_of_the_service_is_no_matter() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    while host.replicas == 2:
        host.settle()
    host.version += 1
    host.needs(7.9)
    host.settle(60)

    assert host.asked == [(2, 4), (4, 8)]
    assert limited(host) == []


def test_a_service_that_is_always_changed_by_others_is_waited_for_after_three_tries() -> None:
    host = a_swarm(2)
    host.conflicts = 1000
    host.needs(3.9)
    begun = host.clock.monotonic
    while len(host.asked) < 4:
        host.settle()

    first, second, third, fourth = (intent.at - host.intents[0].at for intent in host.intents)
    assert second - first < third - first < 10
    assert fourth - third == pytest.approx(30.0, rel=0.25)
    assert host.clock.monotonic - begun < 120
    host.conflicts = 0
    host.settle(120)
    assert host.replicas == 4


@pytest.mark.parametrize("away", [False, True])
def test_who_wants_none_of_a_service_is_respected_until_somebody_wants_it_again(*, away: bool) -> None:
    host = a_swarm(2)
    if away:
        host.dies(5.0)
    host.by_hand(0)
    if away:
        host.comes_back()
    host.settle(2000)
    assert host.asked == []
    assert "somebody else wants no replica of it" in limited(host)[-1]

    host.by_hand(1)
    host.needs(3.9)
    host.settle(890)
    assert host.asked == []
    host.settle(60)
    assert host.asked[0] == (1, 2)


def test_the_agents_own_zero_is_no_persons_though_the_idle_rule_is_gone() -> None:
    host = ScaledHost(scale_policy_by_queue(), replicas=1)
    reads(host, 0.0, 920)
    assert host.replicas == 0
    host.see(PolicySet(policies=(scale_policy(SWARM, QUEUE),), digest="other"))
    reads(host, 0.0, 60)

    assert host.replicas == 1


def test_a_service_that_is_made_anew_under_its_name_is_another_one() -> None:
    host = a_swarm(4)
    host.by_hand(6)
    host.settle(5)
    host.service_id = "s2"
    host.by_hand(1)
    host.needs(2.9)
    host.settle(60)

    assert host.asked[0] == (1, 2)


def test_a_change_by_hand_right_after_the_first_start_is_respected() -> None:
    host = ScaledHost(scale_policy(), replicas=2)
    host.needs(2.0)
    host.settle(5)
    host.by_hand(5)
    host.settle(600)

    assert host.asked == []
    assert "somebody else changed" in limited(host)[0]


def test_values_beyond_all_numbers_end_nothing() -> None:
    host = a_swarm(2)
    host.load = lambda _: 1.7e308
    host.settle(200)

    assert 2 < (host.replicas or 0) <= 10


def test_a_change_by_hand_is_left_alone_for_a_quarter_of_an_hour_and_that_is_said() -> None:
    host = a_swarm(2)
    host.by_hand(5)
    host.settle(895)
    assert host.asked == []
    assert len(limited(host)) == 1
    assert "somebody else changed its number of replicas" in limited(host)[0]

    host.settle(10)
    assert host.asked[:1] == [(5, 3)]


def test_the_agents_own_change_is_not_a_persons() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.settle(25)
    host.needs(7.9)
    host.settle(60)

    assert host.asked[:2] == [(2, 4), (4, 8)]
    assert limited(host) == []


def test_a_change_by_hand_is_respected_over_a_restart_of_the_agent() -> None:
    host = a_swarm(2)
    host.by_hand(5)
    host.settle(60)
    host.dies(5.0)
    host.comes_back()
    host.settle(600)
    assert host.asked == []

    host.settle(300)
    assert host.asked != []


def test_a_change_by_hand_while_the_agent_was_away_is_respected_too() -> None:
    host = a_swarm(2)
    host.dies(5.0)
    host.by_hand(5)
    host.comes_back()
    host.settle(600)

    assert host.asked == []
    assert "somebody else changed" in limited(host)[0]


def test_what_was_needed_is_remembered_over_a_restart() -> None:
    host = a_swarm(4)
    host.needs(2.0)
    host.settle(100)
    host.dies(3.0)
    host.comes_back()
    begun = host.clock.monotonic
    while not host.asked:
        host.settle()

    assert host.clock.monotonic - begun < 100.0


def test_a_conflict_is_decided_again_from_what_is_seen_then() -> None:
    host = a_swarm(2)
    host.conflicts = 1
    host.needs(3.9)
    host.settle(45)

    assert host.asked == [(2, 4), (2, 4)]
    assert [each.result for each in host.of(Outcome)] == [Result.FAILED, Result.SUCCEEDED]
    first, second = host.of(Decision)
    assert first.id != second.id


def test_a_swarm_that_does_not_answer_is_asked_for_nothing() -> None:
    host = a_swarm(2)
    host.answers = False
    host.tick(11)
    host.needs(4.0)
    host.settle(60)

    assert host.asked == []


def test_an_update_holds_every_change_and_is_told() -> None:
    host = a_swarm(2)
    host.updating = True
    host.needs(4.0)
    host.settle(60)
    assert host.asked == []
    assert len(limited(host)) == 1
    assert "updated or rolled back" in limited(host)[0]

    host.updating = False
    host.settle(3)
    assert host.asked == [(2, 4)]


def test_nothing_shrinks_while_a_replica_is_not_known_and_the_event_says_why() -> None:
    host = a_swarm(4)
    blind = min(host.docker.containers)
    host.load = lambda each: None if each.id == blind else 6.0
    host.settle(900)

    assert host.asked == []
    assert len(limited(host)) == 1
    assert "1 replicas have no cpu.percent_of_limit" in limited(host)[0]


def test_replicas_elsewhere_count_by_what_their_agents_tell_until_that_is_stale() -> None:
    host = a_swarm(2)
    here, there = host.docker.containers.values()
    host.docker.remove(there.name, force=True)
    host.elsewhere = (
        Task(id="t9", node_id="n2", container_id=there.id, state=TaskState.RUNNING, since=there.created_at),
    )
    usual, newest = OwnMetricRule(name=CPU, target=60.0).windows(Rules())
    host.load = lambda each: 72.0 if each.id == here.id else None

    def batch() -> SiblingObserved:
        told = SiblingReplica(container_id=there.id, service="shop_web", means={str(usual): 150.0, str(newest): 150.0})
        moment = host.clock.monotonic
        return SiblingObserved(host="h2", node="n2", interval=5.0, moment=moment, replicas=(told,))

    host.settle(25)
    assert host.asked == []  # what is not known makes nothing grow
    for _ in range(6):
        host.see(batch())
        host.settle(5)
    assert host.asked[:1] == [(2, 4)]


@pytest.mark.parametrize(
    ("host", "node", "interval", "value"),
    [
        ("h9", "n2", 5.0, 1e300),  # another host claims the node, and a load beyond all measure
        ("h9", "n2", 5.0, 0.0),
        ("h9", "n9", 5.0, 0.0),  # of a node where that task is not
        ("h2", "n2", 5.0, -1e300),  # its own host, with what no measurement is
        ("h2", "n2", 3600.0, 0.0),  # what it says once is to count for hours
    ],
)
def test_what_a_wrong_batch_says_moves_nothing(host: str, node: str, interval: float, value: float) -> None:
    swarm = a_swarm(4)
    *_, there = swarm.docker.containers.values()
    swarm.docker.remove(there.name, force=True)
    swarm.elsewhere = (
        Task(id="t9", node_id="n2", container_id=there.id, state=TaskState.RUNNING, since=there.created_at),
    )
    windows = [str(window) for window in OwnMetricRule(name=CPU, target=60.0).windows(Rules())]

    def batch(host: str, node: str, interval: float, value: float) -> SiblingObserved:
        means = dict.fromkeys(windows, value)
        told = SiblingReplica(container_id=there.id, service="shop_web", means=means)
        return SiblingObserved(host=host, node=node, interval=interval, moment=swarm.clock.monotonic, replicas=(told,))

    swarm.load = lambda _: 6.0  # it would shrink, were it not for what is not known
    for turn in range(200):
        if host == "h9" and node == "n2":
            swarm.see(batch("h2", "n2", 5.0, 6.0))
        if turn == 0 or interval < 60.0:
            swarm.see(batch(host, node, interval, value))
        swarm.settle(5)

    assert swarm.asked == []
    assert "1 replicas have no cpu.percent_of_limit" in limited(swarm)[0]


def test_an_interrupted_change_is_settled_by_looking() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    while not host.open:
        host.tick()
    (intent,) = host.open.values()
    host.begins(intent)
    host.do_scale(intent)
    host.dies(2.0)
    host.comes_back()
    host.settle(20)

    (outcome,) = [each for each in host.of(Outcome) if each.result is Result.INTERRUPTED]
    assert outcome.numbers["engine_did_it"] is True
    assert host.asked == [(2, 4)]
    host.settle(30)
    assert limited(host) == []


def test_an_interrupted_change_that_the_engine_did_not_do_is_decided_anew() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    while not host.open:
        host.tick()
    host.dies(2.0)
    host.comes_back()
    host.settle(30)

    (outcome,) = [each for each in host.of(Outcome) if each.result is Result.INTERRUPTED]
    assert outcome.numbers["engine_did_it"] is False
    assert host.asked[-1] == (2, 4)
    assert host.replicas == 4


def test_changes_that_fail_are_tried_again_after_longer_and_longer_waits() -> None:
    host = a_swarm(2)
    host.fails = 3
    host.needs(3.9)
    host.settle(20 * 60)

    begun = [intent.at for intent in host.intents]
    assert [later - earlier for earlier, later in pairwise(begun)] == [
        pytest.approx(delay, rel=0.25) for delay in (30.0, 60.0, 120.0)
    ]
    assert host.replicas == 4


# --- guards ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_a_policy_that_may_not_act_does_not(mode: Mode) -> None:
    host = a_swarm(2, mode=mode)
    host.needs(5.0)
    host.settle(60)

    assert host.asked == []
    assert [each.guard.value for each in host.of(Held)] == (["mode"] if mode is Mode.SHADOW else [])


def test_people_are_asked_and_what_they_approve_is_done() -> None:
    host = a_swarm(2, mode=Mode.APPROVE)
    host.needs(3.9)
    host.settle(40)
    assert host.asked == []
    (question,) = [each for each in host.published() if "/approval_asked/" in each["topic"]]
    assert question["data"]["parameters"]["to"] == 4

    host.see(ApprovalAnswered(approval=question["data"]["approval"], approves=True))
    host.settle(2)
    assert host.asked == [(2, 4)]


def test_a_pause_of_the_policy_holds() -> None:
    host = a_swarm(2)
    host.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="web"), length=600, reason="we move"))
    host.needs(4.0)
    host.settle(60)

    assert host.asked == []
    assert host.guards == ["paused"]


def test_the_label_on_the_service_protects() -> None:
    host = a_swarm(2)
    host.labels = {"watchtower-agent.protect": "true"}
    host.needs(4.0)
    host.settle(60)

    assert host.asked == []
    assert host.guards == ["protected"]


# --- clones ---------------------------------------------------------------------------------------------------------


def test_a_compose_service_grows_by_clones_of_the_newest_that_is_well() -> None:
    host = a_project()
    host.needs(3.9)
    host.settle(120)

    assert host.asked[0] == (1, 2)
    assert host.running == 4
    grown = host.intents[0].decision
    assert grown.parameters["original"] == host.docker.find("shop-web-1").id
    assert grown.parameters["add"] == 1
    assert limited(host) == []


def test_it_shrinks_by_its_own_clones_alone_the_highest_number_first() -> None:
    host = a_project()
    host.needs(3.9)
    host.settle(120)
    numbered = {each.name: each.id for each in host.docker.containers.values()}
    host.clear()
    host.needs(0.4)
    host.settle(1200)

    assert host.running == 1
    first = host.intents[0].decision
    gone = str(first.parameters["remove"]).split(",")
    assert gone == [numbered["shop-web-4"], numbered["shop-web-3"]][: len(gone)]
    assert host.docker.find("shop-web-1").running
    assert limited(host) == []


def test_what_an_interrupted_change_left_is_removed() -> None:
    host = a_project()
    host.docker.create(
        "shop-web-2", status=ContainerStatus.CREATED, labels={**OF_COMPOSE, CLONE_OF: host.docker.find("shop-web-1").id}
    )
    host.deliver()
    host.settle(3)

    (decision,) = host.of(Decision)
    assert decision.reason == "shop-web-2 was made and never started: an interrupted change left it"
    assert [each.name for each in host.docker.containers.values()] == ["shop-web-1"]
    assert limited(host) == []


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
    assert "no memory for more" in limited(host)[0]


# --- the last replica, and metrics from outside ---------------------------------------------------------------------

QUEUE = MqttMetricRule(topic="queue/orders/depth", target=30.0)


def reads(host: ScaledHost, value: float, times: int) -> None:
    for _ in range(times):
        host.see(ReadingObserved(name=QUEUE.name, value=value, moment=host.clock.monotonic))
        host.settle()


def test_a_queue_scales_to_zero_when_idle_for_long_enough_and_back() -> None:
    host = ScaledHost(scale_policy_by_queue(), replicas=1)
    reads(host, 0.0, 910)
    assert host.asked == []
    reads(host, 0.0, 10)
    assert host.asked == [(1, 0)]
    assert host.replicas == 0

    reads(host, 70.0, 40)
    assert host.asked[1] == (0, 1)
    reads(host, 70.0, 60)
    assert host.replicas == 3


def test_a_queue_that_tells_nothing_any_more_holds_the_service_as_it_is() -> None:
    host = ScaledHost(scale_policy_by_queue(), replicas=3)
    reads(host, 90.0, 30)
    host.settle(1200)

    assert host.asked == []
    assert "mqtt queue/orders/depth is not known: stale" in limited(host)[0]


def scale_policy_by_queue() -> Policy:
    return scale_policy(SWARM, QUEUE, least=0, idle=IdleRule())


def test_clones_that_compose_removed_are_made_again_when_they_are_needed() -> None:
    host = a_project()
    host.needs(3.9)
    host.settle(120)
    host.clear()
    for number in (2, 3, 4):
        host.takes_away(f"shop-web-{number}")
    host.settle(25)
    assert host.running == 1  # Compose may not be done yet

    host.settle(60)
    assert host.running >= 4
    assert limited(host) == []
    assert [each for each in host.of(Notice) if each.action == "regretted"] == []


def test_who_leaves_some_of_the_clones_has_chosen_a_number() -> None:
    host = a_project()
    host.needs(3.9)
    host.settle(120)
    host.clear()
    for number in (3, 4):
        host.takes_away(f"shop-web-{number}")
    host.settle(600)

    assert host.asked == []
    assert host.running == 2


def test_a_project_that_is_being_stopped_gets_no_clones() -> None:
    host = a_project()
    host.needs(3.9)
    host.settle(120)
    host.clear()
    for number in (4, 3, 2, 1):
        host.docker.stop(f"shop-web-{number}")
        host.deliver()
        host.settle(12)
    host.settle(600)

    assert host.asked == []
    assert host.running == 0


def test_a_project_that_is_brought_up_to_date_grows_again() -> None:
    host = a_project()
    host.needs(2.9)
    host.settle(120)
    host.clear()
    for number in (3, 2):
        host.takes_away(f"shop-web-{number}")
    host.takes_away("shop-web-1")
    host.docker.create("shop-web-1", labels=OF_COMPOSE, identity="e" * 64)
    host.deliver()
    host.settle(90)

    assert host.running == 3
    assert limited(host) == []


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
    assert limited(host) == []


@pytest.mark.parametrize("act", ["stop", "kill", "rm"])
def test_who_ends_all_clones_as_compose_does_not_has_chosen_a_number(act: str) -> None:
    host = a_project()
    host.needs(2.9)
    host.settle(60)
    host.clear()
    for name in ("shop-web-2", "shop-web-3"):
        if act == "rm":
            host.docker.remove(name, force=True)
        else:
            getattr(host.docker, act)(name)
    host.settle(600)

    assert host.asked == []
    assert "somebody else changed" in limited(host)[0]


def test_a_clone_that_somebody_removes_while_others_are_made_is_not_made_again() -> None:
    host = a_project()
    host.needs(1.9)
    host.settle(30)
    host.needs(3.9)
    while not host.open:
        host.tick()
    (intent,) = host.open.values()
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
    assert "somebody else changed" in limited(host)[0]


def test_more_originals_made_by_hand_are_left_alone_for_a_while() -> None:
    host = a_project()
    original(host, "shop-web-2")
    original(host, "shop-web-3")
    host.relist()
    host.deliver()
    host.needs(6.0)
    host.settle(600)

    assert host.asked == []
    assert "somebody else changed" in limited(host)[0]


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


def test_what_adds_up_to_no_number_is_not_known() -> None:
    replicas = tuple(Replica(name=name, healthy_for=60.0, values={CPU: 1.7e308}) for name in ("a", "b"))
    situation = Situation(
        wanted=2, replicas=replicas, metrics=(OwnMetric(name=CPU, target=0.5),), bounds=Bounds(least=1, most=9)
    )
    recommendation = look(Rules(), situation, Memory(), Instant(wall=0.0, monotonic=100.0)).recommendation

    assert recommendation.to == 2
    assert recommendation.needs[0].why == "its replicas' values are beyond all numbers"
