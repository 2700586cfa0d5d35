"""`depends`: what a policy waits for, how it is written, and circles that are refused."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import combinations
from textwrap import dedent

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.core import Host, policy_set
from tests.support.numbers import examples
from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Held
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.guards.circles import strongly_connected
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.problem import Problem

SICK = '  - {name: heal, select: {name: "*"}, depends: DEPENDS, when: health == "unhealthy", then: {restart: {}}}\n'


def host(depends: str, *names: str, policies: str = SICK) -> Host:
    made = Host(policies.replace("DEPENDS", depends), first_start=True)
    for name in names:
        made.docker.create(name, silent=True, check=True)
    made.connect()
    made.clock.advance(60)
    made.clear()
    return made


def problems(text: str) -> tuple[Problem, ...]:
    loaded = load_policies({"p.yaml": f"version: 1\npolicies:\n{dedent(text).strip()}\n".encode()})
    assert not isinstance(loaded, PolicySet)
    return loaded


# --- what waits for each other --------------------------------------------------------------------------------------


def composed(agent: Host, name: str, depends_on: str = "") -> None:
    labels = {"project": "shop", "service": name, "depends_on": depends_on}
    labels = {f"com.docker.compose.{key}": value for key, value in labels.items()}
    agent.docker.create(name, silent=True, check=True, labels=labels)


def of(name: str, depends: str = "", more: str = "") -> str:
    needs = f"depends: {depends}, " if depends else ""
    head = f"- {{name: heal-{name}, select: {{name: {name}}}, {needs}{more}"
    return f'{head}when: health == "unhealthy", then: {{restart: {{}}}}}}\n'


def all_sick(policies: str, **composed_of: str) -> Host:
    agent = Host(policies, first_start=True)
    for name, depends_on in composed_of.items():
        composed(agent, name, depends_on)
    agent.connect()
    agent.clock.advance(60)
    agent.clear()
    for name in composed_of:
        agent.docker.health(name)
    agent.deliver()
    agent.tick(2)
    return agent


def test_a_circle_of_compose_and_a_policy_is_none() -> None:
    agent = all_sick(of("ca") + of("cb", "ca"), ca="cb", cb="", cc="")

    assert sorted(agent.did) == [("restart", "ca"), ("restart", "cb")]
    assert agent.of(Held) == []


@given(st.lists(st.lists(st.integers(0, 6), max_size=3), min_size=7, max_size=7))
def test_who_is_in_a_circle(leads_to: list[list[int]]) -> None:
    edges = {str(one): [str(each) for each in following] for one, following in enumerate(leads_to)}
    reached = {one: set(following) for one, following in edges.items()}
    for _ in edges:
        reached = {one: known.union(*(reached[each] for each in known)) for one, known in reached.items()}
    found = strongly_connected({one: [*following] for one, following in edges.items()})

    for one, other in combinations(edges, 2):
        assert (found[one] == found[other]) is (other in reached[one] and one in reached[other])


def test_a_policy_that_does_not_act_makes_no_circle() -> None:
    agent = all_sick(of("ca") + of("cb") + of("cb", "ca", "mode: shadow, ").replace("heal-", "tell-"), ca="cb", cb="")

    assert agent.did == [("restart", "cb")]


def test_targets_that_a_policy_depends_on_itself_keep_the_order_of_compose() -> None:
    both = '- {name: heal, select: {name: "*"}, depends: "c*", when: health == "unhealthy", then: {restart: {}}}\n'
    agent = all_sick(both, ca="cb", cb="", web="")

    assert agent.did == [("restart", "cb")]


@settings(max_examples=examples(60))
@given(st.data())
def test_among_those_that_are_sick_one_is_let_pass(data: st.DataObject) -> None:
    names = [f"c{number}" for number in range(data.draw(st.integers(2, 5)))]
    some = st.lists(st.sampled_from(names), unique=True, max_size=3)
    agent = Host(first_start=True)
    for name in names:
        composed(agent, name, ",".join(data.draw(some)))
    loaded: list[Policy] = []
    for number, name in enumerate(names):
        targets, depends = {name, *data.draw(some)}, data.draw(some)
        text = of(f"[{', '.join(sorted(targets))}]", f"[{', '.join(depends)}]" if depends else "")
        loaded += policy_set(text.replace(f"heal-[{', '.join(sorted(targets))}]", f"p{number}", 1)).policies
    agent.see(replace(agent.policies, policies=tuple(loaded)))
    agent.connect()
    agent.clock.advance(60)
    sick = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
    agent.clear()
    for name in sick:
        agent.docker.health(name)
    agent.deliver()
    agent.tick(2)

    assert agent.did


# --- what waits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depends", ["db", "[db]", '["d*", cache]', "{name: db}", "[{labels: {none: x}}, {name: d?}]"])
def test_what_a_policy_depends_on_comes_first(depends: str) -> None:
    agent = host(depends, "web", "db")
    agent.docker.health("web")
    agent.docker.health("db")
    agent.deliver()
    agent.tick(2)
    assert agent.did == [("restart", "db")]
    (held,) = agent.of(Held)
    assert held.reason == "web by policy heal depends on db (being acted on): that comes first"
    assert (held.guard, held.numbers["dependency"]) == ("dependency", "db")
    agent.carry_out()
    agent.tick(3)
    assert agent.did == [("restart", "db")]
    agent.docker.health("db", Health.HEALTHY)
    agent.tick(2)

    assert agent.did == [("restart", "db"), ("restart", "web")]


def test_what_is_down_is_waited_for_and_what_is_not_there_is_not() -> None:
    agent = host("[db, cache]", "web", "db")
    agent.docker.crash("db")
    agent.docker.health("web")
    agent.deliver()
    agent.tick(2)
    assert agent.did == []
    (held,) = agent.of(Held)
    assert "db (exited)" in held.reason
    agent.docker.remove("db")
    agent.tick(2)

    assert agent.did == [("restart", "web")]


def test_all_that_one_pattern_names_has_to_be_well() -> None:
    agent = host('"db-*"', "web", "db-1", "db-2", policies=SICK.replace('"*"', "web"))
    agent.docker.health("web")
    agent.docker.health("db-2")
    agent.deliver()
    agent.tick(3)
    assert agent.did == []
    agent.docker.health("db-2", Health.HEALTHY)
    agent.tick(2)

    assert agent.did == [("restart", "web")]


def test_nothing_waits_for_itself_nor_targets_of_one_policy_for_each_other() -> None:
    agent = host('"*"', "web", "db")
    agent.docker.health("web")
    agent.docker.health("db")
    agent.deliver()
    agent.tick(2)

    assert sorted(agent.did) == [("restart", "db"), ("restart", "web")]


def test_it_is_asked_once_more_just_before_the_write() -> None:
    agent = host("db", "web", "db", policies=SICK.replace('"*"', "web"))
    agent.docker.health("web")
    agent.deliver()
    agent.tick(1)
    (intent,) = agent.open.values()
    agent.docker.crash("db")
    agent.deliver()

    assert isinstance(agent.pipeline.recheck(intent, agent.clock.now()), Held)


def test_what_compose_names_as_well_is_named_once() -> None:
    agent = Host(SICK.replace("DEPENDS", "shop-db-1"), first_start=True)
    label = {"com.docker.compose.project": "shop", "com.docker.compose.service": "db"}
    agent.docker.create("shop-db-1", silent=True, status=ContainerStatus.EXITED, labels=label)
    needs = {**label, "com.docker.compose.service": "web", "com.docker.compose.depends_on": "db:service_started:false"}
    agent.docker.create("shop-web-1", silent=True, check=True, labels=needs)
    agent.connect()
    agent.clock.advance(60)
    agent.docker.health("shop-web-1")
    agent.deliver()
    agent.tick(2)

    (held,) = agent.of(Held)
    assert held.reason == "shop-web-1 depends on db (exited): that comes first"


# --- how it is written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depends", "said"),
    [
        ("[]", "p.yaml:3:51: policies[0].depends: the list is empty, name at least one, or leave the key out"),
        ("{}", "p.yaml:3:51: policies[0].depends: this selects by nothing, "),
        ("5", "p.yaml:3:51: policies[0].depends: this names no container, write a name, or keys as under select"),
        ("[db, 5]", "p.yaml:3:56: policies[0].depends[1]: this names no container"),
        ("[db, {nam: x}]", 'p.yaml:3:57: policies[0].depends[1].nam: unknown key "nam", did you mean name?'),
        ("[{labels: {}}]", "p.yaml:3:61: policies[0].depends[0].labels: no label is named"),
        ('["/web"]', 'p.yaml:3:52: policies[0].depends[0]: "/web" begins with /'),
    ],
)
def test_mistakes_are_told_at_their_place(depends: str, said: str) -> None:
    text = (
        f"- {{name: heal, select: {{name: web}}, depends: {depends}, on: {{container: die}}, then: {{restart: {{}}}}}}"
    )
    (problem,) = problems(text)
    column = text.index("depends: ") + len("depends: ") + 1
    shift = int(said.split(":")[2]) - 51
    assert str(problem).startswith(said.replace(f":3:{51 + shift}:", f":3:{column + shift}:"))


def test_too_many_and_a_policy_that_only_tells() -> None:
    many = ", ".join(f"c{number}" for number in range(101))
    (problem,) = problems(
        f"- {{name: a, select: {{name: web}}, depends: [{many}], on: {{container: die}}, then: {{stop: {{}}}}}}"
    )
    assert "100 is the most" in str(problem)
    (problem,) = problems("- {name: a, select: {name: web}, depends: db, on: {container: die}, then: {notify: {}}}")
    assert "depends holds actions back, and this policy only notifies" in str(problem)


# --- circles --------------------------------------------------------------------------------------------------------


def policy(name: str, select: str, depends: str = "", mode: str = "enforce") -> str:
    waits = f"\n  depends: {depends}" if depends else ""
    return f"""
