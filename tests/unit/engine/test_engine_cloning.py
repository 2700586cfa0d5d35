from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.engine.cloning import MOST_FACTS, ClonePlan, CloneWish, clone_facts, clone_plan
from watchtower_agent.model.service import CLONE_OF, CLONED_BY, CLONED_FOR, CloneFacts

ID = "a1b2" * 16
HEX = "0f" * 32
COMPOSE = {
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
    "com.docker.compose.oneoff": "False",
    "com.docker.compose.config-hash": "hash",
}
WISH = CloneWish(policy="busy", decision="d1")
Json = dict[str, Any]


def inspection(
    name: str = "shop-web-1",
    *,
    labels: Mapping[str, str] = COMPOSE,
    config: Mapping[str, object] | None = None,
    host_config: Mapping[str, object] | None = None,
    networks: Mapping[str, object] | None = None,
    mounts: tuple[Mapping[str, object], ...] = (),
) -> Json:
    return {
        "Id": ID,
        "Name": f"/{name}",
        "Image": "sha256:aa",
        "Config": {"Hostname": ID[:12], "Image": "web:1", "Labels": dict(labels), "Unknown": {"kept": 1}}
        | dict(config or {}),
        "HostConfig": {"NetworkMode": "shop_front", "ContainerIDFile": "/run/id", "Unknown": [1, 2]}
        | dict(host_config or {}),
        "NetworkSettings": {"Networks": {"shop_front": {"NetworkID": "f" * 64}} if networks is None else networks},
        "Mounts": list(mounts),
    }


def plan(
    raw: object, *, names: tuple[str, ...] = ("shop-web-1",), numbers: tuple[str, ...] = ("1",), image: str = "web:1"
) -> ClonePlan:
    return clone_plan(raw, names=frozenset(names), numbers=frozenset(numbers), image=image, wish=WISH)


def limited(raw: object, *, memory: int | None = None, cpu: float | None = None) -> Json:
    wish = CloneWish(policy="busy", decision="d1", memory=memory, cpu=cpu)
    made: Json = dict(clone_plan(raw, names=(), numbers=(), image="web:1", wish=wish).body)
    return dict(made["HostConfig"])


def body(raw: object) -> Json:
    return dict(plan(raw).body)


# What stands against it.


@pytest.mark.parametrize(
    ("raw", "begin"),
    [
        (inspection(host_config={"NetworkMode": "host"}), "it is in the host's network"),
        (
            inspection(host_config={"NetworkMode": f"container:{ID}"}),
            "it shares the network of another one (container:",
        ),
        (inspection(host_config={"NetworkMode": "ns:/run/netns/x"}), "it shares the network of another one (ns:"),
        (
            inspection(host_config={"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}}),
            "it has the host's port 8080 (for 80/tcp)",
        ),
        (
            inspection(networks={"front": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}}}),
            "it has the fixed address 10.0.0.9 in the network front",
        ),
        (
            inspection(networks={"front": {"IPAMConfig": {"IPv6Address": "fd00::9"}}}),
            "it has the fixed address fd00::9 in the network front",
        ),
        (
            inspection(networks={"front": {"IPAMConfig": {"LinkLocalIPs": ["169.254.1.1"]}}}),
            "it has the fixed address 169.254.1.1 in the network front",
        ),
        (inspection("web"), "it has a name of its own, web"),
        (inspection("shop-web-2"), "it has a name of its own, shop-web-2"),
        (inspection("shop-web_1"), "it has a name of its own, shop-web_1"),
        (inspection(labels={"com.docker.swarm.task.id": "t1"}), "it is a task of a Swarm's service"),
        (inspection("shop-web-run-1", labels=COMPOSE | {"com.docker.compose.oneoff": "True"}), "it was made by"),
    ],
)
def test_each_blocker_is_named(raw: object, begin: str) -> None:
    (said,) = clone_facts(raw).blockers
    assert said.startswith(begin)


@pytest.mark.parametrize(
    "raw",
    [
        inspection(),
        inspection("shop_web_1"),
        inspection("anything", labels={}),
        *(
            inspection(host_config={"PortBindings": {"80/tcp": [{"HostPort": port}]}})
            for port in ("", "0", "8000-8010", "junk")
        ),
        inspection(host_config={"PortBindings": None}, networks={"front": {"IPAMConfig": None}}),
        inspection(networks={"front": {"IPAMConfig": {"IPv4Address": "", "LinkLocalIPs": None}}}),
        inspection(host_config={"AutoRemove": True, "Devices": [{"PathOnHost": "/dev/null"}]}),
        inspection(host_config={"NetworkMode": "none"}),
    ],
)
def test_what_is_no_blocker(raw: object) -> None:
    assert clone_facts(raw) == CloneFacts()


VOLUME = {"Type": "volume", "Name": "files", "Source": "/var/lib/x", "Destination": "/data", "RW": True}


