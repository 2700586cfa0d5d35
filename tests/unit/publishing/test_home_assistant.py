"""What Home Assistant is told of hosts and containers: by the rules of its own validators, whatever they are called."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.facts import ALONE, LEADER, NOW, container, metrics_table, view
from tests.support.schema import validate_message
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.message import StateMessage
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.publishing.cloudevent import CloudEventComposer
from watchtower_agent.publishing.home_assistant import HomeAssistantOptions

PUBLISHED: Any = json.loads(
    (Path(__file__).resolve().parents[2] / "data" / "home_assistant" / "published.json").read_text()
)
"""What Home Assistant's validators take; `published.py` beside it wrote it in Home Assistant's own Python."""
ENTITY_ID = re.compile(r"(?!.+__)(?!_)[\da-z_]+(?<!_)\.(?!_)[\da-z_]+(?<!_)\Z")
HOSTILE = (
    "{{ states('lock.door') }}",
    "{% for x in range(9**9) %}{% endfor %}",
    "a/b/+/#",
    "~",
    "\x1b[2J\u202edoor\x00\ud800\ufffe",
    "ü" * 5000,
    "__",
    "self",
    "",
)


def composer(host: str = "h1", base: str = "watchtower", prefix: str = "homeassistant") -> CloudEventComposer:
    options = HomeAssistantOptions(prefix=prefix, interval=2.5)
    made = CloudEventComposer(host=host, install_id="i1", base_topic=base, home_assistant=options)
    made.engine_changed(ALONE)
    return made


def content(message: StateMessage | None) -> dict[str, Any]:
    assert message is not None
    assert re.fullmatch(PUBLISHED["topic"], message.topic.removeprefix("homeassistant/")), message.topic
    said: dict[str, Any] = validate_message(message.topic, message.payload)
    return said


def problems(said: dict[str, Any]) -> list[str]:
    """What Home Assistant's validators would not take, or leave out."""
    found = [f"dev.{key}" for key in said["dev"].keys() - PUBLISHED["device"]]
    found += [f"o.{key}" for key in said["o"].keys() - PUBLISHED["origin"]]
    found += [key for key in said.keys() - {"dev", "o", "cmps"} if key not in PUBLISHED["shared"]]
    for name, entity in said["cmps"].items():
        of = PUBLISHED["platforms"][entity["platform"]]
        found += [f"{name}.{key}" for key in entity.keys() - {"platform"} - set(of["keys"])]
        found += [f"{name} lacks {key}" for key in set(of["required"]) - entity.keys()]
        found += [f"{name} {each}" for each in entity.get("availability", []) if set(each) - {"topic"}]
        kind = entity.get("device_class")
        found += [f"{name} is {kind}"] if kind and kind not in of["device_classes"] else []
        state = entity.get("state_class")
        found += [f"{name} is {state}"] if state and state not in of["state_classes"] else []
        unit = entity.get("unit_of_measurement")
        found += [f"{name} is in {unit}"] if unit and kind and unit not in of["units"][kind] else []
        found += [f"{name} is called {entity['default_entity_id']}"] * (
            not ENTITY_ID.match(entity["default_entity_id"])
        )
    return found


def test_host_and_container_are_as_home_assistant_takes_them() -> None:
    made = composer()
    host, web = content(made.host_device()), content(made.container_device(container()))

    assert problems(host) == problems(web) == []
    assert host["dev"]["identifiers"] == ["watchtower_h1"]
    assert (web["dev"]["identifiers"], web["dev"]["via_device"]) == (["watchtower_h1_web"], "watchtower_h1")
    assert (web["dev"]["name"], web["dev"]["model"]) == ("h1 web", "web:1.2")
    assert set(web["cmps"]) == {"running", "problem", "cpu", "memory", "restarts", "event", "action"}
    assert web["cmps"]["cpu"]["unique_id"] == "watchtower_h1_web.cpu"
    assert web["cmps"]["cpu"]["default_entity_id"] == "sensor.watchtower_h1_web_cpu"


def test_the_rules_tell_what_is_wrong() -> None:
    said = content(composer().container_device(container()))
    said["dev"]["colour"] = said["colour"] = "red"
    said["cmps"]["cpu"] |= {"device_class": "data_size", "color": 1, "default_entity_id": "sensor.A__b"}
    del said["cmps"]["event"]["event_types"]

    assert set(problems(said)) == {
        *("dev.colour", "colour", "cpu.color", "cpu is in %", "cpu is called sensor.A__b", "event lacks event_types"),
    }


def test_only_metrics_expire_and_all_but_the_agent_itself_go_by_its_status() -> None:
    made = composer()
    host, web = content(made.host_device()), content(made.container_device(container()))
    status = [{"topic": "watchtower/v1/h1/status"}]

    assert web["availability"] == status
    assert {name for name, entity in host["cmps"].items() if entity.get("availability") != status} == {"agent"}
    assert host["cmps"]["agent"]["state_topic"] == "watchtower/v1/h1/status"
    for entity in (*host["cmps"].values(), *web["cmps"].values()):
        assert entity.get("expire_after") == (8 if "/metrics" in entity["state_topic"] else None)


