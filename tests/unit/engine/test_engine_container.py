from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.engine.container import MAX_LABELS, inspected_container, listed_container, parse_time
from watchtower_agent.model.container import Container, ContainerStatus, Health

ID = "c" * 64


def listed(**changes: object) -> Container:
    entry: dict[str, Any] = {
        "Id": ID,
        "Names": ["/web"],
        "Image": "web:1.2",
        "ImageID": "sha256:aa",
        "Labels": {"a": "b"},
        "State": "running",
        "Status": "Up 2 minutes (healthy)",
        "Created": 1_795_540_283,
        "Ports": [{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}, {"PrivatePort": 81, "Type": "tcp"}],
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": {"front": {}, "back": {}}},
    }
    found = listed_container(entry | changes)
    assert found is not None
    return found


def inspected(state: dict[str, object] | None = None, config: dict[str, object] | None = None) -> Container:
    found = inspected_container(
        {
            "Id": ID,
            "Name": "/web",
            "Created": "2026-11-24T16:17:28.363704569Z",
            "Image": "sha256:aa",
            "RestartCount": 3,
            "State": {
                "Status": "exited",
                "Pid": 0,
                "ExitCode": 137,
                "OOMKilled": True,
                "StartedAt": "2026-11-24T16:17:29Z",
                "FinishedAt": "2026-11-24T16:18:29.5+01:00",
            }
            | (state or {}),
            "Config": {"Image": "web:1.2", "Labels": {"a": "b"}} | (config or {}),
            "HostConfig": {
                "NetworkMode": "bridge",
                "RestartPolicy": {"Name": "on-failure"},
                "CgroupParent": "/custom",
                "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "81/tcp": [{"HostPort": ""}]},
            },
            "NetworkSettings": {
                "Networks": {"front": {}},
                "Ports": {"81/tcp": [{"HostPort": "32768"}], "82/tcp": None},
            },
        }
    )
    assert found is not None
    return found


def test_a_listing_tells_all_but_the_detail() -> None:
    web = listed()
    assert (web.id, web.name, web.image, web.image_id, web.labels) == (ID, "web", "web:1.2", "sha256:aa", {"a": "b"})
    assert (web.status, web.health, web.created_at) == (ContainerStatus.RUNNING, Health.HEALTHY, 1_795_540_283.0)
    assert (web.network_mode, web.networks, web.published_ports) == ("bridge", ("back", "front"), (8080,))
    assert web.detail is None


@pytest.mark.parametrize(
    ("words", "health"),
    [
        ("Up 2 minutes", Health.NONE),
        ("Up 2 minutes (healthy)", Health.HEALTHY),
        ("Up 2 minutes (unhealthy)", Health.UNHEALTHY),
        ("Up 1 second (health: starting)", Health.STARTING),
        ("Up 2 minutes (Paused)", Health.NONE),
        ("Exited (0) 2 seconds ago", Health.NONE),
        (None, Health.NONE),
    ],
)
def test_a_listing_has_the_health_in_its_words(words: object, health: Health) -> None:
    assert listed(Status=words).health is health


def test_the_listings_own_health_field_wins() -> None:
    assert listed(Health={"Status": "unhealthy", "FailingStreak": 3}, Status="Up").health is Health.UNHEALTHY


def test_an_alias_of_a_link_is_not_the_name() -> None:
    assert listed(Names=["/other/alias", "/web"]).name == "web"
    assert listed(Names=None).name == "c" * 12


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("paused", ContainerStatus.PAUSED),
        ("dead", ContainerStatus.DEAD),
        ("stopped", ContainerStatus.EXITED),
        ("configured", ContainerStatus.CREATED),
        ("no such word", ContainerStatus.DEAD),
    ],
)
def test_states_are_the_engines_and_podmans(word: str, status: ContainerStatus) -> None:
    assert listed(State=word).status is status


@pytest.mark.parametrize(("said", "failed"), [("", False), (None, False), ("driver failed", True)])
def test_an_inspection_tells_whether_the_last_start_failed(said: object, *, failed: bool) -> None:
    detail = inspected({"Error": said}).detail
    assert detail is not None
    assert detail.start_failed is failed


def test_an_inspection_tells_the_detail() -> None:
    web = inspected()
    detail = web.detail
    assert detail is not None
    assert (web.name, web.image, web.image_id, web.published_ports) == ("web", "web:1.2", "sha256:aa", (8080, 32768))
    assert (detail.exit_code, detail.oom_killed, detail.restart_count, detail.pid) == (137, True, 3, 0)
    assert (detail.restart_policy, detail.cgroup_parent, detail.stop_timeout) == ("on-failure", "/custom", None)
    assert (detail.stop_signal, detail.failing_streak, detail.health_interval) == ("SIGTERM", None, 0.0)
    assert detail.started_at == 1_795_537_049.0
    assert detail.finished_at == 1_795_537_109.5 - 3600
    assert math.isclose(web.created_at, 1_795_537_048.363704569, abs_tol=1e-6)


def test_a_running_container_has_no_exit_code() -> None:
    detail = inspected({"Status": "running", "Pid": 42, "ExitCode": 0}).detail
    assert detail is not None
    assert (detail.exit_code, detail.pid) == (None, 42)


