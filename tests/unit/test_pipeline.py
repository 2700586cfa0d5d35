"""One step after the other: cause, decision, action, outcome; what is told, and what else a step says."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tests.support.core import INFO, NOW, Host, container_id, event, now, policy_set
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Dropped, Edge, Held
from watchtower_agent.model.engine_event import Cursor, EngineEvent, EventKind
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import (
    EngineDescribed,
    EngineFound,
    EngineLost,
    EventsObserved,
    GapObserved,
    StoreReset,
)
from watchtower_agent.model.outcome import Result
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.model.sample import LocalEngine
from watchtower_agent.policies.guards.protection import Protection

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


# --- cause, decision, action, outcome -----------------------------------------------------------------------------


def test_a_crash_leads_to_a_restart_all_under_one_correlation_id() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.carry_out()

    told = agent.published()
    (cause,) = [
        each
        for each in told
        if each["type"] == "io.watchtower.container.die.v1" and each["correlationid"] == each["id"]
    ]
    story = [each for each in told if each["correlationid"] == cause["id"]]
    assert [each["type"].removeprefix("io.watchtower.").removesuffix(".v1") for each in story] == [
        "container.die",
        "policy.decision",
        "action.started",
        "container.start",
        "container.restart",
        "action.succeeded",
    ]
    assert story[1]["data"]["cause_id"] == cause["id"]
    assert story[1]["data"]["numbers"]["exit_code"] == 1
    assert {each["data"]["decision_id"] for each in story if "decision_id" in each["data"]} == {agent.wanted[0].id}


def test_a_condition_leads_to_an_edge_a_restart_and_its_end_all_under_one_correlation_id() -> None:
    agent = host(SICK)
    agent.docker.health()
    agent.deliver()
    agent.tick(4)
    agent.carry_out()
    agent.tick(1)

    edge = agent.of(Edge)[0]
    assert [each.firing for each in agent.of(Edge)] == [True, False]
    assert agent.intents[0].decision.correlation_id == edge.correlation_id
    kinds = [each["type"].split(".")[2:4] for each in agent.published() if each["correlationid"] == edge.correlation_id]
    assert [kind for kind in kinds if kind[0] != "container"] == [
        ["policy", "firing"],
        ["policy", "decision"],
        ["action", "started"],
        ["action", "succeeded"],
        ["policy", "resolved"],
    ]
    (sick,) = (each for each in agent.published() if each["type"].endswith("container.health_status.v1"))
    causes = [each["data"].get("cause_id") for each in agent.published() if "firing" in each["data"]]
    assert causes == [sick["id"], None]
    assert agent.intents[0].decision.cause_id == sick["id"]
    assert sick["correlationid"] != edge.correlation_id


def test_a_condition_that_no_event_made_true_names_none() -> None:
    """It is about health too, and the container is healthy: it is the memory that makes it true."""
    agent = host('- {name: p, select: {name: "*"}, when: health == "unhealthy" or age > 1s, then: {restart: {}}}')
    agent.docker.health(verdict=Health.HEALTHY)
    agent.deliver()
    agent.tick(3)

    assert agent.of(Edge)[0].cause_id == ""
    assert agent.wanted[0].cause_id == ""


def test_a_verdict_of_an_earlier_life_is_not_the_cause() -> None:
    agent = host(SICK)
    agent.docker.health()
    agent.deliver()
    assert agent.pipeline.state.containers[container_id("web")].unhealthy_by
    agent.docker.restart()
    agent.deliver()
    assert not agent.pipeline.state.containers[container_id("web")].unhealthy_by


def test_what_one_step_says_and_does_is_one_transaction() -> None:
    agent = host()
    agent.docker.crash()
    last = agent.docker.events[-1]
    agent.read()

    commit = agent.steps[-1].commit()
    assert commit.cursor == Cursor(time_ns=last.time_ns, event_id=last.id)
    assert commit.event_ids == (last.id,)
    assert [intent.decision.target.name for intent in commit.intents] == ["web"]
    assert {record.kind for record in commit.records} >= {"cooldown", "container", "begun"}
    assert [message.sequence for message in commit.events] == sorted(message.sequence for message in commit.events)


def test_sequence_numbers_go_on_after_a_restart() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    last = max(message["sequence"] for message in agent.published())
    agent.comes_back()

    assert min(m["sequence"] for m in agent.published() if m["sequence"] > last) == f"{int(last) + 1:012d}"
    # `Host.see` looks at every step that they only grow


def test_the_intent_knows_when_the_container_had_started() -> None:
    agent = host()
    agent.docker.health()
    agent.deliver()
    started = agent.docker.find("web").detail
    agent.see(policy_set(SICK.replace("3s", "0s")))

    assert started is not None
    assert agent.intents[0].started_at_before == started.started_at


# --- notifications --------------------------------------------------------------------------------------------------


def test_a_notification_is_intent_and_outcome_in_one_and_nobody_carries_it_out() -> None:
    agent = host(TELL)
    agent.docker.crash(code=3)
    agent.deliver()

    (outcome,) = agent.told
    assert (outcome.result, outcome.reason) == (Result.SUCCEEDED, "Look")
    assert agent.intents == []
    (message,) = [each for each in agent.published() if "/action/notify/web" in each["topic"]]
    assert message["severity"] == "critical"
    assert [row.outcome for row in now(agent.store.history(limit=9))] == [outcome]


def test_notify_beside_a_verb_does_not_delay_the_verb() -> None:
    policy = '  - {name: p, select: {name: "*"}, on: {container: die}, then: {restart: {}, notify: {}}}'
    agent = Host(policy, first_start=True)
    agent.docker.create(silent=True, restart_policy="always")
    agent.connect()
    agent.docker.crash()
    agent.deliver()
    agent.tick(1)
    agent.docker.settles()
    agent.tick(2)

    assert len(agent.told) == 1
    assert agent.did == [("restart", "web")]


def test_notify_acts_on_edges() -> None:
    agent = host(TELL_FULL)
    agent.tick(10, memory_percent=95.0)
    agent.tick(2, memory_percent=50.0)
    agent.tick(10, memory_percent=95.0)

    assert [each.firing for each in agent.of(Edge)] == [True, False, True]
    assert len(agent.told) == 2
    assert [each.decision.correlation_id for each in agent.told] == [
        e.correlation_id for e in agent.of(Edge) if e.firing
    ]


def test_news_that_come_at_once_are_all_told() -> None:
    breakers = """
  - {name: revive, select: {name: "w*"}, on: {container: die}, cooldown: 0s, backoff: {initial: 0s}, \
budget: {max: 1, per: 20m}, then: {restart: {}}}
  - {name: tell, on: {policy: breaker_open}, then: {notify: {}}}
