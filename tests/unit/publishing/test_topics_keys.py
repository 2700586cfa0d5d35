from __future__ import annotations

import re

import pytest
from hypothesis import example, given, strategies as st

from watchtower_agent.publishing.topics import LONGEST_KEY, Topics, container_key, image_name, key, swarm_task

TASK = "abcdefghij0123456789klmno"
SERVICES = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,30}(\.[0-9]{1,3}|\.[a-z0-9]{25})?", fullmatch=True)
SLOTS = st.integers(1, 30).map(str) | st.from_regex(r"[a-z0-9]{25}", fullmatch=True)
NAMES = st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_.+#/-]{0,90}", fullmatch=True)


@given(st.lists(NAMES, unique=True, max_size=20))
@example(["", "self"])
@example(["a.b", "a_b", "a+b", "a#b", "a/b", "a\0b", "a b"])
@example(["x" * 80, "x" * 81, "x" * 300])
@example(["a.b", key("a.b"), key(key("a.b"))])
def test_distinct_names_have_distinct_valid_bounded_keys(names: list[str]) -> None:
    keys = [key(name) for name in names]
    assert len(set(keys)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", made) for made in keys)


@pytest.mark.parametrize("name", ["web", "shop-web-1", "shop_web", "x" * LONGEST_KEY, "0", "a_1234567", "a_123456789"])
def test_plain_names_are_their_own_key(name: str) -> None:
    assert key(name) == name


def test_other_names_keep_what_is_readable() -> None:
    assert re.fullmatch(r"busybox_1_36_[0-9a-f]{8}", key("busybox:1.36"))
    assert re.fullmatch(r"x{71}_[0-9a-f]{8}", key("x" * 100))
    assert key("\ud800") != key("\ud801")


def test_a_swarm_task_is_known_by_service_and_slot() -> None:
    assert swarm_task(f"shop_web.3.{TASK}") == ("shop_web", "3")
    assert swarm_task(f"agent.{TASK}.{TASK}") == ("agent", TASK)
    assert swarm_task("shop_web.3") is None
    assert container_key(f"shop_web.3.{TASK}") == key("shop_web.3") == container_key(f"shop_web.3.{TASK[::-1]}")
    assert container_key("web") == "web"


def test_what_is_called_as_a_task_is_known_is_told_from_it() -> None:
    assert container_key(f"web.1.{TASK}") == "web_1_f2059589"
    assert container_key("web.1") == "web_1_a7cc004e"
    assert container_key(f"agent.{TASK}") != container_key(f"agent.{TASK}.{TASK}")
    assert container_key("web.1a") == key("web.1a")


@given(
    st.lists(st.tuples(SERVICES, SLOTS | st.none()), unique=True, max_size=20),
    st.lists(st.from_regex(r"[a-z0-9]{25}", fullmatch=True), min_size=2, max_size=4),
)
@example([("web", "1"), ("web.1", None), ("web_1", None), ("web.1", "1"), ("web.1.1", None)], [TASK, TASK[::-1]])
@example([("web", TASK), (f"web.{TASK}", None)], [TASK, TASK[::-1]])
@example([("w" * 80, "1"), ("w" * 80 + ".1", None)], [TASK])
def test_a_tasks_key_outlives_it_and_is_no_other_containers(
    containers: list[tuple[str, str | None]], tasks: list[str]
) -> None:
    successive = [
        {container_key(name if slot is None else f"{name}.{slot}.{task}") for task in tasks}
        for name, slot in containers
        if slot is not None or swarm_task(name) is None  # what is called just as a task's container is taken for one
    ]
    assert all(len(keys) == 1 for keys in successive)
    assert len(set().union(*successive)) == len(successive)


@pytest.mark.parametrize(
    ("reference", "name", "shown"),
    [
        ("busybox:latest", "busybox", "busybox:latest"),
        ("sha256:" + "ab" * 32, "repo:tag", "repo:tag"),
        ("sha256:" + "ab" * 32, "sha256:" + "ab" * 32, "abababababab"),
        ("sha256:" + "ab" * 32, "", "abababababab"),
        ("", "", ""),
    ],
)
def test_an_image_is_known_by_its_first_tag_or_short_id(reference: str, name: str, shown: str) -> None:
    assert image_name(reference, name) == shown


def test_the_table_of_topics() -> None:
    topics = Topics(base="watchtower", host="h1")
    assert topics.status == "watchtower/v1/h1/status"
    assert topics.info == "watchtower/v1/h1/info"
    assert topics.metrics == "watchtower/v1/h1/metrics"
    assert topics.event("container", "die", key("web")) == "watchtower/v1/h1/event/container/die/web"
    assert topics.container_state("web") == "watchtower/v1/h1/state/container/web"
    assert topics.container_metrics("web") == "watchtower/v1/h1/metrics/container/web"


def test_states_of_containers_are_recognised_and_those_of_other_hosts_are_not() -> None:
    topics = Topics(base="site/a", host="h1")
    assert topics.is_container_state(topics.container_state("a/b"))
    assert not topics.is_container_state(topics.info)
    assert not topics.is_container_state("site/a/v1/h10/state/container/web")
    assert not topics.is_container_state("site/a/v1/h1/state/containers")