@pytest.mark.parametrize(
    ("mount", "host_config", "volumes"),
    [
        (VOLUME, {}, ("files at /data",)),
        (VOLUME | {"RW": False}, {}, ()),
        (VOLUME | {"Name": HEX}, {}, ()),
        (VOLUME | {"Name": HEX}, {"VolumesFrom": ["other"]}, (f"{HEX} at /data",)),
        ({"Type": "bind", "Source": "/srv", "Destination": "/host", "RW": True}, {}, ("/srv at /host",)),
        ({"Type": "bind", "Source": "/srv", "Destination": "/host", "RW": False}, {}, ()),
        ({"Type": "bind", "Source": f"/{HEX}", "Destination": "/host", "RW": True}, {}, (f"/{HEX} at /host",)),
        ({"Type": "tmpfs", "Destination": "/tmp", "RW": True}, {}, ()),
    ],
)
def test_writable_volumes_that_would_be_shared(mount: Json, host_config: Json, volumes: tuple[str, ...]) -> None:
    assert clone_facts(inspection(host_config=host_config, mounts=(mount,))).volumes == volumes


def test_however_much_stands_against_it_it_is_told_in_bounds() -> None:
    ports = {f"{port}/tcp": [{"HostPort": str(port)}] for port in range(1, 2000)}
    mounts = tuple(VOLUME | {"Name": f"v{number}"} for number in range(2000))
    facts = clone_facts(inspection(host_config={"PortBindings": ports, "MemoryReservation": 77}, mounts=mounts))
    assert (len(facts.blockers), len(facts.volumes), facts.reservation) == (MOST_FACTS, MOST_FACTS, 77)


# What it is made of.


@pytest.mark.parametrize(
    ("name", "names", "numbers", "expected"),
    [
        ("shop-web-1", ("shop-web-1",), ("1",), "shop-web-2"),
        ("shop_web_1", ("shop_web_1",), ("1",), "shop_web_2"),
        ("shop-web-1", ("shop-web-1", "shop-web-3"), ("1", "3"), "shop-web-2"),
        ("shop-web-1", ("shop-web-1", "shop-web-2"), ("1",), "shop-web-3"),  # somebody else's name
        ("shop-web-1", ("shop-web-1", "old"), ("1", "2"), "shop-web-3"),  # a number under another name
    ],
)
def test_compose_names_are_counted_on(
    name: str, names: tuple[str, ...], numbers: tuple[str, ...], expected: str
) -> None:
    made = plan(inspection(name), names=names, numbers=numbers)
    labels: Json = made.body["Labels"]  # type: ignore[assignment] # JSON, as made above
    assert made.name == expected
    assert labels["com.docker.compose.container-number"] == expected[-1]


@pytest.mark.parametrize(
    ("name", "labels", "names", "expected"),
    [
        ("web", {}, ("web",), "web-clone-1"),
        ("web", {}, ("web", "web-clone-1", "web-clone-3"), "web-clone-2"),
        ("web-clone-1", {CLONE_OF: "b" * 64}, ("web-clone-1",), "web-clone-2"),
        ("web-clone-1", {}, ("web-clone-1",), "web-clone-1-clone-1"),  # named so by a person
    ],
)
def test_names_of_a_group(name: str, labels: Mapping[str, str], names: tuple[str, ...], expected: str) -> None:
    assert plan(inspection(name, labels=labels), names=names, numbers=()).name == expected


def test_labels_are_kept_and_say_whose_clone_it_is() -> None:
    ours = {CLONE_OF: ID, CLONED_BY: "d1", CLONED_FOR: "busy"}
    replaced = COMPOSE | {"com.docker.compose.replace": "x" * 64, "long": "x" * 100_000}
    expected = COMPOSE | ours | {"com.docker.compose.container-number": "2", "long": "x" * 100_000}
    assert body(inspection(labels=replaced))["Labels"] == expected
    of_a_clone = inspection(labels=COMPOSE | {CLONE_OF: "b" * 64, CLONED_BY: "d0", CLONED_FOR: "other"})
    labels = body(of_a_clone)["Labels"]
    assert (labels[CLONE_OF], labels[CLONED_BY], labels[CLONED_FOR]) == ("b" * 64, "d1", "busy")


def test_what_came_from_the_id_or_the_engine_is_left_out_and_what_was_asked_for_stays() -> None:
    networks = {
        "shop_front": {
            "NetworkID": "f" * 64,
            "EndpointID": "e" * 64,
            "IPAddress": "172.18.0.2",
            "MacAddress": "02:42:ac:12:00:02",
            "Aliases": ["shop-web-1", "web", ID[:12]],
            "DNSNames": ["shop-web-1"],
            "DriverOpts": {"a": "b"},
            "Links": ["db:database"],
            "IPAMConfig": {},
        },
        "shop_back": {"NetworkID": "b" * 64, "Aliases": ["web"], "GwPriority": 3},
    }
    made = plan(inspection(config={"MacAddress": "02:42:ac:12:00:02"}, networks=networks))
    sent = dict(made.body)
    assert "MacAddress" not in sent
    assert (sent["Hostname"], sent["Image"], sent["Unknown"]) == ("", "web:1", {"kept": 1})
    assert sent["HostConfig"] == {
        "NetworkMode": "shop_front",
        "ContainerIDFile": "",
        "Unknown": [1, 2],
        "Binds": None,
    }
    first = {"Aliases": ["shop-web-2", "web"], "DriverOpts": {"a": "b"}, "Links": ["db:database"]}
    assert sent["NetworkingConfig"] == {"EndpointsConfig": {"shop_front": first}}
    assert made.networks == {"b" * 64: {"Aliases": ["web"], "GwPriority": 3}}
    assert body(inspection(config={"Hostname": "mine"}))["Hostname"] == "mine"