"""
    agent = Host(breakers)
    for name in ("w1", "w2", "w3"):
        agent.docker.create(name, silent=True)
    agent.connect()
    for _ in range(2):
        for name in ("w1", "w2", "w3"):
            agent.docker.crash(name)
        agent.deliver()
        agent.carry_out()

    opened = [each.reason for each in agent.of(Notice) if each.action == "breaker_open"]
    assert len(opened) == 3
    assert [each.reason for each in agent.told if each.decision.policy == "tell"] == opened


@pytest.mark.parametrize("at_once", [True, False])
def test_of_news_that_are_held_the_newest_wait_and_the_others_are_given_up(*, at_once: bool) -> None:
    agent = host(TELL.replace("die", "[die, oom]").replace(", message: Look", ""))
    agent.see(PauseAsked(what=Paused(scope=PauseScope.AGENT), length=500.0 if at_once else 1300.0))
    for code in (3, 4, 5):
        agent.docker.crash(code=code)
        if not at_once:
            agent.deliver()
            agent.tick(400)
        agent.docker.start()
    agent.docker.crash(code=6)
    agent.deliver()
    agent.tick(600)

    assert [each.reason for each in agent.told] == ["exit code 6"]
    given_up = [(each.decision.reason, each.reason) for each in agent.of(Dropped)]
    newer = "there is newer news, which waits in its place"
    assert given_up == [(f"exit code {code}", newer) for code in (3, 4, 5)]
    assert agent.guards == ["paused"]


def test_a_cooldown_of_a_notification_holds_it_and_old_news_is_not_told() -> None:
    agent = host(TELL.replace("then", "cooldown: 1h, then"))
    for _ in range(2):
        agent.docker.crash()
        agent.deliver()
        agent.docker.start()
        agent.deliver()
        agent.tick(1)
    assert len(agent.told) == 1
    assert agent.guards == ["cooldown"]

    agent.tick(15 * 60)

    assert len(agent.told) == 1
    assert agent.of(Dropped)[0].reason == "it waited for 15 min"


def test_the_agents_own_events_trigger_too() -> None:
    policies = (
        """
  - {name: gap, on: {agent: event_gap}, then: {notify: {}}}
  - {name: down, on: {engine: [down, up]}, then: {notify: {}}}
  - {name: fires, on: {policy: firing}, where: event.name == "heal", then: {notify: {}}}
