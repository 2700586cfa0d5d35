"""What the agent itself depends on: its containers, its broker, a proxy before the engine's socket."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from watchtower_agent.identity import (
    Dependency,
    dependencies,
    gateways,
    is_container_id,
    is_run_by_unit,
    is_this_machine,
    own_containers,
    protection,
    settled_host,
)
from watchtower_agent.model.observation import Resume
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.settings import LoadedSettings
from watchtower_agent.settings.model import EngineSettings, MqttSettings, SamplingSettings, Settings

ID = "0123456789ab" + "c" * 52
ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def process(tmp_path: Path, *, cgroup: str = "0::/\n", mountinfo: str = "", routes: str = "") -> Path:
    """A /proc of a process."""
    own = tmp_path / "self"
    (own / "net").mkdir(parents=True)
    (own / "cgroup").write_text(cgroup)
    (own / "mountinfo").write_text(mountinfo)
    (own / "net" / "route").write_text(routes)
    return tmp_path


def settings(proc_root: Path, url: str | None) -> Settings:
    return Settings(mqtt=MqttSettings(url=url), sampling=SamplingSettings(proc_root=proc_root))


async def protected(proc_root: Path, url: str | None, engine_url: str = "unix:///var/run/docker.sock") -> Protection:
    return await protection(settings(proc_root, url), engine_url)


@pytest.mark.parametrize(
    ("url", "unit", "ours"),
    [
        ("", "", True),
        ("unix:///var/run/docker.sock", "", True),
        ("unix:///run/podman/podman.sock", "", False),
        ("unix:///run/podman/podman.sock", "podman.service", True),
        ("unix:///run/user/1000/docker.sock", "docker-of-op.service", False),
        ("tcp://h:2376", "docker-2.service", False),
        ("ssh://h", "docker-2.service", False),
    ],
)
def test_only_the_engine_that_the_unit_runs_is_restarted(url: str, unit: str, *, ours: bool) -> None:
    engine = EngineSettings(unit=unit) if unit else EngineSettings()
    assert is_run_by_unit(Settings(engine=engine), url) is ours


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"cgroup": f"0::/system.slice/docker-{ID}.scope\n"}, (ID,)),
        ({"cgroup": f"12:cpu:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"}, (ID,)),
        (
            {"mountinfo": f"1 2 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/sda rw\n"},
            (ID,),
        ),
        ({"mountinfo": f"1 2 0:1 / /var/lib/docker/overlay2/{ID}/merged rw - overlay overlay rw\n"}, ()),
        ({"cgroup": "0::/user.slice\n"}, ()),
        ({"cgroup": f"0::/{ID}0\n"}, ()),
    ],
)
def test_own_containers(tmp_path: Path, files: dict[str, str], found: tuple[str, ...]) -> None:
    assert own_containers(process(tmp_path, **files)) == found


def test_no_own_container_where_nothing_can_be_read(tmp_path: Path) -> None:
    assert own_containers(tmp_path / "nothing") == ()


def test_a_host_name_that_is_the_begin_of_the_own_id() -> None:
    assert is_container_id(ID[:12], (ID,))
    assert not is_container_id("h1", (ID,))
    assert not is_container_id(ID[:12], ())
    assert not is_container_id("f" * 12, (ID,))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("mqtt://broker", Dependency(host="broker", port=1883)),
        ("mqtts://broker", Dependency(host="broker", port=8883)),
        ("ws://broker/mqtt", Dependency(host="broker", port=80)),
        ("wss://broker/mqtt", Dependency(host="broker", port=443)),
        ("mqtt://[::1]:1884", Dependency(host="::1", port=1884)),
        ("tcp://socket-proxy:2375", Dependency(host="socket-proxy", port=2375)),
        ("tcp://socket-proxy", Dependency(host="socket-proxy", port=2375)),
        ("https://socket-proxy:2376", Dependency(host="socket-proxy", port=2376)),
        ("unix:///var/run/docker.sock", None),
        (None, None),
        ("", None),
    ],
)
def test_dependencies(url: str | None, found: Dependency | None) -> None:
    assert dependencies(url) == ((found,) if found else ())


def own_address() -> str:
    """The address by which this machine is known in its network; loopback where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.9", 9))  # sends nothing
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "::1", "127.0.1.1", "host.docker.internal", "Host.Docker.Internal", own_address()],
)
def test_every_address_of_this_machine_is_this_machine(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["203.0.113.9", "203.0.113.7", "2001:db8::1"])
def test_an_address_of_another_machine_is_not(host: str) -> None:
    assert not is_this_machine(host)
    assert is_this_machine(host, frozenset({host}))


