"""Why a selector does not match: the words for each key, and that there are some exactly where it does not."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tests.support.policies import policy
from watchtower_agent.model.container import Container, ContainerStatus
from watchtower_agent.policies.mismatch import mismatches
from watchtower_agent.policies.selector import Selector

WEB = Container(
    id="a" * 64,
    name="web",
    image="nginx:1.2",
    labels={
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "api",
        "heal": "false",
    },
    status=ContainerStatus.RUNNING,
    networks=("front",),
    created_at=0.0,
)


def selector(select: str) -> Selector:
    found = policy(f"on: {{container: die}}\n    then: {{notify: {{}}}}\n    select: {select}").selector
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ('{name: ["db*", cache]}', ["name: it is web, not db* or cache"]),
        ("{name: [a, b, c, d, e, f]}", ["name: it is web, not a or b or c or d or 2 more"]),
        ("{image: redis}", ["image: it is nginx:1.2, not redis"]),
        ("{labels: {autoheal: true}}", ["labels: it has no label autoheal"]),
        ("{labels: {heal: true}}", ['labels: its heal is "false", not true']),
        ("{compose: {project: blog}}", ["compose.project: it is shop, not blog"]),
        ("{compose: {project: shop, service: db}}", ["compose.service: it is api, not db"]),
        ("{swarm_service: shop_api}", ["swarm_service: it is of none, not shop_api"]),
        ("{networks: back}", ["networks: it is front, not back"]),
        ("{status: [exited, dead]}", ["status: it is running, not dead or exited"]),
        ('{name: "*", not: {image: nginx}}', ["not: it matches all that the policy excludes"]),
        ("{name: db, image: redis}", ["name: it is web, not db", "image: it is nginx:1.2, not redis"]),
        ('{name: "w*", image: nginx, compose: {project: shop}}', []),
    ],
)
def test_each_key_says_what_it_asks_for_and_what_there_is(select: str, words: list[str]) -> None:
    assert list(mismatches(selector(select), WEB)) == words


KEYS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["web", '"w*"', "db"]),
        "image": st.sampled_from(["nginx", "redis"]),
        "labels": st.sampled_from(["{heal: false}", "{heal: true}", '{other: "*"}']),
        "compose": st.sampled_from(["{project: shop}", "{project: shop, service: db}", "{service: api}"]),
        "swarm_service": st.sampled_from(["shop_api"]),
        "networks": st.sampled_from(["front", "back"]),
        "status": st.sampled_from(["running", "exited"]),
        "not": st.sampled_from(["{name: web}", "{name: db}"]),
    },
).filter(bool)


@given(KEYS)
def test_there_are_words_exactly_where_it_does_not_match(keys: dict[str, str]) -> None:
    made = selector("{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}")
    assert (not mismatches(made, WEB)) is made.matches(WEB)