def test_each_container_has_its_sample_on_the_topic_that_home_assistant_reads() -> None:
    made, seen = composer(), view()
    batch = SampleBatch(at=Instant(wall=NOW, monotonic=1.0), interval=2.5, host={}, targets=())
    topics = {each.topic for each in made.metrics(batch, metrics_table(seen), {}, sequence=1, interval=2.5)}

    read = {entity["state_topic"] for entity in content(made.container_device(seen.container))["cmps"].values()}
    assert made.container_state(seen).topic in read
    assert "watchtower/v1/h1/metrics/container/web" in topics & read


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_ever_text(name: str) -> None:
    made = composer()
    plain = content(made.container_device(container()))
    said = content(made.container_device(replace(container(), name=name, image=name or "x")))

    assert problems(said) == []
    assert len(said["dev"]["name"]) <= 128
    assert said["dev"]["name"].isprintable()
    for of, entity in said["cmps"].items():
        templates = {key: value for key, value in entity.items() if key.endswith("template")}
        assert templates == {key: value for key, value in plain["cmps"][of].items() if key.endswith("template")}
        assert "{" not in "".join(value for key, value in entity.items() if "topic" in key)


def test_a_task_of_a_swarm_stays_the_same_device() -> None:
    names = [f"shop_web.3.{letter * 25}" for letter in "ab"]
    first, second = (composer(host="n1").container_device(replace(container(), name=name)) for name in names)

    assert first == second
    assert content(first)["dev"]["name"] == "n1 shop_web.3"


LEVEL = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)


@given(st.lists(st.tuples(LEVEL, LEVEL, st.text(max_size=20)), min_size=2, max_size=2, unique=True))
def test_two_containers_never_are_one_device(places: list[tuple[str, str, str]]) -> None:
    (base, host, name), (other_base, other_host, other_name) = places
    one, other = composer(host, base), composer(other_host, other_base)
    messages = [
        one.container_device(replace(container(), name=name)),
        other.container_device(replace(container(), name=other_name)),
        one.host_device(),
    ]
    found = [content(message) for message in messages]
    same_key = (base, host) == (other_base, other_host) and one.container_topic(name) == other.container_topic(
        other_name
    )
    ids = [entity["unique_id"] for said in found for entity in said["cmps"].values()]
    if not same_key:
        assert len({said["dev"]["identifiers"][0] for said in found}) == 3
        assert len(ids) == len(set(ids))


def called(*names: str, beside: Sequence[str] | None = None) -> list[str]:
    """Ids of the entities of the host and of containers of these names."""
    made = composer()
    there = names if beside is None else beside
    said = [made.host_device(), *(made.container_device(replace(container(), name=each), there) for each in names)]
    return [entity["default_entity_id"] for message in said for entity in content(message)["cmps"].values()]


def repeated(ids: Sequence[str]) -> list[str]:
    return [each for each, count in Counter(ids).items() if count > 1]


@pytest.mark.parametrize(
    "names",
    [
        ("agent",),
        ("engine",),
        ("policy",),
        ("Engine",),
        ("web", "Web"),
        ("a-b", "a_b", "A__b", "a--b"),
        ("-x", "x", "x_"),
    ],
)
def test_entities_that_would_be_called_the_same_are_told_apart(names: tuple[str, ...]) -> None:
    assert repeated(called(*names)) == []


@given(st.lists(st.text(alphabet="aA-_.1", min_size=1, max_size=4) | st.just("engine"), max_size=6, unique=True))
def test_no_two_entities_of_a_host_are_called_the_same(names: list[str]) -> None:
    assert repeated(called(*names)) == []


def test_who_meets_nobody_is_called_as_documented() -> None:
    assert "event.watchtower_h1_shop_web_1_event" in called("shop-web-1", beside=["shop-web-1", "shop-web-2", "engine"])
    assert "event.watchtower_h1_engine_event" in called("engine"), "the host's"
    # A newcomer makes way; who was there alone is known by its id, which does not depend on how it is called.
    (alone, later) = (called("web", beside=["web"]), called("Web", beside=["web", "Web"]))
    assert not set(alone[-7:]) & set(later[-7:])


def test_what_is_retained_is_known_as_own_or_as_left_by_other_settings() -> None:
    made = composer()
    own = [composer().host_device(), composer().container_device(container())]
    left = [
        composer(prefix="ha").host_device(),
        composer(host="h1_x").container_device(container()),
        composer(host="h2").container_device(container()),
    ]
    topics = [message.topic for message in (*own, *left) if message is not None]

    assert made.former_topics(topics) == topics[2:]
    assert made.container_topics(topics) == topics[1:2]
    assert CloudEventComposer(host="h1", install_id="i1").former_topics(topics) == topics
    assert list(made.topics_of_container("web")) == [topics[1], "watchtower/v1/h1/state/container/web"]


def test_without_the_setting_nothing_is_told() -> None:
    made = CloudEventComposer(host="h1", install_id="i1")
    made.engine_changed(LEADER)

    assert made.host_device() is None
    assert made.container_device(container()) is None
    assert list(made.topics_of_container("web")) == ["watchtower/v1/h1/state/container/web"]