- name: {name}
  mode: {mode}
  select: {select}{waits}
  when: health == "unhealthy"
  then: {{restart: {{}}}}
""".strip("\n")


def folder(*policies: str) -> str:
    return "\n".join(policies)


CIRCLES = [
    (policy("a", "{name: web}", "db"), policy("b", "{name: db}", "web")),
    (policy("a", '{name: "web*"}', "[x, db-1]"), policy("b", '{name: "db-*"}', "web1")),
    (policy("a", "{name: [web, api]}", "db"), policy("b", "{name: db}", "[y, api]")),
    (policy("a", "{labels: {t: a}}", "{labels: {t: b}}"), policy("b", "{labels: {t: b}}", "{labels: {t: a}}")),
    (policy("a", "{name: web}", "db"), policy("b", "{name: db}", "cache"), policy("c", "{name: cache}", "web")),
]


@pytest.mark.parametrize("policies", CIRCLES)
def test_policies_that_wait_for_each_other_are_refused(policies: tuple[str, ...]) -> None:
    (problem,) = problems(folder(*policies))

    assert str(problem).startswith("p.yaml:6:12: policies[0].depends: a and b (p.yaml:9:3)")
    assert "wait for each other" in problem.message
    assert not problem.warning


@pytest.mark.parametrize(
    "policies",
    [
        (policy("a", "{name: web}", "db"), policy("b", "{name: db}", "cache")),
        (policy("a", "{name: web}", "[web, db]"), policy("b", "{name: db}", "db")),
        (policy("a", '{name: "*"}', "db"), policy("b", '{name: "*"}', "web")),
        (policy("a", '{name: "*"}', '"*"'),),
        (policy("a", "{name: web}", "db"), policy("b", "{name: db}", "web", mode="off")),
        (policy("a", "{name: web}", "db"), policy("b", "{name: db}", "web"), policy("c", "{name: db}")),
        (policy("a", "{name: [web, db]}", "[web, db]"),),
    ],
)
def test_where_somebody_goes_on_there_is_no_circle(policies: tuple[str, ...]) -> None:
    policy_set("\n".join(f"  {line}" for line in folder(*policies).splitlines()))


def test_two_circles_are_two_mistakes() -> None:
    first, second = CIRCLES[0]
    others = (policy("c", "{name: x}", "y"), policy("d", "{name: y}", "x"))

    assert len(problems(folder(first, second, *others))) == 2


def test_hundreds_that_depend_on_a_hundred_each_are_read_in_time() -> None:
    names = "[" + ", ".join(f'"x{number}"' for number in range(100)) + "]"
    text = "\n".join(
        f'- {{name: p{number}, select: {{name: "w{number}"}}, depends: {names}, '
        f"on: {{container: die}}, then: {{stop: {{}}}}}}"
        for number in range(200)
    )
    begun = time.process_time()
    loaded = load_policies({"p.yaml": f"version: 1\npolicies:\n{text}\n".encode()})
    took = time.process_time() - begun

    assert isinstance(loaded, PolicySet)
    assert took < 10