def test_never_is_none() -> None:
    never = "0001-01-01T00:00:00Z"
    detail = inspected({"Status": "created", "StartedAt": never, "FinishedAt": never, "ExitCode": 0}).detail
    assert detail is not None
    assert (detail.started_at, detail.finished_at, detail.exit_code) == (None, None, None)


def test_a_health_check_brings_its_numbers_in_seconds() -> None:
    web = inspected(
        {"Status": "running", "Health": {"Status": "unhealthy", "FailingStreak": 4}},
        {
            "Healthcheck": {"Test": ["CMD", "x"], "StartPeriod": 15_000_000_000},
            "StopTimeout": 60,
            "StopSignal": "SIGQUIT",
        },
    )
    detail = web.detail
    assert detail is not None
    assert web.health is Health.UNHEALTHY
    assert (detail.failing_streak, detail.health_start_period, detail.health_interval) == (4, 15.0, 30.0)
    assert (detail.stop_timeout, detail.stop_signal) == (60.0, "SIGQUIT")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.25Z", 1.25),
        ("1970-01-01T01:00:01.000000001+01:00", 1.000000001),
        ("0001-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:01.Z", 1.0),
        ("tomorrow", None),
        ("2026-13-01T00:00:00Z", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_times_are_rfc_3339(text: object, seconds: float | None) -> None:
    assert parse_time(text) == seconds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
STATE = JSON | st.fixed_dictionaries(
    {},
    optional={
        "Status": st.sampled_from(["running", "exited"]) | JSON,
        "Pid": JSON,
        "ExitCode": JSON,
        "StartedAt": JSON,
        "FinishedAt": st.just("2026-01-01T00:00:00Z") | JSON,
        "Health": JSON | st.fixed_dictionaries({"Status": st.just("healthy"), "FailingStreak": JSON}),
    },
)
ENTRY = st.fixed_dictionaries(
    {"Id": st.text(min_size=1)},
    optional={
        "Names": JSON,
        "Labels": JSON,
        "State": STATE,
        "Status": JSON,
        "Created": JSON,
        "Ports": JSON | st.lists(st.fixed_dictionaries({"PublicPort": JSON})),
        "Config": JSON | st.fixed_dictionaries({"Labels": JSON, "Healthcheck": JSON, "StopTimeout": JSON}),
        "HostConfig": JSON | st.fixed_dictionaries({"RestartPolicy": JSON, "PortBindings": JSON}),
        "NetworkSettings": JSON,
        "RestartCount": JSON,
    },
)


@given(ENTRY | JSON)
def test_whatever_comes_is_a_container_or_none(entry: object) -> None:
    for found in (listed_container(entry), inspected_container(entry)):
        if found is not None:
            assert found.name
            json.dumps(dict(found.labels), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("exposed", "ports"),
    [
        ({"1883/tcp": {}, "9001/udp": {}}, (1883, 9001)),
        ({"1883": {}}, (1883,)),
        ({"x/tcp": {}, "-1/tcp": {}, "99999999999999999999/tcp": {}, "70000/tcp": {}, "": {}}, ()),
        (None, ()),
        ([1883], ()),
    ],
)
def test_exposed_ports(exposed: object, ports: tuple[int, ...]) -> None:
    detail = inspected(config={"ExposedPorts": exposed}).detail
    assert detail is not None
    assert detail.exposed_ports == ports


def test_limits_retries_and_what_stands_against_a_clone() -> None:
    raw = {
        "Id": ID,
        "Name": "/web",
        "State": {"Status": "running", "Health": {"Status": "healthy"}},
        "Config": {"Healthcheck": {"Test": ["CMD", "x"], "Retries": 5}},
        "HostConfig": {
            "NetworkMode": "host",
            "Memory": 64 * 2**20,
            "MemoryReservation": 16 * 2**20,
            "CpuQuota": 50_000,
            "CpuPeriod": 25_000,
            "CpusetCpus": "0",
        },
        "Mounts": [{"Type": "bind", "Source": "/srv", "Destination": "/data", "RW": True}],
    }
    found = inspected_container(raw)
    assert found
    assert found.detail
    assert (found.detail.memory_limit, found.detail.cpu_granted, found.detail.cpu_limit) == (64 * 2**20, 2.0, 1.0)
    assert found.detail.health_retries == 5
    assert (found.detail.cloning.volumes, found.detail.cloning.reservation) == (("/srv at /data",), 16 * 2**20)
    assert len(found.detail.cloning.blockers) == 1
    bare = inspected().detail
    assert bare
    assert (bare.memory_limit, bare.cpu_granted, bare.health_retries) == (0, None, 0)
    checked = inspected({"Health": {"Status": "healthy"}}).detail
    assert checked
    assert checked.health_retries == 3, "the engine's own number"


def test_labels_that_guards_go_by_are_never_among_those_left_out() -> None:
    kept = {"watchtower-agent.protect": "true", "autoheal": "false", "exitCode": "0", "io.kubernetes.pod.name": "p"}
    many = {f"a{number}": "x" for number in range(5000)}
    for labels in (listed(Labels=many | kept).labels, inspected(config={"Labels": many | kept}).labels):
        assert {name: labels.get(name) for name in kept} == kept
        assert len(labels) == MAX_LABELS
