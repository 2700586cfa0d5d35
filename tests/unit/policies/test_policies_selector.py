"""Selectors: which containers a policy is about."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from tests.support.numbers import examples
from watchtower_agent.model.container import Container, ContainerStatus
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.selector import Choice, Selector, repository


def container(
    name: str = "web",
    image: str = "nginx:1.2",
    labels: dict[str, str] | None = None,
    status: ContainerStatus = ContainerStatus.RUNNING,
    networks: tuple[str, ...] = (),
) -> Container:
    return Container(
        id="a" * 64, name=name, image=image, labels=labels or {}, status=status, networks=networks, created_at=0.0
    )


def selector(select: str) -> Selector:
    """From the YAML that a user writes after `select:`."""
    text = f"version: 1\npolicies: [{{name: a, on: {{container: die}}, then: {{notify: {{}}}}, select: {select}}}]"
    loaded = load_policies({"a.yaml": text.encode()})
    assert isinstance(loaded, PolicySet), loaded
    selected = loaded.policies[0].selector
    assert selected is not None
    return selected


SHOP = {
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "api",
    "com.docker.swarm.service.name": "shop_api",
    "autoheal": "true",
    "version": "1.0",
    "empty": "",
}


@pytest.mark.parametrize(
    ("select", "matches", "exactly"),
    [
        ("{name: web}", True, True),
        ("{name: Web}", False, False),
        ("{name: we}", False, False),
        ('{name: "we*"}', True, False),
        ('{name: ["db", "w?b"]}', True, False),
        ('{name: ["*", "web"]}', True, True),
        ('{name: "[!w]eb"}', False, False),
        ('{name: "*"}', True, False),
        ("{image: nginx}", True, False),
        ("{image: nginx:1.2}", True, False),
        ("{image: nginx:1}", False, False),
        ('{image: "nginx:*"}', True, False),
        ('{labels: {autoheal: "true"}}', True, True),
        ("{labels: {autoheal: true}}", True, True),
        ("{labels: {version: 1.0}}", True, True),
        ("{labels: {version: [0.9, 1.0]}}", True, True),
        ('{labels: {autoheal: "*"}}', True, False),
        ('{labels: {empty: ""}}', True, True),
        ("{labels: {empty: }}", True, True),
        ('{labels: {missing: ""}}', False, False),
        ('{labels: {missing: "*"}}', False, False),
        ('{labels: {autoheal: "true", version: "2"}}', False, False),
        ("{compose: {project: shop}}", True, False),
        ("{compose: {project: shop, service: api}}", True, True),
        ("{compose: {project: shop, service: [db, cache]}}", False, False),
        ('{compose: {service: "a*"}}', True, False),
        ("{swarm_service: shop_api}", True, True),
        ("{networks: front}", True, False),
        ('{networks: ["x", "b*"]}', True, False),
        ("{networks: x}", False, False),
        ("{status: running}", True, False),
        ("{status: [exited, dead]}", False, False),
        ("{name: web, not: {labels: {autoheal: true}}}", False, False),
        ("{name: web, not: {name: db}}", True, True),
        ("{not: {name: db}}", True, False),
        ("{not: {not: {name: web}}}", True, False),
        ("{name: web, image: redis}", False, False),
    ],
)
def test_all_keys_must_match_and_a_list_is_any_of(select: str, *, matches: bool, exactly: bool) -> None:
    web = container(labels=SHOP, networks=("front", "back"))
    assert selector(select).matches(web) is matches
    assert selector(select).names_exactly(web) is exactly


def test_what_is_not_in_compose_or_swarm_matches_no_pattern_of_theirs() -> None:
    assert not selector('{compose: {project: "*"}}').matches(container())
    assert not selector('{swarm_service: "*"}').matches(container())


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nginx", "nginx"),
        ("nginx:1.2", "nginx"),
        ("registry:5000/team/web", "registry:5000/team/web"),
        ("registry:5000/team/web:1", "registry:5000/team/web"),
        ("web@sha256:abc", "web"),
        ("web:1@sha256:abc", "web"),
        ("sha256:abc", "sha256"),
    ],
)
def test_an_image_without_tag_and_digest(image: str, name: str) -> None:
    assert repository(image) == name


def test_many_wildcards_are_no_trap() -> None:
    assert not selector(yaml.dump({"name": "*a" * 100 + "b"}).strip().join("{}")).matches(container(name="a" * 5000))


# --- any selector on any container, against a slow evaluator that reads the YAML's own keys -------------------------

WORDS = ("web", "web-1", "db", "api", "shop", "nginx", "nginx:1.2", "registry:5000/web:1", "true", "")
PATTERNS = ("web", "we*", "w?b", "[wd]*", "[!w]*", "*", "*-1", "nginx", "nginx:*", "shop", "true", "[[]")
PROJECT, SERVICE, SWARM = (
    "com.docker.compose.project",
    "com.docker.compose.service",
    "com.docker.swarm.service.name",
)
patterns = st.one_of(
    st.sampled_from(PATTERNS), st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3, unique=True)
)
statuses = st.one_of(
    st.sampled_from(["running", "exited"]), st.lists(st.sampled_from(["running", "paused", "dead"]), min_size=1)
)


def _some(keys: dict[str, st.SearchStrategy[object]]) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({}, optional=keys).filter(bool)


def _keys(inner: st.SearchStrategy[dict[str, object]] | None) -> st.SearchStrategy[dict[str, object]]:
    keys: dict[str, st.SearchStrategy[object]] = {
        "name": patterns,
        "image": patterns,
        "labels": st.dictionaries(st.sampled_from(["autoheal", "tier", PROJECT]), patterns, min_size=1),
        "compose": _some({"project": patterns, "service": patterns}),
        "swarm_service": patterns,
        "networks": patterns,
        "status": statuses,
    }
    return _some(keys if inner is None else {**keys, "not": inner})


selects = _keys(_keys(_keys(None)))
containers = st.builds(
    container,
    name=st.sampled_from(WORDS[:5]),
    image=st.sampled_from([*WORDS[5:8], "web@sha256:ab", "sha256:abcd"]),
    labels=st.dictionaries(
        st.sampled_from(["autoheal", "tier", PROJECT, SERVICE, SWARM]), st.sampled_from(WORDS), max_size=4
    ),
    status=st.sampled_from([None, *ContainerStatus]),
    networks=st.lists(st.sampled_from(WORDS[:5]), max_size=2).map(tuple),
)


def _any(text: str, given: str | list[str]) -> bool:
    return any(fnmatchcase(text, each) for each in (given if isinstance(given, list) else [given]))


def _fits(key: str, given: Any, made: Container) -> bool:  # noqa: ANN401, PLR0911 - as YAML has it; a return per key
    match key:
        case "name":
            return _any(made.name, given)
        case "image":
            bare = made.image.split("@")[0]
            bare = bare[: bare.rindex(":")] if ":" in bare.rsplit("/", 1)[-1] else bare
            return _any(made.image, given) or _any(bare, given)
        case "labels":
            return all(each in made.labels and _any(made.labels[each], value) for each, value in given.items())
        case "compose":
            names = {"project": PROJECT, "service": SERVICE}
            return all(
                made.labels.get(names[each], "") != "" and _any(made.labels[names[each]], value)
                for each, value in given.items()
            )
        case "swarm_service":
            return made.labels.get(SWARM, "") != "" and _any(made.labels[SWARM], given)
        case "networks":
            return any(_any(each, given) for each in made.networks)
        case "status":
            return made.status is not None and made.status.value in (given if isinstance(given, list) else [given])
        case _:
            return not slow(given, made)


def slow(select: dict[str, Any], made: Container) -> bool:
    """Key by key, pattern by pattern."""
    return all(_fits(key, given, made) for key, given in select.items())


@settings(max_examples=examples(400), deadline=None)
@given(selects, containers)
def test_any_selector_matches_what_a_slow_evaluator_does(select: dict[str, Any], made: Container) -> None:
    assert selector(json.dumps(select)).matches(made) is slow(select, made)


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(ContainerStatus)), max_size=4), max_size=6))
def test_a_choice_is_what_the_selector_picks_now_whatever_it_was_asked_before(
    ticks: list[list[tuple[str, ContainerStatus]]],
) -> None:
    picks = selector("{name: [a, b], status: running}")
    choice = Choice(picks)
    for tick in ticks:
        containers = [container(name, status=status) for name, status in tick]
        assert list(choice.among(containers)) == [
            index for index, each in enumerate(containers) if each.name in "ab" and each.status == "running"
        ]
        assert choice.among(list(containers)) is choice.among(list(containers)), "not worked out twice"
