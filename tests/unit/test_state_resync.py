"""What a gap in the events swallowed is told: whoever hears the events alone knows what the listing shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.core import Docker, Host, container, container_id, event
from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Dropped
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.observation import ContainerObserved, EventsObserved, GapObserved, InventoryObserved
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope, ResumeAsked
from watchtower_agent.policies.conditions.subject import ContainerSubject
from watchtower_agent.policies.conditions.truth import UNKNOWN
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.state.attribution import EndCause

HEAL = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", then: {restart: {}}}'
WATCHED = '  - {name: p, select: {name: "*"}, on: {container: die}, then: {restart: {}}}'


def host(policies: str = "", **known: object) -> Host:
    made = Host(policies, first_start=True)
    made.docker.create(silent=True, **known)  # type: ignore[arg-type] # fields of any type, given by name
    made.connect()
    made.clock.advance(60)
    made.tick()
    made.clear()
    return made


def inspected(agent: Host, name: str = "web") -> ContainerObserved:
    identity = container_id(name)
    seen = agent.docker.containers.get(identity)
    return ContainerObserved(container_id=identity, container=seen, after_position=agent.position, at=agent.clock.wall)


# --- first met by an event --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["rename", "update", "attach", "detach", "copy", "commit", "archive-path", "novel"])
@pytest.mark.parametrize("status", [ContainerStatus.CREATED, ContainerStatus.EXITED])
def test_an_event_that_proves_no_life_lets_nothing_be_concluded_of_one(action: str, status: ContainerStatus) -> None:
    agent = host(WATCHED)
    agent.docker.create("new", status=status)
    agent.docker.lose_events()
    agent.docker.tell(action, "new")
    agent.read()
    record = agent.record("new")
    assert record.container.status is None
    assert not record.container.running

    agent.relist()
    agent.tick(3)

    assert agent.actions_seen("new") == [(action, "stream")]
    assert agent.record("new").container.status is status
    assert agent.did == []


@pytest.mark.parametrize("by_listing", [True, False], ids=["listing", "inspection"])
@pytest.mark.parametrize(
    ("status", "health", "seen"),
    [
        (ContainerStatus.RUNNING, Health.NONE, ["start"]),
        (ContainerStatus.RUNNING, Health.STARTING, ["start"]),
        (ContainerStatus.RUNNING, Health.UNHEALTHY, ["start", "health_status"]),
        (ContainerStatus.PAUSED, Health.NONE, ["start", "pause"]),
        (ContainerStatus.EXITED, Health.NONE, []),
    ],
)
def test_a_state_that_was_not_known_is_told_once_it_is(
    status: ContainerStatus, health: Health, seen: list[str], *, by_listing: bool
) -> None:
    agent = host()
    agent.docker.create("new", status=status, health=health)
    agent.docker.lose_events()
    agent.docker.tell("rename", "new", oldName="/newer")
    agent.read()
    if by_listing:
        agent.relist()
    agent.inspect()
    agent.clock.advance(2)
    agent.to_inspect[container_id("new")] = None
    agent.inspect()
    agent.tick(3)

    assert agent.actions_seen("new") == [("rename", "stream"), *((action, "synthetic") for action in seen)]
    record = agent.record("new")
    assert record.container.status is status
    assert record.container.health is health
    assert record.end_cause is (EndCause.UNKNOWN if status is ContainerStatus.EXITED else EndCause.NONE)


@pytest.mark.parametrize("action", ["kill", "oom", "health_status", "top", "resize"])
def test_an_event_that_only_a_running_container_has_proves_its_life(action: str) -> None:
    agent = host()
    agent.docker.create("new")
    agent.docker.lose_events()
    agent.docker.tell(action, "new")
    agent.read()
    assert agent.record("new").container.status is ContainerStatus.RUNNING
    agent.docker.crash("new")
    agent.docker.lose_events()

    agent.relist()

    assert agent.actions_seen("new") == [(action, "stream"), ("die", "synthetic")]


@pytest.mark.parametrize("action", ["attach", "kill", "top"])
def test_whom_an_event_made_known_is_inspected_whatever_the_event(action: str) -> None:
    agent = host()
    agent.docker.create("new", labels={"tier": "1"})
    agent.docker.lose_events()
    agent.docker.tell(action, "new")
    agent.to_inspect.clear()

    agent.read()

    assert list(agent.to_inspect) == [container_id("new")]


def test_while_a_state_is_not_known_conditions_on_it_are_not_known_and_nothing_is_published() -> None:
    agent = host()
    agent.docker.create("new")
    agent.docker.lose_events()
    agent.docker.tell("attach", "new")
    agent.read()

    subject = ContainerSubject(agent.pipeline.state, agent.clock.now(), agent.record("new"))
    for name in ("status", "health", "uptime", "engine.containers.running", "engine.containers.stopped"):
        assert subject.value(name) is UNKNOWN, name
    assert agent.retained("container/new") is None
    agent.inspect()
    agent.clock.advance(2)
    agent.deliver()
    agent.inspect()
    assert subject.value("engine.containers.running") == 2
    assert (agent.retained("container/new") or {})["status"] == "running"


def test_a_state_that_was_not_known_is_not_known_to_the_next_run() -> None:
    agent = host()
    agent.docker.create("new", status=ContainerStatus.EXITED)
    agent.docker.lose_events()
    agent.docker.tell("attach", "new")
    agent.read()

    agent.comes_back()

    assert agent.record("new").container.status is ContainerStatus.EXITED
    assert agent.actions_seen("new") == [("attach", "stream")]


def test_a_stop_ends_what_was_not_known_to_run() -> None:
    agent = host()
    agent.docker.create("new")
    agent.docker.lose_events()
    agent.docker.tell("attach", "new")
    agent.docker.tell("stop", "new")
    agent.read()

    assert agent.record("new").container.status is ContainerStatus.EXITED


def test_pruning_is_about_no_container() -> None:
    agent = host()
    agent.position += 1
    pruned = replace(event("prune", reclaimed="1024", position=agent.position), actor_id="")

    agent.see(EventsObserved(events=(pruned,)))
    agent.relist()

    assert [fact.action for fact in agent.of(EngineEvent)] == ["prune"]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_listing", [True, False], ids=["listing", "inspection"])
def test_a_rename_that_nobody_heard_is_told_with_the_old_name(*, by_listing: bool) -> None:
    agent = host()
    agent.docker.rename("web", "shop")
    agent.docker.lose_events()
    if by_listing:
        agent.relist()
    else:
        agent.see(inspected(agent))
        assert agent.actions_seen("shop") == []  # its event may be on its way
        agent.clock.advance(1.6)
        agent.see(inspected(agent))
    agent.inspect()

    assert agent.actions_seen("shop") == [("rename", "synthetic")]
    (told,) = (each for each in agent.published() if "/event/" in each["topic"])
    assert told["topic"] == "watchtower/v1/h1/event/container/rename/shop"
    assert told["data"]["old_name"] == "web"
    assert told["data"]["container"]["name"] == "shop"
    assert agent.retained("container/web") is None
    assert (agent.retained("container/shop") or {})["name"] == "shop"


def test_a_rename_whose_event_comes_after_the_inspection_is_told_once() -> None:
    agent = host()
    agent.docker.rename("web", "shop")
    agent.see(inspected(agent))
    agent.clock.advance(0.2)
    agent.deliver()
    agent.tick(3)

    assert agent.actions_seen("shop") == [("rename", "stream")]


@pytest.mark.parametrize(
    ("told", "asked"),
    [({"name": "shop"}, False), ({"name": ""}, True), ({"name": "shop", "podman": True}, True)],
    ids=["whole", "without the name", "by Podman"],
)
def test_a_rename_is_inspected_where_its_event_does_not_tell_all(told: dict[str, Any], *, asked: bool) -> None:
    agent = host()
    agent.inspect()
    renamed = event("rename", told["name"], identity=container_id("web"), old_name="web", position=99)
    agent.see(EventsObserved(events=(replace(renamed, podman=told.get("podman", False)),)))

    assert (container_id("web") in agent.to_inspect) is asked
    assert agent.record(told["name"] or container_id("web")).container.id == container_id("web")


def test_a_rename_that_nobody_heard_hides_no_state() -> None:
    agent = host(WATCHED, restart_policy="always")
    agent.docker.crash()
    agent.deliver()
    agent.docker.settles()
    agent.docker.rename("web", "shop")
    agent.docker.lose_events()
    agent.see(inspected(agent))
    agent.clock.advance(1.6)
    agent.see(inspected(agent))

    record = agent.record("shop")
    assert record.container.status is ContainerStatus.EXITED
    assert record.settled_after_end


def test_names_that_two_containers_swapped_keep_both_topics() -> None:
    agent = host()
    agent.docker.create("db")
    agent.deliver()
    agent.clear()
    for name, to in (("web", "x"), ("db", "web"), ("x", "db")):
        agent.docker.rename(name, to)
    agent.docker.lose_events()

    agent.relist()
    agent.deliver()

    assert agent.actions_seen("db") == agent.actions_seen("web") == [("rename", "synthetic")]
    assert (agent.retained("container/web") or {})["id"] == container_id("db")
    assert (agent.retained("container/db") or {})["id"] == container_id("web")


def test_where_the_engine_tells_no_name_nothing_was_renamed() -> None:
    agent = host()
    identity = container_id("web")
    nameless = container(identity[:12], identity=identity)

    agent.see(InventoryObserved(containers=(nameless,), after_position=agent.position, at=agent.clock.wall))

    assert agent.facts == []
    assert agent.record("web").container.id == identity


# --- states -----------------------------------------------------------------------------------------------------------


def rename_and_restart(docker: Docker) -> None:
    docker.rename("web", "shop")
    docker.restart("shop")


@pytest.mark.parametrize(
    ("before", "happens", "seen"),
    [
        ({"status": "paused"}, lambda docker: docker.unpause(), ["unpause"]),
        ({"status": "paused"}, lambda docker: (docker.unpause(), docker.crash()), ["die"]),
        ({"status": "exited"}, lambda docker: docker.start(), ["start"]),
        ({"status": "exited"}, lambda docker: (docker.start(), docker.pause()), ["start", "pause"]),
        ({"check": True}, lambda docker: docker.health(), ["health_status"]),
        ({"check": True}, lambda docker: (docker.health(), docker.pause()), ["pause", "health_status"]),
        ({"check": True}, lambda docker: (docker.restart(), docker.health()), ["health_status", "die", "start"]),
        ({}, lambda docker: (docker.crash(), docker.rename("web", "shop")), ["rename", "die"]),
        ({}, rename_and_restart, ["rename", "die", "start"]),
        ({"status": "created"}, lambda docker: (docker.start(), docker.crash()), ["start", "die"]),
    ],
    ids=[
        "unpaused",
        "unpaused and ended",
        "started",
        "started and paused",
        "unhealthy",
        "unhealthy and paused",
        "restarted and unhealthy",
        "ended and renamed",
        "renamed and restarted",
        "a first life",
    ],
)
def test_each_difference_is_told(before: dict[str, object], happens: Callable[[Docker], None], seen: list[str]) -> None:
    status = {"status": ContainerStatus(str(before["status"]))} if "status" in before else {}
    agent = host(**{**before, **status})  # type: ignore[arg-type] # as above
    happens(agent.docker)
    agent.clock.advance(1)
    agent.docker.lose_events()

    agent.relist()
    for _ in range(4):
        agent.tick(2)

    told = [each.action for each in agent.of(EngineEvent) if each.origin == "synthetic"]
    assert told[: len(seen)] == seen
    assert told[len(seen) :] in ([], ["health_status"])  # of the new life


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        ({"status": ContainerStatus.PAUSED}, ["create", "start", "pause"]),
        ({"health": Health.UNHEALTHY}, ["create", "start", "health_status"]),
        ({"health": Health.STARTING}, ["create", "start"]),
        ({"status": ContainerStatus.EXITED}, ["create"]),
    ],
    ids=["paused", "unhealthy", "starting", "exited"],
)
def test_a_container_that_came_in_the_gap_is_told_as_it_is(known: dict[str, object], seen: list[str]) -> None:
    agent = host()
    agent.docker.create("new", **known)  # type: ignore[arg-type] # fields of any type, given by name
    agent.docker.lose_events()
    agent.relist()
    agent.tick(4)

    assert agent.actions_seen("new") == [(action, "synthetic") for action in seen]


def test_a_first_life_whose_events_were_lost_right_after_the_create() -> None:
    agent = host()
    agent.docker.create("new", status=ContainerStatus.CREATED)
    agent.read()
    agent.docker.start("new")
    agent.docker.crash("new", code=3)
    agent.docker.lose_events()

    agent.tick(4)

    assert agent.actions_seen("new") == [("create", "stream"), ("start", "synthetic"), ("die", "synthetic")]
    assert agent.record("new").exit_code == 3


# --- an image whose name was given to another -----------------------------------------------------------------------


def gap(agent: Host) -> None:
    agent.see(GapObserved(reason="replay_incomplete", since=agent.clock.wall - 1, until=agent.clock.wall))
    agent.relist()


def another_run(agent: Host) -> None:
    agent.comes_back()


def ends_unseen(agent: Host) -> None:
    agent.docker.crash()
    agent.docker.lose_events()
    agent.relist()


@pytest.mark.parametrize("looks_again", [gap, another_run, ends_unseen])
def test_a_listing_that_tells_only_an_id_does_not_unname_an_image(looks_again: Callable[[Host], None]) -> None:
    agent = host(image="postgres:16")
    agent.docker.tag_moves()
    looks_again(agent)

    assert agent.record().container.image == "postgres:16"
    told = [each.attributes["image"] for each in agent.of(EngineEvent) if each.actor_id == container_id("web")]
    assert set(told) <= {"postgres:16"}
    assert bool(told) is (looks_again is ends_unseen)


def test_the_first_listing_ever_does_not_unname_an_image_that_an_event_named() -> None:
    agent = Host(first_start=True)
    agent.docker.create(image="postgres:16")
    agent.docker.tag_moves()
    agent.read()
    agent.relist()

    assert agent.record().container.image == "postgres:16"


def test_an_inspection_names_an_image_of_which_a_listing_told_an_id() -> None:
    agent = Host(first_start=True)
    agent.docker.create(image="postgres:16", silent=True)
    agent.docker.tag_moves()
    agent.relist()
    assert agent.record().container.image == "96140e0c5a29"
    agent.deliver()

    assert agent.record().container.image == "postgres:16"


@pytest.mark.parametrize("looks_again", [gap, another_run])
def test_a_stateful_image_stays_protected_though_its_name_was_given_to_another(
    looks_again: Callable[[Host], None],
) -> None:
    agent = Host(HEAL, first_start=True, protection=Protection(stateful_images=frozenset({"postgres"})))
    agent.docker.create(silent=True, check=True, image="postgres:16")
    agent.connect()
    agent.clock.advance(60)
    agent.docker.tag_moves()
    agent.docker.health()
    agent.deliver()
    agent.tick(2)
    looks_again(agent)
    for _ in range(3):  # nobody inspects it
        agent.clock.advance(1)
        agent.ping()
        agent.see(agent.sample({}))

    assert set(agent.guards) - {"stale"} == {"protected"}
    assert agent.did == []


def test_a_policy_that_selects_an_image_selects_it_still_though_its_name_was_given_to_another() -> None:
    agent = host(WATCHED.replace('name: "*"', 'image: "web:*"'), image="web:1")
    everything = Paused(scope=PauseScope.AGENT)
    agent.see(PauseAsked(what=everything, length=60.0))
    agent.docker.crash()
    agent.deliver()
    agent.docker.tag_moves()
    agent.relist()
    agent.tick()
    assert agent.guards == ["paused"]
    agent.see(ResumeAsked(what=everything))
    agent.tick(2)

    assert agent.of(Dropped) == []
    assert agent.did == [("restart", "web")]
