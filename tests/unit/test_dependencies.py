"""What containers need of each other: how it is read, who is acted on first, and that nobody waits for ever."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.core import Host, container, container_id
from tests.support.numbers import examples
from watchtower_agent.model.container import Container, Health
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget
from watchtower_agent.state.dependencies import Dependencies
from watchtower_agent.state.record import ContainerRecord

PLENTY = Protection(host_budget=Budget(most=1000, per=1.0))
HEAL = """
- name: heal
  select: {name: "*"}
  when: health == "unhealthy"
  then: {restart: {}}
"""
START = """
- name: revive
  select: {name: "*"}
  on: {container: die}
  then: {start: {}}
"""


def labels(service: str, depends_on: str = "", project: str = "shop", **more: str) -> dict[str, str]:
    known = {"project": project, "service": service, "depends_on": depends_on, **more}
    return {f"com.docker.compose.{key}": value for key, value in known.items() if value}


def needs(of: str, *containers: Container) -> list[tuple[str, set[str]]]:
    found = Dependencies({each.id: ContainerRecord(container=each) for each in containers}).of(container_id(of))
    by_id = {each.id: each.name for each in containers}
    return [(need.name, {by_id[each] for each in need.ids}) for need in found]


def composed(name: str, depends_on: str = "", **more: str) -> Container:
    return container(name, labels=labels(more.pop("service", name), depends_on, **more))


# --- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("", []),
        ("db", ["db"]),
        ("db:service_healthy", ["db"]),
        ("db:service_healthy:true,cache:service_started:false", ["db", "cache"]),
        (" db , cache ", ["db", "cache"]),
        ("nobody", []),
        ("db,,db", ["db"]),
        (",:,::", []),
        ("web", []),
    ],
)
def test_what_the_label_names_in_the_same_project_is_needed(label: str, found: list[str]) -> None:
    others = [composed("db"), composed("cache"), composed("nobody-else", service="nobody", project="other")]
    assert [name for name, _ in needs("web", composed("web", label), *others)] == found


def test_all_containers_of_a_service_are_it_but_not_those_that_were_run_once() -> None:
    first, second = composed("db-1", service="db"), composed("db-2", service="db")
    once = composed("db-run", service="db", oneoff="True")
    assert needs("web", composed("web", "db"), first, second, once) == [("db", {"db-1", "db-2"})]
    assert needs("db-run", composed("db-run", "cache", service="db", oneoff="True"), composed("cache")) == []


@pytest.mark.parametrize("wanted", [container_id("vpn"), "vpn"])
def test_the_container_whose_network_is_used_is_needed(wanted: str) -> None:
    web = container("web", network_mode=f"container:{wanted}")
    assert needs("web", web, container("vpn")) == [("vpn", {"vpn"})]


def test_a_network_whose_container_is_gone_is_needed_still() -> None:
    gone = "f" * 64
    assert needs("web", container("web", network_mode=f"container:{gone}")) == [(gone[:12], set())]


def test_needs_of_needs_count_the_nearest_first() -> None:
    chain = [composed("web", "api"), composed("api", "db,cache"), composed("db", "disk"), composed("cache")]
    assert [name for name, _ in needs("web", *chain, composed("disk"))] == ["api", "db", "cache", "disk"]


def test_two_that_need_each_other_have_no_order_and_those_beyond_them_have() -> None:
    circle = [composed("a", "b"), composed("b", "c"), composed("c", "a,root"), composed("root")]
    for each in "abc":
        assert [name for name, _ in needs(each, *circle)] == ["root"]
    web = composed("web", "a")
    assert [name for name, _ in needs("web", *circle, web)] == ["a", "b", "c", "root"]


def test_a_label_of_any_length_is_read_in_bounded_time() -> None:
    many = [composed(f"s{number}") for number in range(300)]
    found = needs("web", composed("web", ",".join(f"s{number}" for number in range(300))), *many)
    assert len(found) == 256


# --- who waits -------------------------------------------------------------------------------------------------------


def shop(policies: str = HEAL, **depends_on: str) -> Host:
    host = Host(policies, protection=PLENTY)
    for name, label in depends_on.items():
        host.docker.create(name, check=True, silent=True, labels=labels(name, label))
    host.relist()
    host.deliver()
    host.clear()
    return host


def sick(host: Host, *names: str) -> None:
    for name in names:
        host.docker.health(name)
    host.deliver()
    host.tick()


def did(host: Host) -> list[str]:
    return [name for _, name in host.did]


def test_the_root_first_and_what_needs_it_once_it_is_healthy() -> None:
    host = shop(web="db:service_healthy", db="")
    sick(host, "web", "db")
    assert did(host) == ["db"]
    (held,) = host.of_guard("dependency")
    assert held.reason == "web depends on db (being acted on): that comes first"
    host.carry_out()
    host.tick(3)
    assert did(host) == ["db"], "it is starting"
    host.docker.health("db", Health.HEALTHY)
    host.deliver()
    host.tick()
    assert did(host) == ["db", "web"]


@pytest.mark.parametrize(
    ("happens", "word"),
    [
        (lambda host: host.docker.stop("db"), "exited"),
        (lambda host: host.docker.pause("db"), "paused"),
        (lambda host: host.docker.crash("db"), "exited"),
        (lambda host: host.docker.health("db", Health.STARTING), "starting"),
        (lambda host: host.docker.health("db", Health.UNHEALTHY), "unhealthy"),
    ],
    ids=["stopped", "paused", "crashed", "starting", "unhealthy"],
)
def test_whatever_is_wrong_with_the_root_what_needs_it_waits(happens: object, word: str) -> None:
    host = shop(HEAL.replace('name: "*"', "name: web"), web="db", db="")
    assert callable(happens)
    happens(host)
    host.deliver()
    sick(host, "web")
    host.tick(5)
    assert did(host) == []
    (held,) = host.of_guard("dependency")
    assert held.reason == f"web depends on db ({word}): that comes first"
    assert held.numbers == {"dependency": "db", "dependency_is": word, "dependencies_not_well": 1}


def test_a_root_that_is_well_holds_nobody() -> None:
    host = shop(web="db", db="")
    sick(host, "web")
    assert did(host) == ["web"]


def test_when_both_are_wanted_and_the_root_is_well_it_goes_first() -> None:
    policies = HEAL.replace('health == "unhealthy"', "memory.percent > 90%")
    host = shop(policies, web="api", api="db", db="")
    host.tick(memory_percent=95)
    assert did(host) == ["db"]
    assert [held.reason for held in host.of_guard("dependency")] == [
        "api depends on db (being acted on): that comes first",
        "web depends on db (being acted on): that comes first",
    ]


def test_one_well_container_of_a_service_is_enough() -> None:
    host = shop(HEAL.replace('name: "*"', "name: web"), web="db", db="")
    host.docker.create("db-2", check=True, silent=True, labels=labels("db"))
    host.relist()
    host.deliver()
    sick(host, "db", "web")
    assert did(host) == ["web"]


@pytest.mark.parametrize(("code", "waits"), [(None, True), (0, False), (1, False)])
def test_a_job_is_waited_for_while_it_runs(*, code: int | None, waits: bool) -> None:
    host = shop(HEAL, web="migrate:service_completed_successfully:false", migrate="")
    if code is not None:
        host.docker.crash("migrate", code)
        host.deliver()
    sick(host, "web")
    assert did(host) == ([] if waits else ["web"])


def test_what_is_started_again_after_a_crash_waits_for_its_root_too() -> None:
    host = shop(START, web="db", db="")
    host.docker.crash("web")
    host.docker.crash("db")
    host.deliver()
    assert did(host) == ["db"]
    host.carry_out()
    host.docker.health("db", Health.HEALTHY)
    host.deliver()
    assert did(host) == ["db", "web"]


def test_a_network_that_is_gone_holds_what_would_not_come_up_again() -> None:
    host = Host(HEAL, protection=PLENTY)
    host.docker.create("web", check=True, silent=True, network_mode=f"container:{'f' * 64}")
    host.relist()
    host.deliver()
    sick(host, "web")
    assert did(host) == []
    (held,) = host.of_guard("dependency")
    assert "the network of a container that is not there any more (ffffffffffff)" in held.reason


def test_many_are_named_up_to_three() -> None:
    host = shop(HEAL.replace('name: "*"', "name: web"), web="a,b,c,d,e", a="", b="", c="", d="", e="")
    sick(host, "a", "b", "c", "d", "e", "web")
    (held,) = host.of_guard("dependency")
    assert held.reason == "web depends on a (unhealthy), b (unhealthy), c (unhealthy) and 2 more: these come first"


def test_an_action_that_was_begun_is_asked_about_once_more() -> None:
    host = shop(web="db", db="")
    sick(host, "web")
    (intent,) = host.open.values()
    host.docker.health("db")
    host.deliver()
    outcome = host.attempt(intent)
    assert (outcome.result, outcome.numbers) == ("abandoned", {"guard": "dependency"})


def test_one_that_was_begun_waits_for_a_root_that_is_acted_on_since() -> None:
    leak = HEAL.replace("name: heal", "name: leak").replace('"*"', "db").replace('health == "unhealthy"', "pids > 5")
    host = shop(HEAL.replace('"*"', "web") + leak, web="db", db="")
    sick(host, "web")
    (intent,) = host.open.values()
    host.tick(pids=9)
    assert did(host) == ["web", "db"]
    outcome = host.attempt(intent)
    assert (outcome.result, outcome.numbers) == ("abandoned", {"guard": "dependency"})


# --- whatever needs whatever -----------------------------------------------------------------------------------------

NAMES = "abcdef"
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)), max_size=len(NAMES))


def reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """All that one comes to from there, by the plainest way."""
    found: set[str] = set()
    while new := {each for one in found | {start} for each in graph.get(one, ())} - found:
        found |= new
    return found


@settings(max_examples=examples(60))
@given(graph=GRAPHS, ill=st.sets(st.sampled_from(NAMES)))
def test_nobody_goes_before_what_it_needs_and_nobody_waits_for_ever(graph: dict[str, set[str]], ill: set[str]) -> None:
    host = shop(**{name: ",".join(sorted(graph.get(name, ()))) for name in NAMES})
    needed = {name: {each for each in reached(graph, name) if name not in reached(graph, each)} for name in NAMES}
    sick(host, *sorted(ill))
    unwell = set(ill)
    for round_number in count():
        assert round_number <= len(NAMES), "somebody waits for ever"
        begun = [intent.decision.target.name for intent in host.open.values()]
        for name in begun:
            assert not needed[name] & unwell, f"{name} goes before what it needs"
        host.carry_out()
        for name in begun:
            host.docker.health(name, Health.HEALTHY)
        unwell -= set(begun)
        if not unwell:
            break
        host.deliver()
        host.tick()
    assert sorted(did(host)) == sorted(ill)