"""
        + SICK
    )
    agent = host(policies)
    agent.see(GapObserved(reason="audit", since=NOW, until=NOW + 1, count=3))
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.see(EngineFound(info=INFO, restarted=True, at=agent.clock.wall))
    agent.relist()
    agent.docker.health()
    agent.deliver()
    agent.tick(4)

    assert [each.decision.policy for each in agent.told] == ["gap", "down", "down", "fires"]
    assert "3 events may have been lost" in agent.told[0].reason


def test_dead_letters_are_told_with_the_sequences_that_subscribers_do_not_see() -> None:
    agent = host(SICK)
    agent.see(GapObserved(reason="dead_letter", since=NOW - 9, until=NOW, count=25, sequences=tuple(range(7, 27))))

    gap = next(each for each in agent.published() if each["topic"].endswith("agent/event_gap/self"))
    data = gap["data"]
    assert (data["cause"], data["since"], data["until"], data["count"]) == ("dead_letter", NOW - 9, NOW, 25)
    assert data["sequences"] == [f"{number:012d}" for number in range(7, 27)]
    assert "25 events will never be taken by the broker (dead_letter); set aside" in data["reason"]


def test_an_engine_that_leads_its_swarm_by_now_is_no_engine_that_came_back() -> None:
    agent = host("  - {name: up, on: {engine: up}, then: {notify: {}}}\n")
    agent.tick()
    agent.see(EventsObserved(events=(event("create", kind=EventKind.SECRET),)))
    before = len(agent.published())
    agent.see(EngineDescribed(info=replace(INFO, swarm_node_id="n1", swarm_leader=True)))
    agent.see(EventsObserved(events=(event("remove", kind=EventKind.SECRET),)))
    agent.tick(2)

    assert [each["topic"].rpartition("/event/")[2] for each in agent.published()[before:]] == ["secret/remove/self"]
    infos = [state.payload for step in agent.steps for state in step.states if state.topic.endswith("/info")]
    assert [json.loads(info)["engine"]["swarm_leader"] for info in infos] == [True]
    assert agent.pipeline.state.engine.listed
    assert not agent.told


def crash_loop(agent: Host) -> None:
    agent.docker.crash()
    agent.deliver()
    agent.carry_out()
    agent.docker.crash()
    agent.deliver()


# --- the rest -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "policies"),
    [("enforce", ON_DIE.replace("then", "mode: shadow, then")), ("observe", ON_DIE), ("observe", TELL)],
    ids=["shadow", "observe", "observe notify"],
)
def test_shadow_and_observe_publish_the_decision_and_do_nothing(mode: str, policies: str) -> None:
    agent = host(policies, mode)
    agent.docker.crash()
    agent.deliver()
    agent.tick(5)

    assert agent.did == []
    assert agent.told == []
    (held,) = agent.of(Held)
    assert (held.guard.value, held.final) == ("mode", True)
    assert agent.waiting == []


def test_a_shadow_condition_tells_once_per_firing() -> None:
    agent = host(SICK.replace("then", "mode: shadow, then"))
    agent.docker.health()
    agent.deliver()
    agent.tick(20)
    agent.docker.health(verdict=Health.HEALTHY)
    agent.deliver()
    agent.tick(2)
    agent.docker.health()
    agent.deliver()
    agent.tick(20)

    assert len(agent.wanted) == len(agent.of(Held)) == 2
    assert agent.did == []


def test_an_off_policy_is_not_evaluated() -> None:
    agent = host((ON_DIE + SICK).replace("then", "mode: off, then"))
    agent.docker.health()
    agent.deliver()
    agent.tick(10)
    agent.docker.crash()
    agent.deliver()

    assert not [*agent.wanted, *agent.of(Edge), *agent.of(Held)]


def test_exec_events_move_the_cursor_and_are_not_published() -> None:
    agent = host()
    made = event("exec_start", at=agent.clock.wall, position=agent.position + 1)
    agent.see(EventsObserved(events=(made,)))

    assert agent.published() == []
    assert agent.steps[-1].commit().event_ids == (made.id,)
    assert now(agent.store.load()).cursor == Cursor(time_ns=made.time_ns, event_id=made.id)


def test_events_about_other_things_are_published_and_trigger() -> None:
    agent = host("  - {name: p, on: {image: pull}, where: event.name == 'web', then: {notify: {}}}")
    for name in ("web", "db"):
        agent.see(EventsObserved(events=(event("pull", name, kind=EventKind.IMAGE, at=agent.clock.wall),)))

    assert len(agent.of(EngineEvent)) == 2
    assert len(agent.told) == 1
    assert agent.told[0].decision.target.name == "h1"


def test_a_failing_collector_is_told_once_and_its_return_too() -> None:
    agent = host()
    for failures in ({}, {"cgroup": "unreadable"}, {"cgroup": "unreadable"}, {}, {}):
        agent.clock.advance(1)
        batch = agent.sample({})
        agent.see(type(batch)(at=batch.at, interval=1.0, failures=failures))

    assert [(each.action, each.data["collector"]) for each in agent.of(Notice) if each.kind is EventKind.AGENT] == [
        ("sampling_degraded", "cgroup"),
        ("sampling_restored", "cgroup"),
    ]
    topics = [message.topic for step in agent.steps for message in step.events]
    assert [topic for topic in topics if "/event/agent/" in topic] == [
        "watchtower/v1/h1/event/agent/sampling_degraded/self",
        "watchtower/v1/h1/event/agent/sampling_restored/self",
    ]


def test_every_correlation_id_is_of_one_form() -> None:
    agent = host()
    agent.docker.crash()
    agent.read()
    agent.tick(20)
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.connect(restarted=True)
    ids = {each["correlationid"] for each in agent.published()}

    assert {each["type"].split(".")[2] for each in agent.published()} >= {"container", "policy", "engine"}
    assert [each for each in ids if not re.fullmatch("[0-9a-f]{32}", each)] == []


def test_metrics_are_published_at_their_own_interval() -> None:
    agent = host()
    agent.tick(25, memory_percent=40.0)
    batches = [json.loads(message.payload) for step in agent.steps for message in step.metrics]

    assert [batch["sequence"] for batch in batches] == [1, 2, 3]
    assert batches[1]["time"] > batches[0]["time"]
    assert batches[1]["containers"][0]["memory.percent"] == 40.0


def test_what_the_policies_need_is_told_to_the_sampler() -> None:
    agent = Host(FULL)

    assert [step.demand for step in agent.steps if step.demand is not None] == [frozenset({"memory.percent"})]
    assert [step.engine for step in agent.steps if step.engine is not None] == [
        LocalEngine(data_root="/var/lib/docker")
    ]


def test_an_oom_asks_for_the_counter() -> None:
    agent = host()
    agent.docker.oom()
    agent.deliver()

    assert [identity for step in agent.steps for identity in step.anew] == [container_id("web")]


def test_a_store_that_was_set_aside_is_a_gap() -> None:
    agent = Host()
    agent.store._store_was_reset = StoreReset(why="malformed")
    agent.clear()
    agent._boot()

    gap = next(each for each in agent.published() if each["topic"].endswith("agent/event_gap/self"))
    assert gap["severity"] == "critical"
    assert "malformed" in gap["data"]["reason"]
    assert agent.pipeline.state.engine.gaps == 1


def test_damaged_records_are_forgotten_not_fatal() -> None:
    agent = host()
    crash_loop(agent)
    for kind in ("container", "cooldown", "pending", "begun"):
        agent.store._records[kind, "junk"] = {"at": "yesterday"}
        agent.store._records[kind, "junk2"] = {}
    agent.comes_back()
    agent.tick(31)

    assert len(agent.did) == 2


def test_a_stateful_image_is_protected_and_the_agent_says_how_to_allow_it() -> None:
    agent = Host(ON_DIE, first_start=True, protection=Protection(stateful_images=frozenset({"postgres"})))
    agent.docker.create("db", image="registry:5000/library/postgres:16", silent=True)
    agent.connect()
    agent.docker.crash("db")
    agent.deliver()

    assert agent.did == []
    (held,) = agent.of(Held)
    assert (held.guard.value, held.final) == ("protected", True)
    assert "select it by exact name or label" in held.reason


def test_the_newer_task_of_a_swarm_slot_keeps_the_topic() -> None:
    agent = Host(first_start=True)
    labels = {"com.docker.swarm.service.name": "shop_web", "com.docker.swarm.task.id": "x"}
    agent.docker.create("shop_web.1.aaaaaaaaaaaaaaaaaaaaaaaaa", labels=labels)
    agent.connect()
    agent.clock.advance(5)
    agent.docker.create("shop_web.1.bbbbbbbbbbbbbbbbbbbbbbbbb", labels=labels)
    agent.deliver()
    agent.docker.remove("shop_web.1.aaaaaaaaaaaaaaaaaaaaaaaaa", force=True)
    agent.deliver()

    (key,) = {state.topic.rpartition("/")[2] for step in agent.steps for state in step.states if "shop" in state.topic}
    retained = agent.retained(f"container/{key}")
    assert retained is not None
    assert retained["name"].endswith("bbbbb")