def test_a_container_sees_the_host_as_its_router(tmp_path: Path) -> None:
    assert gateways(process(tmp_path, routes=ROUTES)) == {"172.17.0.1"}
    assert gateways(tmp_path / "nothing") == frozenset()
    assert gateways(process(tmp_path / "junk", routes="a\nb c\n\n")) == frozenset()


@pytest.mark.parametrize(
    ("url", "engine_url", "names", "ports"),
    [
        ("mqtt://127.0.0.1:1884", "unix:///x", set(), {1884}),
        (f"mqtt://{own_address()}", "unix:///x", set(), {1883}),
        ("mqtts://host.docker.internal", "tcp://127.0.0.1:2375", set(), {8883, 2375}),
        ("mqtt://203.0.113.9:1884", "tcp://198.51.100.7:2375", {"203.0.113.9", "198.51.100.7"}, set()),
        (None, "unix:///x", set(), set()),
    ],
)
async def test_what_is_protected(
    tmp_path: Path, url: str | None, engine_url: str, names: set[str], ports: set[int]
) -> None:
    found = await protected(process(tmp_path, cgroup=f"0::/docker/{ID}\n"), url, engine_url)
    assert (set(found.peers), set(found.peer_ports), found.own_containers) == (names, ports, (ID,))
    assert not found.observe
    assert "postgres" in found.stateful_images


async def test_the_router_is_the_host_only_for_a_container(tmp_path: Path) -> None:
    inside = process(tmp_path / "inside", cgroup=f"0::/docker/{ID}\n", routes=ROUTES.replace("010011AC", "097100CB"))
    outside = process(tmp_path / "outside", routes=ROUTES.replace("010011AC", "097100CB"))
    assert (await protected(inside, "mqtt://203.0.113.9")).peer_ports == {1883}
    assert (await protected(outside, "mqtt://203.0.113.9")).peer_ports == frozenset()


async def test_a_name_that_nobody_resolves_is_protected_by_name_and_said(tmp_path: Path) -> None:
    def down(_host: str, _also: frozenset[str]) -> bool:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    with capture_logs() as lines:
        found = await protection(settings(process(tmp_path), "mqtt://broker"), "unix:///x", here=down)

    assert (set(found.peers), set(found.peer_ports)) == ({"broker"}, set())
    said = next(line for line in lines if line["event"] == "host_not_resolved")
    assert (said["host"], "Temporary failure" in said["error"]) == ("broker", True)


async def test_a_resolver_that_hangs_holds_up_neither_the_start_nor_the_loop(tmp_path: Path) -> None:
    answer = threading.Event()

    def hangs(_host: str, _also: frozenset[str]) -> bool:
        return answer.wait(30)

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    begun = time.monotonic()
    found = await protection(settings(process(tmp_path), "mqtt://broker"), "tcp://proxy:2375", here=hangs, within=0.2)
    took = time.monotonic() - begun
    answer.set()
    ticking.cancel()

    assert found.peers == {"broker", "proxy"}
    assert took < 2
    assert ticks > 3


@pytest.mark.parametrize(
    ("given", "hostname", "remembered", "host", "said"),
    [
        (False, ID[:12], "", ID[:12], True),
        (False, ID[:12], "f" * 12, "f" * 12, True),
        (False, ID[:12], "h1", "h1", True),
        (True, ID[:12], "h1", ID[:12], False),
        (False, "h2", "h1", "h2", False),
        (False, "f" * 12, "h1", "f" * 12, False),
    ],
)
def test_a_container_id_is_no_lasting_name_of_a_host(
    tmp_path: Path, *, given: bool, hostname: str, remembered: str, host: str, said: bool
) -> None:
    proc = process(tmp_path, cgroup=f"0::/docker/{ID}\n")
    mqtt = MqttSettings(client_id=f"watchtower-{hostname}")
    made = Settings(host=hostname, mqtt=mqtt, sampling=SamplingSettings(proc_root=proc))
    records = {"host": {"name": {"is": remembered}}} if remembered else {}
    resume = Resume(
        cursor=None, recent_event_ids=(), records=records, last_sequence=0, install_id="i", retained_topics=()
    )

    with capture_logs() as lines:
        found = settled_host(LoadedSettings(settings=made, source="", file=None, host_given=given), resume)

    assert (found.host, found.mqtt.client_id) == (host, f"watchtower-{host}")
    assert [line["event"] for line in lines] == (["host_is_a_container_id"] if said else [])
    assert all("WATCHTOWER_AGENT_HOST" in line["remedy"] for line in lines)