@pytest.mark.parametrize("mode", ["default", "bridge"])
def test_the_default_bridge_takes_no_settings(mode: str) -> None:
    made = plan(
        inspection("web", labels={}, host_config={"NetworkMode": mode}, networks={"bridge": {"NetworkID": "f" * 64}})
    )
    assert made.body["NetworkingConfig"] in ({"EndpointsConfig": {}}, {"EndpointsConfig": {"bridge": {}}})
    assert made.networks == {}


def test_anonymous_volumes_that_were_handed_on_by_name_are_made_anew() -> None:
    raw = inspection(
        config={"Volumes": {"/own": {}}},
        host_config={
            "Binds": [f"{HEX}:/data:rw", "files:/files:ro", "/srv:/srv"],
            "Mounts": [
                {"Type": "volume", "Source": HEX, "Target": "/more"},
                {"Type": "volume", "Source": "", "Target": "/new"},
                {"Type": "bind", "Source": "/etc/x", "Target": "/x"},
            ],
        },
    )
    sent = body(raw)
    assert sent["Volumes"] == {"/own": {}, "/data": {}, "/more": {}}
    assert sent["HostConfig"]["Binds"] == ["files:/files:ro", "/srv:/srv"]
    assert [mount["Target"] for mount in sent["HostConfig"]["Mounts"]] == ["/new", "/x"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def odd_inspections(draw: st.DrawFn) -> Json:
    """One with junk in the place of some of its parts, at any depth."""
    raw = inspection(
        host_config={"PortBindings": {"80/tcp": [{"HostPort": "80"}]}, "Binds": [f"{HEX}:/data"], "Mounts": [VOLUME]},
        networks={"shop_front": {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "1"}}},
        mounts=(VOLUME,),
    )
    for _ in range(draw(st.integers(1, 4))):
        place: Json = raw
        while True:
            key = draw(st.sampled_from(sorted(place) or [""]))
            if isinstance(place.get(key), dict) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.booleans()):
                place[key] = draw(json_values)
            else:
                place.pop(key, None)
            break
    return raw


@given(raw=odd_inspections() | json_values)
def test_whatever_the_engine_says_facts_and_plan_come_of_it(raw: object) -> None:
    before = copy.deepcopy(raw)
    facts = clone_facts(raw)
    assert len(facts.blockers) <= MOST_FACTS
    assert all(facts.blockers)
    assert facts.reservation >= 0
    made = plan(raw)
    assert json.loads(json.dumps(dict(made.body)))
    assert made.name not in {"shop-web-1", ""}
    labels: Json = made.body["Labels"]  # type: ignore[assignment] # JSON, as made above
    assert (labels[CLONED_BY], labels[CLONED_FOR]) == ("d1", "busy")
    assert CLONE_OF in labels
    assert raw == before, "what was read is left as it was"


# Its limits.

LIMITS = {"Memory": 100, "MemorySwap": 300, "NanoCpus": 500_000_000, "CpuQuota": 0, "CpuPeriod": 0}


def test_a_clone_has_the_limits_of_its_original() -> None:
    assert limited(inspection(host_config=LIMITS)).items() >= LIMITS.items()


@pytest.mark.parametrize(
    ("original", "memory", "cpu", "made"),
    [
        ({}, 150, 0.75, {"Memory": 150, "MemorySwap": 350, "NanoCpus": 750_000_000}),
        ({}, 0, 0.0, {"Memory": 0, "MemorySwap": 0, "NanoCpus": 0}),
        ({"MemorySwap": -1}, 0, None, {"Memory": 0, "MemorySwap": -1, "NanoCpus": 500_000_000}),
        ({"NanoCpus": 0, "CpuQuota": 10_000, "CpuPeriod": 20_000}, None, 0.75, {"CpuQuota": 15_000, "NanoCpus": 0}),
        ({"NanoCpus": 0, "CpuQuota": 10_000, "CpuPeriod": 20_000}, None, 0.0, {"CpuQuota": 0, "NanoCpus": 0}),
    ],
)
def test_a_clone_has_other_limits_where_it_is_to_have_them(
    original: Json, memory: int | None, cpu: float | None, made: Json
) -> None:
    assert limited(inspection(host_config=LIMITS | original), memory=memory, cpu=cpu).items() >= made.items()
